"""voicemail.conf through AMI: read, changed a line at a time, and looked at again (see `config.c`, `manager.c`).

Asterisk's writer lays the whole file out anew and damages what is not plain, so the file itself is looked at first, and
it has to be the one that the PBX tells. An action names the line it is to find; another line there, and nothing is
written. What Asterisk answers decides nothing: `GetConfig` and `VoicemailUserStatus` do.
"""

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service.ami import Ami, Event, Response
from service.errors import ConflictError, InvalidInputError, UnavailableError
from service.model import Mailbox
from service.store.boxes import Told
from service.voicemail_conf import LONGEST_LINE, NAME, Config, Entry, known_box, read_plain

log = logging.getLogger(__name__)

LARGEST_FILE = 16 << 20
MOST_BOXES = 100_000
EFFECT_S = 5.0
LOOK_S = 0.05
RIGHTS = "add `config` to `write` of our section in manager.conf, then `manager reload`"
_REPLACED = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Change:
    """One action on the file: the line of which box, its fields, and what the file says after it."""

    mailbox: Mailbox
    fields: Mapping[str, str] = field(repr=False)
    after: Config = field(repr=False)


def appending(config: Config, mailbox: Mailbox, value: str) -> Change:
    """Add a box at the end of its context, which is made where it is not there."""
    context = config.context(mailbox.context)
    category = {} if context is not None else _action(0, "NewCat", mailbox.context)
    line = {"Var": mailbox.extension, "Value": f">{value}"}  # > makes it `=>`
    fields = category | _action(int(context is None), "Append", context or mailbox.context, **line)
    return Change(mailbox, fields, config.appended(mailbox.context, mailbox.extension, value))


def changing(config: Config, mailbox: Mailbox, entry: Entry, value: str) -> Change:
    """Give the line of a box another value."""
    line = {"Var": entry.extension, "Value": value, "Match": entry.value}
    return Change(mailbox, _action(0, "Update", entry.context, **line), config.changed(entry, value))


def deleting(config: Config, mailbox: Mailbox, entry: Entry) -> Change:
    """Take out the line of a box."""
    line = {"Var": entry.extension, "Match": entry.value}
    return Change(mailbox, _action(0, "Delete", entry.context, **line), config.without(entry))


def _action(number: int, name: str, category: str, **more: str) -> dict[str, str]:
    fields = {"Action": name, "Cat": category, **more}
    return {f"{key}-{number:06d}": value for key, value in fields.items()}


