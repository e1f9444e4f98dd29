"""Peak, RMS and silence, against figures worked out another way."""

import math
import random
from array import array
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audio.levels import Meter
from service.model import Levels

WINDOW = 160  # 20 ms at 8 kHz


def measured(samples: list[int], cuts: tuple[int, ...] = (), rate: int = 8000, channels: int = 1) -> Levels:
    meter = Meter(rate, channels)
    edges = [0, *accumulate(cuts), len(samples)]
    for start, end in pairwise(edges):
        meter.feed(array("h", samples[start:end]).tobytes())
    return meter.levels()


def dbfs(amplitude: float) -> float:
    return 20 * math.log10(amplitude / 32768)


def rms(samples: list[int]) -> float:
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


def sine(amplitude: float, windows: int) -> list[int]:
    return [round(amplitude * math.sin(n * math.tau / 16)) for n in range(windows * WINDOW)]


def test_a_square_wave_of_half_scale_is_at_minus_six_db() -> None:
    levels = measured([16_384, -16_384] * 800)
    assert levels == Levels(-6.02, -6.02, 0.0)


def test_the_lowest_sample_is_full_scale() -> None:
    assert measured([-32768] * 320) == Levels(0.0, 0.0, 0.0)


def test_digital_silence_has_no_level_and_is_all_silence() -> None:
    assert measured([0] * 1600) == Levels(None, None, 1.0)


def test_no_audio_at_all_is_all_silence() -> None:
    assert measured([]) == Levels(None, None, 1.0)


@pytest.mark.parametrize("amplitude", [2, 5, 20, 100, 400, 1000, 5000, 32_767])
def test_rms_is_right_however_quiet_it_is(amplitude: int) -> None:
    """Whole-number RMS, as the standard library gives it, is 6 dB off at an amplitude of 2."""
    samples = sine(amplitude, 50)
    assert measured(samples).rms_dbfs == pytest.approx(dbfs(rms(samples)), abs=0.03)


def test_silence_is_the_share_of_windows_below_minus_50_dbfs() -> None:
    just_silent, just_not = [103, -103] * 80, [105, -105] * 80
    assert measured(just_silent * 3 + just_not).silence == 0.75


def test_a_last_window_that_is_not_full_counts_as_one() -> None:
    assert measured(sine(10_000, 3) + [0] * 10).silence == 0.25


def test_both_channels_of_a_stereo_recording_count() -> None:
    loud_and_silent = [16_384, 0, -16_384, 0] * 400
    assert measured(loud_and_silent, channels=2) == Levels(-6.02, -9.03, 0.0)


def test_a_window_is_20_ms_at_any_rate() -> None:
    half = [10_000, -10_000] * 160 + [0] * 320
    assert measured(half, rate=16_000).silence == 0.5


@given(cuts=st.lists(st.integers(0, 400), max_size=12).map(tuple), seed=st.integers(0, 99))
def test_how_the_samples_are_cut_into_pieces_changes_nothing(cuts: tuple[int, ...], seed: int) -> None:
    draw = random.Random(seed)
    samples = [draw.randint(-20_000, 20_000) for _ in range(5003)]
    whole, pieces = measured(samples), measured(samples, cuts)
    assert pieces == whole


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=500))
def test_levels_lie_where_levels_can_lie(samples: list[int]) -> None:
    levels = measured(samples)
    assert 0 <= levels.silence <= 1
    assert (levels.peak_dbfs is None) == (levels.rms_dbfs is None) == (not any(samples))
    if levels.peak_dbfs is not None and levels.rms_dbfs is not None:
        assert levels.rms_dbfs <= levels.peak_dbfs + 0.04
        assert levels.peak_dbfs == pytest.approx(dbfs(max(map(abs, samples))), abs=0.01)
