"""Uploads, as the dialect asks for them: a slot, filled once with what was promised, becomes a message."""

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

import pytest

from service.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from service.media import Media
from service.model import Counts, Folder, Mailbox, Message, Status
from service.store import connect, held, schema, uploads
from service.store.uploads import MOST_OPEN
from service.uploads import LARGEST, OPUS, VALID_S, WAV, Asked, QuotaError, TooLargeError, Uploads
from tests.parts import BOX, NEXT, Parts, outside, parts
from tests.sounds import encoded, opus, wav, wav_of

NOW = 1_795_211_000


@dataclass
class Desk:
    """Where uploads are handed in, with a clock of its own."""

    it: Parts
    media: Media
    uploads: Uploads = field(init=False)
    now: float = NOW

    def __post_init__(self) -> None:
        self.uploads = Uploads(self.it.store, self.media, outside, lambda: self.now)

    def limit(self, quota: int) -> None:
        """From now on the uploads of a mailbox may take so many bytes."""
        self.uploads = Uploads(self.it.store, self.media, outside, lambda: self.now, quota=quota)

    async def ask(self, content_type: str = WAV, sip_from: str = "sip:998901234567@example.com") -> Asked:
        return await self.uploads.ask(BOX, sip_from, content_type)

    async def fill(self, asked: Asked, content: bytes, size: int = 64 * 1024) -> Message:
        return await self.uploads.fill(asked.secret, pieces(content, size))

    async def open(self) -> int:
        return len(await self.it.store.read(lambda conn: self.uploads.open_slots(conn, BOX)))