class PbxConfig:
    """voicemail.conf of the PBX behind `ami`, whose configuration lies in `etc`; None where there is no AMI.

    Before the first change the file is copied to `copy`.
    """

    def __init__(self, ami: Ami | None, etc: Path, copy: Path, *, effect_s: float = EFFECT_S) -> None:
        self._ami = ami
        self._file = etc / NAME
        self._copy = copy
        self._effect_s = effect_s

    async def read(self, context: str = "", *, patient: bool = False) -> Config:
        """What the PBX reads in the file, or in one context of it; `patient`, where it may be reloading.

        Raises UnavailableError where the PBX cannot be asked, ConflictError where it does not tell.
        """
        only = {"Category": context} if context else {}
        answer = await self._ask("GetConfig", {"Filename": NAME, **only}, patient=patient)
        if not answer.ok:
            raise ConflictError(_refused("read", answer.message))
        return await asyncio.to_thread(Config.told, answer.fields.pairs)

    async def users(self) -> list[Told]:
        """The boxes app_voicemail has in its memory. Raises UnavailableError."""
        listed: list[Told] = []

        def take(event: Event) -> None:
            if len(listed) <= MOST_BOXES and (told := _told(event)) is not None:
                listed.append(told)

        answer = await self._ask("VoicemailUsersList", {}, take)
        if not answer.ok:
            raise UnavailableError(f"the PBX does not tell its mailboxes: {answer.message}")
        if len(listed) > MOST_BOXES:
            raise UnavailableError(f"the PBX has more than {MOST_BOXES} mailboxes")
        return listed

    async def user(self, mailbox: Mailbox) -> Told | None:
        """A box as app_voicemail has it, also one from realtime; None where it has none. Raises UnavailableError."""
        fields = {"Context": mailbox.context, "Mailbox": mailbox.extension}
        answer = await self._ask("VoicemailUserStatus", fields)
        if not answer.ok:
            raise UnavailableError(f"the PBX does not tell of mailbox {mailbox}: {answer.message}")
        return next(filter(None, map(_told, answer.events)), None)

    async def change(self, change: Change, before: Config, took: Callable[[Told | None], bool]) -> Told | None:
        """Make a change to the file that says `before`, and see that it, and nothing else, was made and `took`.

        Gives the box as app_voicemail has it then. Raises UnavailableError where the PBX does not answer (what was
        asked may have happened), ConflictError where the file is not plain or not that of the PBX, where its line is
        another by now, or where the change did not take.
        """
        _check_lines(change)
        await asyncio.to_thread(self._prepare, before)
        names = {"SrcFilename": NAME, "DstFilename": NAME, "Reload": "app_voicemail"}
        try:
            answer = await self._ask("UpdateConfig", names | dict(change.fields))
        except InvalidInputError as error:
            raise ConflictError(
                f"the line of {change.mailbox} in {NAME} cannot be changed over AMI: {error}"
            ) from error
        if not answer.ok:
            raise ConflictError(_refused(f"change the line of {change.mailbox} in", answer.message))
        after = await self.read(patient=True)  # Asterisk reloads before it answers
        if after != change.after:
            raise ConflictError(self._differs(change.after.difference(after)))
        return await self._effect(change.mailbox, took)

    async def _effect(self, mailbox: Mailbox, took: Callable[[Told | None], bool]) -> Told | None:
        """Wait until app_voicemail, which was reloaded, has it."""
        try:
            async with asyncio.timeout(self._effect_s):
                while not took(told := await self.user(mailbox)):  # noqa: ASYNC110 -- no event says that it has reloaded
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise ConflictError(
                f"{NAME} was changed, but {self._effect_s:g} s later app_voicemail does not have {mailbox} as it stands"
                " there: look at the PBX's log"
            ) from None
        return told

    async def _ask(
        self,
        name: str,
        fields: Mapping[str, str],
        each: Callable[[Event], None] | None = None,
        *,
        patient: bool = False,
    ) -> Response:
        if self._ami is None:
            raise UnavailableError("the PBX cannot be asked: [ami] enabled is false")
        return await self._ami.action(name, fields, each=each, patient=patient)

    def _prepare(self, before: Config) -> None:
        """See that the file may be changed, and keep it as it is before the first time."""
        content = read_file(self._file)
        if read_plain(content) != before:
            raise ConflictError(
                f"{self._file} is not what the PBX reads as its {NAME}, or was changed this moment: if this stays, see"
                " [pbx] config; boxes are changed only where both are one file"
            )
        try:
            keep_copy(self._copy, content)
        except OSError as error:
            raise ConflictError(f"no copy of {NAME} can be kept at {self._copy}: {error.strerror}") from error

    def _differs(self, lines: Iterable[str]) -> str:
        told = ", ".join(lines) or "the order of its lines"
        return (
            f"after the change {NAME} differs from what was meant in: {told[:300]}; somebody may have changed it at the"
            f" same time. As it was before the first change it lies in {self._copy}"
        )


def read_file(file: Path) -> bytes:
    """The bytes of voicemail.conf. Raises ConflictError where it cannot be read from here."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(fd, "rb") as opened:  # noqa: PTH123 -- an open file
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ConflictError(f"{file} is no regular file")
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConflictError(
            f"{file} cannot be read ({error.strerror}), and must be looked at before it is changed: see [pbx] config;"
            " the daemon's user needs to be in the PBX's group"
        ) from error
    if len(content) > LARGEST_FILE:
        raise ConflictError(f"{file} is over {LARGEST_FILE >> 20} MiB")
    return content


def keep_copy(copy: Path, content: bytes) -> None:
    """Write a file for our eyes only, whole or not at all, unless it is there. Raises OSError."""
    if copy.exists():
        return
    draft = copy.with_name(f"{copy.name}.new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as opened:  # noqa: PTH123 -- an open file
        opened.write(content)
        opened.flush()
        os.fsync(fd)
    draft.rename(copy)
    log.info("voicemail.conf kept as it was before the first change copy=%s", copy)


def _check_lines(change: Change) -> None:
    """Refuse what AMI would not carry to the PBX as it is."""
    for text in change.fields.values():
        if _REPLACED in text:
            raise ConflictError(f"the line of {change.mailbox} in {NAME} holds bytes that are no UTF-8")
        if len(text.encode()) > LONGEST_LINE:
            raise ConflictError(
                f"the line of {change.mailbox} in {NAME} is over {LONGEST_LINE} bytes: it can only be changed by hand"
            )


def _refused(what: str, message: str) -> str:
    if "permission denied" in message.lower():
        return f"the PBX does not let us {what} {NAME}: {RIGHTS}"
    if "did not complete" in message.lower():
        return f"the PBX did not {what} {NAME}, for it has changed meanwhile; nothing was written: try again"
    return f"the PBX did not {what} {NAME}: {message[:200]}"


def _told(event: Event) -> Told | None:
    get = event.fields.get
    mailbox = known_box(get("VMContext"), get("VoiceMailbox"))
    if mailbox is None:
        return None
    email = get("Email").strip()
    return Told(mailbox, get("Fullname").strip(), "" if email == "(null)" else email, get("DeleteMessage") != "Yes")
