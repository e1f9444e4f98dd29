"""The store as a whole: what is written together, what fails alone, what is told, and what a full disk does."""

import asyncio
import resource
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.errors import ConflictError, NotFoundError, UnavailableError
from service.model import Counts, Mailbox, Record
from service.store import FINISH_S, PATIENCE_MS, Store, Transaction, journal, mailboxes, schema

BOX = Mailbox("default", "100")


@dataclass
class Ledger:
    """A store, and every lot of records it told of."""

    store: Store
    lots: list[list[int]] = field(default_factory=list)

    def note(self, records: Sequence[Record]) -> None:
        self.lots.append([badge(record) for record in records])

    async def kept(self) -> list[int]:
        return await self.store.read(kept)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Ledger]:
    async with Store.open(path, pbx="pbx1") as store:
        ledger = Ledger(store)
        store.on_commit(ledger.note)
        yield ledger


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with asyncio.timeout(60), opened(tmp_path / "voicemaild.db") as ledger:
        yield ledger


def badge(record: Record) -> int:
    assert isinstance(record.state, Counts)
    return record.state.new


def noting(number: int) -> Callable[[Transaction], int]:
    """A change: a record of this number."""

    def change(tx: Transaction) -> int:
        journal.append(tx, "unread", BOX, Counts(new=number))
        return number

    return change


def failing(tx: Transaction) -> None:
    noting(666)(tx)
    raise NotFoundError("there is no such thing")


def kept(conn: sqlite3.Connection) -> list[int]:
    return [badge(record) for record, _total in journal.replay(conn, None, 0, 1000).records]


