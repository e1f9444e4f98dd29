"""What webhooks have still to be told, and what became of it: table `delivery`, and `integration` of calls.

A delivery is one record of the journal for one webhook. It goes when it was delivered; one that was given up stays as
long as the journal keeps its record, for it may be asked for again. Of one call or message the earlier is always told
first. A call's integration says what its deliveries say together: pending while one is, failed where the last was
given up, else synced.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import NotFoundError
from service.store import journal
from service.store.transaction import Transaction

CALLS = ("call.new", "call.updated", "call.deleted")
MESSAGES = ("message.new", "message.updated", "message.deleted")
"""What of the journal a webhook may be told."""

MOST_PENDING = 100_000
"""Deliveries that may be pending for one webhook; what comes then waits in the journal."""
MOST_AT_ONCE = 1000
"""Journal records, or deliveries, that one transaction deals with."""
FARTHEST_MS = 2 * 3600 * 1000
"""No wait is this long: a delivery that seems to be due later is one from before the clock was set back."""
DAY_MS = 24 * 3600 * 1000
"""So long what could not even be tried waits, as long as what was."""


def _alone(order: str) -> str:
    """The condition that nothing earlier (<) or later (>) of the same call or message is pending.

    A call's uuid changes where its key does, and two calls may turn out to be one.
    """
    none = (
        "NOT EXISTS (SELECT 1 FROM delivery AS other INDEXED BY {} WHERE other.webhook = delivery.webhook"
        " AND other.{} = delivery.{} AND other.failed = 0 AND other.seq " + order + " delivery.seq)"
    )
    return f"{none.format('delivery_uuid', 'uuid', 'uuid')} AND {none.format('delivery_call', 'call_id', 'call_id')}"


_FREE, _LAST = _alone("<"), _alone(">")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One record of the journal, by its position, for one webhook. `first_ms` is when it was first tried, if it was."""

    seq: int
    tries: int
    first_ms: int | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What there is to do for a webhook.

    `news`: the journal has something to `take`; it was looked at up to `position`. `due` are deliveries that may be
    tried now, the longest due first. `next_ms` is when the next one becomes due, None where nothing is known of that.
    `amiss`: a delivery is to wait for absurdly long. `pending` is how many are not given up. `down`: it was written
    down that the webhook does not answer.
    """

    news: bool
    position: int
    due: tuple[Delivery, ...]
    next_ms: int | None
    amiss: bool
    pending: int
    down: bool


def outlook(conn: sqlite3.Connection, name: str, since: int, now_ms: int, limit: int, *, tried: bool) -> Outlook:
    """What there is to do now; at most `limit` due deliveries, with `tried` only such as were tried before.

    `since` is up to where the caller has looked at the journal, if that is further than what was taken.
    """
    cursor, calls, messages, pending, down = _row(conn, name)
    _, end = journal.bounds(conn)
    after = max(since, cursor)
    types = types_of(calls, messages)
    found = conn.execute(
        f"SELECT 1 FROM journal WHERE seq > ? AND type IN ({marks(types)}) LIMIT 1", (after, *types)
    ).fetchone()
    farthest = conn.execute("SELECT max(next_ms) FROM delivery WHERE webhook = ? AND failed = 0", (name,)).fetchone()
    only = "AND tries > 0" if tried else ""
    rows = conn.execute(
        "SELECT seq, tries, first_ms FROM delivery"
        f" WHERE webhook = ? AND failed = 0 {only} AND next_ms <= ? AND {_FREE} ORDER BY next_ms, seq LIMIT ?",
        (name, now_ms, limit),
    ).fetchall()
    later = conn.execute(
        f"SELECT min(next_ms) FROM delivery WHERE webhook = ? AND failed = 0 {only} AND next_ms > ?", (name, now_ms)
    ).fetchone()
    return Outlook(
        news=pending < MOST_PENDING and (found is not None or end - cursor > MOST_AT_ONCE),
        position=after if found else end,
        due=tuple(Delivery(*row) for row in rows),
        next_ms=later[0],
        amiss=farthest[0] is not None and farthest[0] > now_ms + FARTHEST_MS,
        pending=pending,
        down=bool(down),
    )


def take(tx: Transaction, name: str, now_ms: int) -> None:
    """Hand a webhook the next part of the journal, as far as there is room; and forget what the journal has dropped.

    A call is for those webhooks alone that its integration names: one that it knew, or that is to know it from now on.
    """
    cursor, calls, messages, pending, _down = _row(tx.conn, name)
    first, end = journal.bounds(tx.conn)
    tx.conn.execute("DELETE FROM delivery WHERE webhook = ? AND failed = 1 AND seq < ?", (name, first))
    room = min(MOST_AT_ONCE, MOST_PENDING - pending)
    if room <= 0:
        return
    types = types_of(calls, messages)
    found = tx.conn.execute(
        f"SELECT seq FROM journal WHERE seq > ? AND type IN ({marks(types)}) ORDER BY seq LIMIT ?",
        (cursor, *types, room),
    ).fetchall()
    until = found[-1][0] if len(found) == room else end
    added = tx.conn.execute(
        "INSERT INTO delivery (webhook, seq, uuid, call_id, next_ms)"
        " SELECT ?1, seq, json_extract(text, '$.uuid'), CASE WHEN call THEN json_extract(text, '$.id') END, ?2 FROM ("
        "SELECT seq, mailbox = '' AS call, CAST(state AS TEXT) AS text FROM journal"
        f" WHERE seq > ?3 AND seq <= ?4 AND type IN ({marks(types)})) WHERE NOT call OR ?1 IN"
        " (SELECT json_extract(value, '$.name') FROM json_each(text, '$.integration'))",
        (name, now_ms, cursor, until, *types),
    ).rowcount
    tx.conn.execute("UPDATE webhook SET cursor = ?, pending = pending + ? WHERE name = ?", (until, added, name))
    _await(tx, name, now_ms, cursor, until)


def _await(tx: Transaction, name: str, now_ms: int, after: int, until: int) -> None:
    """Have the calls of deliveries between two positions be pending."""
    tx.conn.execute(
        "UPDATE integration SET status = 'pending', updated_us = ? WHERE name = ? AND status <> 'pending'"
        " AND call_id IN (SELECT call_id FROM delivery WHERE webhook = ? AND seq > ? AND seq <= ? AND failed = 0)",
        (now_ms * 1000, name, name, after, until),
    )


def delivered(tx: Transaction, name: str, seq: int, now_ms: int) -> None:
    """It arrived. What was given up before of the same call or message is told by it as well."""
    row = _drop(tx, name, seq)
    if row is not None:
        uuid, call_id = row
        for index, same, value in (("uuid", "uuid", uuid), ("call", "call_id", call_id)):
            tx.conn.execute(
                f"DELETE FROM delivery INDEXED BY delivery_{index}"
                f" WHERE webhook = ? AND {same} = ? AND seq < ? AND failed = 1",
                (name, value, seq),
            )
        _tell(tx, name, call_id, now_ms)


def postponed(tx: Transaction, name: str, delivery: Delivery, now_ms: int, *, next_ms: int, error: str) -> None:
    """It did not arrive, and is to be tried again."""
    first_ms = min(now_ms if delivery.first_ms is None else delivery.first_ms, now_ms)
    row = tx.conn.execute(
        "UPDATE delivery SET tries = tries + 1, first_ms = ?, next_ms = ?, error_message = ?"
        " WHERE webhook = ? AND seq = ? AND failed = 0 RETURNING call_id",
        (first_ms, next_ms, error, name, delivery.seq),
    ).fetchone()
    if row is not None:
        _tell(tx, name, row[0], now_ms)


def given_up(tx: Transaction, name: str, seq: int, now_ms: int, error: str) -> None:
    """It did not arrive, and is not tried again unless somebody asks for it."""
    row = tx.conn.execute(
        "UPDATE delivery SET failed = 1, tries = tries + 1, error_message = ?"
        " WHERE webhook = ? AND seq = ? AND failed = 0 RETURNING call_id",
        (error, name, seq),
    ).fetchone()
    if row is not None:
        tx.conn.execute("UPDATE webhook SET pending = pending - 1 WHERE name = ?", (name,))
        _tell(tx, name, row[0], now_ms)


def hasten(tx: Transaction, name: str, now_ms: int) -> None:
    """Have all that is to be tried again be due now, in the order in which it was tried first."""
    tx.conn.execute(
        "UPDATE delivery INDEXED BY delivery_tried SET next_ms = min(first_ms, ?)"
        " WHERE webhook = ? AND failed = 0 AND tries > 0",
        (now_ms, name),
    )


def mend(tx: Transaction, name: str, now_ms: int) -> None:
    """Have what is to wait for absurdly long be due now."""
    tx.conn.execute(
        "UPDATE delivery INDEXED BY delivery_due SET next_ms = ? WHERE webhook = ? AND failed = 0 AND next_ms > ?",
        (now_ms, name, now_ms + FARTHEST_MS),
    )


def expire(tx: Transaction, name: str, now_ms: int, error: str) -> int:
    """Give up what a webhook that does not answer could not be told for a day, though it was never tried.

    Gives how many these were, at most MOST_AT_ONCE.
    """
    down = tx.conn.execute("SELECT down_ms FROM webhook WHERE name = ?", (name,)).fetchone()
    if down is None or down[0] is None or down[0] > now_ms - DAY_MS:
        return 0
    rows = tx.conn.execute(
        "SELECT seq FROM delivery INDEXED BY delivery_due"
        " WHERE webhook = ? AND failed = 0 AND tries = 0 AND next_ms <= ? ORDER BY next_ms, seq LIMIT ?",
        (name, now_ms - DAY_MS, MOST_AT_ONCE),
    ).fetchall()
    for (seq,) in rows:
        given_up(tx, name, seq, now_ms, error)
    return len(rows)


def retry(tx: Transaction, name: str, now_ms: int) -> int:
    """Queue again what was given up, as far as the journal still has it; gives how many these are.

    What is pending of the same call or message tells all of it, so that the earlier is left alone. Whoever asks for it
    takes the webhook to answer again. Raises NotFoundError where no such webhook is configured.
    """
    if tx.conn.execute("SELECT 1 FROM webhook WHERE name = ? AND active = 1", (name,)).fetchone() is None:
        raise NotFoundError(f"the daemon knows no webhook {name}: it gets to know those of its configuration at start")
    first, end = journal.bounds(tx.conn)
    tx.conn.execute("DELETE FROM delivery WHERE webhook = ? AND failed = 1 AND seq < ?", (name, first))
    again = tx.conn.execute(
        f"SELECT seq FROM delivery WHERE webhook = ? AND failed = 1 AND {_LAST} ORDER BY seq LIMIT ?",
        (name, max(0, MOST_PENDING - _row(tx.conn, name)[3])),
    ).fetchall()
    tx.conn.executemany(
        "UPDATE delivery SET failed = 0, tries = 0, first_ms = NULL, next_ms = ? WHERE webhook = ? AND seq = ?",
        [(now_ms, name, seq) for (seq,) in again],
    )
    tx.conn.execute("UPDATE webhook SET pending = pending + ?, down_ms = NULL WHERE name = ?", (len(again), name))
    _await(tx, name, now_ms, 0, end)
    return len(again)


def _row(conn: sqlite3.Connection, name: str) -> tuple[int, int, int, int, int]:
    """Cursor, whether it wants calls, whether messages, how many deliveries are pending, whether it is down."""
    row: tuple[int, int, int, int, int] = conn.execute(
        "SELECT cursor, calls, messages, pending, down_ms IS NOT NULL FROM webhook WHERE name = ?", (name,)
    ).fetchone()
    return row


def _drop(tx: Transaction, name: str, seq: int) -> tuple[str, int | None] | None:
    """Take a pending delivery away; gives its uuid and call, None where there is none."""
    row: tuple[str, int | None] | None = tx.conn.execute(
        "DELETE FROM delivery WHERE webhook = ? AND seq = ? AND failed = 0 RETURNING uuid, call_id", (name, seq)
    ).fetchone()
    if row is not None:
        tx.conn.execute("UPDATE webhook SET pending = pending - 1 WHERE name = ?", (name,))
    return row


def _tell(tx: Transaction, name: str, call_id: int | None, now_ms: int) -> None:
    """Have a call say what its deliveries say, with the words of the last that was tried."""
    if call_id is None:
        return
    left = tx.conn.execute(
        "SELECT failed, error_message FROM delivery INDEXED BY delivery_call"
        " WHERE webhook = ? AND call_id = ? ORDER BY seq",
        (name, call_id),
    ).fetchall()
    status = "synced" if not left else "failed" if all(failed for failed, _ in left) else "pending"
    words = [error for _, error in left if error is not None]
    tx.conn.execute(
        "UPDATE integration SET status = ?, error_message = ?, updated_us = ? WHERE call_id = ? AND name = ?",
        (status, words[-1] if words else None, now_ms * 1000, call_id, name),
    )


def types_of(calls: int, messages: int) -> tuple[str, ...]:
    """What of the journal a webhook is told that wants calls, or messages, or both."""
    return (CALLS if calls else ()) + (MESSAGES if messages else ())


def marks(types: Sequence[str]) -> str:
    """As many parameters, for a statement."""
    return ",".join("?" * len(types))
