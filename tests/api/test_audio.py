"""Audio over HTTP: the right bytes to the right people, and no other file whatever is asked."""

import struct
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.model import Folder, Message
from service.store import held as store_held
from tests.api.site import BOX, OTHER_BOX, Site, at, write_wav
from tests.audio.files import RECORDINGS
from tests.descriptors import no_more_open_than, open_files

SAMPLES = range(-8000, 8000)
WHOLE = 44 + 2 * len(SAMPLES)


async def link_of(site: Site, message: Message) -> str:
    records = (await site.ask("/message-voice?per_page=300")).json["data"]
    return str(next(record["recorded_file_url"] for record in records if record["id"] == message.id))


@pytest.fixture
async def message(site: Site) -> Message:
    return await site.leave(samples=SAMPLES, time=at("2026-01-13T17:30:00"))


def bytes_of(site: Site, message: Message, folder: Folder = Folder.INBOX) -> bytes:
    box = message.mailbox
    return (site.spool / box.context / box.extension / folder / f"msg{message.msgnum:04d}.wav").read_bytes()


async def test_a_link_gives_the_files_own_bytes_without_a_token(site: Site, message: Message) -> None:
    answer = await site.ask(await link_of(site, message), None)
    assert answer.status == 200
    assert answer.body == bytes_of(site, message)
    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Length"] == str(WHOLE)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    name = 'inline; filename="voicemail-20260113-173000-998901234567-to-100.wav"'
    assert answer.headers["Content-Disposition"] == name


@pytest.mark.parametrize(
    ("asked", "first", "last"), [("0-43", 0, 43), ("44-", 44, WHOLE - 1), ("-100", WHOLE - 100, WHOLE - 1)]
)
async def test_a_range_gives_a_part(site: Site, message: Message, asked: str, first: int, last: int) -> None:
    answer = await site.ask(await link_of(site, message), None, headers={"Range": f"bytes={asked}"})
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{WHOLE}"
    assert answer.body == bytes_of(site, message)[first : last + 1]


async def test_a_range_past_the_end_is_416(site: Site, message: Message) -> None:
    answer = await site.ask(await link_of(site, message), None, headers={"Range": f"bytes={WHOLE}-"})
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{WHOLE}")


async def test_head_tells_all_but_the_bytes(site: Site, message: Message) -> None:
    link = await link_of(site, message)
    whole = await site.ask(link, None, "HEAD")
    part = await site.ask(link, None, "HEAD", headers={"Range": "bytes=0-9"})
    assert (whole.status, whole.headers["Content-Length"], whole.body) == (200, str(WHOLE), b"")
    assert (part.status, part.headers["Content-Length"], part.body) == (206, "10", b"")
    assert (await site.ask("/healthz", None)).status == 200  # the connection still speaks HTTP


async def test_what_the_browser_has_is_304(site: Site, message: Message) -> None:
    link = await link_of(site, message)
    tag = (await site.ask(link, None)).headers["ETag"]
    again = await site.ask(link, None, headers={"If-None-Match": tag})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    resumed = await site.ask(link, None, headers={"If-Range": tag, "Range": "bytes=0-9"})
    changed = await site.ask(link, None, headers={"If-Range": '"other"', "Range": "bytes=0-9"})
    assert (resumed.status, changed.status) == (206, 200)
    for wanted, status in ((tag, 206), ("*", 206), ('"other"', 412)):
        resumed = await site.ask(link, None, headers={"If-Match": wanted, "Range": "bytes=0-9"})
        assert resumed.status == status


async def test_the_path_works_with_a_token_that_may_see_the_mailbox(site: Site, message: Message) -> None:
    path = urlsplit(await link_of(site, message)).path
    assert [(await site.ask(path, token)).status for token in ("reader", "box100", "wrong", None)] == [
        200,
        200,
        401,
        401,
    ]
    other = await site.leave(box=OTHER_BOX)
    assert (await site.ask(f"/message-voice/{other.uuid}/audio", "box100")).status == 404


async def test_a_link_for_another_message_or_with_another_end_is_401(site: Site, message: Message) -> None:
    other = await site.leave(box=OTHER_BOX)
    link = await link_of(site, message)
    assert (await site.ask(link.replace(message.uuid, other.uuid), None)).status == 401
    assert (await site.ask(link.replace("expires=", "expires=9"), None)).status == 401
    assert (await site.ask(link[:-1] + ("A" if link[-1] != "A" else "Q"), None)).status == 401
    assert (await site.ask(link.replace("expires=", "expires=9"), "reader")).status == 200


