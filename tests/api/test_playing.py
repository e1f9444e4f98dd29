"""Audio that is converted for browsers, over HTTP: once, the right one, whole or in part (contract 9)."""

import asyncio
import io
import shutil
import subprocess
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.model import Message
from tests.api.site import BOX, Site, running
from tests.audio.files import RECORDINGS
from tests.descriptors import no_more_open_than, open_files

CONVERTED = [
    "message-22.WAV",
    "message-22.gsm",
    "message.g722",
    "message.ulaw",
    "message.alaw",
    "message.au",
    "message.sln",
    "message.sln16",
]
TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "opus": "audio/ogg"}
CODECS = {"wav": "pcm_s16le", "mp3": "mp3", "opus": "opus"}
REAL = shutil.which("ffmpeg")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A directory in which every start of ffmpeg leaves one; files it may not write."""
    runs = tmp_path / "runs"
    runs.mkdir()
    return runs


@pytest.fixture
async def site(tmp_path: Path, runs: Path) -> AsyncIterator[Site]:
    """A site whose ffmpeg leaves a trace when it is started."""
    program = tmp_path / "ffmpeg"
    program.write_text(f'#!/bin/sh\nmkdir {runs}/$$\nexec {REAL} "$@"\n', encoding="ascii")
    program.chmod(0o755)
    async with running(tmp_path, ffmpeg=str(program)) as site:
        yield site


def address(message: Message, wanted: str = "") -> str:
    return f"/message-voice/{message.uuid}/audio" + (f"?format={wanted}" if wanted else "")


def starts(runs: Path) -> int:
    return len(list(runs.iterdir()))


def probed(path: Path, content: bytes) -> tuple[str, float]:
    """Codec and seconds of these bytes, as ffprobe tells them."""
    path.write_bytes(content)
    entries = ["-show_entries", "stream=codec_name:format=duration", "-of", "csv=p=0"]
    done = subprocess.run(["ffprobe", "-v", "error", *entries, path], capture_output=True, check=True, timeout=240)
    codec, duration = done.stdout.decode().split()
    return codec, float(duration)


async def test_what_browsers_do_not_play_comes_as_16_bit_pcm_wav(site: Site) -> None:
    for name in CONVERTED:
        message = await site.leave(sound=RECORDINGS / name)
        answer = await site.ask(address(message))
        assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/wav")
        assert answer.headers["Content-Disposition"].endswith('-to-100.wav"')
        with wave.open(io.BytesIO(answer.body)) as file:
            assert (file.getsampwidth(), file.getnchannels()) == (2, 1)
            assert file.getnframes() / file.getframerate() == pytest.approx(2.22, abs=0.03)
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert (await site.ask(address(message, "wav"))).body == answer.body


@pytest.mark.parametrize("wanted", ["mp3", "opus"])
async def test_other_formats_are_to_be_had_of_every_recording(site: Site, tmp_path: Path, wanted: str) -> None:
    for name in (*CONVERTED, "message-22.wav", "message.wav16"):
        answer = await site.ask(address(await site.leave(sound=RECORDINGS / name), wanted))
        assert (answer.status, answer.headers["Content-Type"]) == (200, TYPES[wanted])
        assert answer.headers["Content-Disposition"].endswith(f'.{wanted}"')
        codec, duration = probed(tmp_path / "probed", answer.body)
        assert codec == CODECS[wanted]
        assert duration == pytest.approx(2.22, abs=0.12)


async def test_the_original_is_sent_byte_for_byte(site: Site) -> None:
    for name in (*CONVERTED, "message-22.wav"):
        answer = await site.ask(address(await site.leave(sound=RECORDINGS / name), "original"))
        assert answer.body == (RECORDINGS / name).read_bytes()
        assert answer.headers["Content-Type"].startswith("audio/")


@pytest.mark.parametrize(("wanted", "suffix"), [("mp3", "mp3"), ("opus", "ogg"), ("opus", "opus")])
async def test_mp3_and_opus_are_sent_as_they_are(
    site: Site, tmp_path: Path, runs: Path, wanted: str, suffix: str
) -> None:
    made = await site.ask(address(await site.leave(), wanted))
    (tmp_path / f"made.{suffix}").write_bytes(made.body)
    message = await site.leave(sound=tmp_path / f"made.{suffix}")
    before = starts(runs)
    answer = await site.ask(address(message))
    assert (answer.body, answer.headers["Content-Type"]) == (made.body, TYPES[wanted])
    assert (await site.ask(address(message, wanted))).body == made.body
    assert starts(runs) == before
    as_wav = await site.ask(address(message, "wav"))
    with wave.open(io.BytesIO(as_wav.body)) as file:  # which would not read a header with open sizes
        assert file.getnframes() / file.getframerate() == pytest.approx(1, abs=0.15)
    assert len(as_wav.body) == int.from_bytes(as_wav.body[4:8], "little") + 8


async def test_a_converted_file_is_sent_in_parts_too(site: Site) -> None:
    message = await site.leave(sound=RECORDINGS / "message-22.gsm")
    whole = await site.ask(address(message))
    part = await site.ask(address(message), headers={"Range": "bytes=44-143"})
    assert (part.status, part.body) == (206, whole.body[44:144])
    assert part.headers["Content-Range"] == f"bytes 44-143/{len(whole.body)}"
    past = await site.ask(address(message), headers={"Range": f"bytes={len(whole.body)}-"})
    assert (past.status, past.headers["Content-Range"]) == (416, f"bytes */{len(whole.body)}")
    head = await site.ask(address(message), method="HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(whole.body)), b"")


async def test_each_format_has_its_own_tag(site: Site) -> None:
    message = await site.leave(sound=RECORDINGS / "message-22.gsm")
    tags = {name: (await site.ask(address(message, name))).headers["ETag"] for name in ("wav", "mp3", "original")}
    assert len(set(tags.values())) == 3
    for name, tag in tags.items():
        assert (await site.ask(address(message, name), headers={"If-None-Match": tag})).status == 304
        assert (await site.ask(address(message, "opus"), headers={"If-None-Match": tag})).status == 200
        resumed = await site.ask(address(message, name), headers={"If-Range": tag, "Range": "bytes=0-9"})
        assert resumed.status == 206


async def test_a_file_is_converted_once_however_many_ask(site: Site, runs: Path) -> None:
    message = await site.leave(sound=RECORDINGS / "message.g722")
    answers = await asyncio.gather(*(site.ask(address(message, "mp3")) for _ in range(8)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    await site.ask(address(message, "mp3"))
    assert starts(runs) == 1


async def test_after_a_renumbering_what_was_converted_is_never_anothers(site: Site) -> None:
    """The second caller's message takes the first one's place, with the same size and time."""
    first = await site.leave("111", samples=[0] * 8000)
    second = await site.leave("222", samples=[20_000, -20_000] * 4000)
    silence, noise = [await site.ask(address(message, "mp3")) for message in (first, second)]
    assert silence.body != noise.body
    inbox = site.spool / BOX.context / BOX.extension / "INBOX"
    for suffix in ("wav", "txt"):
        (inbox / f"msg0000.{suffix}").unlink()
        (inbox / f"msg0001.{suffix}").rename(inbox / f"msg0000.{suffix}")
    assert (await site.ask(address(first, "mp3"))).status == 404
    assert (await site.ask(address(second, "mp3"))).body == noise.body
    third = await site.leave("333", samples=[0] * 8000)
    assert (await site.ask(address(third, "mp3"))).status == 200


async def test_what_was_converted_is_not_sent_when_the_original_is_gone(site: Site) -> None:
    message = await site.leave(sound=RECORDINGS / "message-22.gsm")
    assert (await site.ask(address(message))).status == 200
    (site.spool / BOX.context / BOX.extension / "INBOX" / "msg0000.gsm").unlink()
    assert (await site.ask(address(message))).status == 410


async def test_a_damaged_file_is_422_and_not_tried_again_at_once(site: Site, tmp_path: Path, runs: Path) -> None:
    (tmp_path / "damaged.mp3").write_bytes(b"no mp3 at all" * 1000)
    message = await site.leave(sound=tmp_path / "damaged.mp3")
    for _ in range(3):
        answer = await site.ask(address(message, "wav"))
        assert answer.status == 422
        assert "format=original" in answer.json["message"]
    assert starts(runs) == 1
    assert (await site.ask(address(message, "original"))).status == 200


async def test_what_nothing_decodes_is_501(site: Site, tmp_path: Path) -> None:
    (tmp_path / "odd.g723").write_bytes(bytes(1000))
    message = await site.leave(sound=tmp_path / "odd.g723")
    assert (await site.ask(address(message))).status == 501
    assert (await site.ask(address(message, "original"))).body == bytes(1000)


async def test_without_ffmpeg_the_answer_names_it_and_what_needs_none_still_works(tmp_path: Path) -> None:
    async with running(tmp_path, ffmpeg="/nonexistent/ffmpeg") as site:
        pcm, g722 = await site.leave(), await site.leave(sound=RECORDINGS / "message.g722")
        ulaw = await site.leave(sound=RECORDINGS / "message.ulaw")
        for message, wanted in ((pcm, "mp3"), (g722, "wav"), (g722, "opus")):
            answer = await site.ask(address(message, wanted))
            assert (answer.status, "ffmpeg" in answer.json["message"]) == (501, True)
        for message, wanted in ((pcm, "wav"), (pcm, ""), (ulaw, ""), (ulaw, "wav"), (g722, "original")):
            assert (await site.ask(address(message, wanted))).status == 200


async def test_no_descriptor_stays_open(site: Site, tmp_path: Path) -> None:
    (tmp_path / "damaged.mp3").write_bytes(b"no mp3 at all" * 1000)
    messages = [await site.leave(sound=path) for path in (RECORDINGS / "message.g722", tmp_path / "damaged.mp3")]

    async def everything() -> int:
        for message in messages:
            for wanted in ("wav", "mp3", "original"):
                for method in ("GET", "HEAD"):
                    await site.ask(address(message, wanted), method=method)
        return open_files()

    before = await everything()
    await everything()
    assert await no_more_open_than(before)
