"""Slots for voicemails that are uploaded (contract 6): asked for, filled once, or forgotten."""

import hashlib
import sqlite3
from dataclasses import dataclass

from service.errors import NotFoundError
from service.model import Mailbox, View
from service.store import mailboxes
from service.store.transaction import Transaction

MOST_OPEN = 100
"""Slots of one mailbox that may wait to be filled."""
FORGET_AT_ONCE = 100
_COLUMNS = "slot.uuid, mailbox.context, mailbox.extension, sip_from, content_type, created, expires"
_FROM = "FROM upload_slot AS slot JOIN mailbox ON mailbox.id = slot.mailbox_id"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one voicemail; `uuid` is that of the message it becomes. Times are epoch seconds."""

    uuid: str
    mailbox: Mailbox
    sip_from: str
    content_type: str
    created: int
    expires: int


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def create(tx: Transaction, slot: Slot, secret: str) -> bool:
    """Keep a slot. False where its mailbox has too many that wait to be filled."""
    mailbox_id, now = mailboxes.ensure(tx, slot.mailbox), slot.created
    tx.conn.execute(
        "DELETE FROM upload_slot WHERE uuid IN (SELECT uuid FROM upload_slot WHERE expires <= ? LIMIT ?)",
        (now, FORGET_AT_ONCE),
    )
    waiting = tx.conn.execute(
        "SELECT count(*) FROM upload_slot WHERE mailbox_id = ? AND expires > ?", (mailbox_id, now)
    ).fetchone()[0]
    if waiting >= MOST_OPEN:
        return False
    tx.conn.execute(
        "INSERT INTO upload_slot (uuid, mailbox_id, secret, sip_from, content_type, created, expires)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (slot.uuid, mailbox_id, digest(secret), slot.sip_from, slot.content_type, slot.created, slot.expires),
    )
    return True


def stored(conn: sqlite3.Connection, mailbox: Mailbox) -> int:
    """Bytes of a mailbox's uploads, those among them that were deleted and can be restored."""
    row = conn.execute(
        "SELECT coalesce(sum(audio_size), 0) FROM message JOIN mailbox ON mailbox.id = mailbox_id"
        " WHERE mailbox.name = ? AND msg_id >= 'upload-' AND msg_id < 'upload.'"  # as `held.insert` calls them
        " AND uploaded IS NOT NULL AND (held IS NOT NULL OR trash IS NOT NULL)",
        (str(mailbox),),
    ).fetchone()
    return int(row[0])


def by_secret(conn: sqlite3.Connection, secret: str, now: int) -> Slot:
    """The slot that may be filled by who knows this. Raises NotFoundError: unknown, filled, or too late."""
    found = _select(conn, "secret = ? AND expires > ?", (digest(secret), now))
    if not found:
        raise NotFoundError("there is no such upload, or it was used, or its hour is over")
    return found[0]


def by_uuid(conn: sqlite3.Connection, view: View, uuid: str, now: int) -> Slot:
    """A slot that waits to be filled, by its uuid in either case. Raises NotFoundError, also for one not in view."""
    found = [
        slot
        for slot in _select(conn, "slot.uuid = ? AND expires > ?", (uuid.lower(), now))
        if view is None or slot.mailbox in view
    ]
    if not found:
        raise NotFoundError("there is no such voicemail")
    return found[0]


def of_mailbox(conn: sqlite3.Connection, mailbox: Mailbox, now: int) -> list[Slot]:
    """The slots of a mailbox that wait to be filled, newest first."""
    return _select(conn, "mailbox.name = ? AND expires > ? ORDER BY created DESC, slot.uuid DESC", (str(mailbox), now))


def close(tx: Transaction, uuid: str) -> bool:
    """Forget a slot, because it is filled or not wanted any more. False where somebody was faster."""
    return tx.conn.execute("DELETE FROM upload_slot WHERE uuid = ?", (uuid,)).rowcount == 1


def _select(conn: sqlite3.Connection, where: str, parameters: tuple[object, ...]) -> list[Slot]:
    rows = conn.execute(f"SELECT {_COLUMNS} {_FROM} WHERE {where}", parameters)
    return [Slot(row[0], Mailbox(row[1], row[2]), *row[3:]) for row in rows]
