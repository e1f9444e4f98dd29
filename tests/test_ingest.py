import asyncio
import contextlib
import re
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from service import ingest as ingesting
from service.errors import UnavailableError
from service.ingest import outside_number
from service.model import Counts, Folder, Mailbox
from service.model import Status as Heard
from service.store import connect, schema
from tests.hurry import Hurry
from tests.parts import BOX, NEXT, OTHER, Parts, link_in_place_of, parts

INBOX = "default/100/INBOX"


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Parts]:
    async with asyncio.timeout(60), parts(tmp_path) as made:
        yield made


# --- who is outside


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("15551234567", "15551234567"),
        ("+998901234567", "+998901234567"),
        ("201", None),
        ("123456", None),
        ("1234567", "1234567"),
        ("", None),
        ("anonymous", None),
        ("sip:201@example.com", "sip:201@example.com"),
    ],
)
def test_a_caller_is_outside_unless_he_shows_no_number_or_an_extension(number: str, expected: str | None) -> None:
    assert outside_number(re.compile(r"^\d{2,6}$"))(number) == expected


# --- hints


async def test_a_hint_makes_it_look(it: Parts) -> None:
    async with it.running():
        left = it.leave()
        it.ingest.hint(BOX)
        await it.told("unread")
    (message,) = await it.live()
    assert (message.msg_id, message.folder, message.external_number) == (left.msg_id, Folder.INBOX, "15551234567")
    assert await it.badges() == {BOX: Counts(new=1)}
    assert it.types() == ["message.new", "unread"]


async def test_a_hint_from_before_it_runs_is_not_lost(it: Parts) -> None:
    await it.ingest.everything()
    it.leave()
    it.ingest.hint(BOX)
    async with it.running():
        await it.told("unread")


async def test_hints_that_are_late_doubled_or_forged_change_nothing(it: Parts) -> None:
    it.leave()
    async with it.running():
        await it.told("unread")
        for _ in range(3):
            it.ingest.hint(BOX)
            it.ingest.hint(Mailbox("nowhere", "999"))
        it.leave(NEXT)
        it.ingest.hint(NEXT)
        await it.told("unread", 2)
    assert [(record.type, record.mailbox) for record in it.records] == [
        ("message.new", BOX),
        ("unread", BOX),
        ("message.new", NEXT),
        ("unread", NEXT),
    ]
    assert set(await it.badges()) == {BOX, NEXT}


async def test_a_hint_for_later_comes_later(it: Parts) -> None:
    async with it.running():
        await it.ingest.everything()
        it.leave()
        it.ingest.hint_later(BOX, 0.01)
        await it.told("unread")


async def test_told_that_events_may_be_missing_it_looks_at_every_mailbox(it: Parts) -> None:
    async with it.running():
        it.leave()
        it.ingest.look_everywhere()
        await it.told("unread")
        it.leave(NEXT)
        it.leave(OTHER)
        it.ingest.look_everywhere()
        await it.told("unread", 3)


async def test_more_hints_than_it_keeps_make_it_look_at_every_mailbox(
    it: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingesting, "MOST_DIRTY", 1)
    boxes = [Mailbox("default", str(number)) for number in range(100, 105)]
    async with it.running():
        while not it.health.first_scan_done:
            await asyncio.sleep(0)
        for box in boxes:
            it.leave(box)
        for box in boxes:
            it.ingest.hint(box)
        await it.told("unread", 5)


async def test_what_is_locked_is_looked_at_again_until_it_is_free(it: Parts) -> None:
    it.leave()
    lock = it.root / INBOX / ".lock"
    lock.touch()

    def unlock_in_time() -> None:
        if it.scanner.scans[BOX] == 4:
            lock.unlink()

    it.scanner.before_scan = unlock_in_time
    async with it.running():
        it.ingest.hint(BOX)
        await it.told("unread")
    assert it.scanner.scans[BOX] >= 4


