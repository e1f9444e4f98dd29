"""Wrong PINs: who is refused, for which number, and how long (contract 7). Times are epoch seconds, days epoch days."""

import sqlite3
from dataclasses import dataclass

from service.store.transaction import Transaction

DAY_S = 86_400
FREE = 5
"""So many wrong PINs from one address go unpunished; every further so many double what follows."""
FIRST_LOCK_S, LONGEST_LOCK_S = 60, 3600
MOST_A_DAY = 20
KNOWN_S = 30 * DAY_S
MOST_ROWS = 100_000
FORGET_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Lock:
    """An address is refused for a number, `until` then."""

    until: int


def lock(conn: sqlite3.Connection, phone: str, address: str, now: int, day: tuple[int, int]) -> Lock | None:
    """Whether this address is refused for this number, whatever PIN it shows. `day` is the day now, and its end."""
    row = conn.execute(
        "SELECT locked_until FROM pin_failure WHERE phone = ? AND address = ?", (phone, address)
    ).fetchone()
    until = 0 if row is None else int(row[0])
    if _worn_out(conn, phone, day[0]) and not _is_known(conn, phone, address, now):
        until = max(until, day[1])
    return Lock(until) if until > now else None


def _worn_out(conn: sqlite3.Connection, phone: str, day: int) -> bool:
    row = conn.execute("SELECT failures FROM pin_day WHERE phone = ? AND day = ?", (phone, day)).fetchone()
    return row is not None and int(row[0]) >= MOST_A_DAY


def _is_known(conn: sqlite3.Connection, phone: str, address: str, now: int) -> bool:
    row = conn.execute("SELECT last FROM pin_known WHERE phone = ? AND address = ?", (phone, address)).fetchone()
    return row is not None and now - int(row[0]) < KNOWN_S


def failed(tx: Transaction, phone: str, address: str, now: int, day: int) -> None:
    """Count a wrong PIN; with every fifth from one address that is refused for a while, each time for twice as long."""
    row = tx.conn.execute(
        "SELECT failures, last FROM pin_failure WHERE phone = ? AND address = ?", (phone, address)
    ).fetchone()
    failures = 1 if row is None or now - int(row[1]) >= DAY_S else int(row[0]) + 1
    locked_until = 0
    if failures % FREE == 0:
        doublings = min(failures // FREE - 1, 20)
        locked_until = now + min(FIRST_LOCK_S << doublings, LONGEST_LOCK_S)
    tx.conn.execute(
        "INSERT INTO pin_failure VALUES (?, ?, ?, ?, ?) ON CONFLICT (phone, address) DO UPDATE SET"
        " failures = excluded.failures, locked_until = max(locked_until, excluded.locked_until), last = excluded.last",
        (phone, address, failures, locked_until, now),
    )
    tx.conn.execute(
        "INSERT INTO pin_day VALUES (?, ?, 1) ON CONFLICT (phone, day) DO UPDATE SET failures = failures + 1",
        (phone, day),
    )
    _forget(tx, now, day)


def succeeded(tx: Transaction, phone: str, address: str, now: int) -> None:
    """The right PIN: from now on this address is known, and its wrong ones are forgiven."""
    tx.conn.execute("DELETE FROM pin_failure WHERE phone = ? AND address = ?", (phone, address))
    tx.conn.execute(
        "INSERT INTO pin_known VALUES (?, ?, ?) ON CONFLICT (phone, address) DO UPDATE SET last = excluded.last",
        (phone, address, now),
    )


def _forget(tx: Transaction, now: int, day: int) -> None:
    """Drop some of what no longer matters, and the oldest where addresses are made up by the thousand."""
    tx.conn.execute("DELETE FROM pin_day WHERE day < ? - 1", (day,))
    tx.conn.execute(
        "DELETE FROM pin_failure WHERE (phone, address) IN"
        " (SELECT phone, address FROM pin_failure WHERE last <= ? ORDER BY last LIMIT ?)",
        (now - DAY_S, FORGET_AT_ONCE),
    )
    rows = int(tx.conn.execute("SELECT count(*) FROM pin_failure").fetchone()[0])
    if rows > MOST_ROWS:
        tx.conn.execute(
            "DELETE FROM pin_failure WHERE (phone, address) IN"
            " (SELECT phone, address FROM pin_failure ORDER BY last LIMIT ?)",
            (rows - MOST_ROWS,),
        )
    tx.conn.execute("DELETE FROM pin_known WHERE last <= ?", (now - KNOWN_S,))