async def pieces(content: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def until(content: bytes, then: Callable[[], Awaitable[object]]) -> AsyncIterator[bytes]:
    """Some content, and then something happens before more would come."""
    yield content
    await then()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with asyncio.timeout(60), parts(tmp_path) as it:
        yield Desk(it, Media(tmp_path / "media"))


async def test_a_slot_waits_for_an_hour_for_whoever_knows_its_secret(desk: Desk) -> None:
    asked = await desk.ask()
    assert (asked.slot.mailbox, asked.slot.sip_from, asked.slot.content_type) == (
        BOX,
        "sip:998901234567@example.com",
        WAV,
    )
    assert (asked.slot.created, asked.slot.expires) == (NOW, NOW + VALID_S)
    assert await desk.uploads.slot(asked.secret) == asked.slot
    desk.now += VALID_S - 1
    assert await desk.open() == 1
    desk.now += 1
    with pytest.raises(NotFoundError):
        await desk.uploads.slot(asked.secret)
    with pytest.raises(NotFoundError):
        await desk.fill(asked, wav())
    assert await desk.open() == 0


async def test_secrets_and_ids_are_never_the_same_and_cannot_be_guessed(desk: Desk) -> None:
    asked = [await desk.ask() for _ in range(20)]
    assert len({one.secret for one in asked} | {one.slot.uuid for one in asked}) == 40
    assert min(len(one.secret) for one in asked) >= 43


@pytest.mark.parametrize(
    ("sip_from", "content_type", "wrong"),
    [
        ("alice", WAV, "sip_from"),
        ("", WAV, "sip_from"),
        ("sip:a@b", "audio/mp3", "content_type"),
        ("sip:a@b", "audio/WAV", "content_type"),
    ],
)
async def test_what_is_asked_for_has_to_be_right(desk: Desk, sip_from: str, content_type: str, wrong: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await desk.ask(content_type, sip_from)
    assert caught.value.field == wrong
    assert await desk.open() == 0


async def test_too_many_open_slots_are_a_conflict(desk: Desk) -> None:
    for _ in range(MOST_OPEN):
        await desk.ask()
    with pytest.raises(ConflictError, match="100 uploads open"):
        await desk.ask()


async def test_what_the_uploads_of_a_mailbox_take_together_is_limited(desk: Desk) -> None:
    content = wav(0.5)
    desk.limit(2 * len(content))
    first, second, third = [await desk.ask() for _ in range(3)]
    kept = await desk.fill(first, content)
    await desk.fill(second, content)
    with pytest.raises(QuotaError):
        await desk.fill(third, content)
    assert await desk.open() == 1
    assert len(desk.media.names()) == 2
    with pytest.raises(QuotaError, match="100@default"):
        await desk.ask()
    await desk.uploads.ask(NEXT, "sip:1@example.com", WAV)
    await desk.it.store.write(lambda tx: held.drop(tx, [kept.id]))
    with pytest.raises(QuotaError):  # it lies in the trash
        await desk.fill(third, content)
    await desk.it.store.write(lambda tx: held.forget(tx, [kept.id]))
    await desk.fill(third, content)


@pytest.mark.parametrize(
    ("content_type", "content", "seconds"),
    [
        (WAV, wav(1.25), 1),
        (OPUS, opus(2.5), 2),
        (WAV, encoded("pcm_alaw", "wav"), 1),
        (WAV, encoded("pcm_s24le", "wav"), 1),
    ],
)
async def test_a_filled_slot_is_an_unread_message_with_its_own_audio(
    desk: Desk, content_type: str, content: bytes, seconds: int
) -> None:
    asked = await desk.ask(content_type)
    message = await desk.fill(asked, content, 1000)
    assert (message.uuid, message.mailbox, message.folder, message.status) == (
        asked.slot.uuid,
        BOX,
        Folder.INBOX,
        Status.UNREAD,
    )
    assert (message.envelope.caller_id_number, message.external_number) == ("998901234567", "998901234567")
    assert (message.envelope.origtime, message.duration) == (NOW, seconds)
    assert message.sip_from == asked.slot.sip_from
    assert message.uploaded is not None
    assert message.audio is not None
    assert (message.audio.content_type, message.audio.file.size) == (content_type, len(content))
    assert message.held is not None
    fd, _file = desk.media.open(message.held)
    with FileIO(fd) as kept:
        assert kept.read() == content
    assert stat.S_IMODE((desk.media.root / message.held).stat().st_mode) == 0o600
    assert await desk.it.badges() == {BOX: Counts(new=1)}
    assert desk.it.types() == ["message.new", "unread"]
    assert await desk.open() == 0


@pytest.mark.parametrize(
    ("sip_from", "caller", "external"),
    [
        ("sip:alice@example.com", "alice", None),
        ("sip:101@pbx1", "101", None),
        ("sip:+998-90-123-45-67@example.com;user=phone", "+998901234567", "+998901234567"),
        ("sips:example.com", "", None),
    ],
)
async def test_the_caller_is_whom_the_address_shows(
    desk: Desk, sip_from: str, caller: str, external: str | None
) -> None:
    message = await desk.fill(await desk.ask(sip_from=sip_from), wav())
    assert (message.envelope.caller_id_number, message.external_number) == (caller, external or outside(caller))


WRONG = [
    pytest.param(WAV, opus(), id="opus for wav"),
    pytest.param(OPUS, wav(), id="wav for opus"),
    pytest.param(WAV, b"", id="nothing for wav"),
    pytest.param(OPUS, b"", id="nothing for opus"),
    pytest.param(WAV, b"<html><script>alert(1)</script></html>" * 10, id="a page"),
    pytest.param(WAV, wav()[:44], id="a header without sound"),
    pytest.param(WAV, wav()[:30], id="half a header"),
    pytest.param(WAV, wav()[:-100], id="wav cut off"),
    pytest.param(OPUS, opus()[:-1], id="opus cut off"),
    pytest.param(OPUS, opus()[: opus().rindex(b"OggS")][:100], id="the headers of opus"),
    pytest.param(WAV, wav().replace(b"WAVE", b"AVI ", 1), id="a film"),
    pytest.param(WAV, wav().replace(b"\x40\x1f\0\0", bytes(4), 1), id="a rate of 0"),
    pytest.param(OPUS, encoded("libvorbis", "ogg"), id="vorbis"),
    pytest.param(OPUS, encoded("libopus", "webm"), id="webm"),
    pytest.param(WAV, encoded("libmp3lame", "mp3"), id="mp3"),
    pytest.param(WAV, encoded("libmp3lame", "wav"), id="mp3 in wav"),
]


@pytest.mark.parametrize(("content_type", "content"), WRONG)
async def test_other_content_is_refused_leaves_nothing_and_does_not_use_the_slot_up(
    desk: Desk, content_type: str, content: bytes
) -> None:
    asked = await desk.ask(content_type)
    with pytest.raises(InvalidInputError) as caught:
        await desk.fill(asked, content)
    assert caught.value.field == "file"
    assert desk.media.names() == []
    assert await desk.it.badges() == {}
    assert (await desk.fill(asked, opus() if content_type == OPUS else wav())).uuid == asked.slot.uuid


async def test_the_largest_file_is_taken_and_one_byte_more_is_not(desk: Desk) -> None:
    asked = await desk.ask()
    with pytest.raises(TooLargeError, match="3000000 bytes"):
        await desk.fill(asked, wav_of(LARGEST) + b"\0")
    assert desk.media.names() == []
    assert (await desk.fill(asked, wav_of(LARGEST))).uuid == asked.slot.uuid


async def test_what_has_no_end_is_not_read_to_it(desk: Desk) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)

    with pytest.raises(TooLargeError):
        await desk.uploads.fill((await desk.ask()).secret, endless())


async def test_a_slot_is_filled_once(desk: Desk) -> None:
    asked = await desk.ask()
    await desk.fill(asked, wav())
    with pytest.raises(NotFoundError):
        await desk.fill(asked, wav())
    assert await desk.it.badges() == {BOX: Counts(new=1)}


async def test_of_two_at_the_same_time_one_is_told_to_wait(desk: Desk) -> None:
    asked = await desk.ask()
    half, go = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield wav()[:100]
        half.set()
        await go.wait()
        yield wav()[100:]

    async with asyncio.TaskGroup() as group:
        first = group.create_task(desk.uploads.fill(asked.secret, slowly()))
        await half.wait()
        with pytest.raises(ConflictError, match="at this moment"):
            await desk.fill(asked, wav(2, 2))
        go.set()
    message = first.result()
    assert message.audio is not None
    assert message.audio.file.size == len(wav())
    assert await desk.it.badges() == {BOX: Counts(new=1)}


async def test_a_client_that_goes_away_leaves_nothing_and_may_come_again(desk: Desk) -> None:
    async def gone() -> None:
        raise ConnectionResetError

    asked = await desk.ask()
    with pytest.raises(ConnectionResetError):
        await desk.uploads.fill(asked.secret, until(wav()[:5000], gone))
    assert desk.media.names() == []
    await desk.fill(asked, wav())


async def test_an_upload_that_is_called_off_leaves_nothing_and_may_be_tried_again(desk: Desk) -> None:
    asked = await desk.ask()
    half = asyncio.Event()

    async def wait() -> None:
        half.set()
        await asyncio.Event().wait()

    async def fill() -> Message:
        return await desk.uploads.fill(asked.secret, until(wav()[:5000], wait))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(fill())
        await half.wait()
        task.cancel()
    assert desk.media.names() == []
    await desk.fill(asked, wav())


async def test_a_slot_that_is_given_up_while_it_is_filled_stays_empty(desk: Desk) -> None:
    asked = await desk.ask()

    async def give_up() -> None:
        await desk.uploads.forget(None, asked.slot.uuid)

    async def content() -> AsyncIterator[bytes]:
        yield wav()[:100]
        await give_up()
        yield wav()[100:]

    with pytest.raises(NotFoundError):
        await desk.uploads.fill(asked.secret, content())
    assert desk.media.names() == []
    assert await desk.it.badges() == {}


async def test_a_slot_is_given_up_by_who_may_see_its_mailbox(desk: Desk) -> None:
    asked = await desk.ask()
    with pytest.raises(NotFoundError):
        await desk.uploads.forget(frozenset({NEXT}), asked.slot.uuid)
    await desk.uploads.forget(frozenset({BOX}), asked.slot.uuid)
    with pytest.raises(NotFoundError):
        await desk.uploads.forget(frozenset({BOX}), asked.slot.uuid)
    with pytest.raises(NotFoundError):
        await desk.fill(asked, wav())


async def test_where_nothing_can_be_stored_no_audio_stays_behind(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = await desk.ask()
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0)
    with closing(connect(desk.it.store.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError):
            await desk.fill(asked, wav())
        other.execute("ROLLBACK")
    assert desk.media.names() == []
    await desk.fill(asked, wav())


async def test_where_no_file_can_be_written_it_is_said_and_the_slot_stays(desk: Desk) -> None:
    asked = await desk.ask()
    desk.media.root.write_text("a file in the way")
    with pytest.raises(UnavailableError, match="cannot be written"):
        await desk.fill(asked, wav())
    desk.media.root.unlink()
    await desk.fill(asked, wav())


async def test_uploads_survive_a_restart_and_every_look_at_the_spool(tmp_path: Path) -> None:
    async with asyncio.timeout(60), parts(tmp_path) as it:
        desk = Desk(it, Media(tmp_path / "media"))
        uploaded = await desk.fill(await desk.ask(), wav())
        alone = await desk.uploads.ask(Mailbox("default", "777"), "sip:a@b", WAV)
        await desk.fill(alone, wav())
        left = it.leave()
        await it.ingest.everything()
    async with asyncio.timeout(60), parts(tmp_path) as it:
        await it.ingest.everything()
        it.move(left)
        for mailbox in (BOX, Mailbox("default", "777")):
            await it.ingest.reconcile(mailbox)
        await it.ingest.everything()
        assert await it.badges() == {BOX: Counts(new=1, old=1), Mailbox("default", "777"): Counts(new=1)}
        assert {message.uuid for message in await it.live() if message.held} == {uploaded.uuid, alone.slot.uuid}
        assert "message.deleted" not in it.types()


async def test_no_log_line_tells_the_secret(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        asked = await desk.ask()
        with pytest.raises(InvalidInputError):
            await desk.fill(asked, b"nonsense")
        await desk.fill(asked, wav())
    assert f"voicemail uploaded mailbox=100@default uuid={asked.slot.uuid}" in caplog.text
    assert asked.secret not in caplog.text
    assert uploads.digest(asked.secret).hex() not in caplog.text
