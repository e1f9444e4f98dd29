"""Opus in Ogg, made by ffmpeg and by hand: what it is, and everything that only looks like it."""

import subprocess
from collections.abc import Callable, Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audio.ogg import Opus, checksum, parse_opus, samples_of
from service.errors import InvalidInputError

SKIPPED = 312
FIRST, CONTINUED, LAST = 0x02, 0x01, 0x04
TWENTY_MS = b"\x48"  # configuration 9, one frame


@cache
def made(*arguments: str, seconds: float = 1, codec: str = "libopus", container: str = "ogg") -> bytes:
    """What ffmpeg makes of a tone."""
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", str(seconds))
    command = ("ffmpeg", "-v", "error", *tone, "-c:a", codec, *arguments, "-f", container, "-")
    return subprocess.run(command, capture_output=True, check=True, timeout=240).stdout


def page(
    body: bytes,
    *,
    flags: int = 0,
    granule: int = 0,
    lacing: Sequence[int] | None = None,
    serial: int = 7,
    right: bool = True,
) -> bytes:
    """A page; by default `body` is one whole packet."""
    laced = bytes(lacing if lacing is not None else [*[255] * (len(body) // 255), len(body) % 255])
    head = b"OggS" + bytes((0, flags)) + granule.to_bytes(8, "little", signed=True) + serial.to_bytes(4, "little")
    blank = head + bytes(8) + bytes((len(laced),)) + laced + body
    proof = checksum(blank) if right else checksum(blank) ^ 1
    return blank[:22] + proof.to_bytes(4, "little") + blank[26:]


def identification(channels: int = 1, *, skipped: int = SKIPPED, version: int = 1, family: int = 0) -> bytes:
    return (
        b"OpusHead"
        + bytes((version, channels))
        + skipped.to_bytes(2, "little")
        + (16_000).to_bytes(4, "little")
        + bytes((0, 0, family))
    )


HEAD = page(identification(), flags=FIRST)
TAGS = page(b"OpusTags" + bytes(8))


@pytest.mark.parametrize(
    ("arguments", "seconds", "rate", "channels"),
    [
        ((), 1, 48_000, 1),
        ((), 0.01, 48_000, 1),
        ((), 100, 48_000, 1),
        (("-ac", "2"), 3, 48_000, 2),
        (("-ac", "6"), 1, 48_000, 6),
        (("-ar", "8000", "-frame_duration", "60", "-application", "voip"), 2.5, 8_000, 1),
        (("-frame_duration", "2.5"), 2, 48_000, 1),
        (("-frame_duration", "120", "-page_duration", "10000"), 2, 48_000, 1),
        (("-ac", "2", "-b:a", "450k", "-page_duration", "100"), 2, 48_000, 2),
    ],
)
def test_what_ffmpeg_makes_is_told_to_the_millisecond(
    arguments: tuple[str, ...], seconds: float, rate: int, channels: int
) -> None:
    assert parse_opus(made(*arguments, seconds=seconds)) == Opus(round(seconds * 1000), rate, channels)


def test_a_packet_may_go_on_over_pages_and_many_may_share_one() -> None:
    long = TWENTY_MS + bytes(1000)
    parts = [
        HEAD + TAGS,
        page(long[:510], granule=-1, lacing=[255, 255]),
        page(long[510:765], flags=CONTINUED, granule=-1, lacing=[255]),
        page(long[765:] + TWENTY_MS * 3, flags=CONTINUED, granule=960 * 4, lacing=[len(long) - 765, 1, 1, 1]),
    ]
    assert parse_opus(b"".join(parts)).duration_ms == (960 * 4 - SKIPPED) // 48


@given(st.data())
def test_however_packets_lie_in_pages_their_length_is_the_same(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.sampled_from([1, 2, 100, 254, 255, 256, 510, 700]), min_size=1, max_size=30))
    packets = [TWENTY_MS + bytes(size - 1) for size in sizes]
    segments = [(part, size < 255) for packet in packets for part, size in split(packet)]
    stream, position, done, carried = [HEAD, TAGS], 0, 0, False
    while position < len(segments):
        here = segments[position : position + data.draw(st.integers(1, 255))]
        position += len(here)
        ended = sum(ends for _part, ends in here)
        done += ended
        stream.append(
            page(
                b"".join(part for part, _ends in here),
                flags=CONTINUED if carried else 0,
                granule=960 * done if ended else -1,
                lacing=[len(part) for part, _ends in here],
            )
        )
        carried = not here[-1][1]
    assert parse_opus(b"".join(stream)).duration_ms == (960 * len(packets) - SKIPPED) // 48


def split(packet: bytes) -> list[tuple[bytes, int]]:
    parts = [packet[at : at + 255] for at in range(0, len(packet) + 1, 255)]
    return [(part, len(part)) for part in parts]


@pytest.mark.parametrize("granule", [960 * 10, 2**62, 960 * 10 + 10**12])
def test_a_page_that_promises_more_than_its_packets_hold_is_not_believed(granule: int) -> None:
    sound = page(TWENTY_MS * 10, granule=granule, lacing=[1] * 10, flags=LAST)
    assert parse_opus(HEAD + TAGS + sound).duration_ms == (960 * 10 - SKIPPED) // 48


def test_the_last_page_may_end_before_its_last_packet() -> None:
    sounds = page(TWENTY_MS * 10, granule=9600, lacing=[1] * 10) + page(TWENTY_MS, granule=9600 + 48, flags=LAST)
    assert parse_opus(HEAD + TAGS + sounds).duration_ms == (9600 + 48 - SKIPPED) // 48


def test_a_recording_that_was_begun_in_the_middle_of_a_stream_is_as_long_as_it_is() -> None:
    first, second = (page(TWENTY_MS * 5, granule=10**9 + 4800 * number, lacing=[1] * 5) for number in (1, 2))
    assert parse_opus(HEAD + TAGS + first + second).duration_ms == (9600 - SKIPPED) // 48


def test_headers_alone_are_no_sound() -> None:
    assert parse_opus(HEAD + TAGS).duration_ms == 0
    assert parse_opus(HEAD).duration_ms == 0


@given(st.integers(min_value=0))
def test_a_file_that_is_cut_off_is_refused_but_between_two_pages(at: int) -> None:
    whole = made()
    at %= len(whole)
    if at == 0 or whole[at : at + 4] == b"OggS":
        return
    with pytest.raises(InvalidInputError):
        parse_opus(whole[:at])


@given(st.integers(min_value=0), st.integers(0, 7))
def test_one_bit_that_fell_over_is_seen(at: int, bit: int) -> None:
    damaged = bytearray(made(seconds=0.2))
    damaged[at % len(damaged)] ^= 1 << bit
    with pytest.raises(InvalidInputError):
        parse_opus(bytes(damaged))


@given(st.binary())
def test_garbage_is_refused(data: bytes) -> None:
    for garbage in (data, b"OggS" + data, HEAD + data if data else b"", HEAD + TAGS + b"OggS\0" + data):
        with pytest.raises(InvalidInputError):
            parse_opus(garbage)


@given(st.lists(st.tuples(st.binary(max_size=600), st.integers(0, 7), st.integers(-(2**63), 2**63 - 1))))
def test_pages_of_anything_are_opus_or_refused(pages: list[tuple[bytes, int, int]]) -> None:
    stream = HEAD + TAGS + b"".join(page(body, flags=flags, granule=granule) for body, flags, granule in pages)
    try:
        opus = parse_opus(stream)
    except InvalidInputError:
        return
    assert 0 <= opus.duration_ms <= 120 * len(pages)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda: made(codec="libvorbis"), id="vorbis"),
        pytest.param(lambda: made(codec="flac"), id="flac"),
        pytest.param(lambda: made(codec="pcm_s16le", container="wav"), id="wav"),
        pytest.param(lambda: made(codec="libmp3lame", container="mp3"), id="mp3"),
        pytest.param(lambda: made(container="webm"), id="webm"),
        pytest.param(lambda: made() + made(seconds=0.5), id="chained"),
        pytest.param(lambda: made() + made(codec="libvorbis"), id="vorbis behind it"),
        pytest.param(lambda: made() + b"\n", id="a byte behind it"),
        pytest.param(lambda: b"ID3" + made(), id="something before it"),
        pytest.param(lambda: b"<html></html>", id="text"),
        pytest.param(lambda: b"", id="nothing"),
    ],
)
def test_what_is_something_else_is_refused(other: Callable[[], bytes]) -> None:
    with pytest.raises(InvalidInputError):
        parse_opus(other())


