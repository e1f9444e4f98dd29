"""What we ask of the PBX: to move and to remove messages, so that the phone's lamp goes the way of the badge.

Asterisk answers `Success` to `VoicemailMove` and `VoicemailRemove` when they failed, so its answer decides nothing: the
spool does. What the PBX cannot be told (it is too old, `write_back` is off, the message never had a msg_id, we hold its
audio, or the PBX has no such box any more) happens here alone.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from service.ami import Ami, Offer
from service.errors import ConflictError, NotFoundError, UnavailableError
from service.ingest import Ingest
from service.media import Media
from service.model import AudioFile, Folder, Mailbox, Message, Status
from service.spool import open_audio
from service.store import Store, boxes, held, messages

log = logging.getLogger(__name__)

MOST_COPIES = 3
"""So often one message can lie in a mailbox's unread folders, by forwarding it to itself, and all of it be marked."""


@dataclass(frozen=True, slots=True)
class _Deed:
    """What is done with messages on the PBX: `ask` for one, which gives what the PBX says, and see if it is `undone`.

    `here` does it in the store alone. `words` say it, with the number of messages and the mailbox to be put in.
    """

    ask: Callable[[Ami, Mailbox, Message], Awaitable[str]]
    undone: Callable[[Message], bool]
    here: Callable[["Pbx", Sequence[Message]], Awaitable[None]]
    words: str


class Pbx:
    """Changes messages on the PBX behind `ami`; where that is None (or the PBX too old), in the store alone.

    Before a message is removed its audio is copied from `spool` into `media`, from where it can be restored for
    `trash_days`; with 0 of them it is gone at once.
    """

    def __init__(
        self, store: Store, ingest: Ingest, ami: Ami | None, *, spool: Path, media: Media, trash_days: int = 7
    ) -> None:
        self._store = store
        self._ingest = ingest
        self._ami = ami
        self._spool = spool
        self._media = media
        self._trash_days = trash_days

    async def mark_read(self, wanted: Sequence[Message]) -> int:
        """Mark messages read, and return when the PBX and the store agree; gives how many that were.

        Raises UnavailableError where the PBX or the store cannot be reached, ConflictError where the PBX may not be
        asked or does not do it. What was marked before that stays marked, and what the PBX does not do in one mailbox
        keeps no other from being marked.
        """
        ami, told, ours = await self._divided("VoicemailMove", "move", wanted)
        await self.mark_here([*ours, *(message for message in told if not message.folder.unread)], Status.READ)
        moved = [message for message in told if message.folder.unread]
        if ami is not None:
            await self._each_box(ami, moved, _TO_OLD)
        return len(wanted)

    async def mark_unread(self, wanted: Sequence[Message]) -> int:
        """Mark messages unread: on the PBX they go (back) to INBOX. Gives and raises what `mark_read` does."""
        ami, told, ours = await self._divided("VoicemailMove", "move", wanted)
        await self.mark_here([*ours, *(message for message in told if message.folder.unread)], Status.UNREAD)
        moved = [message for message in told if not message.folder.unread]
        if ami is not None:
            await self._each_box(ami, moved, _TO_INBOX)
        return len(wanted)

    async def delete(self, wanted: Sequence[Message]) -> int:
        """Delete messages; gives and raises what `mark_read` does. Their audio goes to the trash, where there is one.

        Raises UnavailableError also where the trash cannot be written: then nothing is deleted.
        """
        ami, told, ours = await self._divided("VoicemailRemove", "remove", wanted)
        await self.delete_here(ours)
        if ami is not None:
            await self._to_trash(told)
            try:
                await self._each_box(ami, told, _REMOVAL)
            except (ConflictError, UnavailableError):
                await self._out_of_trash(told)
                raise
        return len(wanted)

    async def restore(self, message: Message) -> Message:
        """Undo a deletion; the message is held here from then on, if it has left the spool.

        Raises NotFoundError where it cannot be restored any more.
        """
        restored = await self._store.write(partial(held.restore, message_id=message.id, trash_days=self._trash_days))
        log.info("message restored mailbox=%s uuid=%s", restored.mailbox, restored.uuid)
        return restored

    async def _divided(
        self, action: str, verb: str, wanted: Sequence[Message]
    ) -> tuple[Ami | None, list[Message], list[Message]]:
        """The PBX, if it does this for us; the messages it is to be told of; and those that are ours alone."""
        if self._ami is None or not await _offered(self._ami, action, verb):
            return None, [], list(wanted)
        told, ours = list[Message](), list[Message]()
        for message in wanted:
            (told if message.envelope.msg_id and message.held is None else ours).append(message)
        return self._ami, sorted(told, key=_place), ours

    async def mark_here(self, wanted: Sequence[Message], status: Status) -> None:
        """Keep a status here alone."""
        if wanted:
            ids = [message.id for message in wanted]
            await self._store.write(partial(messages.set_local_status, message_ids=ids, status=status))
            log.info("messages marked here alone count=%d status=%s", len(wanted), status.name)

    async def delete_here(self, wanted: Sequence[Message]) -> None:
        """Delete messages here alone: those that we hold, and those that stay in the spool."""
        for verb, holding in ((held.drop, True), (held.hide, False)):
            ids = [message.id for message in wanted if (message.held is not None) is holding]
            if ids:
                await self._store.write(partial(verb, message_ids=ids))
                log.info("messages deleted here alone count=%d", len(ids))
        dropped = [message for message in wanted if message.held is not None]
        if dropped and not self._trash_days:
            await self._burn(dropped)

    async def _burn(self, dropped: Sequence[Message]) -> None:
        """Where nothing is kept in the trash: the audio goes at once."""
        await self._store.write(partial(held.forget, message_ids=[message.id for message in dropped]))
        for message in dropped:
            if message.held is not None:
                await asyncio.to_thread(self._media.forget, message.held)

    async def _to_trash(self, wanted: Sequence[Message]) -> None:
        """Copy the audio of messages that are about to be removed, and note where it lies."""
        if not self._trash_days:
            return
        copied, moved = await asyncio.to_thread(self._copies, wanted)
        if moved:
            await self._ingest.look_again(*moved)
            found = await self._store.read(partial(messages.by_ids, ids=[message.id for message in moved]))
            more, gone = await asyncio.to_thread(self._copies, found)
            copied |= more
            for message in gone:
                log.warning("audio not kept, it is not where it was mailbox=%s uuid=%s", message.mailbox, message.uuid)
        if copied:
            await self._store.write(partial(held.keep, trash=list(copied.items())))

    async def _out_of_trash(self, wanted: Sequence[Message]) -> None:
        """Forget the copies of messages that are there still."""
        names = await self._store.write(partial(held.release, message_ids=[message.id for message in wanted]))
        for name in names:
            await asyncio.to_thread(self._media.forget, name)

    def _copies(self, wanted: Iterable[Message]) -> tuple[dict[int, str], list[Message]]:
        """Copy the audio of messages, if they have any: names by id, and those whose audio has moved or is gone."""
        copied, moved = dict[int, str](), list[Message]()
        for message in wanted:
            if message.audio is None:
                continue
            try:
                copied[message.id] = self._copy(message, message.audio.file)
            except NotFoundError:
                moved.append(message)
        return copied, moved

    def _copy(self, message: Message, file: AudioFile) -> str:
        source = open_audio(self._spool, message.mailbox, message.folder, message.msgnum, file)
        name = f"{message.uuid}.{file.suffix}"
        try:
            self._media.keep(name, source)
        finally:
            os.close(source)
        return name

    async def _each_box(self, ami: Ami, wanted: Iterable[Message], deed: _Deed) -> None:
        """Ask the PBX for it, a mailbox at a time, and see in the spool that it happened; the first failure last."""
        failures = list[ConflictError]()
        for mailbox, group in groupby(wanted, key=lambda message: message.mailbox):
            try:
                await self._in_box(ami, mailbox, list(group), deed)
            except ConflictError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def _in_box(self, ami: Ami, mailbox: Mailbox, wanted: Sequence[Message], deed: _Deed) -> None:
        left, answer = list(wanted), ""
        for _copy in range(MOST_COPIES):
            for message in left:  # the highest number first: Asterisk then has nothing to renumber
                answer = await deed.ask(ami, mailbox, message)
            await self._ingest.reconcile(mailbox)
            left = await self._still(left, deed.undone)
            if not left:
                log.info("messages changed on the PBX mailbox=%s count=%d", mailbox, len(wanted))
                return
        if await self._store.read(partial(boxes.is_missing, mailbox=mailbox)):
            await deed.here(self, left)
            return
        what = deed.words.format(f"{len(left)} of {len(wanted)}", mailbox)
        raise ConflictError(f"the PBX did not {what} ({answer or 'no reason'}): is that folder full, or locked?")

    async def _still(self, wanted: Sequence[Message], undone: Callable[[Message], bool]) -> list[Message]:
        """The wanted messages as they are now, without those it is done with, or that went meanwhile."""
        now = await self._store.read(partial(messages.by_ids, ids=[message.id for message in wanted]))
        return sorted((message for message in now if undone(message)), key=_place)


