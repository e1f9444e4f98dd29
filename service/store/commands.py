"""The database for a command that runs beside the daemon: opened for a moment, changed in one transaction, closed."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from service.errors import ConflictError, UnavailableError
from service.store.schema import connect
from service.store.transaction import Transaction


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


def _leave_to_its_owner(path: Path) -> None:
    """Where root is the first to need the database, give it to the directory's owner: the daemon is not root."""
    if os.geteuid() != 0 or path.exists():
        return
    with contextlib.suppress(OSError):  # `connect` tells what is wrong
        owner = path.parent.stat()
        path.touch(mode=0o600)
        os.chown(path, owner.st_uid, owner.st_gid)