@pytest.mark.parametrize(
    ("name", "status"), [("original", 200), ("wav", 200), ("", 200), ("mp3", 200), ("opus", 200), ("exe", 422)]
)
async def test_the_format_may_be_added_to_a_link(site: Site, message: Message, name: str, status: int) -> None:
    assert (await site.ask(f"{await link_of(site, message)}&format={name}", None)).status == status


@pytest.mark.parametrize(
    "path",
    [
        "/message-voice/../../etc/passwd/audio",
        "/message-voice/%2e%2e%2f%2e%2e%2fetc%2fpasswd/audio",
        "/message-voice/00000000-0000-0000-0000-000000000000/audio",
        "/message-voice/------------------------------------/audio",
        "/message-voice/%00/audio",
        "/message-voice/default%2f100%2fINBOX%2fmsg0000.wav/audio",
    ],
)
async def test_no_other_name_finds_a_file(site: Site, message: Message, path: str) -> None:
    assert (await site.ask(path)).status == 404


async def test_a_message_that_was_moved_a_moment_ago_still_plays(site: Site, message: Message) -> None:
    link = await link_of(site, message)
    expected = bytes_of(site, message)
    box = site.spool / BOX.context / BOX.extension
    (box / "Old").mkdir()
    for suffix in ("wav", "txt"):
        (box / "INBOX" / f"msg0000.{suffix}").rename(box / "Old" / f"msg0000.{suffix}")
    assert (await site.ask(link, None)).body == expected


async def test_after_a_renumbering_nobody_hears_another_callers_voice(site: Site, message: Message) -> None:
    second = await site.leave("222", samples=range(8000))
    links = [await link_of(site, message), await link_of(site, second)]
    expected = bytes_of(site, second)
    inbox = site.spool / BOX.context / BOX.extension / "INBOX"
    for suffix in ("wav", "txt"):
        (inbox / f"msg0000.{suffix}").unlink()
        (inbox / f"msg0001.{suffix}").rename(inbox / f"msg0000.{suffix}")
    first_answer, second_answer = await site.ask(links[0], None), await site.ask(links[1], None)
    assert first_answer.status == 404
    assert (second_answer.status, second_answer.body) == (200, expected)


async def test_audio_that_somebody_wrote_anew_in_its_place_still_plays(site: Site, message: Message) -> None:
    link = await link_of(site, message)
    file = site.spool / BOX.context / BOX.extension / "INBOX" / "msg0000.wav"
    inode = file.stat().st_ino
    write_wav(file, range(24000))
    assert file.stat().st_ino == inode
    answer = await site.ask(link, None)
    assert (answer.status, answer.body) == (200, file.read_bytes())
    (record,) = (await site.ask("/message-voice")).json["data"]
    assert record["duration"] == 3


async def test_a_link_in_the_place_of_the_audio_is_not_followed(site: Site, message: Message, tmp_path: Path) -> None:
    link = await link_of(site, message)
    file = site.spool / BOX.context / BOX.extension / "INBOX" / "msg0000.wav"
    secret = tmp_path / "secret.wav"
    secret.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(secret)
    assert (await site.ask(link, None)).status == 410


async def test_a_message_whose_audio_is_gone_is_410_and_still_in_the_list(site: Site, message: Message) -> None:
    link = await link_of(site, message)
    (site.spool / BOX.context / BOX.extension / "INBOX" / "msg0000.wav").unlink()
    for path in (link, f"{link}&format=mp3", urlsplit(link).path):
        answer = await site.ask(path)
        assert (answer.status, answer.json["message"]) == (410, "The audio of this message is gone.")
    (record,) = (await site.ask("/message-voice")).json["data"]
    assert (record["id"], record["src"], record["recorded_file_url"]) == (message.id, "998901234567", None)


async def test_a_recording_larger_than_one_piece_comes_whole(site: Site) -> None:
    long = await site.leave("333", samples=[number % 30000 for number in range(400_000)])
    answer = await site.ask(await link_of(site, long), None)
    assert len(answer.body) == 800_044
    assert answer.body == bytes_of(site, long)
    assert struct.unpack("<h", answer.body[-2:]) == (399_999 % 30000,)