class Gate:
    """A change, or a read, that does not end until it is let; meanwhile others wait for the writer."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.entered = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._opened = threading.Event()

    def change(self, tx: Transaction) -> int:
        noting(self.number)(tx)
        return self.read(tx.conn)

    def read(self, _conn: sqlite3.Connection) -> int:
        self._loop.call_soon_threadsafe(self.entered.set)
        assert self._opened.wait(30)
        return self.number

    async def open(self) -> None:
        self._opened.set()


# --- one transaction


async def test_changes_that_wait_are_written_in_one_transaction(ledger: Ledger) -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(ledger.store.write(gate.change))
        await gate.entered.wait()
        others = [group.create_task(ledger.store.write(noting(number))) for number in (1, 2, 3)]
        group.create_task(gate.open())
    assert [first.result(), *(other.result() for other in others)] == [0, 1, 2, 3]
    assert ledger.lots == [[0], [1, 2, 3]]
    records = await ledger.store.read(lambda conn: [record for record, _ in journal.replay(conn, None, 1, 10).records])
    assert len({record.time_ms for record in records}) == 1


async def test_a_change_that_fails_is_undone_alone(ledger: Ledger) -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.store.write(gate.change))
        await gate.entered.wait()
        before = group.create_task(ledger.store.write(noting(1)))
        wrong = group.create_task(failure_of(ledger.store.write(failing)))
        after = group.create_task(ledger.store.write(noting(2)))
        group.create_task(gate.open())
    assert isinstance(wrong.result(), NotFoundError)
    assert (before.result(), after.result()) == (1, 2)
    assert await ledger.kept() == [0, 1, 2]
    assert ledger.lots == [[0], [1, 2]]
    assert ledger.store.failure == ""


async def failure_of(writing: Awaitable[object]) -> Exception | None:
    try:
        await writing
    except (NotFoundError, UnavailableError) as error:
        return error
    return None


async def test_readers_never_see_half_of_a_change(ledger: Ledger) -> None:
    gate = Gate(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.store.write(gate.change))
        await gate.entered.wait()
        assert await ledger.kept() == []
        await gate.open()
    assert await ledger.kept() == [1]


async def test_nobody_waits_behind_one_long_read(ledger: Ledger) -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        long = group.create_task(ledger.store.read(gate.read))
        await gate.entered.wait()
        assert [await ledger.kept() for _ in range(3)] == [[], [], []]
        assert not long.done()
        await gate.open()


async def test_what_is_written_can_be_read_as_soon_as_the_caller_knows(ledger: Ledger) -> None:
    for number in (1, 2, 3):
        await ledger.store.write(noting(number))
        assert (await ledger.kept())[-1] == number


async def test_a_read_may_not_write(ledger: Ledger) -> None:
    with pytest.raises(UnavailableError, match="readonly"):
        await ledger.store.read(lambda conn: conn.execute("DELETE FROM journal"))


# --- telling


async def test_records_are_told_in_order_after_their_commit_and_before_the_caller_goes_on(tmp_path: Path) -> None:
    """And what a change gave without a record is not told at all."""
    seen: list[tuple[str, object]] = []
    async with Store.open(tmp_path / "voicemaild.db", pbx="pbx1") as store:
        with closing(schema.connect(store.path, readonly=True)) as outside:
            store.on_commit(lambda records: seen.append(("told", [badge(record) for record in records])))
            for number in (1, 2):
                await store.write(noting(number))
                seen.append(("written", kept(outside)))
            await store.write(lambda _tx: None)
    assert seen == [("told", [1]), ("written", [1]), ("told", [2]), ("written", [1, 2])]


async def test_what_is_told_is_committed(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "voicemaild.db", pbx="pbx1") as store:
        with closing(schema.connect(store.path, readonly=True)) as outside:
            found: list[list[int]] = []
            store.on_commit(lambda _records: found.append(kept(outside)))
            await store.write(noting(7))
    assert found == [[7]]


async def test_how_long_each_transaction_took_is_told_also_of_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0)
    took: list[float] = []
    async with opened(tmp_path / "voicemaild.db") as ledger:
        ledger.store.on_transaction(took.append)
        await ledger.store.write(noting(1))
        with closing(sqlite3.connect(ledger.store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await failure_of(ledger.store.write(noting(2)))
    assert len(took) == 2
    assert took[0] > 0
    assert took[1] >= PATIENCE_MS / 1000  # so long SQLite waited


# --- callers that go away, and the end


async def test_a_caller_that_goes_away_changes_nothing_for_the_others(ledger: Ledger) -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(ledger.store.write(gate.change))
        await gate.entered.wait()
        second = group.create_task(ledger.store.write(noting(1)))
        third = group.create_task(ledger.store.write(failing))
        fourth = group.create_task(ledger.store.write(noting(2)))
        group.create_task(cancel(first, second, third))
        group.create_task(gate.open())
    assert fourth.result() == 2
    assert await ledger.kept() == [0, 1, 2]
    assert ledger.lots == [[0], [1, 2]]


async def cancel(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()


async def test_what_waits_when_the_store_is_closed_is_still_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.FINISH_S", 60)
    path = tmp_path / "voicemaild.db"
    async with asyncio.timeout(60), opened(path) as ledger:
        gate = Gate()
        loop = asyncio.get_running_loop()
        writing = [loop.create_task(ledger.store.write(change)) for change in (gate.change, noting(1), noting(2))]
        await gate.entered.wait()
        await gate.open()
    assert await asyncio.gather(*writing) == [0, 1, 2]
    with closing(schema.connect(path, readonly=True)) as conn:
        assert kept(conn) == [0, 1, 2]


async def test_what_the_block_raises_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not here"):
        async with opened(tmp_path / "voicemaild.db"):
            raise NotFoundError("not here")


async def test_a_newer_database_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "voicemaild.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA user_version = 1000")
    with pytest.raises(ConflictError, match="newer"):
        async with opened(path):
            pass


async def test_the_store_belongs_to_the_pbx_it_was_opened_for(ledger: Ledger) -> None:
    await ledger.store.write(noting(1))
    ((record, _total),) = await ledger.store.read(lambda conn: journal.replay(conn, None, 0, 10).records)
    assert record.pbx == "pbx1"


# --- a full disk, and a database somebody else has locked


def blob(tx: Transaction) -> None:
    tx.conn.execute("INSERT INTO meta VALUES ('blob', ?)", ("x" * 500_000,))


async def set_room(store: Store, pages: int) -> None:
    """Leave room for so many more pages."""

    def set_(tx: Transaction) -> None:
        there = tx.conn.execute("PRAGMA page_count").fetchone()[0]
        tx.conn.execute(f"PRAGMA max_page_count = {there + pages}")

    await store.write(set_)


async def test_nothing_of_a_transaction_stays_when_the_disk_is_full_and_it_goes_on_once_there_is_room(
    ledger: Ledger,
) -> None:
    store = ledger.store
    await store.write(noting(1))
    await set_room(store, 2)
    gate = Gate(2)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(store.write(gate.change))
        await gate.entered.wait()
        together = [group.create_task(failure_of(store.write(change))) for change in (noting(3), blob, noting(4))]
        group.create_task(gate.open())
    failures = [one.result() for one in together]
    assert first.result() == 2
    assert all(isinstance(one, UnavailableError) and "full" in str(one) for one in failures)
    assert "full" in store.failure
    assert await ledger.kept() == [1, 2]

    await set_room(store, 10_000)
    assert store.failure == ""
    await store.write(blob)
    await store.write(noting(5))
    assert await ledger.kept() == [1, 2, 5]
    assert ledger.lots == [[1], [2], [5]]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signals = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, signals)


async def test_a_disk_that_refuses_a_write_is_like_a_full_one(ledger: Ledger) -> None:
    await ledger.store.write(noting(1))
    with largest_file(200_000):
        error = await failure_of(ledger.store.write(blob))
        assert await ledger.kept() == [1]
    assert isinstance(error, UnavailableError)
    assert ledger.store.failure != ""
    await ledger.store.write(noting(2))
    assert await ledger.kept() == [1, 2]
    assert ledger.store.failure == ""
    assert await ledger.store.read(lambda conn: conn.execute("PRAGMA integrity_check").fetchone()) == ("ok",)


async def test_a_database_that_somebody_else_keeps_locked_is_unavailable_for_writing_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0)
    path = tmp_path / "voicemaild.db"
    async with opened(path) as ledger:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            error = await failure_of(ledger.store.write(noting(1)))
            assert isinstance(error, UnavailableError)
            assert "locked" in str(error) + ledger.store.failure
            assert await ledger.kept() == []
        assert await ledger.store.write(noting(2)) == 2
        assert await ledger.kept() == [2]
        assert ledger.lots == [[2]]


async def test_a_change_waits_its_turn_beside_another_process(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than SQLite waits at once, and as long as every part of voicemaild does: five seconds."""
    assert schema.BUSY_TIMEOUT_S == 5
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 60)
    with closing(sqlite3.connect(ledger.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        change = asyncio.create_task(ledger.store.write(noting(1)))
        await asyncio.wait((change,), timeout=3 * PATIENCE_MS / 1000)
        assert not change.done()
    assert await change == 1


async def test_a_database_that_stays_locked_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop takes at most five seconds, of which this is a part; what cannot be written by then is told so."""
    assert 2 * FINISH_S + PATIENCE_MS / 1000 < 3
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 3600)  # it is not this that ends the wait
    path = tmp_path / "voicemaild.db"
    async with asyncio.timeout(60):
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            async with opened(path) as ledger:
                other.execute("BEGIN IMMEDIATE")
                waiting = [asyncio.create_task(failure_of(ledger.store.write(noting(number)))) for number in range(3)]
                await asyncio.sleep(0)
            assert all(isinstance(error, UnavailableError) for error in await asyncio.gather(*waiting))


async def test_another_process_may_write_between_two_of_our_changes(ledger: Ledger) -> None:
    """Each change sees what was committed before it, whoever did."""
    await ledger.store.write(lambda tx: mailboxes.ensure(tx, BOX))
    with closing(schema.connect(ledger.store.path)) as other:
        other.execute("UPDATE mailbox SET customer = 'C7'")
    ((box,), customer) = await ledger.store.write(
        lambda tx: (mailboxes.list_all(tx.conn), tx.conn.execute("SELECT customer FROM mailbox").fetchone()[0])
    )
    assert (box.customer, customer) == ("C7", "C7")


async def test_a_log_that_grew_while_somebody_read_is_cut_down_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.CHECKPOINT_PAGES", 1)
    monkeypatch.setattr("service.store.LOG_BYTES", 100_000)
    log = tmp_path / "voicemaild.db-wal"
    async with opened(tmp_path / "voicemaild.db") as ledger:
        with closing(schema.connect(tmp_path / "voicemaild.db", readonly=True)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM journal").fetchone()
            for number in range(20):
                await ledger.store.write(noting(number))
            assert log.stat().st_size > 100_000
        for number in range(3):
            await ledger.store.write(noting(number))
        assert log.stat().st_size <= 100_000
