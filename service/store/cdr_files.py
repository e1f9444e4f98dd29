"""How far each followed Master.csv was read: kept in the transaction that keeps the calls it told of."""

import sqlite3

from service.store.transaction import Transaction


def load(conn: sqlite3.Connection, path: str) -> str | None:
    """What `save` kept for this path; None where it was never followed."""
    row = conn.execute("SELECT state FROM cdr_file WHERE path = ?", (path,)).fetchone()
    return None if row is None else str(row[0])


def save(tx: Transaction, path: str, state: str) -> None:
    """Keep how far this path was read."""
    tx.conn.execute(
        "INSERT INTO cdr_file VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET state = excluded.state", (path, state)
    )
