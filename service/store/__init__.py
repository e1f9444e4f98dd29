"""The store: one SQLite file, one writer that groups waiting changes into one transaction, two readers.

The only SQL of voicemaild stands in this package. Verbs are plain functions over a connection, in a module a table
family: `messages`, `mailboxes`, `journal`, `tokens`. `Store` runs them off the event loop.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, TypeVar

import aiosqlite

from service.errors import UnavailableError
from service.model import Record
from service.store import mailboxes, schema
from service.store.schema import connect
from service.store.transaction import Transaction

__all__ = ["Store", "Transaction", "connect"]

T = TypeVar("T")

MOST_WAITING = 10_000
MOST_IN_A_TRANSACTION = 500
FINISH_S = 1.0
"""So long what waits at the end may take; where another process keeps the database locked, it is given up then."""
PATIENCE_MS = 200
"""How long SQLite itself waits for a lock; nothing can end that earlier, so that it is asked again instead."""
CHECKPOINT_PAGES = 4000
"""At so many pages, 16 MB, the log is copied into the database: a quarter as often as by default, for its cost is the
disk's, and a page that changed again meanwhile is copied once."""
LOG_BYTES = 64 << 20
"""A log that had to grow beyond this, as while somebody read for long, is cut down to it when it begins anew."""
READERS = 2  # one may count while the other pages; more give nothing


@dataclass(slots=True)
class _Change(Generic[T]):
    """A change that waits for the writer, and where its caller waits for the outcome."""

    fn: Callable[[Transaction], T]
    done: asyncio.Future[T]


@dataclass(slots=True)
class _Outcome:
    records: list[Record] = field(default_factory=list)
    value: Any = None
    error: Exception | None = None

    def tell(self, done: asyncio.Future[Any]) -> None:
        """Give the outcome to who waits for it, if anybody still does."""
        if done.cancelled():
            return
        if self.error is None:
            done.set_result(self.value)
        else:
            done.set_exception(self.error)
            done.exception()  # a caller that went away leaves no unretrieved error


