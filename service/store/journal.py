"""The journal: the ordered list of everything that changed, written in the transaction of the change itself."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from service.call import Call
from service.model import Mailbox, Record, RecordState, View, sight
from service.store import codec
from service.store.transaction import Transaction

MOST_PASSED = 500
"""Records of others that are passed over for one page, so that nobody waits long for a reader's connection."""


def append(tx: Transaction, record_type: str, mailbox: Mailbox | None, state: RecordState, delta: int = 0) -> None:
    """Write one record. `mailbox` is None for one of calls, `delta` by how much an `unread` record changed `new`."""
    cursor = tx.conn.execute(
        "INSERT INTO journal (time_ms, type, pbx, mailbox, delta, state) VALUES (?, ?, ?, ?, ?, ?)",
        (tx.now_ms, record_type, tx.pbx, "" if mailbox is None else str(mailbox), delta, codec.dump(state)),
    )
    seq = cursor.lastrowid
    assert seq is not None
    tx.records.append(Record(seq, tx.now_ms, record_type, tx.pbx, mailbox, state, delta))


class News(NamedTuple):
    """What `append` takes of one record."""

    type: str
    mailbox: Mailbox | None
    state: RecordState
    delta: int = 0


def append_all(tx: Transaction, news: Sequence[News]) -> None:
    """Write many records, in order."""
    first = bounds(tx.conn)[1] + 1
    now_ms, pbx, dump = tx.now_ms, tx.pbx, codec.dump
    tx.conn.executemany(
        "INSERT INTO journal (time_ms, type, pbx, mailbox, delta, state) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (now_ms, record_type, pbx, "" if mailbox is None else str(mailbox), delta, dump(state))
            for record_type, mailbox, state, delta in news
        ],
    )
    tx.records += [
        Record(seq, now_ms, record_type, pbx, mailbox, state, delta)
        for seq, (record_type, mailbox, state, delta) in enumerate(news, first)
    ]


def append_calls(tx: Transaction, changes: Sequence[tuple[str, Call]]) -> None:
    """Write the records of many calls, each a type and a state, in order."""
    append_all(tx, [News(record_type, None, call) for record_type, call in changes])


@dataclass(frozen=True, slots=True)
class Replayed:
    """A page of the journal: whatever a view may see of it up to `position`, where its unread total was `total`.

    Beside each record stands that total as it was then. There may be none although more comes after `position`.
    """

    records: list[tuple[Record, int]]
    position: int
    total: int


def bounds(conn: sqlite3.Connection) -> tuple[int, int]:
    """The first position that is still kept and the last that was ever written; (1, 0) before the first record."""
    last = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
    first = conn.execute("SELECT min(seq) FROM journal").fetchone()[0]
    last_seq = 0 if last is None else int(last[0])
    return (last_seq + 1 if first is None else int(first), last_seq)


def replay(conn: sqlite3.Connection, view: View, since: int, limit: int, total: int | None = None) -> Replayed:
    """At most `limit` records after position `since` that the view may see.

    `total` is the view's unread total at `since`, as the page before gave it; it is counted where it is not known,
    which takes the longer the more came after `since`.
    """
    if total is None:
        total = _total(conn, view, since)
    until = max(since, bounds(conn)[1])
    if view is not None:
        until = min(until, since + MOST_PASSED)
    allowed, names = _only(view)
    rows = conn.execute(
        "SELECT seq, time_ms, type, pbx, mailbox, state, delta FROM journal"
        f" WHERE seq > ? AND seq <= ? {allowed} ORDER BY seq",
        (since, until, *names),
    )
    records, seen = list[tuple[Record, int]](), sight(view)
    for row in rows:
        record = _record(row)
        if seen(record):
            total += record.delta
            records.append((record, total))
            if len(records) == limit:
                until = record.seq
                break
    return Replayed(records, until, total)


def _record(row: tuple[int, int, str, str, str, bytes, int]) -> Record:
    seq, time_ms, record_type, pbx, name, state, delta = row
    mailbox = Mailbox.parse(name) if name else None
    return Record(seq, time_ms, record_type, pbx, mailbox, codec.load(record_type, state), delta)


def _total(conn: sqlite3.Connection, view: View, at: int) -> int:
    """How many unread messages the boxes in view held together at a position."""
    allowed, names = _only(view)
    boxes = "" if view is None else "WHERE name IN (SELECT value FROM json_each(?))"
    now = conn.execute(f"SELECT coalesce(sum(new), 0) FROM mailbox {boxes}", names).fetchone()[0]
    later = conn.execute(f"SELECT coalesce(sum(delta), 0) FROM journal WHERE seq > ? {allowed}", (at, *names))
    return int(now) - int(later.fetchone()[0])


def _only(view: View) -> tuple[str, tuple[bytes, ...]]:
    """The condition that leaves a view its own records, and all of calls, which name no mailbox; and its parameters."""
    if view is None:
        return "", ()
    names = orjson.dumps(["", *sorted(str(mailbox) for mailbox in view)])
    return "AND mailbox IN (SELECT value FROM json_each(?))", (names,)


_NEVER = 2**63 - 1


def prune(tx: Transaction, before_ms: int, limit: int = 1000, needed: int | None = None) -> int:
    """Drop at most `limit` of the oldest records, up to the first that is not older than `before_ms`.

    Gives how many went. That makes no hole, also where the clock was set back; a record of the future is old. From
    position `needed` on somebody has yet to read them, and they stay.
    """
    cursor = tx.conn.execute(
        "DELETE FROM journal WHERE seq IN ("
        "WITH oldest AS (SELECT seq, time_ms FROM journal ORDER BY seq LIMIT ?)"
        " SELECT seq FROM oldest WHERE seq <"
        " min(coalesce((SELECT min(seq) FROM oldest WHERE time_ms BETWEEN ? AND ?), ?), ?))",
        (limit, before_ms, tx.now_ms, _NEVER, _NEVER if needed is None else needed),
    )
    return cursor.rowcount
