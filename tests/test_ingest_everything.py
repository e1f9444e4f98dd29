"""Looking at every mailbox: at the start, from time to time, and when the spool was away."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path

import pytest

from service import ingest as ingesting
from service.errors import UnavailableError
from service.health import SpoolState, Status
from service.model import Counts, Mailbox
from service.scanning import Scans
from service.spool import Scanner
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


async def test_many_new_mailboxes_are_read_by_another_process(it: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    it.leave(BOX)
    await it.ingest.everything()
    monkeypatch.setattr(ingesting, "WORTH_A_PROCESS", 2)
    for box in (BOX, NEXT, OTHER):
        it.leave(box)
    (it.root / "other/100/INBOX/.lock").touch()
    it.scanner.scans.clear()
    done: list[tuple[int, int]] = []
    assert await it.ingest.everything(lambda some, of: done.append((some, of))) == (3, [OTHER])
    assert it.scanner.scans == {BOX: 1}
    assert done == [(0, 3), (2, 3), (3, 3)]
    assert await it.badges() == {BOX: Counts(new=2), NEXT: Counts(new=1)}
    assert it.types() == ["message.new", "unread"] * 3


@pytest.mark.parametrize("told", [0, 1])
async def test_what_the_other_process_did_not_tell_is_looked_at_here(
    it: Parts, monkeypatch: pytest.MonkeyPatch, told: int
) -> None:
    monkeypatch.setattr(ingesting, "WORTH_A_PROCESS", 2)

    async def some(scanner: Scanner, new: Sequence[Mailbox]) -> AsyncGenerator[Scans]:
        if told:
            yield [(mailbox, scanner.scan(mailbox, ())) for mailbox in new[:told]]

    monkeypatch.setattr(it.ingest, "_scans", some)
    for box in (BOX, NEXT, OTHER):
        it.leave(box)
    assert await it.ingest.everything() == (3, [])
    assert await it.badges() == {BOX: Counts(new=1), NEXT: Counts(new=1), OTHER: Counts(new=1)}
    assert it.types() == ["message.new", "unread"] * 3


async def test_a_hint_may_be_quicker_than_the_other_process(it: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingesting, "WORTH_A_PROCESS", 2)

    async def late(scanner: Scanner, new: Sequence[Mailbox]) -> AsyncGenerator[Scans]:
        found: Scans = [(mailbox, scanner.scan(mailbox, ())) for mailbox in new]
        it.move(left)
        await it.ingest.reconcile(BOX)
        yield found

    monkeypatch.setattr(it.ingest, "_scans", late)
    left = it.leave(BOX)
    it.leave(NEXT)
    assert await it.ingest.everything() == (2, [BOX])
    assert await it.badges() == {BOX: Counts(old=1), NEXT: Counts(new=1)}
    assert it.types() == ["message.new", "unread"] * 2


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


async def test_a_spool_that_stays_away_is_complained_of_once(
    it: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is looked for every second or two, for as long as it takes."""
    monkeypatch.setattr(ingesting, "LAST_RETRY_S", 0.001)
    monkeypatch.setattr(ingesting, "AFTER_A_FAILURE_S", 0.001)
    it.root.rename(it.root.with_name("aside"))
    tries, enough = itertools.count(1), asyncio.Event()
    loop, mailboxes = asyncio.get_running_loop(), it.scanner.mailboxes

    def looking() -> list[Mailbox]:
        if next(tries) == 5:
            loop.call_soon_threadsafe(enough.set)
        return mailboxes()

    monkeypatch.setattr(it.scanner, "mailboxes", looking)
    async with it.running():
        await enough.wait()
    lines = [record.getMessage() for record in caplog.records if "spool cannot be" in record.getMessage()]
    assert len(lines) == 1


async def test_a_mailbox_that_stays_closed_is_complained_of_once_and_again_after_it_was_open(
    it: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    it.leave(NEXT)
    it.leave()
    for times in (1, 2):
        await it.ingest.everything()
        with link_in_place_of(it.root / "default" / "100"):
            for _ in range(3):
                await it.ingest.everything()
        assert len([message for message in caplog.messages if "mailbox cannot be" in message]) == times


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