class _Connection(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole function on its thread: one hop, however many statements.

    `waiting` is how many callers wait for it.
    """

    waiting = 0

    async def run(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        def call() -> T:
            return fn(self._conn)

        self.waiting += 1
        try:
            result: T = await self._execute(call)  # type: ignore[no-untyped-call] # aiosqlite leaves it untyped
        finally:
            self.waiting -= 1
        return result


class Store:
    """The database of one PBX. Made by `Store.open`, which also runs its writer."""

    def __init__(self, path: Path, pbx: str, writer: _Connection, readers: Sequence[_Connection]) -> None:
        self.path = path
        self.pbx = pbx
        self.commits = 0  # by this process; grows before whoever wrote hears of it
        self.failure: str = ""  # why the last commit failed; "" where it did not
        self.failures = 0  # commits that failed
        self.last_failure = ""  # why the last of them did
        self._writer = writer
        self._readers = readers
        self._waiting: asyncio.Queue[_Change[Any]] = asyncio.Queue(MOST_WAITING)
        self._closing = threading.Event()
        self._busy = False
        self._on_commit: Callable[[Sequence[Record]], None] = lambda _records: None
        self._on_transaction: Callable[[float], None] = lambda _seconds: None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: Path, *, pbx: str) -> "AsyncIterator[Store]":
        """Open (and migrate) the database, run the writer while the block runs, and finish what was begun.

        Raises ConflictError where the file cannot be used.
        """
        async with contextlib.AsyncExitStack() as stack:
            first = await asyncio.to_thread(connect, path)
            first.close()
            writer = _Connection(lambda: _writer(path), 64)
            readers = [_Connection(lambda: connect(path, readonly=True), 64) for _ in range(READERS)]
            for connection in (writer, *readers):
                await stack.enter_async_context(connection)
            store = cls(path, pbx, writer, readers)
            failure: Exception | None = None
            async with asyncio.TaskGroup() as group:
                task = group.create_task(store._run(), name="store-writer")
                try:
                    await store.write(lambda tx: mailboxes.adopt_pbx(tx.conn, pbx))
                    yield store
                except Exception as error:  # noqa: BLE001 -- raised again below, not wrapped up in a group
                    failure = error
                finally:
                    await store._finish(task)
            if failure is not None:
                raise failure

    def on_commit(self, callback: Callable[[Sequence[Record]], None]) -> None:
        """Have the records of every commit handed to `callback`, in order, on the event loop, right after it."""
        self._on_commit = callback

    def on_transaction(self, callback: Callable[[float], None]) -> None:
        """Have `callback` told how many seconds each transaction took, the wait for its lock included."""
        self._on_transaction = callback

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run `fn` on one of the read connections; all it reads is of one moment.

        Raises UnavailableError where the database cannot be read now.
        """
        return await self.select(lambda conn: _at_one_moment(conn, fn))

    async def select(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """As `read`, for an `fn` of one statement alone: that is of one moment by itself, and needs no transaction."""
        # the first, while it has no more to do than the other: two threads hinder each other more than they help
        reader = min(self._readers, key=attrgetter("waiting"))
        try:
            return await reader.run(fn)
        except sqlite3.OperationalError as error:
            raise UnavailableError(f"the store cannot be read: {error}") from error

    async def write(self, fn: Callable[[Transaction], T]) -> T:
        """Have the writer run `fn` in its next transaction; returns when that is committed, and durable.

        What `fn` raises comes back here, with its own changes undone. Raises UnavailableError where the transaction
        could not be committed (disk full, locked by another process), and nothing of it was kept.
        """
        change = _Change(fn, asyncio.get_running_loop().create_future())
        await self._waiting.put(change)
        return await asyncio.shield(change.done)  # a caller that goes away does not stop a statement anyway

    @property
    def busy(self) -> bool:
        """Whether a transaction is under way."""
        return self._busy

    def hurry(self) -> None:
        """From now on wait for no other process for more than a second: the end is near."""
        self._closing.set()

    async def _run(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < MOST_IN_A_TRANSACTION and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._commit(batch)
            for _change in batch:
                self._waiting.task_done()

    async def _commit(self, batch: Sequence[_Change[Any]]) -> None:
        fns, began, self._busy = [change.fn for change in batch], time.monotonic(), True
        try:
            outcomes = await self._writer.run(lambda conn: _transact(conn, self.pbx, fns, self._closing))
        except sqlite3.OperationalError as error:
            self.failure = self.last_failure = str(error)
            self.failures += 1
            outcomes = [_Outcome(error=UnavailableError(f"the store cannot write: {error}")) for _ in batch]
        else:
            self.failure = ""
            self.commits += 1
        self._busy = False
        self._on_transaction(time.monotonic() - began)
        records = [record for outcome in outcomes for record in outcome.records]
        if records:
            self._on_commit(records)
        for change, outcome in zip(batch, outcomes, strict=True):
            outcome.tell(change.done)

    async def _finish(self, writer: "asyncio.Task[None]") -> None:
        """Let what waits or is being written come to its end, then end the writer."""
        if not writer.done():
            self.hurry()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * FINISH_S):
                    await self._waiting.join()
        writer.cancel()


def _at_one_moment(conn: sqlite3.Connection, fn: Callable[[sqlite3.Connection], T]) -> T:
    conn.execute("BEGIN")
    try:
        return fn(conn)
    finally:
        conn.execute("ROLLBACK")


def _writer(path: Path) -> sqlite3.Connection:
    conn = connect(path)
    conn.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
    conn.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    conn.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    return conn


def _begin(conn: sqlite3.Connection, closing: threading.Event) -> None:
    """Wait for the lock of writers as long as everybody does, but not that long at the store's end."""
    began = time.monotonic()
    while True:
        try:
            conn.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            longest = FINISH_S if closing.is_set() else schema.BUSY_TIMEOUT_S
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() - began >= longest:
                raise
        else:
            return


def _transact(
    conn: sqlite3.Connection, pbx: str, fns: Sequence[Callable[[Transaction], Any]], closing: threading.Event
) -> list[_Outcome]:
    """Run all changes in one transaction, each undone alone when it raises."""
    _begin(conn, closing)
    try:
        now_ms = time.time_ns() // 1_000_000
        outcomes = [_apply(conn, fn, Transaction(conn, pbx, now_ms)) for fn in fns]
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise
    return outcomes


def _apply(conn: sqlite3.Connection, fn: Callable[[Transaction], Any], tx: Transaction) -> _Outcome:
    conn.execute("SAVEPOINT change")
    try:
        value = fn(tx)
    except sqlite3.OperationalError:
        raise  # the disk or a lock: nothing of the whole transaction can be kept
    except Exception as error:  # noqa: BLE001 -- it is handed to the caller, who waits for it
        conn.execute("ROLLBACK TO change")
        conn.execute("RELEASE change")
        return _Outcome(error=error)
    conn.execute("RELEASE change")
    return _Outcome(records=tx.records, value=value)
