"""The database for a command that runs beside the daemon: opened for a moment, changed in one transaction, closed."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from service.errors import ConflictError, UnavailableError
from service.store.schema import connect
from service.store.transaction import Transaction

T = TypeVar("T")

PATIENCE_S = 60
SHARED_S = 10.0
"""So long after another process wrote it is believed to go on."""
PAUSE_S = 0.03
"""SQLite tries a lock again after 1, 2, 5, 10, 15, 20 ms and so on; so long, it is sure to find it free."""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database, made or migrated first where it has to be, and close it after the block.

    Raises ConflictError where the file cannot be used, UnavailableError where another process keeps it locked.
    """
    _leave_to_its_owner(path)
    try:
        with contextlib.closing(connect(path)) as conn:
            yield conn
    except sqlite3.OperationalError as error:
        raise UnavailableError(f"the database {path} cannot be used now: {error}; try again") from error
    except sqlite3.DatabaseError as error:
        raise ConflictError(f"{path} cannot be used as the database: {error}") from error


@contextlib.contextmanager
def changing(path: Path, pbx: str) -> Iterator[Transaction]:
    """Run the block in one transaction, which waits its turn beside the daemon's; nothing of it stays if it raises.

    Raises what `reading` raises.
    """
    with reading(path) as conn:
        conn.execute("BEGIN IMMEDIATE")
        try:
            yield Transaction(conn, pbx, time.time_ns() // 1_000_000)
        except BaseException:
            conn.execute("ROLLBACK")
            raise
        conn.execute("COMMIT")


@contextlib.contextmanager
def turns(path: Path, pbx: str) -> Iterator[Callable[[Callable[[Transaction], T]], T]]:
    """Give a function that runs a change in a transaction of its own, one after the other on one connection.

    Each waits its turn beside the daemon's transactions for as long as `PATIENCE_S`, and lets the daemon's come in
    between: while there are any, it pauses before the next. Raises what `reading` raises.
    """
    with reading(path) as conn:
        conn.execute(f"PRAGMA busy_timeout = {PATIENCE_S * 1000}")
        yield _Turns(conn, pbx)


class _Turns:
    """A callable that runs changes, and knows whether others write as well."""

    def __init__(self, conn: sqlite3.Connection, pbx: str) -> None:
        self._conn = conn
        self._pbx = pbx
        self._version = self._others()
        self._shared_until = 0.0

    def __call__(self, change: Callable[[Transaction], T]) -> T:
        self._step_aside()
        self._conn.execute("BEGIN IMMEDIATE")
        try:
            result = change(Transaction(self._conn, self._pbx, time.time_ns() // 1_000_000))
        except BaseException:
            self._conn.execute("ROLLBACK")
            raise
        self._conn.execute("COMMIT")
        return result

    def _step_aside(self) -> None:
        """Where another process wrote lately, leave the lock alone for longer than it sleeps between two tries."""
        version, now = self._others(), time.monotonic()
        if version != self._version:
            self._version, self._shared_until = version, now + SHARED_S
        if now < self._shared_until:
            time.sleep(PAUSE_S)

    def _others(self) -> int:
        """A number that is another after every commit of another connection."""
        return int(self._conn.execute("PRAGMA data_version").fetchone()[0])


def _leave_to_its_owner(path: Path) -> None:
    """Where root is the first to need the database, give it to the directory's owner: the daemon is not root."""
    if os.geteuid() != 0 or path.exists():
        return
    with contextlib.suppress(OSError):  # `connect` tells what is wrong
        owner = path.parent.stat()
        path.touch(mode=0o600)
        os.chown(path, owner.st_uid, owner.st_gid)
