"""Messages whose audio we hold, and deletions that can be undone.

`held` and `trash` name a file of the media directory: that of a message which is there, and of one which was deleted.
A `hidden` message was deleted here alone, for its PBX cannot be told: it still lies in the spool.
"""

import sqlite3
from collections.abc import Iterable, Sequence

import orjson

from service.errors import NotFoundError
from service.model import Audio, Envelope, Folder, Mailbox, Message, View
from service.store import journal, mailboxes, messages
from service.store.transaction import Transaction

DAY_MS = 24 * 3600 * 1000
_AMONG = "id IN (SELECT value FROM json_each(?))"


def insert(
    tx: Transaction,
    mailbox: Mailbox,
    *,
    uuid: str,
    envelope: Envelope,
    external_number: str | None,
    audio: Audio,
    held: str,
    sip_from: str,
) -> Message:
    """Put an uploaded message into a mailbox: it is unread, and told and counted like any other."""
    mailbox_id = mailboxes.ensure(tx, mailbox)
    file, levels = audio.file, audio.levels
    cursor = tx.conn.execute(
        "INSERT INTO message (uuid, mailbox_id, msg_id, given, folder, msgnum, txt_inode, txt_mtime_ns, txt_size,"
        " origtime, txt_duration, src, caller_id_name, dst, external_number, callerchan, urgent, category, status,"
        " duration, suffix, audio_size, audio_mtime_ns, audio_inode, audio_head, content_type, duration_ms,"
        " sample_rate, channels, truncated, measured, held, sip_from, uploaded)"
        " VALUES (?, ?, ?, 0, ?, 0, 0, 0, 0, ?, ?, ?, ?, ?, ?, '', 0, '', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
        " ?, ?, ?)",
        (
            uuid,
            mailbox_id,
            f"upload-{uuid}",
            Folder.INBOX.value,
            envelope.origtime,
            envelope.duration,
            envelope.caller_id_number,
            envelope.caller_id_name,
            mailbox.extension,
            external_number,
            envelope.duration if audio.duration_ms is None else audio.duration_ms // 1000,
            file.suffix,
            file.size,
            file.mtime_ns,
            messages.signed(file.inode),
            file.head,
            audio.content_type,
            audio.duration_ms,
            audio.sample_rate,
            audio.channels,
            audio.truncated,
            levels is not None,
            held,
            sip_from,
            tx.now_ms // 1000,
        ),
    )
    assert cursor.lastrowid is not None
    message = messages.by_id(tx.conn, None, cursor.lastrowid)
    journal.append(tx, "message.new", mailbox, message)
    mailboxes.recount(tx, mailbox, mailbox_id)
    return message


def keep(tx: Transaction, trash: Iterable[tuple[int, str]]) -> None:
    """Note where copies of messages' audio lie (by id), that are about to be deleted."""
    tx.conn.executemany("UPDATE message SET trash = ? WHERE id = ?", [(name, one) for one, name in trash])


def release(tx: Transaction, message_ids: Sequence[int]) -> list[str]:
    """Undo `keep` for those of the messages that were not deleted after all; gives the names of the copies."""
    rows = tx.conn.execute(
        f"SELECT trash FROM message WHERE {_AMONG} AND deleted_ms IS NULL AND trash IS NOT NULL", (_ids(message_ids),)
    ).fetchall()
    tx.conn.execute(f"UPDATE message SET trash = NULL WHERE {_AMONG} AND deleted_ms IS NULL", (_ids(message_ids),))
    return [name for (name,) in rows]


def drop(tx: Transaction, message_ids: Sequence[int]) -> None:
    """Delete messages whose audio we hold; it stays in the trash."""
    _depart(tx, message_ids, "held IS NOT NULL", "trash = held, held = NULL")


def hide(tx: Transaction, message_ids: Sequence[int]) -> None:
    """Delete messages here alone, that stay in the spool."""
    _depart(tx, message_ids, "held IS NULL", "hidden = 1")


def _depart(tx: Transaction, message_ids: Sequence[int], condition: str, change: str) -> None:
    touched = set()
    for message in messages.by_ids(tx.conn, message_ids):
        cursor = tx.conn.execute(
            f"UPDATE message SET deleted_ms = ?, {change} WHERE id = ? AND {condition}",
            (tx.now_ms, message.id),
        )
        if cursor.rowcount:
            journal.append(tx, "message.deleted", message.mailbox, message)
            touched.add(message.mailbox)
    for mailbox in sorted(touched):
        mailboxes.recount(tx, mailbox, mailboxes.ensure(tx, mailbox))


def deleted(conn: sqlite3.Connection, view: View, uuid: str) -> Message:
    """A deleted message that can be restored; `uuid` in either case. Raises NotFoundError, also where not in view."""
    found = messages.row(conn, "message.uuid = ? AND (trash IS NOT NULL OR hidden = 1)", uuid.lower())
    if found is None or not found[1] or (view is not None and found[0].mailbox not in view):
        raise NotFoundError("there is no such message in the trash")
    return found[0]


def restore(tx: Transaction, message_id: int, trash_days: int) -> Message:
    """Undo a deletion: what was hidden is shown, and what left the spool is held here. It is told as a new message.

    Raises NotFoundError where it cannot be restored any more, because `trash_days` are over or it was not kept.
    """
    cursor = tx.conn.execute(
        "UPDATE message SET deleted_ms = NULL, held = CASE hidden WHEN 1 THEN held ELSE trash END,"
        " trash = NULL, hidden = 0 WHERE id = ? AND deleted_ms > ? AND (trash IS NOT NULL OR hidden = 1)",
        (message_id, tx.now_ms - trash_days * DAY_MS),
    )
    if cursor.rowcount == 0:
        raise NotFoundError("there is no such message in the trash")
    message = messages.by_id(tx.conn, None, message_id)
    journal.append(tx, "message.new", message.mailbox, message)
    mailboxes.recount(tx, message.mailbox, mailboxes.ensure(tx, message.mailbox))
    return message


def expired(conn: sqlite3.Connection, before_ms: int, limit: int) -> list[tuple[int, str]]:
    """Id and file of messages deleted before then that could still be restored, the oldest first."""
    return conn.execute(
        "SELECT id, trash FROM message WHERE trash IS NOT NULL AND deleted_ms < ? ORDER BY deleted_ms LIMIT ?",
        (before_ms, limit),
    ).fetchall()


def forget(tx: Transaction, message_ids: Sequence[int]) -> None:
    """These deletions can no longer be undone."""
    tx.conn.execute(f"UPDATE message SET trash = NULL WHERE {_AMONG}", (_ids(message_ids),))


def needed(conn: sqlite3.Connection, names: Iterable[str]) -> set[str]:
    """Which of these files a message has, or could have again."""
    rows = conn.execute(
        "WITH asked AS (SELECT value AS name FROM json_each(?))"
        " SELECT held FROM message JOIN asked ON held = name"
        " UNION SELECT trash FROM message JOIN asked ON trash = name",
        (orjson.dumps(list(names)),),
    )
    return {name for (name,) in rows}


def _ids(message_ids: Sequence[int]) -> bytes:
    return orjson.dumps(list(message_ids))