async def test_while_files_are_moved_or_written_nothing_is_taken_for_gone(
    it: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.spool.scan.SETTLING_S", 60)  # a slow machine looks in time
    left = it.leave()
    await it.ingest.everything()
    it.move(left)
    lock = it.root / INBOX / ".lock"
    lock.touch()
    assert await it.ingest.everything() == (1, [BOX])
    lock.unlink()
    copy = it.root / "default/100/Old/msg0000.txt"
    whole = copy.read_bytes()
    copy.write_bytes(whole[:-5])
    assert await it.ingest.everything() == (1, [BOX])
    assert it.types() == ["message.new", "unread"]
    copy.write_bytes(whole)
    await it.ingest.reconcile(BOX)
    assert it.types()[2:] == ["message.updated", "unread"]


async def test_a_mailbox_is_looked_at_by_one_at_a_time(it: Parts) -> None:
    met: list[str] = []
    barrier = threading.Barrier(2)

    def meet() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(0.05)
            met.append("two were there at once")

    it.leave()
    it.scanner.before_scan = meet
    await asyncio.gather(*(it.ingest.reconcile(BOX) for _ in range(3)))
    assert (met, it.scanner.scans[BOX]) == ([], 3)


async def test_a_message_without_a_msg_id_is_waited_for(it: Parts) -> None:
    """Asterisk may be about to write one in; here it does not."""
    it.leave(msg_id="")
    async with it.running():
        it.ingest.hint(BOX)
        await it.told("unread")
    (message,) = await it.live()
    assert message.msg_id.startswith("fp-")


async def test_a_mailbox_that_cannot_be_read_is_tried_again_and_complained_of_once(
    it: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ingesting, "LAST_RETRY_S", 0.001)
    left = it.leave()
    await it.ingest.everything()
    it.move(left)
    tried = asyncio.Event()
    loop = asyncio.get_running_loop()
    with link_in_place_of(it.root / "default" / "100"):
        seen = it.scanner.scans[BOX]

        def count() -> None:
            if it.scanner.scans[BOX] > seen + 5:
                loop.call_soon_threadsafe(tried.set)

        it.scanner.before_scan = count
        async with it.running():
            it.ingest.hint(BOX)
            await tried.wait()
    lines = [record.getMessage() for record in caplog.records if "mailbox cannot be" in record.getMessage()]
    assert len(lines) == 1
    async with it.running():
        it.ingest.hint(BOX)
        await it.until(lambda: it.types()[-2:] == ["message.updated", "unread"])


async def test_however_often_a_mailbox_in_trouble_is_hinted_at_it_is_tried_again_once(
    it: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else each hint would begin tries of its own, for ever; and it is complained of once."""
    monkeypatch.setattr(ingesting, "LAST_RETRY_S", 0.05)
    it.leave()
    await it.ingest.everything()
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()
    it.scanner.before_scan = lambda: loop.call_soon_threadsafe(looked.set)
    with link_in_place_of(it.root / "default" / "100"):
        async with it.running():
            for _ in range(50):
                looked.clear()
                it.ingest.hint(BOX)
                await looked.wait()
            before = it.scanner.scans[BOX]
            it.ingest.hint_later(NEXT, 0.5)
            while not it.scanner.scans[NEXT]:
                looked.clear()
                await looked.wait()
    assert it.scanner.scans[BOX] - before < 100  # each of 50 would have had its turn ten times
    assert len([message for message in caplog.messages if "mailbox cannot be" in message]) == 1


# --- now


async def test_reconcile_returns_when_the_store_agrees(it: Parts) -> None:
    left = it.leave()
    await it.ingest.reconcile(BOX)
    it.move(left)
    await it.ingest.reconcile(BOX)
    (message,) = await it.live()
    assert (message.folder, message.status) == (Folder.OLD, Heard.READ)
    assert it.types() == ["message.new", "unread", "message.updated", "unread"]


async def test_reconciled_by_many_at_once_a_message_is_told_once(it: Parts) -> None:
    it.leave()
    await asyncio.gather(*(it.ingest.reconcile(BOX) for _ in range(10)), it.ingest.everything())
    assert it.types() == ["message.new", "unread"]


async def test_a_mailbox_that_does_not_come_to_rest_is_unavailable(it: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingesting, "COMMAND_TIMEOUT_S", 0.05)
    it.leave()
    (it.root / INBOX / ".lock").touch()
    with pytest.raises(UnavailableError, match="100@default does not come to rest"):
        await it.ingest.reconcile(BOX)
    assert it.records == []


async def test_a_store_that_keeps_a_command_waiting_is_told_as_what_it_is(it: Parts) -> None:
    it.leave()
    with closing(sqlite3.connect(it.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asked = asyncio.ensure_future(it.ingest.reconcile(BOX))
        while not it.store.busy:
            await asyncio.sleep(0)
        await Hurry().on(ingesting.COMMAND_TIMEOUT_S)
        with pytest.raises(UnavailableError, match="the store cannot write: another process"):
            await asked


async def test_a_spool_or_a_store_that_cannot_be_used_is_told_to_who_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0)
    async with parts(tmp_path) as it:
        it.leave()
        with link_in_place_of(it.root / "default"), pytest.raises(UnavailableError, match="cannot read"):
            await it.ingest.reconcile(BOX)
        with closing(sqlite3.connect(it.store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(UnavailableError, match="cannot write"):
                await it.ingest.reconcile(BOX)
        await it.ingest.reconcile(BOX)
        assert it.types() == ["message.new", "unread"]


async def test_what_another_process_wrote_meanwhile_is_looked_at_again(it: Parts) -> None:
    """`voicemaild scan` beside the daemon: what this one saw is out of date, and nothing is told twice."""
    left = it.leave()
    await it.ingest.reconcile(BOX)
    it.move(left)

    def meanwhile() -> None:
        if it.scanner.scans[BOX] == 2:
            with closing(connect(it.store.path)) as other:
                other.execute("UPDATE mailbox SET generation = generation + 1")

    it.scanner.after_scan = meanwhile
    await it.ingest.reconcile(BOX)
    assert it.scanner.scans[BOX] == 3
    assert it.types() == ["message.new", "unread", "message.updated", "unread"]
