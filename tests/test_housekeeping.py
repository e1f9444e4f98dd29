import asyncio
import re
import socket
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC
from pathlib import Path

import pytest

from service import housekeeping
from service.call import CallType
from service.cdr.event import leg_of_event
from service.cdr.times import LocalTimes
from service.errors import UnavailableError
from service.health import Health, StoreState
from service.housekeeping import count_lines, feed_watchdog, prune_journal, rejudge_calls, watch_store
from service.model import Counts, Mailbox
from service.sdnotify import Notifier
from service.store import Store, call_lines, calls, journal, schema
from service.store.transaction import Transaction
from tests.store.ledger import INTERNAL, leg

DAY_MS = 24 * 3600 * 1000
BOX = Mailbox("default", "100")


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0)
    async with asyncio.timeout(60), Store.open(tmp_path / "voicemaild.db", pbx="pbx1") as store:
        yield store


@asynccontextmanager
async def running(job: Coroutine[None, None, None]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(job)
        try:
            yield
        finally:
            task.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Nothing tells when a job has done its round, so look at every turn of the loop."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


async def until_written(store: Store, times: int) -> None:
    before = store.commits
    await until(lambda: store.commits > before + times)


async def until_kept(store: Store, count: int) -> tuple[int, int]:
    """Wait until the journal holds so many records."""
    async with asyncio.timeout(60):
        while True:
            first, last = await store.read(journal.bounds)
            if last + 1 - first == count:
                return first, last


async def written(store: Store, *days_ago: float) -> None:
    """Records of these ages."""
    now_ms = int(time.time() * 1000)

    def write(tx: Transaction) -> None:
        for days in days_ago:
            tx.now_ms = int(now_ms - days * DAY_MS)
            journal.append(tx, "unread", BOX, Counts())

    await store.write(write)


async def test_the_journal_is_pruned_of_what_is_too_old(store: Store) -> None:
    await written(store, 9, 8, 7.01, 6.99, 0)
    async with running(prune_journal(store, 7)):
        assert await until_kept(store, 2) == (4, 5)


async def test_it_is_pruned_in_small_steps_until_all_is_done_and_again_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "PRUNE_AT_ONCE", 2)
    monkeypatch.setattr(housekeeping, "PRUNE_EVERY_S", 0.01)
    await written(store, *[9] * 5, 1)
    async with running(prune_journal(store, 7)):
        await until_kept(store, 1)
        await written(store, 9)
        await until_kept(store, 2)
    assert (await store.read(journal.bounds)) == (6, 7)


async def test_with_0_days_everything_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PRUNE_EVERY_S", 0)
    await written(store, 5000)
    async with running(prune_journal(store, 0)):
        for _ in range(5):
            await store.write(lambda _tx: None)  # one after the other, so that pruning would have had its turn
    assert await store.read(journal.bounds) == (1, 1)


async def test_pruning_goes_on_after_the_store_could_not_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "PRUNE_EVERY_S", 0.01)
    await written(store, 9, 1)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with running(prune_journal(store, 7)):
            await until(lambda: store.failure)
            other.execute("ROLLBACK")
            assert await until_kept(store, 1) == (2, 2)


