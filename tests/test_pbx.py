import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import pytest
import time_machine

from service.ami import Ami
from service.errors import ConflictError, NotFoundError, UnavailableError
from service.media import Media
from service.model import Counts, Folder, Mailbox, Message, Status
from service.pbx import Pbx
from service.simulator.boxes import Box
from service.simulator.disk import run
from service.simulator.exchange import Delays
from service.simulator.pbx import Simulator
from service.simulator.tone import voice
from service.store import held
from tests.ami.harness import SOON, Heard
from tests.ami.pbx import SECRET, Peer, playing
from tests.parts import BOX, NEXT, OTHER, Parts, parts

AT_ONCE = Delays(mwi=0, cdr=0, boot=0)
BOXES = (Box(BOX), Box(NEXT), Box(OTHER), Box(Mailbox("default", "2"), maxmsg=2))
SMALL = BOXES[3].mailbox


@dataclass
class Switchboard:
    """A PBX, what the daemon knows of it, and what it may ask of it."""

    sim: Simulator
    it: Parts
    pbx: Pbx

    async def leave(self, mailbox: Mailbox = BOX, *, urgent: bool = False, msg_id: str | None = None) -> str:
        left = await self.sim.leave(mailbox, seconds=0.1, urgent=urgent, msg_id=msg_id)
        assert left is not None
        return left.msg_id

    async def known(self) -> list[Message]:
        """All messages, after a look at every mailbox."""
        await self.it.ingest.everything()
        return await self.it.live()

    async def statuses(self) -> list[tuple[str, Status]]:
        return [(message.folder.value, message.status) for message in await self.it.live()]


@asynccontextmanager
async def connected(port: int, secret: str) -> AsyncIterator[Ami]:
    heard = Heard()
    ami = Ami(
        host="127.0.0.1",
        port=port,
        username="voicemaild",
        secret=secret,
        on_event=heard.on_event,
        on_state=heard.on_state,
        limits=SOON,
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ami.run())
        try:
            await heard.connected()
            yield ami
        finally:
            task.cancel()


def asking(it: Parts, ami: Ami | None, *, trash_days: int = 7) -> Pbx:
    return Pbx(it.store, it.ingest, ami, spool=it.root, media=media(it), trash_days=trash_days)


def media(it: Parts) -> Media:
    return Media(it.root.with_name("media"))


@asynccontextmanager
async def switchboard(folder: Path, version: int = 22, *, write_back: bool = True) -> AsyncIterator[Switchboard]:
    async with (
        asyncio.timeout(60),
        parts(folder) as it,
        Simulator(it.root, boxes=BOXES, version=version, delays=AT_ONCE) as sim,
        connected(sim.port, sim.secret) as ami,
    ):
        yield Switchboard(sim, it, asking(it, ami if write_back else None))


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Switchboard]:
    async with switchboard(tmp_path) as board:
        yield board


async def test_a_message_that_is_marked_read_lies_in_old_when_it_returns(board: Switchboard) -> None:
    msg_id = await board.leave()
    (message,) = await board.known()
    assert await board.pbx.mark_read([message]) == 1
    assert board.sim.spool.msg_ids(BOX, "Old") == [msg_id]
    assert board.sim.spool.counts(BOX) == Counts(old=1)
    assert await board.it.badges() == {BOX: Counts(old=1)}
    assert board.it.types()[-2:] == ["message.updated", "unread"]
    (after,) = await board.it.live()
    assert (after.id, after.folder, after.local_status) == (message.id, Folder.OLD, None)


async def test_many_of_many_mailboxes_and_folders_are_marked_at_once(board: Switchboard) -> None:
    for box in (BOX, NEXT, OTHER):
        for urgent in (False, True, False):
            await board.leave(box, urgent=urgent)
    assert await board.pbx.mark_read(await board.known()) == 9
    assert set(await board.statuses()) == {("Old", Status.READ)}
    assert await board.it.badges() == {box: Counts(old=3) for box in (BOX, NEXT, OTHER)}


async def test_of_several_only_those_that_are_wanted_are_marked(board: Switchboard) -> None:
    ids = [await board.leave() for _ in range(3)]
    messages = await board.known()
    await board.pbx.mark_read([messages[1]])
    assert board.sim.spool.msg_ids(BOX) == [ids[0], ids[2]]
    assert [status for _folder, status in await board.statuses()] == [Status.UNREAD, Status.READ, Status.UNREAD]