async def test_no_descriptor_stays_open(site: Site, message: Message) -> None:
    link = await link_of(site, message)
    await site.ask(link, None)
    before = open_files()
    for _ in range(5):
        await site.ask(link, None)
        await site.ask(link, None, "HEAD")
    assert await no_more_open_than(before)


async def held(site: Site, message: Message) -> tuple[str, bytes]:
    """Have us hold the audio of a message that was deleted and restored; its link, and what it sounds like."""
    sound = bytes_of(site, message)
    name = f"{message.uuid}.wav"
    with site.media.writing(name) as draft:
        draft.write(sound)
    await site.store.write(lambda tx: store_held.keep(tx, [(message.id, name)]))
    (site.spool / "default/100/INBOX" / f"msg{message.msgnum:04d}.txt").unlink()
    await site.ingest.reconcile(BOX)
    await site.store.write(lambda tx: store_held.restore(tx, message.id, 7))
    return await link_of(site, message), sound


async def test_audio_that_we_hold_is_played_in_all_or_in_part(site: Site, message: Message) -> None:
    link, sound = await held(site, message)
    (site.spool / "default/100/INBOX/msg0000.wav").unlink()
    whole = await site.ask(link, None)
    assert (whole.status, whole.body, whole.headers["Content-Type"]) == (200, sound, "audio/wav")
    assert whole.headers["Content-Disposition"].endswith('voicemail-20260113-173000-998901234567-to-100.wav"')
    part = await site.ask(link, None, headers={"Range": "bytes=44-99"})
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, sound[44:100], f"bytes 44-99/{WHOLE}")
    assert (await site.ask(link, None, headers={"Range": f"bytes={WHOLE}-"})).status == 416
    assert (await site.ask(link, None, headers={"If-None-Match": whole.headers["ETag"]})).status == 304
    head = await site.ask(link, None, "HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(WHOLE), b"")
    converted = await site.ask(f"{link}&format=mp3", None)
    assert (converted.status, converted.headers["Content-Type"]) == (200, "audio/mpeg"), converted.body
    assert (await site.ask(link.partition("?")[0], "box100")).body == sound
    assert (await site.ask(link.partition("?")[0], None)).status == 401


async def test_audio_that_we_hold_is_converted_where_no_browser_plays_it(site: Site) -> None:
    """Most PBXs record what browsers do not play: a deletion that was undone must be heard, too."""
    message = await site.leave(sound=RECORDINGS / "message-22.gsm")
    name = f"{message.uuid}.gsm"
    with site.media.writing(name) as draft:
        draft.write((RECORDINGS / "message-22.gsm").read_bytes())
    await site.store.write(lambda tx: store_held.keep(tx, [(message.id, name)]))
    for file in (site.spool / "default/100/INBOX").iterdir():
        file.unlink()
    await site.ingest.reconcile(BOX)
    await site.store.write(lambda tx: store_held.restore(tx, message.id, 7))
    answer = await site.ask(await link_of(site, message), None)
    assert (answer.status, answer.headers["Content-Type"], answer.body[:4]) == (200, "audio/wav", b"RIFF")


async def test_audio_that_we_should_hold_and_do_not_is_410(site: Site, message: Message) -> None:
    link, _sound = await held(site, message)
    site.media.forget(f"{message.uuid}.wav")
    for path in (link, f"{link}&format=mp3"):
        answer = await site.ask(path, None)
        assert (answer.status, answer.json["message"]) == (410, "The audio of this message is gone.")


async def test_a_link_in_the_place_of_what_we_hold_is_not_followed(
    site: Site, message: Message, tmp_path: Path
) -> None:
    link, sound = await held(site, message)
    secret = tmp_path / "secret.wav"
    secret.write_bytes(sound)
    site.media.forget(f"{message.uuid}.wav")
    (site.media.root / f"{message.uuid}.wav").symlink_to(secret)
    assert (await site.ask(link, None)).status == 410


async def test_no_descriptor_of_what_we_hold_stays_open(site: Site, message: Message) -> None:
    link, _sound = await held(site, message)
    await site.ask(link, None)
    before = open_files()
    for _ in range(5):
        await site.ask(link, None)
        await site.ask(link, None, headers={"Range": f"bytes={WHOLE}-"})
    assert await no_more_open_than(before)
