import asyncio
import logging
import os
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import pytest

from service import retention as module
from service.cdr.event import leg_of_event
from service.cdr.times import LocalTimes
from service.errors import ConflictError, NotFoundError, UnavailableError
from service.media import Media
from service.model import Counts, Message
from service.pbx import Pbx
from service.retention import DAY_S, Retention
from service.settings import Retention as Days
from service.store import calls, held, journal, messages
from tests.parts import BOX, NEXT, OTHER, Parts, parts

INTERNAL = re.compile(r"^\d{2,6}$")
LONG_AGO = "0b5f6c1e-6a67-5d9b-8f43-2f1f3f4c5d6e.wav"


@dataclass
class House:
    """A spool and a store, what is kept beside them, and the time, which can be put forward by days."""

    it: Parts
    media: Media
    days_on: float = 0

    def retention(self, **days: int) -> Retention:
        return Retention(self.it.store, self.pbx(trash_days=0), self.media, Days(**days), self.clock)

    def pbx(self, *, trash_days: int = 7) -> Pbx:
        return Pbx(self.it.store, self.it.ingest, None, spool=self.it.root, media=self.media, trash_days=trash_days)

    def clock(self) -> float:
        return BEGAN + self.days_on * DAY_S


BEGAN = 4_000_000_000.0
"""Far in the future, so that whatever the store dates by its own clock is older."""


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(module, "BREATH_S", 0)
    async with asyncio.timeout(60), parts(tmp_path) as it:
        yield House(it, Media(tmp_path / "media"))


async def types(it: Parts) -> list[str]:
    """What the journal still tells of."""
    found = await it.store.read(lambda conn: conn.execute("SELECT type FROM journal ORDER BY seq").fetchall())
    return [record_type for (record_type,) in found]


async def trashed(house: House) -> Message:
    """A message that is in the trash: it was uploaded to us, and deleted."""
    house.it.leave()
    await house.it.ingest.everything()
    [message] = await house.it.live()
    name = f"{message.uuid}.wav"
    with house.media.writing(name) as draft:
        draft.write(b"sound")
    await house.it.store.write(lambda tx: held.keep(tx, [(message.id, name)]))
    (house.it.root / "default/100/INBOX/msg0000.txt").unlink()
    await house.it.ingest.reconcile(BOX)
    return message


async def test_a_deletion_can_be_undone_as_long_as_the_trash_is_kept_and_not_longer(house: House) -> None:
    message = await trashed(house)
    house.days_on = -(BEGAN - message.envelope.origtime) / DAY_S  # the present
    await house.retention(trash_days=7).prune()
    assert house.media.names() == [f"{message.uuid}.wav"]
    house.days_on += 8
    await house.retention(trash_days=7).prune()
    assert house.media.names() == []
    with pytest.raises(NotFoundError):
        await house.it.store.read(lambda conn: held.deleted(conn, None, message.uuid))


async def test_files_that_nobody_needs_are_removed_once_they_are_old(house: House) -> None:
    message = await trashed(house)
    for name in (LONG_AGO, f"{LONG_AGO}.new"):
        (house.media.root / name).write_bytes(b"x")
        os.utime(house.media.root / name, (1, 1))
    (house.media.root / "being-written.new").write_bytes(b"x")
    os.utime(house.media.root / "being-written.new", (BEGAN, BEGAN))
    await house.retention(trash_days=36500).prune()
    assert sorted(house.media.names()) == sorted([f"{message.uuid}.wav", "being-written.new"])


async def test_old_messages_go_and_a_day_later_what_the_journal_told_of_them(house: House) -> None:
    for number in range(3):
        house.it.leave(msg_id=f"{1000 + number}-0000000{number}")
    await house.it.ingest.everything()
    await house.retention(messages_days=0).prune()
    assert len(await house.it.live()) == 3
    house.days_on = 0
    await house.retention(messages_days=1).prune()
    assert await house.it.live() == []
    assert await house.it.badges() == {}
    assert house.it.types().count("message.deleted") == 3
    assert {kind for kind in await types(house.it) if kind.startswith("message")} <= {"message.deleted"}