async def test_nothing_to_mark_is_no_work(board: Switchboard) -> None:
    assert await board.pbx.mark_read([]) == 0
    assert board.it.records == []


async def test_what_somebody_has_moved_or_removed_meanwhile_is_no_failure(board: Switchboard) -> None:
    first, second, third = [await board.leave() for _ in range(3)]
    messages = await board.known()
    assert await board.sim.move(BOX, first, "Work")
    assert await board.sim.remove(BOX, second)
    assert await board.sim.move(BOX, third, "Urgent")
    assert await board.pbx.mark_read(messages) == 3
    assert sorted(await board.statuses()) == [("Old", Status.READ), ("Work", Status.READ)]


async def test_copies_in_the_same_mailbox_are_marked_with_the_message(board: Switchboard) -> None:
    """Its owner has forwarded it to himself: one message, which is read once no copy is unread."""
    msg_id = await board.leave()
    for _ in range(2):
        assert await board.sim.forward(BOX, msg_id, BOX)
    (message,) = await board.known()
    await board.pbx.mark_read([message])
    assert board.sim.spool.counts(BOX) == Counts(old=3)
    assert await board.it.badges() == {BOX: Counts(old=1)}


async def test_more_copies_than_it_goes_after_are_told(board: Switchboard) -> None:
    msg_id = await board.leave()
    for _ in range(3):
        assert await board.sim.forward(BOX, msg_id, BOX)
    (message,) = await board.known()
    with pytest.raises(ConflictError, match="did not move 1 of 1"):
        await board.pbx.mark_read([message])
    assert (await board.it.badges())[BOX].new == 1


async def test_a_move_that_failed_with_success_is_told_and_what_was_marked_before_stays(board: Switchboard) -> None:
    """Old is full: Asterisk answers `Success`, and `Message move failed`."""
    old = await board.leave(SMALL)
    assert await board.sim.move(SMALL, old, "Old")
    first, second = [await board.leave(SMALL) for _ in range(2)]
    messages = [message for message in await board.known() if message.status is Status.UNREAD]
    with pytest.raises(ConflictError, match=r"did not move 1 of 2 messages of 2@default to Old \(.*failed.*full"):
        await board.pbx.mark_read(messages)
    assert board.sim.spool.msg_ids(SMALL) == [first]
    assert board.sim.spool.msg_ids(SMALL, "Old") == [old, second]
    assert await board.it.badges() == {SMALL: Counts(new=1, old=2)}


async def test_a_mailbox_whose_old_is_full_keeps_no_other_from_being_marked(board: Switchboard) -> None:
    for _ in range(2):
        assert await board.sim.move(SMALL, await board.leave(SMALL), "Old")
    for box in (BOX, SMALL, OTHER):
        await board.leave(box)
    with pytest.raises(ConflictError, match="did not move 1 of 1 messages of 2@default to Old"):
        await board.pbx.mark_read([message for message in await board.known() if message.status is Status.UNREAD])
    assert await board.it.badges() == {BOX: Counts(old=1), SMALL: Counts(new=1, old=2), OTHER: Counts(old=1)}


async def test_a_message_without_a_msg_id_is_marked_here_alone(board: Switchboard) -> None:
    """The PBX could not be told which one is meant; the others are moved."""
    await board.leave(msg_id="")
    await board.leave()
    then = time.time() - 60
    os.utime(board.it.root / "default/100/INBOX/msg0000.txt", (then, then))
    assert await board.pbx.mark_read(await board.known()) == 2
    assert sorted(await board.statuses()) == [("INBOX", Status.READ), ("Old", Status.READ)]
    assert board.sim.spool.counts(BOX) == Counts(new=1, old=1)
    assert await board.it.badges() == {BOX: Counts(old=2)}


@pytest.mark.parametrize(("version", "write_back"), [(16, True), (22, False)])
async def test_where_the_pbx_cannot_or_shall_not_be_told_the_status_is_kept_here(
    tmp_path: Path, *, version: int, write_back: bool
) -> None:
    async with switchboard(tmp_path, version, write_back=write_back) as board:
        await board.leave()
        messages = await board.known()
        assert await board.pbx.mark_read(messages) == 1
        assert await board.statuses() == [("INBOX", Status.READ)]
        assert board.sim.spool.counts(BOX) == Counts(new=1)
        assert await board.it.badges() == {BOX: Counts(old=1)}


