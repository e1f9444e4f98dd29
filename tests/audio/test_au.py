"""Sun .au headers, as Asterisk writes them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audio import describe
from service.errors import InvalidInputError
from service.model import Audio
from tests.audio.files import memory_file

SECOND = bytes(8000)


def au(
    data: bytes = SECOND,
    *,
    header: int = 24,
    claimed: int = 8000,
    encoding: int = 1,
    rate: int = 8000,
    channels: int = 1,
) -> bytes:
    start = struct.pack(">4sIIIII", b".snd", header, claimed, encoding, rate, channels)
    return start + bytes(max(header, 24) % 1000 - 24) + data


def look(content: bytes) -> Audio:
    with memory_file(content) as fd:
        return describe(fd, "au")


@pytest.mark.parametrize(
    ("content", "truncated"),
    [
        (au(), False),
        (au(header=32), False),
        (au(claimed=0), False),
        (au(claimed=0xFFFF_FFFF), False),
        (au(claimed=80_000), True),
        (au() + b"junk", False),
        (au(SECOND * 4, claimed=32_000, rate=16_000, channels=2), False),
    ],
)
def test_a_second_of_sound_lasts_a_second(content: bytes, truncated: bool) -> None:  # noqa: FBT001 -- a parameter
    audio = look(content)
    assert (audio.duration_ms, audio.truncated, audio.content_type) == (1000, truncated, "audio/basic")


@pytest.mark.parametrize(
    "content",
    [b"", au()[:20], b"dns." + au()[4:], au(header=8), au(encoding=3), au(rate=0), au(channels=0)],
)
def test_a_header_that_can_mean_nothing_is_invalid_input(content: bytes) -> None:
    with pytest.raises(InvalidInputError):
        look(content)


@given(
    header=st.integers(24, 2**32 - 1),
    claimed=st.integers(0, 2**32 - 1),
    rate=st.integers(0, 2**32 - 1),
    channels=st.integers(0, 40),
)
def test_no_header_finds_more_sound_than_there_are_bytes(header: int, claimed: int, rate: int, channels: int) -> None:
    content = struct.pack(">4sIIIII", b".snd", header, claimed, 1, rate, channels) + SECOND
    try:
        audio = look(content)
    except InvalidInputError:
        return
    assert audio.duration_ms is not None
    assert 0 <= audio.duration_ms <= len(SECOND)
