"""A mailbox that holds many messages: only what is new in it is read, and nothing is overlooked for that."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.model import Counts, Folder
from service.simulator.disk import run
from service.simulator.visit import MailboxVisit
from tests.parts import BOX, Parts, parts


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[Parts]:
    """A mailbox with enough in it to be remembered, that was looked at and holds nothing new."""
    async with asyncio.timeout(60), parts(tmp_path) as it:
        for _ in range(60):
            it.leave()
        await it.ingest.reconcile(BOX)
        it.scanner.scans.clear()
        yield it


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
