"""Conversions: once each, two at a time, within limits, whole or not at all."""

import asyncio
import contextlib
import io
import logging
import os
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from service.audio import TARGETS, AudioCache, Converter, GsmLibrary, NoDecoderError, Original
from service.audio.convert import MAX_COMPRESSED, MOST_WAITING, allowed_s
from service.errors import InvalidInputError, UnavailableError
from service.model import Counts, Mailbox, Record
from tests.api.world import message
from tests.audio.files import RECORDINGS, chunk, fmt, riff
from tests.audio.processes import Children, limits
from tests.descriptors import open_files

WAV, MP3 = TARGETS["wav"], TARGETS["mp3"]
WAITS = 'mkdir {runs}/$$; while [ ! -e {go} ]; do sleep 0.02; done; exec ffmpeg "$@"'
"""A program in ffmpeg's place that leaves a trace and waits for `go`; files it may not write."""


class Bench:
    """A converter over a fresh cache, and a stand-in for ffmpeg."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = path / "runs"
        self.runs.mkdir()
        self.go = path / "go"
        self.cache = path / "cache"
        self.program = "ffmpeg"

    def stand_in(self, line: str = WAITS) -> None:
        program = self.path / "ffmpeg"
        program.write_text(f"#!/bin/sh\n{line.format(runs=self.runs, go=self.go)}\n", encoding="ascii")
        program.chmod(0o755)
        self.program = str(program)

    @contextlib.asynccontextmanager
    async def converter(
        self, *, patience: float = 60, time_limit: float = 60, most_waiting: int = MOST_WAITING
    ) -> AsyncIterator[Converter]:
        cache = AudioCache(self.cache, least_free=0)
        gsm = GsmLibrary.load()
        async with Converter(
            cache,
            gsm,
            ffmpeg_program=self.program,
            patience=patience,
            time_limit=time_limit,
            most_waiting=most_waiting,
        ) as converter:
            yield converter

    def starts(self) -> int:
        return len(list(self.runs.iterdir()))

    def kept(self) -> set[str]:
        return {path.name for path in self.cache.iterdir()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def convert(converter: Converter, path: Path, subject: str = "u", target: str = "mp3") -> bytes:
    fd = os.open(path, os.O_RDONLY)
    status = os.fstat(fd)
    original = Original(subject, path.suffix[1:], status.st_size, status.st_mtime_ns)
    try:
        with os.fdopen(await converter.converted(fd, original, TARGETS[target]), "rb") as file:
            return file.read()
    finally:
        os.close(fd)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def sparse(path: Path, size: int, head: bytes = b"") -> Path:
    """A file of holes."""
    path.write_bytes(head)
    os.truncate(path, size)
    return path


G722 = RECORDINGS / "message.g722"


async def test_a_file_is_converted_once_whoever_asks_and_however_often(bench: Bench) -> None:
    bench.stand_in()
    async with bench.converter() as converter:
        asking = [asyncio.ensure_future(convert(converter, G722)) for _ in range(20)]
        await until(lambda: bench.starts() == 1)
        bench.go.touch()
        found = await asyncio.gather(*asking)
        assert len(set(found)) == 1
        assert await convert(converter, G722) == found[0]
    assert bench.starts() == 1


async def test_what_was_converted_is_there_after_a_restart(bench: Bench) -> None:
    bench.stand_in()
    bench.go.touch()
    async with bench.converter() as converter:
        before = await convert(converter, G722)
    async with bench.converter() as converter:
        assert await convert(converter, G722) == before
    assert bench.starts() == 1


async def test_after_a_crash_half_a_file_is_never_served(bench: Bench) -> None:
    """What is left of a process that was killed in the middle is a draft."""
    async with bench.converter() as converter:
        whole = await convert(converter, G722)
    (name,) = bench.kept()
    (bench.cache / f"{name}.part").write_bytes(whole[:100])
    (bench.cache / name).unlink()
    async with bench.converter() as converter:
        assert bench.kept() == set()
        assert await convert(converter, G722) == whole


async def test_two_are_converted_at_a_time(bench: Bench, children: Children) -> None:
    bench.stand_in()
    async with bench.converter() as converter:
        asking = [asyncio.ensure_future(convert(converter, G722, str(number))) for number in range(6)]
        await until(lambda: bench.starts() == 2)
        assert len(children()) == 2
        bench.go.touch()
        await asyncio.gather(*asking)
    assert bench.starts() == 6


async def test_who_waited_long_enough_may_ask_again_and_finds_it_done(bench: Bench) -> None:
    bench.stand_in()
    async with bench.converter(patience=0.05) as converter:
        with pytest.raises(UnavailableError, match="still"):
            await convert(converter, G722)
        bench.go.touch()
        await until(lambda: any(name.endswith(".mp3") for name in bench.kept()))
        assert await convert(converter, G722)
    assert bench.starts() == 1


async def test_who_goes_away_stops_nobody_elses_conversion(bench: Bench) -> None:
    bench.stand_in()
    async with bench.converter() as converter:
        first, second = [asyncio.ensure_future(convert(converter, G722)) for _ in range(2)]
        await until(lambda: bench.starts() == 1)
        first.cancel()
        bench.go.touch()
        assert await second
    assert bench.starts() == 1


async def test_only_so_many_wait(bench: Bench) -> None:
    bench.stand_in()
    async with bench.converter(most_waiting=3) as converter:
        asking = [asyncio.ensure_future(convert(converter, G722, str(number))) for number in range(3)]
        await until(lambda: bench.starts() == 2)
        with pytest.raises(UnavailableError, match="too much"):
            await convert(converter, G722, "3")
        bench.go.touch()
        await asyncio.gather(*asking)
        assert await convert(converter, G722, "3")


async def test_every_other_file_is_another(bench: Bench, tmp_path: Path) -> None:
    """Also one of the same subject, size and beginning."""
    path = tmp_path / "a.ulaw"
    async with bench.converter() as converter:
        made = []
        for number, byte in enumerate((b"\x00", b"\x80", b"\x00")):
            path.write_bytes(bytes(1000) + byte * 1000)
            os.utime(path, (number, number))
            made.append(await convert(converter, path, target="wav"))
        made.append(await convert(converter, path, "other", "wav"))
    assert made[0] == made[2] == made[3] != made[1]
    assert len(bench.kept()) == 4
    first = Original("u", "wav", 1, 2, "h")
    others = [Original("v", "wav", 1, 2, "h"), Original("u", "WAV", 1, 2, "h"), Original("u", "wav", 2, 2, "h")]
    others += [Original("u", "wav", 1, 3, "h"), Original("u", "wav", 1, 2, "i")]
    assert len({original.name(WAV) for original in [first, *others]} | {first.name(MP3)}) == 7


async def test_what_was_made_of_a_message_goes_with_it(bench: Bench) -> None:
    one, two = (message(Mailbox.parse("100"), number) for number in (1, 2))
    async with bench.converter() as converter:
        for subject in (one.uuid, two.uuid):
            for target in ("wav", "mp3"):
                await convert(converter, RECORDINGS / "message-22.gsm", subject, target)
        of_two = {name for name in bench.kept() if name.startswith(Original(two.uuid, "", 0, 0).name(WAV)[:17])}
        converter.notice(
            [
                Record(1, 0, "message.updated", "pbx1", two.mailbox, two),
                Record(2, 0, "message.deleted", "pbx1", one.mailbox, one),
                Record(3, 0, "unread", "pbx1", one.mailbox, Counts()),
            ]
        )
        await until(lambda: bench.kept() == of_two)
    assert len(of_two) == 2


async def test_a_damaged_file_fails_once_for_all(bench: Bench, tmp_path: Path) -> None:
    bench.stand_in()
    bench.go.touch()
    (tmp_path / "a.mp3").write_bytes(b"no mp3 at all" * 1000)
    async with bench.converter() as converter:
        for _ in range(3):
            with pytest.raises(InvalidInputError, match="could not decode"):
                await convert(converter, tmp_path / "a.mp3", target="wav")
        os.utime(tmp_path / "a.mp3", (1, 1))
        with pytest.raises(InvalidInputError):
            await convert(converter, tmp_path / "a.mp3", target="wav")
    assert bench.starts() == 2
    assert bench.kept() == set()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.wav", b"RIFF"),
        ("a.wav", b""),
        ("a.wav", riff(fmt(rate=0), chunk(b"data", bytes(100)))),
        ("a.wav", riff(fmt(tag=99), chunk(b"data", bytes(100)))),
        ("a.gsm", b"\x00" * 330),
        ("a.au", b"nonsense" * 10),
    ],
)
async def test_what_is_no_audio_cannot_be_converted(bench: Bench, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    async with bench.converter() as converter:
        with pytest.raises(InvalidInputError):
            await convert(converter, tmp_path / name, target="wav")
    assert bench.kept() == set()


async def test_without_ffmpeg_what_needs_it_says_so_and_works_as_soon_as_it_is_there(bench: Bench) -> None:
    bench.program = str(bench.path / "ffmpeg")
    async with bench.converter() as converter:
        with pytest.raises(NoDecoderError, match="ffmpeg"):
            await convert(converter, G722)
        assert await convert(converter, RECORDINGS / "message.ulaw", target="wav")
        bench.go.touch()
        bench.stand_in()
        assert await convert(converter, G722)


async def test_what_nothing_decodes_says_so(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "a.g723").write_bytes(bytes(1000))
    async with bench.converter() as converter:
        with pytest.raises(NoDecoderError, match="no decoder"):
            await convert(converter, tmp_path / "a.g723")


async def test_a_conversion_that_hangs_costs_its_time_and_is_gone(bench: Bench, children: Children) -> None:
    bench.stand_in("mkdir {runs}/$$; exec sleep 60")
    async with bench.converter(time_limit=0.1) as converter:
        for _ in range(2):
            with pytest.raises(InvalidInputError, match="too long"):
                await convert(converter, G722)
        assert children() == []
    assert bench.starts() == 1
    assert bench.kept() == set()


def test_an_hour_of_audio_has_the_time_that_a_slow_machine_takes_and_no_file_has_more_than_three_minutes() -> None:
    encoding_an_hour_s = 20
    assert allowed_s(3) < 11
    assert allowed_s(3600) > 3 * encoding_an_hour_s
    assert allowed_s(10**9) == 180


@pytest.mark.parametrize("suffix", ["sln", "ulaw", "gsm", "g722", "mp3", "ogg", "wav"])
async def test_a_huge_file_is_refused_before_any_of_it_is_converted(bench: Bench, tmp_path: Path, suffix: str) -> None:
    bench.stand_in()
    head = riff(fmt(), chunk(b"data", b"", 2**32 - 2)) if suffix == "wav" else b""
    path = sparse(tmp_path / f"huge.{suffix}", 2**40, head)
    async with bench.converter() as converter:
        with pytest.raises(InvalidInputError, match="too long"):
            await convert(converter, path)
    assert (bench.starts(), bench.kept()) == (0, set())


async def test_a_file_that_becomes_huge_is_cut_off(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    monkeypatch.setattr("service.audio.convert.MAX_PCM", 1024 * 1024)
    bench.stand_in("exec cat /dev/zero")
    path = sparse(tmp_path / "small.mp3", 1000)
    async with bench.converter() as converter:
        with pytest.raises(InvalidInputError, match="more than"):
            await convert(converter, path, target="wav")
    assert (children(), bench.kept()) == ([], set())


async def test_the_process_is_limited(bench: Bench, tmp_path: Path, children: Children) -> None:
    bench.stand_in()
    async with bench.converter() as converter:
        asking = asyncio.ensure_future(convert(converter, sparse(tmp_path / "a.mp3", MAX_COMPRESSED), target="wav"))
        await until(lambda: bench.starts() == 1)
        found = limits(children()[0])
    assert found["Max address space"] == str(512 * 1024 * 1024)
    assert found["Max cpu time"] == "180"
    assert found["Max file size"] == "0"
    with pytest.raises((InvalidInputError, UnavailableError)):
        await asking


async def test_the_process_is_not_told_our_secrets(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMAILD_AMI__SECRET", "canary")
    bench.stand_in('[ -z "$VOICEMAILD_AMI__SECRET" ] && exec ffmpeg "$@"')
    async with bench.converter() as converter:
        assert await convert(converter, G722)


async def test_memory_stays_flat_over_a_long_file(bench: Bench, tmp_path: Path) -> None:
    path = sparse(tmp_path / "long.ulaw", 30 * 1024 * 1024)
    async with bench.converter() as converter:
        status = path.stat()
        fd = os.open(path, os.O_RDONLY)
        before = resident()
        out = await converter.converted(fd, Original("u", "ulaw", status.st_size, status.st_mtime_ns), WAV)
        assert os.fstat(out).st_size == 2 * status.st_size + 44
        assert resident() - before < 15 * 1024 * 1024
        os.close(out)
        os.close(fd)


def resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


async def test_a_file_that_changes_meanwhile_is_not_kept(bench: Bench, tmp_path: Path) -> None:
    bench.stand_in()
    path = tmp_path / "a.g722"
    path.write_bytes(G722.read_bytes())
    async with bench.converter() as converter:
        asking = asyncio.ensure_future(convert(converter, path))
        await until(lambda: bench.starts() == 1)
        with path.open("ab") as file:
            file.write(b"more")
        bench.go.touch()
        with pytest.raises(UnavailableError, match="changed"):
            await asking
        assert bench.kept() == set()
        assert await convert(converter, path)


async def test_leaving_calls_off_what_runs_and_what_waits(bench: Bench, children: Children) -> None:
    bench.stand_in()
    before = open_files()
    async with bench.converter() as converter:
        asking = [asyncio.ensure_future(convert(converter, G722, str(number))) for number in range(5)]
        await until(lambda: bench.starts() == 2)
    assert children() == []
    for outcome in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(outcome, (InvalidInputError, UnavailableError))
    assert bench.kept() == set()
    assert open_files() == before


async def test_no_descriptor_stays_open(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"no mp3 at all" * 1000)
    async with bench.converter() as converter:
        counts = []
        for subject in ("one", "two"):
            await convert(converter, G722, subject)
            await convert(converter, RECORDINGS / "message-22.WAV", subject, "wav")
            with pytest.raises(InvalidInputError):
                await convert(converter, tmp_path / "a.mp3", subject, "wav")
            counts.append(open_files())
    assert counts[0] == counts[1]


async def test_where_the_cache_cannot_be_a_person_is_told_and_the_rest_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.cache.write_text("a file")
    with caplog.at_level(logging.INFO):
        async with bench.converter() as converter:
            with pytest.raises(UnavailableError):
                await convert(converter, G722)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_stereo_stays_stereo(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(riff(fmt(16_000, 2, 24), chunk(b"data", bytes(6 * 1600))))
    async with bench.converter() as converter:
        with wave.open(io.BytesIO(await convert(converter, path, target="wav"))) as file:
            assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 16_000, 1600)