async def without_rights(peer: Peer) -> None:
    """A PBX whose list lacks what we may not use, as Asterisk's does."""
    await peer.accept()
    while True:
        action = await peer.expect("ListCommands", "VoicemailMove")
        if action["Action"] == "ListCommands":
            peer.answer(action, Ping="Keepalive command.")
        else:
            peer.answer(action, "Error", Message="Permission denied")


async def test_without_the_right_to_nothing_is_marked_and_it_is_told_which_one(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(60),
        parts(tmp_path) as it,
        playing(without_rights) as pbx,
        connected(pbx.port, SECRET) as ami,
    ):
        it.leave()
        await it.ingest.everything()
        with pytest.raises(ConflictError, match="add `user` to `write`"):
            await asking(it, ami).mark_read(await it.live())
        assert await it.badges() == {BOX: Counts(new=1)}
        assert all("ID" not in action for action in pbx.peers[0].actions)


async def test_a_pbx_that_is_away_is_unavailable_and_nothing_is_marked(tmp_path: Path) -> None:
    async with asyncio.timeout(60), parts(tmp_path) as it, AsyncExitStack() as there:
        sim = await there.enter_async_context(Simulator(it.root, boxes=BOXES, delays=AT_ONCE))
        async with connected(sim.port, sim.secret) as ami:
            it.leave()
            await it.ingest.everything()
            await there.aclose()
            with pytest.raises(UnavailableError):
                await asking(it, ami).mark_read(await it.live())
        assert await it.badges() == {BOX: Counts(new=1)}


async def deleted(board: Switchboard, uuid: str) -> Message:
    return await board.it.store.read(lambda conn: held.deleted(conn, None, uuid))


async def test_what_is_marked_unread_lies_in_inbox_when_it_returns(board: Switchboard) -> None:
    msg_id = await board.leave()
    await board.pbx.mark_read(await board.known())
    assert await board.pbx.mark_unread(await board.known()) == 1
    assert board.sim.spool.msg_ids(BOX, "INBOX") == [msg_id]
    assert await board.it.badges() == {BOX: Counts(new=1)}


async def test_a_read_mark_kept_here_is_taken_back_here(tmp_path: Path) -> None:
    async with switchboard(tmp_path, version=16) as board:
        await board.leave()
        await board.pbx.mark_read(await board.known())
        await board.pbx.mark_unread(await board.known())
        assert await board.it.badges() == {BOX: Counts(new=1)}


async def test_an_unread_mark_kept_here_is_taken_back_here_by_a_pbx_that_can_be_told(board: Switchboard) -> None:
    """`write_back` was off then, say, or the PBX an older one."""
    msg_id = await board.leave()
    await board.pbx.mark_read(await board.known())
    await asking(board.it, None).mark_unread(await board.known())
    assert await board.it.badges() == {BOX: Counts(new=1)}
    assert await board.pbx.mark_read(await board.known()) == 1
    assert await board.it.badges() == {BOX: Counts(old=1)}
    assert board.sim.spool.msg_ids(BOX, "Old") == [msg_id]


async def test_a_deleted_message_is_gone_from_the_pbx_and_the_others_stay(board: Switchboard) -> None:
    for _ in range(3):
        await board.leave()
    first, second, third = await board.known()
    assert await board.pbx.delete([first, third]) == 2
    assert board.sim.spool.msg_ids(BOX, "INBOX") == [second.msg_id]
    assert [message.msg_id for message in await board.known()] == [second.msg_id]
    assert board.it.types().count("message.deleted") == 2
    assert await board.it.badges() == {BOX: Counts(new=1)}


async def test_a_deletion_is_undone_from_what_was_kept_and_the_pbx_stays_without_it(board: Switchboard) -> None:
    await board.leave()
    [message] = await board.known()
    assert message.audio is not None
    sound = (board.it.root / "default/100/INBOX/msg0000.wav").read_bytes()
    await board.pbx.delete([message])
    restored = await board.pbx.restore(await deleted(board, message.uuid))
    assert (restored.id, restored.uuid, restored.folder) == (message.id, message.uuid, Folder.INBOX)
    assert restored.held is not None
    fd, _file = media(board.it).open(restored.held)
    with FileIO(fd) as kept:
        assert kept.read() == sound
    assert await board.it.badges() == {BOX: Counts(new=1)}
    await board.it.ingest.everything()
    assert [one.uuid for one in await board.known()] == [message.uuid]
    assert board.sim.spool.msg_ids(BOX, "INBOX") == []


