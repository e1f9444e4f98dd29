"""WAVE headers: true, odd, unfinished and hostile."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audio import describe
from service.audio.riff import parse_riff
from service.errors import InvalidInputError
from service.model import Audio
from tests.audio.files import RECORDINGS, chunk, fmt, memory_file, riff

SECOND = bytes(16_000)
EXTENSIBLE_PCM = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8000, 16_000, 2, 16, 22, 16, 4) + bytes.fromhex(
    "0100000000001000800000aa00389b71"
)


def look(content: bytes, size: int | None = None) -> Audio:
    with memory_file(content, size) as fd:
        return describe(fd, "wav")


@pytest.mark.parametrize(
    ("content", "truncated"),
    [
        pytest.param(riff(fmt(), chunk(b"data", SECOND)), False, id="plain"),
        pytest.param(riff(fmt(), chunk(b"data", SECOND, 160_000)), True, id="header says 10 s"),
        pytest.param(riff(fmt(), chunk(b"data", SECOND, 0xFFFF_FFF0)), True, id="header says 4 GiB"),
        pytest.param(riff(fmt(), chunk(b"data", SECOND, 0xFFFF_FFFF)), False, id="written into a pipe"),
        pytest.param(riff(fmt(), chunk(b"data", SECOND, 0), claimed=0), False, id="being recorded"),
        pytest.param(riff(fmt(), chunk(b"data", SECOND, 0), claimed=36), False, id="recorder died"),
        pytest.param(riff(fmt(), chunk(b"data", SECOND)) + b"junk" * 5000, False, id="trailing junk"),
        pytest.param(riff(fmt(), chunk(b"data", SECOND), chunk(b"LIST", bytes(5001))), False, id="LIST after"),
        pytest.param(riff(chunk(b"LIST", b"INFO" + bytes(27)), fmt(), chunk(b"data", SECOND)), False, id="LIST before"),
        pytest.param(riff(chunk(b"LIST", bytes(9001)), fmt(), chunk(b"data", SECOND)), False, id="LIST beyond 4 KiB"),
        pytest.param(riff(fmt(), chunk(b"fact", bytes(4)), chunk(b"data", SECOND)), False, id="fact"),
        pytest.param(riff(chunk(b"data", SECOND), fmt()), False, id="format after data"),
        pytest.param(riff(chunk(b"fmt ", EXTENSIBLE_PCM), chunk(b"data", SECOND)), False, id="extensible"),
        pytest.param(riff(fmt(), chunk(b"data", SECOND), claimed=0xFFFF_FFFF), False, id="RIFF size says 4 GiB"),
        pytest.param(riff(fmt(), chunk(b"data", SECOND), fmt(16_000)), False, id="a second format after the data"),
        pytest.param(riff(fmt(16_000, 2, 24), chunk(b"data", SECOND * 6)), False, id="24 bits, stereo, 16 kHz"),
        pytest.param(riff(fmt(16_000, 1, 8), chunk(b"data", SECOND)), False, id="8 bits"),
        pytest.param(riff(fmt(8000, 2, 8, tag=7), chunk(b"data", SECOND)), False, id="mu-law, stereo"),
    ],
)
def test_a_second_of_sound_lasts_a_second(content: bytes, truncated: bool) -> None:  # noqa: FBT001 -- a parameter
    audio = look(content)
    assert (audio.duration_ms, audio.truncated) == (1000, truncated)


def test_a_recording_cut_after_a_tenth_of_a_second_lasts_that_long() -> None:
    audio = look(riff(fmt(), chunk(b"data", SECOND * 10))[: 44 + 1600])
    assert (audio.duration_ms, audio.truncated) == (100, True)


def test_a_recording_cut_anywhere_lasts_as_long_as_what_is_left() -> None:
    whole = (RECORDINGS / "short-22.wav").read_bytes()
    for end in range(len(whole)):
        if end < 44:
            with pytest.raises(InvalidInputError):
                look(whole[:end])
        else:
            audio = look(whole[:end])
            assert (audio.duration_ms, audio.truncated) == ((end - 44) // 16, True)


def test_a_wav49_recording_cut_anywhere_lasts_as_long_as_its_whole_blocks() -> None:
    whole = (RECORDINGS / "short-22.WAV").read_bytes()
    for end in range(60, len(whole)):
        audio = look(whole[:end])
        assert (audio.duration_ms, audio.truncated) == ((end - 60) // 65 * 40, True)


def test_an_empty_data_chunk_that_the_riff_size_confirms_is_empty() -> None:
    audio = look(riff(fmt(), chunk(b"data", b""), chunk(b"LIST", bytes(100))))
    assert (audio.duration_ms, audio.truncated) == (0, False)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"RIFF\0\0\0\0WAV", id="cut in the header"),
        pytest.param(riff(), id="no chunks"),
        pytest.param(riff(fmt()), id="no data"),
        pytest.param(riff(chunk(b"data", SECOND)), id="no format"),
        pytest.param(riff(chunk(b"fmt ", bytes(14)), chunk(b"data", SECOND)), id="short format"),
        pytest.param(
            riff(chunk(b"fmt ", fmt()[8:22]), chunk(b"\x10\0xx", b""), chunk(b"data", SECOND)), id="format of 14 bytes"
        ),
        pytest.param(riff(chunk(b"fmt ", b""), chunk(b"data", SECOND)), id="empty format"),
        pytest.param(riff(fmt(rate=0), chunk(b"data", SECOND)), id="0 Hz"),
        pytest.param(riff(fmt(rate=2**32 - 1), chunk(b"data", SECOND)), id="4 GHz"),
        pytest.param(riff(fmt(channels=0), chunk(b"data", SECOND)), id="no channels"),
        pytest.param(riff(fmt(channels=65535), chunk(b"data", SECOND)), id="65535 channels"),
        pytest.param(riff(fmt(bits=0), chunk(b"data", SECOND)), id="0 bits"),
        pytest.param(riff(fmt(bits=17), chunk(b"data", SECOND)), id="17 bits"),
        pytest.param(riff(fmt(tag=0x55), chunk(b"data", SECOND)), id="mp3 inside"),
        pytest.param(riff(fmt(tag=0x31, channels=2), chunk(b"data", SECOND)), id="stereo wav49"),
        pytest.param(riff(fmt(tag=0xFFFE), chunk(b"data", SECOND)), id="extensible without the extension"),
        pytest.param(b"RIFX" + riff(fmt(), chunk(b"data", SECOND))[4:], id="big-endian"),
        pytest.param(b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x\n", id="a playlist"),
        pytest.param(bytes(100_000), id="zeros"),
    ],
)
def test_a_header_that_can_mean_nothing_is_invalid_input(content: bytes) -> None:
    with pytest.raises(InvalidInputError):
        look(content)


junk = st.lists(
    st.builds(chunk, st.sampled_from([b"LIST", b"fact", b"bext", b"\0\0\0\0", b"FMT "]), st.binary(max_size=3000)),
    max_size=6,
)
BITS = st.sampled_from([8, 16, 24, 32])


@given(around=st.tuples(junk, junk, junk), rate=st.integers(1000, 384_000), channels=st.integers(1, 32), bits=BITS)
@pytest.mark.parametrize("frames", [0, 1, 777])
def test_every_pcm_file_lasts_its_frames_divided_by_its_rate(
    around: tuple[list[bytes], list[bytes], list[bytes]], rate: int, channels: int, bits: int, frames: int
) -> None:
    data = chunk(b"data", bytes(frames * channels * bits // 8))
    before, between, after = around
    audio = look(riff(*before, fmt(rate, channels, bits), *between, data, *after))
    assert (audio.duration_ms, audio.sample_rate, audio.channels) == (frames * 1000 // rate, rate, channels)
    assert not audio.truncated


any_chunk = st.builds(
    chunk,
    st.sampled_from([b"fmt ", b"data", b"LIST", b"junk"]),
    st.one_of(st.binary(max_size=50), st.just(fmt()[8:]), st.just(EXTENSIBLE_PCM)),
    st.one_of(st.none(), st.integers(0, 2**32 - 1), st.integers(0, 60)),
)


@given(chunks=st.lists(any_chunk, max_size=80), claimed=st.integers(0, 2**32 - 1), size=st.integers(0, 2**40))
def test_no_header_reads_much_or_finds_more_sound_than_there_are_bytes(
    chunks: list[bytes], claimed: int, size: int
) -> None:
    content = riff(*chunks, claimed=claimed)
    read = 0
    with memory_file(content, max(size, len(content))) as fd:
        size = os.fstat(fd).st_size

        def count(offset: int, length: int) -> bytes:
            nonlocal read
            read += length
            return os.pread(fd, length, offset)

        try:
            layout = parse_riff(os.pread(fd, 4096, 0), size, count)
        except InvalidInputError:
            return
        finally:
            assert read <= 4096
    assert layout.offset + layout.length <= max(size, layout.offset)
    assert layout.duration_ms <= size * 8