def _named(mailbox: Mailbox, message: Message) -> dict[str, str]:
    return {
        "Context": mailbox.context,
        "Mailbox": mailbox.extension,
        "Folder": message.folder.value,
        "ID": message.msg_id,
    }


async def _offered(ami: Ami, action: str, verb: str) -> bool:
    """Whether this PBX does it: since Asterisk 18.20 and 20.5."""
    offer = await ami.offer(action)
    if offer is Offer.FORBIDDEN:
        raise ConflictError(
            f"the PBX does not let us {verb} messages: add `user` to `write` of our section in manager.conf,"
            " or set write_back = false"
        )
    return offer is Offer.OFFERED


def _place(message: Message) -> tuple[Mailbox, str, int]:
    return message.mailbox, message.folder.value, -message.msgnum


def _move_to(folder: Folder) -> Callable[[Ami, Mailbox, Message], Awaitable[str]]:
    async def ask(ami: Ami, mailbox: Mailbox, message: Message) -> str:
        return (await ami.action("VoicemailMove", _named(mailbox, message) | {"ToFolder": folder.value})).message

    return ask


async def _remove(ami: Ami, mailbox: Mailbox, message: Message) -> str:
    return (await ami.action("VoicemailRemove", _named(mailbox, message))).message


_TO_OLD = _Deed(
    _move_to(Folder.OLD),
    lambda message: message.status is Status.UNREAD,
    lambda pbx, left: pbx.mark_here(left, Status.READ),
    "move {} messages of {} to Old",
)
_TO_INBOX = _Deed(
    _move_to(Folder.INBOX),
    lambda message: message.status is Status.READ,
    lambda pbx, left: pbx.mark_here(left, Status.UNREAD),
    "move {} messages of {} to INBOX",
)
_REMOVAL = _Deed(_remove, lambda _message: True, lambda pbx, left: pbx.delete_here(left), "remove {} messages of {}")
