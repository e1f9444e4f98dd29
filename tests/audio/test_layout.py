"""Durations come from whole blocks, and rates are those of recordings."""

import pytest

from service.audio.formats import Encoding
from service.audio.layout import Layout, check_rate
from service.errors import InvalidInputError


def test_a_block_that_is_not_whole_does_not_sound() -> None:
    layout = Layout("audio/gsm", Encoding.GSM, 0, 33 * 50 + 32, 8000, 1, 33, 160)
    assert layout.duration_ms == 1000


def test_milliseconds_are_floored() -> None:
    layout = Layout("audio/wav", Encoding.PCM16, 44, 2 * 44_099, 44_100, 1, 2, 1)
    assert layout.duration_ms == 999


@pytest.mark.parametrize(("rate", "channels"), [(0, 1), (999, 1), (384_001, 1), (8000, 0), (8000, 33)])
def test_what_no_recording_has_is_invalid_input(rate: int, channels: int) -> None:
    with pytest.raises(InvalidInputError, match="header states"):
        check_rate(rate, channels)


@pytest.mark.parametrize(("rate", "channels"), [(1000, 1), (8000, 2), (384_000, 32)])
def test_what_a_recording_may_have_passes(rate: int, channels: int) -> None:
    check_rate(rate, channels)