async def test_of_audio_that_somebody_wrote_anew_in_its_place_that_is_kept_which_is_there(board: Switchboard) -> None:
    await board.leave()
    [message] = await board.known()
    (board.it.root / "default/100/INBOX/msg0000.wav").write_bytes(voice(2, 7))
    await board.pbx.delete([message])
    restored = await board.pbx.restore(await deleted(board, message.uuid))
    assert restored.held is not None
    fd, file = media(board.it).open(restored.held)
    with FileIO(fd):
        assert file.size == len(voice(2, 7))


async def test_a_restored_message_is_marked_and_deleted_here_and_restored_again(board: Switchboard) -> None:
    await board.leave()
    [message] = await board.known()
    await board.pbx.delete([message])
    await board.pbx.restore(await deleted(board, message.uuid))
    await board.pbx.mark_read(await board.known())
    assert await board.it.badges() == {BOX: Counts(old=1)}
    await board.pbx.delete(await board.known())
    assert await board.known() == []
    again = await board.pbx.restore(await deleted(board, message.uuid))
    assert (again.uuid, again.status) == (message.uuid, Status.READ)


async def test_without_a_trash_a_deletion_cannot_be_undone(board: Switchboard) -> None:
    await board.leave()
    [message] = await board.known()
    ami = board.pbx._ami
    await asking(board.it, ami, trash_days=0).delete([message])
    with pytest.raises(NotFoundError):
        await deleted(board, message.uuid)
    assert media(board.it).names() == []


async def test_without_a_trash_what_we_hold_goes_at_once_with_its_audio(board: Switchboard) -> None:
    await board.leave()
    [message] = await board.known()
    await board.pbx.delete([message])
    restored = await board.pbx.restore(await deleted(board, message.uuid))
    assert media(board.it).names() == [restored.held]
    await asking(board.it, board.pbx._ami, trash_days=0).delete([restored])
    assert media(board.it).names() == []
    assert await board.known() == []
    with pytest.raises(NotFoundError):
        await deleted(board, message.uuid)


async def test_without_a_trash_what_is_deleted_here_alone_stays_deleted(tmp_path: Path) -> None:
    async with switchboard(tmp_path, version=16) as board:
        await board.leave()
        [message] = await board.known()
        final = asking(board.it, board.pbx._ami, trash_days=0)
        await final.delete([message])
        with pytest.raises(NotFoundError):
            await final.restore(await deleted(board, message.uuid))


async def test_on_an_old_pbx_a_message_is_deleted_here_alone_and_can_be_restored(tmp_path: Path) -> None:
    async with switchboard(tmp_path, version=16) as board:
        msg_id = await board.leave()
        await board.leave()
        first, second = await board.known()
        await board.pbx.delete([first])
        assert msg_id in board.sim.spool.msg_ids(BOX, "INBOX")
        await board.it.ingest.everything()
        assert [one.uuid for one in await board.known()] == [second.uuid]
        await board.sim.move(str(BOX), msg_id, "Old")  # by somebody on the phone
        await board.it.ingest.reconcile(BOX)
        assert [one.uuid for one in await board.known()] == [second.uuid]
        restored = await board.pbx.restore(await deleted(board, first.uuid))
        assert (restored.folder, restored.held) == (Folder.OLD, None)
        assert await board.it.badges() == {BOX: Counts(new=1, old=1)}


async def test_what_was_deleted_here_alone_and_then_left_the_spool_cannot_be_restored(tmp_path: Path) -> None:
    async with switchboard(tmp_path, write_back=False) as board:
        msg_id = await board.leave()
        [message] = await board.known()
        await board.pbx.delete([message])
        deletions = board.it.types().count("message.deleted")
        await board.sim.remove(str(BOX), msg_id)
        await board.it.ingest.reconcile(BOX)
        assert board.it.types().count("message.deleted") == deletions
        with pytest.raises(NotFoundError):
            await deleted(board, message.uuid)


