"""The PBX's own boxes: kept in view, made, changed, taken out and put back, removed; and their PINs.

A change is made in voicemail.conf through AMI and counts when the PBX shows it (`service.boxes_config`). A disabled box
is taken out there and kept here, without its PIN. Boxes that the PBX has from elsewhere (realtime, users.conf) are
listed, and refused to be changed. No PIN is kept or logged.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from service.ami import Ami
from service.boxes_config import EFFECT_S, PbxConfig, appending, changing, deleting
from service.boxes_secret import secret_pin
from service.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from service.model import Mailbox
from service.pins import WrongPinError
from service.store import Store, Transaction, boxes
from service.store.boxes import Box, Told
from service.voicemail_conf import NAME, BoxLine, Config, Entry, Wanted, check_mailbox, check_pin

log = logging.getLogger(__name__)

EVERY_S = 30.0
SELDOM_S, SHARE = 50.0, 50
"""Where there are very many boxes the PBX is asked less often: what it takes is at most one part of so many."""
RETRY_S = 5.0
MOST_ASKED = 200
"""So many mailboxes that the PBX did not list are asked for one by one, each time."""
PINS_AT_ONCE, PIN_S = 4, 15.0
COPY = "voicemail.conf.before"
LONGEST_SHOWN = 79
"""Bytes of a full name that app_voicemail keeps."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store knows before the PBX is asked: the boxes it told, if `ever`, and what else may be one."""

    told: dict[Mailbox, Told]
    others: list[Mailbox]
    ever: bool


