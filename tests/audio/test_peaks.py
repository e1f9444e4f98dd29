"""The outline of a recording, against the plainest way to draw one."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audio import AudioWorker, GsmLibrary
from service.audio.peaks import MOST, PeakMeter, Peaks
from tests.audio.files import DURATIONS_MS, open_recording, suffix_of


def pcm(samples: list[int]) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def drawn(samples: list[int], rate: int = 8000, channels: int = 1, piece: int = 4096) -> Peaks:
    meter = PeakMeter(rate, channels)
    data = pcm(samples)
    step = piece * channels * 2
    for at in range(0, len(data), step):
        meter.feed(data[at : at + step])
    return meter.peaks()


def test_silence_is_flat_and_full_scale_is_one() -> None:
    assert drawn([0] * 80) == Peaks([0.0] * 10, 0.01)
    assert drawn([-32768] * 8) == Peaks([1.0], 0.001)
    assert drawn([]) == Peaks([], 0.0)


def test_a_swing_stands_where_it_was() -> None:
    outline = drawn([0] * 40_000 + [16_384] * 8 + [0] * 40_000)
    assert MOST / 2 <= len(outline.values) <= MOST
    assert max(outline.values) == 0.5
    assert outline.values.index(0.5) == pytest.approx(len(outline.values) / 2, abs=1)
    assert outline.duration == pytest.approx(10.001)


def test_of_two_channels_the_louder_counts() -> None:
    assert drawn([100, -3277] * 8, channels=2) == Peaks([0.1], 0.001)


@given(
    samples=st.lists(st.integers(-32768, 32767), max_size=200),
    times=st.integers(1, 200),
    piece=st.integers(1, 5000),
    rate=st.sampled_from([1000, 8000]),
)
def test_it_is_drawn_as_plainly_as_can_be(samples: list[int], times: int, piece: int, rate: int) -> None:
    """Slices of a millisecond, doubled while there are too many; however the samples arrive."""
    samples *= times
    found = drawn(samples, rate, piece=piece)
    size = rate // 1000
    while len(samples) // size >= 2 * MOST:
        size *= 2
    expected = [max(map(abs, samples[at : at + size])) for at in range(0, len(samples), size)]
    if len(expected) > MOST:
        expected = [max(expected[at : at + 2]) for at in range(0, len(expected), 2)]
    assert len(expected) <= MOST
    assert found.values == [round(value / 32768, 4) for value in expected]
    assert found.duration == round(len(samples) / rate, 3)


@pytest.mark.parametrize(("name", "duration_ms"), DURATIONS_MS.items())
async def test_every_recording_has_its_outline(name: str, duration_ms: int) -> None:
    async with AudioWorker(GsmLibrary.load()) as worker:
        peaks = await worker.peaks(lambda: open_recording(name), suffix_of(name))
    assert peaks is not None
    assert peaks.duration == pytest.approx(duration_ms / 1000, abs=0.03)
    assert 100 <= len(peaks.values) <= MOST
    assert 0.3 < max(peaks.values) <= 1
    assert min(peaks.values) >= 0


async def test_of_what_is_no_audio_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"nonsense" * 100)
    async with AudioWorker(GsmLibrary.load()) as worker:
        for suffix in ("wav", "mp3", "ogg", "g723", "txt", "vox"):
            assert await worker.peaks(lambda: os.open(path, os.O_RDONLY), suffix) is None
