"""What we ask of the PBX: to move a message, so that the phone's lamp goes out with the badge.

Asterisk answers `Success` to `VoicemailMove` when it failed, so its answer decides nothing: the spool does.
"""

import logging
from collections.abc import Sequence
from functools import partial
from itertools import groupby

from service.ami import Ami, Offer
from service.errors import ConflictError
from service.ingest import Ingest
from service.model import Folder, Mailbox, Message, Status
from service.store import Store, messages

log = logging.getLogger(__name__)

MOST_COPIES = 3
"""So often one message can lie in a mailbox's unread folders, by forwarding it to itself, and all of it be marked."""


class Pbx:
    """Marks messages on the PBX behind `ami`; where that is None (or the PBX too old), in the store alone."""

    def __init__(self, store: Store, ingest: Ingest, ami: Ami | None) -> None:
        self._store = store
        self._ingest = ingest
        self._ami = ami

    async def mark_read(self, wanted: Sequence[Message]) -> int:
        """Mark messages read, and return when the PBX and the store agree; gives how many that were.

        Raises UnavailableError where the PBX or the store cannot be reached, ConflictError where the PBX may not be
        asked or does not do it. What was marked before that stays marked.
        """
        if self._ami is None or not await self._moves(self._ami):
            await self._mark_here(wanted)
            return len(wanted)
        nameless = [message for message in wanted if not message.envelope.msg_id]
        await self._mark_here(nameless)  # AMI names messages by the msg_id these never got
        named = sorted((message for message in wanted if message.envelope.msg_id), key=_place)
        for mailbox, group in groupby(named, key=lambda message: message.mailbox):
            await self._move(self._ami, mailbox, list(group))
        return len(wanted)

    async def _moves(self, ami: Ami) -> bool:
        """Whether this PBX can move messages for us: since Asterisk 18.20 and 20.5."""
        offer = await ami.offer("VoicemailMove")
        if offer is Offer.FORBIDDEN:
            raise ConflictError(
                "the PBX does not let us move messages: add `user` to `write` of our section in manager.conf,"
                " or set write_back = false"
            )
        return offer is Offer.OFFERED

    async def _mark_here(self, wanted: Sequence[Message]) -> None:
        if wanted:
            ids = [message.id for message in wanted]
            await self._store.write(partial(messages.set_local_status, message_ids=ids, status=Status.READ))
            log.info("messages marked read here alone count=%d", len(wanted))

    async def _move(self, ami: Ami, mailbox: Mailbox, wanted: Sequence[Message]) -> None:
        """Move a mailbox's messages to Old, and see in the spool that it happened."""
        left, answer = list(wanted), ""
        for _copy in range(MOST_COPIES):
            for message in left:  # the highest number first: Asterisk then has nothing to renumber
                answer = await self._move_one(ami, mailbox, message)
            await self._ingest.reconcile(mailbox)
            left = await self._still_unread(left)
            if not left:
                log.info("messages marked read mailbox=%s count=%d", mailbox, len(wanted))
                return
        raise ConflictError(
            f"the PBX did not move {len(left)} of {len(wanted)} messages of {mailbox} to Old ({answer or 'no reason'}):"
            " is that folder full, or locked?"
        )

    async def _move_one(self, ami: Ami, mailbox: Mailbox, message: Message) -> str:
        fields = {
            "Context": mailbox.context,
            "Mailbox": mailbox.extension,
            "Folder": message.folder.value,
            "ID": message.msg_id,
            "ToFolder": Folder.OLD.value,
        }
        return (await ami.action("VoicemailMove", fields)).message

    async def _still_unread(self, wanted: Sequence[Message]) -> list[Message]:
        """The wanted messages as they are now, without those that are read, or were removed meanwhile."""
        now = await self._store.read(partial(messages.by_ids, ids=[message.id for message in wanted]))
        return sorted((message for message in now if message.status is Status.UNREAD), key=_place)


def _place(message: Message) -> tuple[Mailbox, str, int]:
    return message.mailbox, message.folder.value, -message.msgnum
