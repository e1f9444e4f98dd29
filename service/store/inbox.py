"""A mailbox as its owner's phone sees it: what is NEW, OLD and SAVED (contract 7)."""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from service.model import Box, Folder, Mailbox, Message
from service.store import mailboxes, messages

MOST_LISTED = 1000
_SAVED = ", ".join(f"'{folder.value}'" for folder in Folder if folder.saved)


class Shelf(StrEnum):
    """Which messages are asked for."""

    NEW = "NEW"
    OLD = "OLD"
    SAVED = "SAVED"


_WHERE = {
    Shelf.NEW: "status = 1",
    Shelf.OLD: f"status = 2 AND folder NOT IN ({_SAVED})",
    Shelf.SAVED: f"status = 2 AND folder IN ({_SAVED})",
}


@dataclass(frozen=True, slots=True)
class Owned:
    """A mailbox that has a phone number. `configured`: the PBX has it; `disabled`: it was taken out of there.

    `pin_hash` (argon2id, or "") is kept for a box the PBX does not know alone.
    """

    box: Box
    configured: bool
    disabled: bool
    pin_hash: str

    @property
    def pin_is_of_pbx(self) -> bool:
        """Whether the PBX is to be asked for the PIN, also before it has told its boxes for the first time."""
        return self.configured or not self.pin_hash


def by_phone(conn: sqlite3.Connection, phone: str) -> Owned | None:
    """The mailbox of this number (E.164); None where it is nobody's."""
    row = conn.execute(
        "SELECT context, extension, configured, disabled IS NOT NULL, coalesce(pin_hash, '') FROM mailbox"
        " WHERE phone = ? AND phone <> ''",
        (phone,),
    ).fetchone()
    if row is None:
        return None
    return Owned(mailboxes.box(conn, Mailbox(row[0], row[1])), bool(row[2]), bool(row[3]), row[4])


def listed(conn: sqlite3.Connection, mailbox: Mailbox, shelf: Shelf) -> list[Message]:
    """The messages of a mailbox on this shelf, newest first, at most 1,000."""
    rows = conn.execute(
        "SELECT message.id FROM message JOIN mailbox ON mailbox.id = mailbox_id WHERE mailbox.name = ?"
        f" AND deleted_ms IS NULL AND {_WHERE[shelf]} ORDER BY origtime DESC, message.id DESC LIMIT ?",
        (str(mailbox), MOST_LISTED),
    )
    ids = [row[0] for row in rows]
    found = {message.id: message for message in messages.by_ids(conn, ids)}
    return [found[message_id] for message_id in ids]
