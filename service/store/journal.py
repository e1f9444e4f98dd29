"""The journal: the ordered list of everything that changed, written in the transaction of the change itself."""

import sqlite3

import orjson

from service.model import Mailbox, Record, RecordState, View
from service.store import codec
from service.store.transaction import Transaction


def append(tx: Transaction, record_type: str, mailbox: Mailbox, state: RecordState, delta: int = 0) -> None:
    """Write one record. `delta` is by how much an `unread` record changed the mailbox's `new`."""
    cursor = tx.conn.execute(
        "INSERT INTO journal (time_ms, type, pbx, mailbox, delta, state) VALUES (?, ?, ?, ?, ?, ?)",
        (tx.now_ms, record_type, tx.pbx, str(mailbox), delta, codec.dump(state)),
    )
    seq = cursor.lastrowid
    assert seq is not None
    tx.records.append(Record(seq, tx.now_ms, record_type, tx.pbx, mailbox, state, delta))


def bounds(conn: sqlite3.Connection) -> tuple[int, int]:
    """The first position that is still kept and the last that was ever written; (1, 0) before the first record."""
    last = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
    first = conn.execute("SELECT min(seq) FROM journal").fetchone()[0]
    last_seq = 0 if last is None else int(last[0])
    return (last_seq + 1 if first is None else int(first), last_seq)


def replay(conn: sqlite3.Connection, view: View, since: int, limit: int) -> list[tuple[Record, int]]:
    """At most `limit` records after position `since` that the view may see, in order.

    Beside each stands the view's unread total as it was at that position.
    """
    allowed, names = _only(view)
    rows = conn.execute(
        "SELECT seq, time_ms, type, pbx, mailbox, state, delta FROM journal"
        f" WHERE seq > ? {allowed} ORDER BY seq LIMIT ?",
        (since, *names, limit),
    ).fetchall()
    if not rows:
        return []
    allowed_box = "" if view is None else "WHERE name IN (SELECT value FROM json_each(?))"
    now = conn.execute(f"SELECT coalesce(sum(new), 0) FROM mailbox {allowed_box}", names).fetchone()[0]
    later = conn.execute(
        f"SELECT coalesce(sum(delta), 0) FROM journal WHERE seq > ? {allowed}",
        (rows[-1][0], *names),
    ).fetchone()[0]
    total = int(now) - int(later)
    found = []
    for seq, time_ms, record_type, pbx, mailbox, state, delta in reversed(rows):
        record = Record(seq, time_ms, record_type, pbx, Mailbox.parse(mailbox), codec.load(record_type, state), delta)
        found.append((record, total))
        total -= delta
    found.reverse()
    return found


def _only(view: View) -> tuple[str, tuple[bytes, ...]]:
    """The condition that lets a view see its own records alone, and its parameters."""
    if view is None:
        return "", ()
    names = orjson.dumps(sorted(str(mailbox) for mailbox in view))
    return "AND mailbox IN (SELECT value FROM json_each(?))", (names,)


def prune(tx: Transaction, before_ms: int, limit: int = 1000) -> int:
    """Drop at most `limit` of the oldest records, up to the first that is not older than `before_ms`.

    Gives how many went. There is never a hole, also where the clock was set back; a record of the future is old.
    """
    cursor = tx.conn.execute(
        "DELETE FROM journal WHERE seq IN ("
        "WITH oldest AS (SELECT seq, time_ms FROM journal ORDER BY seq LIMIT ?)"
        " SELECT seq FROM oldest WHERE seq <"
        " coalesce((SELECT min(seq) FROM oldest WHERE time_ms BETWEEN ? AND ?), 9223372036854775807))",
        (limit, before_ms, tx.now_ms),
    )
    return cursor.rowcount