async def test_a_store_that_cannot_be_written_shows_on_the_board_and_clears_by_itself(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no change of somebody's to see that the store can be written again."""
    monkeypatch.setattr(housekeeping, "STORE_EVERY_S", 0.001)
    health = Health()
    async with running(watch_store(store, health)):
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(UnavailableError):
                await store.write(lambda _tx: None)
            await until(lambda: health.store.state is StoreState.FAILING)
            assert "locked" in health.store.detail
            assert not health.serving
        await until(lambda: health.store.state is StoreState.OK)
    assert store.failure == ""


async def test_a_disk_that_was_full_is_not_believed_before_it_has_room_and_both_are_said_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where little is left, a small change finds its place and the next message does not."""
    caplog.set_level("INFO")
    monkeypatch.setattr(housekeeping, "STORE_EVERY_S", 0.001)
    monkeypatch.setattr(housekeeping, "ROOM", 1 << 62)
    health = Health()

    def much(tx: Transaction) -> None:
        pages = int(tx.conn.execute("PRAGMA page_count").fetchone()[0])
        tx.conn.execute(f"PRAGMA max_page_count = {pages + 2}")
        tx.conn.execute("INSERT INTO meta VALUES ('much', hex(zeroblob(500000)))")

    async with running(watch_store(store, health)):
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await store.write(much)
            await until_written(store, 2 * housekeeping.STEADY)
            assert (store.failure, health.store.state) == ("", StoreState.FAILING)
            assert "disk is full" in health.store.detail
        monkeypatch.setattr(housekeeping, "ROOM", 0)
        await until(lambda: health.store.state is StoreState.OK)
    assert [line.split(" ")[:3] for line in caplog.messages] == [
        ["store", "cannot", "write"],
        ["store", "can", "write"],
    ]


async def test_a_failure_between_two_looks_shows_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "STORE_EVERY_S", 0.001)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError):
            await store.write(lambda _tx: None)
    await store.write(lambda _tx: None)
    health = Health()
    async with running(watch_store(store, health)):
        await until(lambda: health.store.state is StoreState.FAILING)
        await until(lambda: health.store.state is StoreState.OK)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


async def received(systemd: socket.socket) -> bytes:
    async with asyncio.timeout(60):
        return await asyncio.get_running_loop().sock_recv(systemd, 1000)


async def test_as_long_as_the_database_answers_systemd_is_told_we_are_alive(
    store: Store, tmp_path: Path, systemd: socket.socket
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    async with running(feed_watchdog(notifier, 0.001, store)):
        assert [await received(systemd) for _ in range(3)] == [b"WATCHDOG=1"] * 3


async def test_no_sign_of_life_while_the_database_does_not_answer(
    store: Store, tmp_path: Path, systemd: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("ALTER TABLE journal RENAME TO aside")
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        async with running(feed_watchdog(notifier, 0.001, store)):
            await until(lambda: caplog.text.count("the store does not answer") >= 2)
            with pytest.raises(BlockingIOError):
                systemd.recv(1000)
            other.execute("ALTER TABLE aside RENAME TO journal")
            assert await received(systemd) == b"WATCHDOG=1"


TWO_DIGITS, FOUR_DIGITS = re.compile(r"^\d{2}$"), re.compile(r"^\d{4}$")


async def types_of_calls(store: Store) -> list[CallType]:
    found = await store.read(lambda conn: calls.load(conn, list(range(1, 2000))))
    return [call.type for call in found]


async def with_calls(store: Store, number: int) -> None:
    """So many calls from 4-digit numbers to 2-digit ones, as judged where two digits are inside."""
    times = LocalTimes(UTC)
    legs = [
        leg_of_event(
            defaultdict(
                str,
                {
                    "Source": "2000",
                    "Destination": "10",
                    "Channel": f"PJSIP/trunk-{one:08x}",
                    "StartTime": "2026-11-20 21:50:47",
                    "EndTime": "2026-11-20 21:50:52",
                    "UniqueID": f"1795211447.{one}",
                },
            ).__getitem__,
            times,
        )
        for one in range(number)
    ]
    await store.write(lambda tx: calls.adopt_internal(tx.conn, TWO_DIGITS))
    await store.write(lambda tx: calls.record(tx, legs, TWO_DIGITS))


async def test_calls_are_judged_anew_by_another_rule_of_what_is_inside(store: Store) -> None:
    await with_calls(store, 2 * housekeeping.JUDGE_AT_ONCE + 1)
    assert set(await types_of_calls(store)) == {CallType.INCOMING}
    await rejudge_calls(store, FOUR_DIGITS)
    assert set(await types_of_calls(store)) == {CallType.OUTGOING}
    commits = store.commits
    await rejudge_calls(store, FOUR_DIGITS)
    assert store.commits == commits + 1  # it is asked, and that is all


async def test_judging_anew_waits_for_a_store_that_cannot_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "PAUSE_S", 0.001)
    await with_calls(store, 3)
    async with running(rejudge_calls(store, FOUR_DIGITS)):
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await until(lambda: store.failure)
        async with asyncio.timeout(60):
            while await types_of_calls(store) != [CallType.OUTGOING] * 3:
                pass


async def until_lines_are_kept(store: Store, *numbers: str) -> None:
    async with asyncio.timeout(60):
        while not await store.read(lambda conn: all(call_lines.kept(conn, number) for number in numbers)):
            pass


async def test_lines_of_many_calls_are_kept_counted_and_what_was_begun_is_finished(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_lines, "MANY", 4)
    monkeypatch.setattr(call_lines, "AT_ONCE", 2)
    begun, new, few = "15550000001", "15550000002", "15550000003"
    numbers = [*[begun] * 5, *[new] * 5, *[few] * 3]
    told = [leg(place, place, did=number) for place, number in enumerate(numbers)]
    await store.write(lambda tx: calls.record(tx, told, INTERNAL))
    assert await store.write(lambda tx: call_lines.keep(tx, begun))
    async with running(count_lines(store)):
        await until_lines_are_kept(store, begun, new)
    assert not await store.read(lambda conn: call_lines.kept(conn, few))


async def test_lines_wait_for_a_store_that_cannot_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(call_lines, "MANY", 1)
    monkeypatch.setattr(housekeeping, "LINES_EVERY_S", 0)
    await store.write(lambda tx: calls.record(tx, [leg(1, did="15550000001")], INTERNAL))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with running(count_lines(store)):
            await until(lambda: "lines are not counted" in caplog.text)
            other.execute("ROLLBACK")
            await until_lines_are_kept(store, "15550000001")