async def without_success(peer: Peer) -> None:
    """A PBX that says Success and removes nothing, as Asterisk does where it fails."""
    await peer.accept()
    while True:
        action = await peer.expect("ListCommands", "VoicemailRemove")
        if action["Action"] == "ListCommands":
            peer.answer(action, VoicemailRemove="Remove Voicemail from mailbox folder.")
        else:
            peer.answer(action, Message="Message remove failed")


async def test_a_message_that_the_pbx_does_not_remove_stays_and_is_told_of(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(60),
        parts(tmp_path) as it,
        playing(without_success) as pbx,
        connected(pbx.port, SECRET) as ami,
    ):
        it.leave()
        await it.ingest.everything()
        with pytest.raises(ConflictError, match=r"did not remove 1 of 1 .*Message remove failed"):
            await asking(it, ami).delete(await it.live())
        assert await it.badges() == {BOX: Counts(new=1)}


async def test_what_was_kept_of_a_message_that_is_not_removed_goes_again(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(60),
        parts(tmp_path) as it,
        playing(without_success) as pbx,
        connected(pbx.port, SECRET) as ami,
    ):
        left = it.leave()
        await it.ingest.everything()
        [message] = await it.live()
        with pytest.raises(ConflictError):
            await asking(it, ami).delete([message])
        assert media(it).names() == []
        assert run(it.writer.remove_steps(left.mailbox, left.msg_id, left.folder))  # by its owner, on the phone
        await it.ingest.reconcile(BOX)
        with pytest.raises(NotFoundError):
            await it.store.read(lambda conn: held.deleted(conn, None, message.uuid))


async def test_what_is_kept_of_a_message_is_its_own_voice_also_after_a_renumbering(board: Switchboard) -> None:
    for _ in range(2):
        await board.leave()
    first, second = await board.known()
    sounds = [(board.it.root / f"default/100/INBOX/msg{number:04d}.wav").read_bytes() for number in range(2)]
    await board.sim.remove(str(BOX), first.msg_id)  # nobody has looked at the mailbox since
    await board.pbx.delete([second])
    restored = await board.pbx.restore(await deleted(board, second.uuid))
    assert restored.held is not None
    fd, _file = media(board.it).open(restored.held)
    with FileIO(fd) as kept:
        assert kept.read() == sounds[1] != sounds[0]


async def test_a_deletion_can_be_undone_for_so_many_days(board: Switchboard) -> None:
    await board.leave()
    [message] = await board.known()
    await board.pbx.delete([message])
    trashed = await deleted(board, message.uuid)
    with time_machine.travel(time.time() + 7 * 24 * 3600, tick=True), pytest.raises(NotFoundError):
        await board.pbx.restore(trashed)
    with time_machine.travel(time.time() + 7 * 24 * 3600 - 3600, tick=True):
        assert (await board.pbx.restore(trashed)).uuid == message.uuid


async def test_a_restored_message_that_the_pbx_has_again_is_played_from_the_spool(board: Switchboard) -> None:
    """Its owner's backup was put back, say; what we held of it is nobody's, and retention sweeps it."""
    await board.leave()
    [message] = await board.known()
    inbox = board.it.root / "default/100/INBOX"
    files = {file.name: file.read_bytes() for file in inbox.glob("msg*")}
    await board.pbx.delete([message])
    await board.pbx.mark_read([await board.pbx.restore(await deleted(board, message.uuid))])
    for name, content in files.items():
        (inbox / name).write_bytes(content)
    [back] = await board.known()
    assert (back.id, back.uuid, back.held) == (message.id, message.uuid, None)
    assert await board.it.badges() == {BOX: Counts(new=1)}
    names = media(board.it).names()
    assert len(names) == 1
    assert await board.it.store.read(lambda conn: held.needed(conn, names)) == set()
    await board.pbx.delete([back])
    assert board.sim.spool.msg_ids(BOX, "INBOX") == []
    assert (await board.pbx.restore(await deleted(board, message.uuid))).held == names[0]


async def test_nothing_is_deleted_where_its_audio_cannot_be_kept(board: Switchboard) -> None:
    await board.leave()
    media(board.it).root.write_text("a file in the way")
    with pytest.raises(UnavailableError, match="cannot be written"):
        await board.pbx.delete(await board.known())
    assert await board.it.badges() == {BOX: Counts(new=1)}
    assert len(board.sim.spool.msg_ids(BOX, "INBOX")) == 1