TWO_STREAMS = HEAD + page(identification(), flags=FIRST, serial=8) + TAGS


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(page(identification()), id="not the first page"),
        pytest.param(page(identification(0), flags=FIRST), id="no channel"),
        pytest.param(page(identification(3), flags=FIRST), id="three channels without a mapping"),
        pytest.param(page(identification(6, family=1), flags=FIRST), id="a mapping that is not there"),
        pytest.param(page(identification(version=0x10), flags=FIRST), id="another version"),
        pytest.param(page(identification()[:18], flags=FIRST), id="a header cut off"),
        pytest.param(HEAD + page(TWENTY_MS), id="sound in place of tags"),
        pytest.param(TWO_STREAMS, id="two streams at once"),
        pytest.param(HEAD + TAGS + page(TWENTY_MS, granule=960, serial=8), id="another stream's page"),
        pytest.param(HEAD + TAGS + page(TWENTY_MS, flags=CONTINUED, granule=960), id="going on with nothing"),
        pytest.param(HEAD + TAGS + page(TWENTY_MS + bytes(254), lacing=[255]), id="a packet that does not end"),
        pytest.param(HEAD + TAGS + page(TWENTY_MS, right=False), id="a wrong checksum"),
        pytest.param(HEAD + TAGS + page(b"\x03\x00", granule=960), id="a packet of no frames"),
        pytest.param(HEAD + TAGS + page(b"\x1b\x3f", granule=960), id="a packet of 63 frames of 60 ms"),
        pytest.param(HEAD + TAGS + page(bytes(255 * 255), lacing=[255] * 255)[:-1], id="a large page cut off"),
        pytest.param(HEAD + TAGS + page(b"", lacing=[255] * 255), id="a large page that is not there"),
        pytest.param(HEAD + TAGS + page(b"")[:-1] + b"\xff", id="lacing that is not there"),
    ],
)
def test_what_only_looks_like_it_is_refused(stream: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_opus(stream)


@pytest.mark.parametrize(
    ("packet", "milliseconds"),
    [
        (b"\x00", 10),
        (b"\x08", 20),
        (b"\x18", 60),
        (b"\x19", 120),
        (b"\x60", 10),
        (b"\x68", 20),
        (b"\x80", 2.5),
        (b"\xf8", 20),
        (b"\xfb\x06", 120),
        (b"\xfb\xc2", 40),
        (b"", 0),
    ],
)
def test_a_packets_length_is_in_its_first_bytes(packet: bytes, milliseconds: float) -> None:
    assert samples_of(packet) == milliseconds * 48


def test_the_checksum_is_that_of_other_programs() -> None:
    data = made()
    end = 27 + data[26] + sum(data[27 : 27 + data[26]])
    assert checksum(data[:22] + bytes(4) + data[26:end]) == int.from_bytes(data[22:26], "little")
