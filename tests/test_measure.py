import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from service import measure
from service.audio import AudioWorker
from service.measure import Measurer
from service.media import Media
from service.model import Audio, AudioFile, Envelope, Folder, Levels, Mailbox, Message, Record
from service.simulator.tone import voice
from service.store import held as store_held
from service.store import messages
from tests.parts import BOX, NEXT, Parts, parts


@asynccontextmanager
async def measuring(it: Parts) -> AsyncIterator[Measurer]:
    """A measurer at work that is told of what is committed."""
    async with AudioWorker(None) as worker:
        measurer = Measurer(it.store, it.ingest, worker, it.root, media_of(it))
        it.ingest.first_scan.set()

        def note(records: Sequence[Record]) -> None:
            it.note(records)
            measurer.notice(records)

        it.store.on_commit(note)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(measurer.run())
            try:
                yield measurer
            finally:
                task.cancel()


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Parts]:
    async with asyncio.timeout(60), parts(tmp_path) as made:
        yield made


def media_of(it: Parts) -> Media:
    return Media(it.root.with_name("media"))


async def held(it: Parts, *names: str) -> None:
    """Messages whose audio we hold, in files of these names that may not be there."""
    file = AudioFile("wav", 1, 1, 1, "")
    for name in names:
        put = partial(
            store_held.insert,
            mailbox=BOX,
            uuid=name.partition(".")[0],
            envelope=Envelope("", 1_795_211_000, 0, "", "alice"),
            external_number=None,
            audio=Audio(file, "audio/wav", 100, 8000, 1),
            held=name,
            sip_from="sip:alice@example.com",
        )
        await it.store.write(put)


def levels(message: Message) -> Levels | None:
    return None if message.audio is None else message.audio.levels


async def all_levels(it: Parts) -> list[Levels | None]:
    return [levels(message) for message in await it.live()]


async def waiting(it: Parts) -> list[Message]:
    return await it.store.read(lambda conn: messages.unmeasured(conn, 100))


def measured(it: Parts) -> list[Message]:
    """The messages whose levels were told, in that order."""
    states = [record.state for record in it.records if record.type == "message.updated"]
    return [state for state in states if isinstance(state, Message) and levels(state) is not None]


async def test_a_new_message_is_told_first_and_its_levels_follow(it: Parts) -> None:
    async with measuring(it):
        it.leave()
        await it.ingest.reconcile(BOX)
        await it.told("message.updated")
    assert it.types() == ["message.new", "unread", "message.updated"]
    (found,) = await all_levels(it)
    assert found is not None
    assert found.peak_dbfs is not None
    assert found.rms_dbfs is not None
    assert -30 < found.rms_dbfs < found.peak_dbfs < 0
    assert found.silence < 0.5


async def test_what_nobody_measured_before_a_restart_is_measured_the_newest_first(it: Parts) -> None:
    for _ in range(3):
        it.leave()
    await it.ingest.reconcile(BOX)
    async with measuring(it):
        await it.until(lambda: len(measured(it)) == 3)
    assert [message.id for message in measured(it)] == [3, 2, 1]


async def test_more_than_one_lot_is_measured(it: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "BATCH", 1)
    for _ in range(3):
        it.leave()
    await it.ingest.reconcile(BOX)
    async with measuring(it):
        await it.until(lambda: len(measured(it)) == 3)
    assert await waiting(it) == []


async def test_what_cannot_be_measured_holds_up_nothing_and_is_not_tried_again(it: Parts) -> None:
    it.leave()
    it.leave()
    (it.root / "default/100/INBOX/msg0001.wav").rename(it.root / "default/100/INBOX/msg0001.g729")
    await it.ingest.reconcile(BOX)
    async with measuring(it):
        await it.until(lambda: measured(it))
        it.leave(NEXT)
        await it.ingest.reconcile(NEXT)
        await it.until(lambda: len(measured(it)) == 2)
    assert await waiting(it) == []
    assert [found is None for found in await all_levels(it)] == [False, True, False]


async def test_a_message_that_moved_is_looked_for_and_then_measured(it: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "RETRY_S", 0.01)
    left = it.leave()
    await it.ingest.reconcile(BOX)
    it.move(left, Folder.WORK)
    async with it.running(), measuring(it):
        await it.until(lambda: measured(it))
    (message,) = await it.live()
    assert message.folder is Folder.WORK
    assert levels(message) is not None


async def test_a_message_whose_audio_was_written_anew_before_it_was_measured_is_measured(
    it: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "RETRY_S", 0.01)
    it.leave()
    await it.ingest.reconcile(BOX)
    (it.root / "default/100/INBOX/msg0000.wav").write_bytes(voice(2, 7))
    async with it.running(), measuring(it):
        await it.until(lambda: measured(it))
    assert [message.duration for message in measured(it)] == [2]


async def test_what_is_not_where_it_was_is_hinted_at_and_not_asked_for_again_and_again(
    it: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints: list[Mailbox] = []
    monkeypatch.setattr(it.ingest, "hint", hints.append)
    left = it.leave()
    await it.ingest.reconcile(BOX)
    it.move(left)
    async with measuring(it):
        it.leave(NEXT)
        await it.ingest.reconcile(NEXT)
        await it.until(lambda: measured(it))
        for _ in range(100):
            await waiting(it)  # as often as it could have asked meanwhile
    assert set(hints) == {BOX}
    assert len(hints) <= 5


async def test_a_message_that_is_gone_is_not_waited_for(it: Parts) -> None:
    it.leave()
    await it.ingest.reconcile(BOX)
    for path in (it.root / "default/100/INBOX").iterdir():
        path.unlink()
    async with it.running(), measuring(it):
        await it.told("message.deleted")
        it.leave(NEXT)
        it.ingest.hint(NEXT)
        await it.until(lambda: measured(it))
    assert [message.mailbox for message in measured(it)] == [NEXT]


async def test_audio_that_we_hold_is_measured_where_it_lies(it: Parts) -> None:
    name = "0b5f6c1e-6a67-5d9b-8f43-2f1f3f4c5d6e.wav"
    with media_of(it).writing(name) as draft:
        draft.write(voice(0.1, 1))
    await held(it, name)
    async with measuring(it):
        await it.told("message.updated")
    (found,) = await all_levels(it)
    assert found is not None


async def test_audio_that_we_should_hold_and_do_not_keeps_nobody_waiting(it: Parts) -> None:
    it.leave()
    await it.ingest.reconcile(BOX)
    await held(it, *(f"0b5f6c1e-6a67-5d9b-8f43-{number:012x}.wav" for number in range(measure.BATCH + 1)))
    async with measuring(it):
        await it.told("message.updated")
    assert await waiting(it) == []
