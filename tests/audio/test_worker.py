"""Levels off the event loop, within limits."""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from service.audio import AudioWorker, GsmLibrary
from service.errors import NotFoundError
from service.model import Levels
from tests.audio.files import RECORDINGS, chunk, fmt, open_recording, riff, suffix_of
from tests.audio.processes import Children
from tests.descriptors import open_files

LEVELS = {
    "short-22.wav": (-3.92, -6.22),
    "short-22.WAV": (-0.65, -6.46),
    "short-22.gsm": (-0.65, -6.46),
    "message-16.wav": (-3.92, -6.22),
    "message-16.WAV": (-0.65, -6.19),
    "message-16.gsm": (-0.65, -6.19),
    "message-22.wav": (-3.92, -6.22),
    "message-22.WAV": (-0.65, -6.20),
    "message-22.gsm": (-0.65, -6.20),
    "message.wav16": (-2.71, -6.22),
    "message.sln": (-3.92, -6.22),
    "message.sln16": (-2.71, -6.22),
    "message.ulaw": (-3.92, -6.22),
    "message.au": (-3.92, -6.22),
    "message.alaw": (-3.87, -6.15),
    "message.g722": (-3.01, -6.22),
    "halves.wav": (-6.02, -13.80),
}
"""Peak and RMS of each recording, as ffmpeg's filter `astats` measures them."""

SLEEPER = "#!/bin/sh\nexec sleep 60\n"


@pytest_asyncio.fixture
async def worker() -> AsyncIterator[AudioWorker]:
    async with AudioWorker(GsmLibrary.load(), time_limit=60) as worker:
        yield worker


@pytest.fixture
def sleeper(tmp_path: Path) -> str:
    """A program in ffmpeg's place that never does anything."""
    program = tmp_path / "ffmpeg"
    program.write_text(SLEEPER, encoding="ascii")
    program.chmod(0o755)
    return str(program)


def opener(name: str) -> Callable[[], int]:
    return lambda: open_recording(name)


def written(path: Path, content: bytes) -> Callable[[], int]:
    path.write_bytes(content)
    return lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


def close_to(levels: Levels | None, expected: tuple[float, float]) -> bool:
    return levels is not None and (levels.peak_dbfs, levels.rms_dbfs) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("name", "expected"), LEVELS.items())
async def test_a_recording_is_as_loud_as_ffmpeg_measures(
    worker: AudioWorker, name: str, expected: tuple[float, float]
) -> None:
    assert close_to(await worker.levels(opener(name), suffix_of(name)), expected)


@pytest.mark.parametrize("name", ["message-22.WAV", "message-16.gsm"])
async def test_without_libgsm_ffmpeg_measures_the_same(name: str) -> None:
    async with AudioWorker(None) as worker:
        assert close_to(await worker.levels(opener(name), suffix_of(name)), LEVELS[name])


async def test_silence_and_a_faint_tone_are_silence(worker: AudioWorker) -> None:
    levels = await worker.levels(opener("halves.wav"), "wav")
    assert levels is not None
    assert levels.silence == pytest.approx(2 / 3, abs=0.02)


async def test_descriptors_are_closed_whatever_happens(worker: AudioWorker, tmp_path: Path) -> None:
    await worker.levels(opener("message-22.wav"), "wav")
    before = open_files()
    for name in LEVELS:
        await worker.levels(opener(name), suffix_of(name))
    await worker.levels(written(tmp_path / "a", b"nonsense"), "wav")
    await worker.levels(written(tmp_path / "b", b"nonsense"), "gsm")
    await worker.levels(written(tmp_path / "c", b"nonsense"), "txt")
    assert open_files() == before


@pytest.mark.parametrize("error", [FileNotFoundError("gone"), PermissionError("no"), NotFoundError("another file")])
async def test_a_file_that_cannot_be_opened_has_no_levels(worker: AudioWorker, error: Exception) -> None:
    def fail() -> int:
        raise error

    assert await worker.levels(fail, "wav") is None


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("wav", b"RIFF"),
        ("wav", riff(fmt(rate=0), chunk(b"data", bytes(100)))),
        ("gsm", b"not GSM at all, though as long as a frame of it"),
        ("g729", bytes(100)),
        ("ogg", b"OggS"),
        ("txt", b""),
    ],
)
async def test_what_cannot_be_measured_has_no_levels(
    worker: AudioWorker, tmp_path: Path, suffix: str, content: bytes
) -> None:
    assert await worker.levels(written(tmp_path / "audio", content), suffix) is None