class Boxes:
    """The boxes of the PBX behind `ami` (None: there is no AMI), whose configuration lies in `etc`.

    Secrets of boxes lie in `spool`, and a copy of voicemail.conf is kept in `state` before the first change. `again` is
    set when the PBX's boxes may be others than before, as after a login. Until a change takes it is given `effect_s`.
    """

    def __init__(
        self,
        store: Store,
        ami: Ami | None,
        *,
        etc: Path,
        spool: Path,
        state: Path,
        again: asyncio.Event,
        every_s: float = EVERY_S,
        effect_s: float = EFFECT_S,
    ) -> None:
        self._store = store
        self._config = PbxConfig(ami, etc, state / COPY, effect_s=effect_s)
        self._spool = spool
        self._again = again
        self._every_s = every_s
        self._one_at_a_time = asyncio.Lock()
        self._pins = asyncio.Semaphore(PINS_AT_ONCE)
        self._asked: Mailbox | None = None
        self._failure = self._told = ""

    # ---- what the PBX has

    async def run(self) -> None:
        """Keep the store's picture of the PBX's boxes right: after every login and every `every_s`, until cancelled.

        What stands in the way is told when it still does at the second try: at a start nobody is logged in yet.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._again.clear()
            began, failure = loop.time(), ""
            try:
                await self.refresh()
            except UnavailableError as error:
                failure = str(error)
                if failure == self._failure != self._told:
                    log.info("boxes not known for now error=%r", failure)
                    self._told = failure
            self._failure = failure
            pause = pause_s(self._every_s, loop.time() - began, failed=bool(failure))
            try:
                async with asyncio.timeout(pause):
                    await self._again.wait()
            except TimeoutError:
                pass

    async def refresh(self) -> None:
        """Ask the PBX for its boxes and keep what it tells. Raises UnavailableError."""
        async with self._one_at_a_time:
            listed = {told.mailbox: told for told in await self._config.users()}
            known = await self._store.read(self._known)
            missing = sorted(mailbox for mailbox in known.told if mailbox not in listed)[:MOST_ASKED]
            unlisted = {mailbox: await self._config.user(mailbox) for mailbox in (*missing, *known.others)}
            self._asked = known.others[-1] if len(known.others) == MOST_ASKED else None
            now = listed | {told.mailbox: told for told in unlisted.values() if told is not None}
            news = [told for told in now.values() if known.told.get(told.mailbox) != told]
            gone = [mailbox for mailbox in missing if unlisted[mailbox] is None]
            if news or gone or not known.ever:
                await self._store.write(partial(boxes.tell, told=news, gone=gone))
                log.info("boxes told by the PBX new_or_changed=%d gone=%d", len(news), len(gone))

    def _known(self, conn: sqlite3.Connection) -> _Known:
        others = boxes.not_configured(conn, self._asked, MOST_ASKED)
        return _Known(boxes.as_told(conn), others, boxes.ever_told(conn))

    # ---- PINs

    async def pin_of(self, mailbox: Mailbox) -> str | None:
        """The PIN the PBX has for a box, from `secret.conf` in its spool directory, else from voicemail.conf.

        None where it has none, or none that is told (realtime). Raises UnavailableError where it cannot be known now.
        """
        pin = await asyncio.to_thread(secret_pin, self._spool, mailbox)
        if pin is None:
            try:
                async with asyncio.timeout(PIN_S), self._pins:
                    pin = await self._configured_pin(mailbox)
            except TimeoutError:
                raise UnavailableError("too many PINs are being asked for at once") from None
        return (pin or "").removeprefix("-") or None

    async def _configured_pin(self, mailbox: Mailbox) -> str | None:
        try:
            config = await self._config.read(mailbox.context)
        except ConflictError as error:
            raise UnavailableError(str(error)) from error
        lines = config.lines_of(mailbox)
        return BoxLine.parse(lines[0].value).pin if lines else None

    async def set_pin(self, mailbox: Mailbox, pin: str, *, old: str | None = None) -> None:
        """Give a box another PIN on the PBX; with `old`, only while that is its PIN: of two at once one comes too late.

        Raises InvalidInputError, NotFoundError for a box the PBX does not know, WrongPinError where it has another PIN
        than `old` by now, and what `change` raises.
        """
        check_pin(pin)
        async with self._one_at_a_time:
            secret = await self._check_secret(mailbox, pin)
            config, entry = await self._entry(mailbox)
            line = BoxLine.parse(entry.value)
            if old not in (None, line.digits if secret is None else secret):
                raise WrongPinError(f"{mailbox} has another PIN by now")
            await self._rewrite(config, mailbox, entry, line.with_pin(pin))
        log.info("box has another PIN mailbox=%s", mailbox)

    async def _check_secret(self, mailbox: Mailbox, pin: str) -> str | None:
        """The PIN of `secret.conf`, if any. Raises ConflictError where that, another one, has effect."""
        secret = await asyncio.to_thread(secret_pin, self._spool, mailbox)
        if secret is not None and secret.removeprefix("-") != pin:
            raise ConflictError(
                f"the PIN of {mailbox} stands in secret.conf in its spool directory (passwordlocation=spooldir), which"
                " wins over voicemail.conf and can be changed by phone alone"
            )
        return secret and secret.removeprefix("-")

    # ---- changes

    async def create(self, mailbox: Mailbox, wanted: Wanted) -> None:
        """Make a box; one that is not enabled is made here alone.

        Raises InvalidInputError, UnavailableError where the PBX cannot be reached, and ConflictError where there is
        such a box, where voicemail.conf may not be changed (it says which line stands in the way), or where the change
        did not take.
        """
        check_mailbox(mailbox)
        wanted.check()
        line = wanted.applied(BoxLine())
        async with self._one_at_a_time:
            config = await self._config.read()
            if not config.may_hold_boxes(mailbox.context):
                raise InvalidInputError(f"context {mailbox.context} of {NAME} is not one of boxes", "extension")
            await self._check_free(config, mailbox)
            _check_spelling(config, mailbox.context)
            if wanted.enabled:
                await self._append(config, mailbox, line)
            else:
                await self._store.write(partial(boxes.disable, mailbox=mailbox, line=line))
        log.info("box created mailbox=%s enabled=%s", mailbox, str(wanted.enabled).lower())

    async def change(self, mailbox: Mailbox, wanted: Wanted) -> None:
        """Change a box, take it out of the PBX's configuration or put it back.

        Raises NotFoundError, ConflictError also for a box that the PBX has from elsewhere, and what `create` raises.
        """
        wanted.check()
        async with self._one_at_a_time:
            box = await self._box(mailbox)
            if box.disabled is not None:
                await self._change_disabled(box, wanted.applied(box.disabled), enabled=wanted.enabled)
            else:
                await self._change_enabled(box, wanted)
        log.info("box changed mailbox=%s enabled=%s", mailbox, str(wanted.enabled).lower())

    async def remove(self, mailbox: Mailbox) -> None:
        """Remove a box. Its messages and greetings stay in the spool, and so here; Asterisk leaves that directory, too.

        Raises what `change` raises.
        """
        async with self._one_at_a_time:
            box = await self._box(mailbox)
            if box.disabled is None:
                config, entry = await self._entry(mailbox)
                await self._config.change(deleting(config, mailbox, entry), config, _is_gone)
            await self._store.write(partial(boxes.forget, mailbox=mailbox))
        log.info("box removed mailbox=%s files=%s", mailbox, self._spool / mailbox.context / mailbox.extension)

    async def _change_disabled(self, box: Box, line: BoxLine, *, enabled: bool) -> None:
        if not enabled:
            await self._store.write(partial(boxes.disable, mailbox=box.mailbox, line=line))
            return
        config = await self._config.read()
        await self._check_free(config, box.mailbox, disabled=True)
        await self._append(config, box.mailbox, line)

    async def _change_enabled(self, box: Box, wanted: Wanted) -> None:
        config, entry = await self._entry(box.mailbox)
        line = wanted.applied(BoxLine.parse(entry.value))
        if wanted.enabled:
            await self._check_secret(box.mailbox, wanted.pin)
            await self._rewrite(config, box.mailbox, entry, line)
        else:
            await self._take_out(config, box, entry, line)

    async def _append(self, config: Config, mailbox: Mailbox, line: BoxLine) -> None:
        await self._check_secret(mailbox, line.digits)
        told = await self._config.change(appending(config, mailbox, str(line)), config, _shows(line))
        await self._tell(told)

    async def _rewrite(self, config: Config, mailbox: Mailbox, entry: Entry, line: BoxLine) -> None:
        value = str(line)
        if value != entry.value:
            change = changing(config, mailbox, entry, value)
            await self._tell(await self._config.change(change, config, _shows(line)))

    async def _take_out(self, config: Config, box: Box, entry: Entry, line: BoxLine) -> None:
        """Keep the box here, then take it out there: whatever happens in between, it is not lost."""
        await self._store.write(partial(boxes.disable, mailbox=box.mailbox, line=line))
        try:
            await self._config.change(deleting(config, box.mailbox, entry), config, _is_gone)
        except ConflictError:
            await self._tell(await self._config.user(box.mailbox))
            raise

    async def _tell(self, told: Told | None) -> None:
        if told is not None:
            await self._store.write(partial(boxes.tell, told=[told]))

    async def _box(self, mailbox: Mailbox) -> Box:
        return await self._store.read(lambda conn: boxes.find(conn, None, mailbox))

    async def _entry(self, mailbox: Mailbox) -> tuple[Config, Entry]:
        """voicemail.conf, and the one line of a box in it."""
        config = await self._config.read()
        lines = config.lines_of(mailbox)
        if len(lines) == 1:
            return config, lines[0]
        if lines:
            raise ConflictError(f"{mailbox} stands {len(lines)} times in {NAME}: leave one line of it, by hand")
        if await self._config.user(mailbox) is None:
            await self._store.write(partial(_lost, mailbox=mailbox))
            raise NotFoundError(f"there is no mailbox {mailbox}")
        raise ConflictError(f"the PBX has {mailbox} from elsewhere than {NAME}: it can only be changed there")

    async def _check_free(self, config: Config, mailbox: Mailbox, *, disabled: bool = False) -> None:
        """Raises ConflictError where there is such a box, or the PBX would not take it."""
        alike = await self._store.read(lambda conn: boxes.disabled_alike(conn, mailbox))
        if (alike is not None and not disabled) or config.lines_of(mailbox) or await self._config.user(mailbox):
            raise ConflictError(f"there is a mailbox {mailbox} already")
        others = _contexts_of(config, mailbox.extension) if config.switched_on("searchcontexts") else []
        if others:
            raise ConflictError(
                f"{NAME} has searchcontexts=yes, so there can be but one {mailbox.extension}, and it is in {others[0]}"
            )


def pause_s(every_s: float, took_s: float, *, failed: bool) -> float:
    """How long to wait before the PBX is asked for its boxes again, when that took so long."""
    return max(min(every_s, RETRY_S) if failed else every_s, min(SELDOM_S, SHARE * took_s))


def _check_spelling(config: Config, context: str) -> None:
    """Raises InvalidInputError where the PBX has this context in other letters: the box would not be found there."""
    name = config.context(context) or context
    if name != context:
        raise InvalidInputError(f"context {context} is called {name} in {NAME}", "extension")


def _contexts_of(config: Config, extension: str) -> list[str]:
    return [entry.context for entry in config.boxes() if entry.extension.lower() == extension.lower()]


def _lost(tx: Transaction, mailbox: Mailbox) -> None:
    boxes.tell(tx, [], gone=[mailbox])


def _shows(line: BoxLine) -> Callable[[Told | None], bool]:
    """Whether app_voicemail has a box as its line says."""
    fullname = line.fullname.encode()[:LONGEST_SHOWN].decode(errors="replace")
    wanted = (fullname.strip(), line.email.strip(), line.keeps)

    def took(told: Told | None) -> bool:
        return told is not None and (told.fullname, told.email, told.keeps) == wanted

    return took


def _is_gone(told: Told | None) -> bool:
    return told is None
