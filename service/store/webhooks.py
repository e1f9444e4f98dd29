"""The webhooks there are: as they are configured, how far they were told of the journal, and how they are."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from service.store import journal
from service.store.deliveries import marks, types_of
from service.store.transaction import Transaction

_UNCONFIGURED = "no longer configured"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A webhook as it is configured."""

    name: str
    calls: bool
    messages: bool


@dataclass(frozen=True, slots=True)
class State:
    """A webhook for the eyes of a person. `behind` is how much of the journal it has not been handed yet.

    `error` is what the last try said that failed, of what is left, or "". `down_ms` is since when it does not answer.
    """

    name: str
    active: bool
    down_ms: int | None
    pending: int
    failed: int
    behind: int
    error: str


def configure(tx: Transaction, wanted: Sequence[Wanted], now_ms: int) -> None:
    """Have exactly these webhooks. One that is new, or back, is told what comes from now on."""
    known = dict(tx.conn.execute("SELECT name, active FROM webhook").fetchall())
    _, end = journal.bounds(tx.conn)
    for one in wanted:
        if not known.get(one.name):
            tx.conn.execute(
                "INSERT INTO webhook (name, cursor, calls, messages) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, active = 1",
                (one.name, end, one.calls, one.messages),
            )
        tx.conn.execute(
            "UPDATE webhook SET calls = ?, messages = ? WHERE name = ?", (one.calls, one.messages, one.name)
        )
        _forget(tx, one.name, now_ms, calls=not one.calls, messages=not one.messages)
    for name in known.keys() - {one.name for one in wanted}:
        tx.conn.execute("UPDATE webhook SET active = 0, down_ms = NULL WHERE name = ?", (name,))
        _forget(tx, name, now_ms, calls=True, messages=True)


def _forget(tx: Transaction, name: str, now_ms: int, *, calls: bool, messages: bool) -> None:
    """Drop what a webhook is no longer to be told."""
    tx.conn.execute(
        "DELETE FROM delivery WHERE webhook = ? AND CASE WHEN call_id IS NULL THEN ? ELSE ? END",
        (name, messages, calls),
    )
    tx.conn.execute(
        "UPDATE webhook SET pending = (SELECT count(*) FROM delivery WHERE webhook = name AND failed = 0)"
        " WHERE name = ?",
        (name,),
    )
    if calls:
        tx.conn.execute(
            "UPDATE integration SET status = 'failed', error_message = ?, updated_us = ?"
            " WHERE name = ? AND status = 'pending'",
            (_UNCONFIGURED, now_ms * 1000, name),
        )


def went_down(tx: Transaction, name: str, now_ms: int) -> None:
    """The webhook does not answer."""
    tx.conn.execute("UPDATE webhook SET down_ms = min(coalesce(down_ms, ?), ?) WHERE name = ?", (now_ms, now_ms, name))


def came_back(tx: Transaction, name: str) -> None:
    """The webhook answers again."""
    tx.conn.execute("UPDATE webhook SET down_ms = NULL WHERE name = ?", (name,))


def is_down(conn: sqlite3.Connection, name: str) -> bool:
    """Whether a webhook did not answer when it was last tried."""
    return conn.execute("SELECT 1 FROM webhook WHERE name = ? AND down_ms IS NOT NULL", (name,)).fetchone() is not None


def oldest_needed(conn: sqlite3.Connection) -> int | None:
    """The first position of the journal that a webhook has not been told yet and is still to be; None: none is."""
    needed = []
    for name, cursor, calls, messages in conn.execute(
        "SELECT name, cursor, calls, messages FROM webhook WHERE active = 1"
    ).fetchall():
        types = types_of(calls, messages)
        needed += conn.execute(
            "SELECT min(seq) FROM delivery WHERE webhook = ? AND failed = 0"
            f" UNION ALL SELECT min(seq) FROM journal WHERE seq > ? AND type IN ({marks(types)})",
            (name, cursor, *types),
        ).fetchall()
    return min((seq for (seq,) in needed if seq is not None), default=None)


def list_all(conn: sqlite3.Connection) -> list[State]:
    """Every webhook that is or was configured, by name."""
    found = []
    for name, cursor, calls, messages, active, down_ms, pending in conn.execute(
        "SELECT name, cursor, calls, messages, active, down_ms, pending FROM webhook ORDER BY name"
    ).fetchall():
        types = types_of(calls, messages)
        (behind,) = conn.execute(
            f"SELECT count(*) FROM journal WHERE seq > ? AND type IN ({marks(types)})", (cursor, *types)
        ).fetchone()
        (failed,) = conn.execute("SELECT count(*) FROM delivery WHERE webhook = ? AND failed = 1", (name,)).fetchone()
        error = conn.execute(
            "SELECT error_message FROM delivery WHERE webhook = ? AND error_message IS NOT NULL"
            " ORDER BY seq DESC LIMIT 1",
            (name,),
        ).fetchone()
        left = behind if active else 0
        found.append(State(name, bool(active), down_ms, pending, failed, left, "" if error is None else error[0]))
    return found