async def test_a_message_that_stays_in_the_spool_is_remembered_as_deleted(house: House) -> None:
    """The PBX cannot be told here: the message is hidden, and must not come back with the next look."""
    house.it.leave()
    await house.it.ingest.everything()
    await house.retention(messages_days=1).prune()
    await house.it.ingest.everything()
    assert await house.it.live() == []


async def test_what_is_young_enough_stays(house: House) -> None:
    house.it.leave()
    await house.it.ingest.everything()
    [message] = await house.it.live()
    house.days_on = -(BEGAN - message.envelope.origtime) / DAY_S + 29
    await house.retention(messages_days=30, calls_days=30).prune()
    assert [one.id for one in await house.it.live()] == [message.id]
    assert await house.it.badges() == {BOX: Counts(new=1)}


async def test_old_calls_go_with_what_the_journal_told_of_them(house: House) -> None:
    fields = defaultdict(
        str,
        Source="15551234567",
        Destination="100",
        Channel="PJSIP/trunk-1",
        StartTime="2026-11-20 21:50:47",
        EndTime="2026-11-20 21:50:52",
        UniqueID="1795211447.1",
    )
    leg = leg_of_event(fields.__getitem__, LocalTimes(UTC))
    await house.it.store.write(lambda tx: calls.record(tx, [leg], INTERNAL))
    await house.retention(calls_days=0).prune()
    assert "call.new" in await types(house.it)
    await house.retention(calls_days=30).prune()
    assert await house.it.store.read(lambda conn: calls.load(conn, [1])) == []
    assert "call.new" not in await types(house.it)
    assert (await house.it.store.read(journal.bounds))[1] > 0


@asynccontextmanager
async def running(retention: Retention) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(retention.run())
        try:
            yield
        finally:
            task.cancel()


class AwayPbx(Pbx):
    """One that cannot be reached, at first."""

    tries = 0

    async def delete(self, wanted: Sequence[Message]) -> int:
        self.tries += 1
        if self.tries == 1:
            raise UnavailableError("the PBX is away")
        return await super().delete(wanted)


class StubbornPbx(Pbx):
    """One that does not remove what lies in one mailbox."""

    async def delete(self, wanted: Sequence[Message]) -> int:
        if any(message.mailbox == BOX for message in wanted):
            raise ConflictError(f"the PBX did not remove {len(wanted)} messages of {BOX}")
        return await super().delete(wanted)


async def test_a_mailbox_that_cannot_be_pruned_keeps_no_other_from_being(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    for number, mailbox in enumerate((BOX, BOX, BOX, NEXT, OTHER)):
        house.it.leave(mailbox, msg_id=f"{1000 + number}-0000000{number}")
    await house.it.ingest.everything()
    pbx = StubbornPbx(house.it.store, house.it.ingest, None, spool=house.it.root, media=house.media)
    with pytest.raises(ConflictError, match="100@default"):
        await Retention(house.it.store, pbx, house.media, Days(messages_days=1), house.clock).prune()
    assert [message.mailbox for message in await house.it.live()] == [BOX] * 3


async def test_what_cannot_be_pruned_now_is_pruned_the_next_time(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0)
    caplog.set_level(logging.INFO)
    house.it.leave()
    await house.it.ingest.everything()
    pbx = AwayPbx(house.it.store, house.it.ingest, None, spool=house.it.root, media=house.media)
    async with running(Retention(house.it.store, pbx, house.media, Days(messages_days=1), house.clock)):
        await house.it.told("message.deleted")
    assert "could be pruned" in caplog.text
    assert await house.it.store.read(lambda conn: messages.by_ids(conn, [1])) == []
