"""What is older than it is to be kept: which messages, and what the journal still tells of them (`[retention]`)."""

import sqlite3
from collections.abc import Collection, Sequence

import orjson

from service.model import Mailbox, Message
from service.store import messages
from service.store.transaction import Transaction

_ORIGTIME = "json_extract(state, '$.envelope.origtime')"
_START = "json_extract(state, '$.start')"


def outdated(conn: sqlite3.Connection, before: int, limit: int, but: Collection[Mailbox] = ()) -> list[Message]:
    """Messages received before then (epoch seconds) that are still here, the oldest first; of any `but` these boxes."""
    rows = conn.execute(
        "SELECT id FROM message WHERE deleted_ms IS NULL AND origtime < ? AND mailbox_id NOT IN"
        " (SELECT id FROM mailbox WHERE name IN (SELECT value FROM json_each(?))) ORDER BY origtime, id LIMIT ?",
        (before, orjson.dumps([str(mailbox) for mailbox in but]), limit),
    )
    return messages.by_ids(conn, [row[0] for row in rows])


def bury(tx: Transaction, before: int, deleted_before_ms: int, limit: int) -> int:
    """Forget messages received before then that were deleted before that, and can't be restored; gives how many.

    One that lies in the spool yet, deleted here alone, has to be remembered.
    """
    cursor = tx.conn.execute(
        "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE origtime < ? AND deleted_ms < ?"
        " AND hidden = 0 AND trash IS NULL ORDER BY origtime LIMIT ?)",
        (before, deleted_before_ms, limit),
    )
    return cursor.rowcount


def told_of_messages(conn: sqlite3.Connection, before: int, told_before_ms: int, limit: int) -> list[int]:
    """Positions of the journal that tell of messages received before then, and were written before that."""
    return _positions(conn, "message.%", _ORIGTIME, before=before, told_before_ms=told_before_ms, limit=limit)


def told_of_calls(conn: sqlite3.Connection, before: int, told_before_ms: int, limit: int) -> list[int]:
    """The same of calls that began before then."""
    return _positions(conn, "call.%", _START, before=before, told_before_ms=told_before_ms, limit=limit)


def _positions(
    conn: sqlite3.Connection, kind: str, moment: str, *, before: int, told_before_ms: int, limit: int
) -> list[int]:
    rows = conn.execute(
        f"SELECT seq FROM journal WHERE time_ms < ? AND type LIKE ? AND {moment} < ? LIMIT ?",
        (told_before_ms, kind, before, limit),
    )
    return [row[0] for row in rows]


def untell(tx: Transaction, positions: Sequence[int]) -> None:
    """Take records out of the journal."""
    tx.conn.execute(
        "DELETE FROM journal WHERE seq IN (SELECT value FROM json_each(?))", (orjson.dumps(list(positions)),)
    )
