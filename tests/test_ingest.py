import asyncio
import contextlib
import os
import re
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from service import ingest as ingesting
from service.errors import UnavailableError
from service.health import SpoolState, Status
from service.ingest import outside_number
from service.model import Counts, Folder, Mailbox
from service.model import Status as Heard
from service.simulator.disk import run
from service.simulator.visit import MailboxVisit
from service.store import connect, schema
from tests.parts import BOX, NEXT, OTHER, Parts, link_in_place_of, parts

INBOX = "default/100/INBOX"


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Parts]:
    async with asyncio.timeout(60), parts(tmp_path) as made:
        yield made


def rest(root: Path) -> None:
    """Make all directories look as if nothing had happened in them for a minute."""
    then = time.time() - 60
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            os.utime(path, (then, then))


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


async def test_while_files_are_moved_or_written_nothing_is_taken_for_gone(it: Parts) -> None:
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
    it: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each hint would begin tries of its own, for ever."""
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
    assert it.scanner.scans[BOX] - before < 30


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


# --- everything


async def test_everything_is_every_mailbox_of_the_spool_and_of_the_store(it: Parts) -> None:
    for box in (BOX, NEXT, OTHER):
        it.leave(box)
    done: list[tuple[int, int]] = []
    assert it.health.status is Status.STARTING
    assert await it.ingest.everything(lambda some, of: done.append((some, of))) == (3, [])
    assert await it.badges() == {BOX: Counts(new=1), NEXT: Counts(new=1), OTHER: Counts(new=1)}
    assert done[-1] == (3, 3)
    assert done == sorted(done)
    assert (it.health.first_scan_done, it.health.spool.state) == (True, SpoolState.OK)
    assert it.health.spool.detail == "following 3 mailboxes"

    (it.root / "default" / "100").rename(it.root.with_name("aside"))
    await it.ingest.everything()
    assert await it.badges() == {NEXT: Counts(new=1), OTHER: Counts(new=1)}


async def test_a_spool_without_any_mailbox_is_scanned_at_once(it: Parts) -> None:
    assert await it.ingest.everything() == (0, [])
    assert it.health.first_scan_done


async def test_more_mailboxes_than_are_looked_at_together_are_all_looked_at(
    it: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingesting, "CHUNK", 2)
    for number in range(5):
        it.leave(Mailbox("default", str(number)))
    done: list[tuple[int, int]] = []
    assert await it.ingest.everything(lambda some, of: done.append((some, of))) == (5, [])
    assert len(await it.badges()) == 5
    assert done[-1] == (5, 5)


async def test_mailboxes_that_rest_are_not_looked_at_again(it: Parts) -> None:
    for box in (BOX, NEXT):
        it.leave(box)
    await it.ingest.everything()
    rest(it.root)
    await it.ingest.everything()
    it.scanner.scans.clear()
    assert await it.ingest.everything() == (2, [])
    assert it.scanner.scans == {}
    it.leave(NEXT)
    await it.ingest.everything()
    assert it.scanner.scans == {NEXT: 1}
    assert (await it.badges())[NEXT] == Counts(new=2)


async def test_what_is_to_be_looked_at_again_is_named(it: Parts) -> None:
    it.leave(BOX)
    it.leave(NEXT)
    (it.root / INBOX / ".lock").touch()
    assert await it.ingest.everything() == (2, [BOX])
    assert await it.badges() == {NEXT: Counts(new=1)}


async def test_an_empty_spool_takes_no_message_for_gone(it: Parts) -> None:
    it.leave()
    await it.ingest.everything()
    aside = it.root.with_name("aside")
    it.root.rename(aside)
    it.root.mkdir()
    with pytest.raises(UnavailableError, match="is it mounted"):
        await it.ingest.everything()
    assert (it.health.spool.state, it.health.status) == (SpoolState.MISSING, Status.DEGRADED)
    assert await it.badges() == {BOX: Counts(new=1)}
    it.root.rmdir()
    with pytest.raises(UnavailableError, match="cannot read"):
        await it.ingest.everything()
    assert it.types() == ["message.new", "unread"]

    aside.rename(it.root)
    await it.ingest.everything()
    assert it.health.spool.state is SpoolState.OK
    assert it.types() == ["message.new", "unread"]


async def test_a_mailbox_that_cannot_be_read_keeps_its_messages_and_holds_up_no_other(it: Parts) -> None:
    it.leave(BOX)
    await it.ingest.everything()
    it.leave(NEXT)
    with link_in_place_of(it.root / "default" / "100"):
        assert await it.ingest.everything() == (2, [BOX])
    assert await it.badges() == {BOX: Counts(new=1), NEXT: Counts(new=1)}


async def test_from_time_to_time_it_looks_at_everything_without_a_hint(tmp_path: Path) -> None:
    async with asyncio.timeout(60), parts(tmp_path, every_s=0.01) as it, it.running():
        for number, box in enumerate((BOX, NEXT), 1):
            it.leave(box)
            await it.told("unread", number)


async def test_where_inotify_does_not_work_it_looks_more_often_and_says_so(
    it: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingesting, "EVERYTHING_WHEN_POLLING_S", 0.01)
    it.ingest.polling_reason = "too many watches"
    async with it.running():
        for number in (1, 2):
            it.leave()
            await it.told("unread", number)
    assert it.health.spool.told() == {"state": "polling", "detail": "too many watches"}
    assert it.health.status is Status.DEGRADED


async def test_it_goes_on_looking_after_the_spool_was_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(60), parts(tmp_path, every_s=0.01) as it:
        aside = it.root.with_name("aside")
        it.root.rename(aside)
        looked = asyncio.Event()
        loop, mailboxes = asyncio.get_running_loop(), it.scanner.mailboxes

        def looking() -> list[Mailbox]:
            loop.call_soon_threadsafe(looked.set)
            return mailboxes()

        monkeypatch.setattr(it.scanner, "mailboxes", looking)
        async with it.running():
            await looked.wait()
            aside.rename(it.root)
            it.leave()
            await it.told("unread")
            await it.ingest.everything()
        assert it.health.spool.state is SpoolState.OK


async def test_how_long_it_took_is_measured(it: Parts) -> None:
    it.leave()
    await it.ingest.reconcile(BOX)
    assert it.metrics.registry.get_sample_value("voicemaild_reconcile_seconds_count") == 1


async def test_a_store_that_is_gone_through_again_is_the_same(tmp_path: Path) -> None:
    """Ids, uuids and statuses outlive a restart, and nothing is told again."""
    async with parts(tmp_path) as it:
        it.leave()
        await it.ingest.everything()
        before = await it.live()
    async with parts(tmp_path) as it:
        await it.ingest.everything()
        assert await it.live() == before
        assert it.records == []


async def test_a_rebuilt_store_gives_the_same_uuids(tmp_path: Path) -> None:
    uuids: list[list[str]] = []
    for _ in range(2):
        async with parts(tmp_path) as it:
            if not uuids:
                it.leave()
            await it.ingest.everything()
            uuids.append([message.uuid for message in await it.live()])
            path = it.store.path
        for file in path.parent.glob("voicemaild.db*"):
            file.unlink()
    assert uuids[0] == uuids[1] != []


async def test_everything_that_is_written_names_its_pbx(it: Parts) -> None:
    it.leave()
    await it.ingest.reconcile(BOX)
    assert {record.pbx for record in it.records} == {"pbx1"}
    (message,) = await it.live()
    assert message.pbx == "pbx1"


# --- a full mailbox, of which only what is new is read


@pytest.fixture
async def full(it: Parts) -> Parts:
    """A mailbox with enough in it to be remembered, that was looked at and holds nothing new."""
    for _ in range(60):
        it.leave()
    await it.ingest.reconcile(BOX)
    it.scanner.scans.clear()
    return it


async def test_what_came_into_a_full_mailbox_is_read_alone(full: Parts) -> None:
    for number in range(61, 64):
        left = full.leave()
        await full.ingest.reconcile(BOX)
        assert left.msg_id in {message.msg_id for message in await full.live()}
        assert await full.badges() == {BOX: Counts(new=number)}
    assert full.scanner.scans == {}


async def test_in_a_full_mailbox_too_a_message_that_is_being_saved_is_unread_until_they_hang_up(full: Parts) -> None:
    """The copy in Work is of a message that is known: no news, and both places have to be seen."""
    run(full.writer.move_steps(BOX, (await full.live())[0].msg_id, Folder.WORK))  # so that there is such a folder
    await full.ingest.reconcile(BOX)
    saved = (await full.live())[5].msg_id
    visit = MailboxVisit(full.writer.folders, BOX)
    run(visit.save_steps(saved, Folder.WORK))
    await full.ingest.reconcile(BOX)
    assert await full.badges() == {BOX: Counts(new=59, saved=1)}
    run(visit.hang_up_steps())
    await full.ingest.reconcile(BOX)
    assert await full.badges() == {BOX: Counts(new=58, saved=2)}


async def test_what_another_process_wrote_is_not_overlooked_in_a_full_mailbox(full: Parts) -> None:
    left = full.leave()
    async with parts(full.root.parent) as beside:
        await beside.ingest.reconcile(BOX)
    full.leave()
    await full.ingest.reconcile(BOX)
    assert full.scanner.scans == {BOX: 1}
    live = [message.msg_id for message in await full.live()]
    assert (len(live), live.count(left.msg_id)) == (62, 1)


@pytest.mark.parametrize("change", ["move", "remove the last", "remove the first"])
async def test_what_goes_from_a_full_mailbox_while_others_come_is_noticed(full: Parts, change: str) -> None:
    messages = await full.live()
    if change == "move":
        run(full.writer.move_steps(BOX, messages[3].msg_id, Folder.OLD))
    else:
        run(full.writer.remove_steps(BOX, messages[-1 if change == "remove the last" else 0].msg_id))
    full.leave()
    await full.ingest.reconcile(BOX)
    await full.ingest.reconcile(BOX)
    assert await full.badges() == {BOX: Counts(new=60, old=int(change == "move"))}
    assert len({message.msg_id for message in await full.live()}) == 60 + (change == "move")