async def test_a_recording_cut_short_is_measured_as_far_as_it_goes(worker: AudioWorker, tmp_path: Path) -> None:
    cut = (RECORDINGS / "message-22.wav").read_bytes()[:8001]
    assert close_to(await worker.levels(written(tmp_path / "cut", cut), "wav"), (-3.92, -6.22))


async def test_an_error_in_the_callers_own_code_is_not_hidden(worker: AudioWorker) -> None:
    def bug() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await worker.levels(bug, "wav")


async def test_files_are_opened_in_a_thread_two_at_a_time(worker: AudioWorker) -> None:
    lock, go = threading.Lock(), threading.Event()
    running: list[int] = []
    most: list[int] = []

    def slow() -> int:
        with lock:
            running.append(threading.get_ident())
            most.append(len(running))
        assert go.wait(60)
        with lock:
            running.remove(threading.get_ident())
        return open_recording("short-22.wav")

    tasks = [asyncio.ensure_future(worker.levels(slow, "wav")) for _ in range(6)]
    await until(lambda: len(running) == 2)
    assert threading.get_ident() not in running
    go.set()
    assert all(await asyncio.gather(*tasks))
    assert max(most) == 2


async def test_without_ffmpeg_a_person_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with AudioWorker(None, ffmpeg_program="/nonexistent/ffmpeg") as worker:
        with caplog.at_level(logging.INFO):
            for name in ("message.g722", "message-22.gsm", "message-22.WAV"):
                assert await worker.levels(opener(name), suffix_of(name)) is None
        assert await worker.levels(opener("message-22.wav"), "wav") is not None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_compressed_audio_that_is_too_large_is_not_decoded() -> None:
    size = (RECORDINGS / "message.g722").stat().st_size
    async with AudioWorker(None, max_compressed=size - 1) as worker:
        assert await worker.levels(opener("message.g722"), "g722") is None
    async with AudioWorker(None, max_compressed=size) as worker:
        assert await worker.levels(opener("message.g722"), "g722") is not None


async def test_a_decoder_that_hangs_costs_the_time_limit_and_is_gone(sleeper: str, children: Children) -> None:
    async with AudioWorker(None, ffmpeg_program=sleeper, time_limit=0.05) as worker:
        assert await worker.levels(opener("message.g722"), "g722") is None
        assert children() == []


async def test_an_opener_that_hangs_costs_the_time_limit() -> None:
    go = threading.Event()

    def stuck() -> int:
        assert go.wait(60)
        raise FileNotFoundError

    async with AudioWorker(None, time_limit=0.05) as worker:
        waiting = asyncio.ensure_future(worker.levels(stuck, "wav"))
        assert await waiting is None
        go.set()


async def test_a_pcm_file_that_takes_too_long_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of holes, longer than is ever measured: its thread looks at the limit itself, and is not left behind."""
    monkeypatch.setattr("service.audio.worker._GRACE_S", 60)
    caplog.set_level(logging.INFO)
    path = tmp_path / "long.sln"
    path.touch()
    os.truncate(path, 2**40)
    async with AudioWorker(None, time_limit=0.05) as worker:
        assert await worker.levels(lambda: os.open(path, os.O_RDONLY), "sln") is None
    assert caplog.records == []


async def test_a_measurement_that_is_cancelled_leaves_no_process(sleeper: str, children: Children) -> None:
    async with AudioWorker(None, ffmpeg_program=sleeper, time_limit=60) as worker:
        task = asyncio.ensure_future(worker.levels(opener("message.g722"), "g722"))
        await until(lambda: len(children()) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: children() == [])
        assert await worker.levels(opener("message-22.wav"), "wav") is not None


async def test_leaving_the_worker_does_not_wait_for_a_file_system_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    go, opening = threading.Event(), threading.Event()

    def stuck() -> int:
        opening.set()
        assert go.wait(60)
        raise FileNotFoundError

    async with AudioWorker(None) as worker:
        task = asyncio.ensure_future(worker.levels(stuck, "wav"))
        await until(opening.is_set)
    assert not task.done()
    go.set()
    assert await task is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_leaving_the_worker_calls_off_what_runs(sleeper: str, children: Children) -> None:
    async with AudioWorker(None, ffmpeg_program=sleeper) as worker:
        task = asyncio.ensure_future(worker.levels(opener("message.g722"), "g722"))
        await until(lambda: len(children()) == 1)
    assert children() == []
    assert await task is None
