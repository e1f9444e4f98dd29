"""GSM through libgsm, against ffmpeg's own decoder."""

import random

import pytest

from service.audio import ffmpeg
from service.audio.deadline import Deadline
from service.audio.gsm import GsmLibrary
from service.audio.look import layout_of
from service.audio.pcm import read_blocks
from service.errors import InvalidInputError
from tests.audio.files import recording, suffix_of


@pytest.fixture
def library() -> GsmLibrary:
    loaded = GsmLibrary.load()
    assert loaded is not None, "these tests need libgsm (Debian: libgsm1)"
    return loaded


@pytest.mark.parametrize("name", ["message-22.gsm", "message-22.WAV", "short-22.WAV", "message-16.gsm"])
@pytest.mark.parametrize("piece", [65 * 33, 10**6])
def test_libgsm_decodes_a_recording_to_the_same_samples_as_ffmpeg(library: GsmLibrary, name: str, piece: int) -> None:
    """Both follow GSM 06.10 to the bit, so every sample is the same, however the file is cut into pieces."""
    with recording(name) as fd:
        where = layout_of(fd, suffix_of(name))
        assert where is not None
        blocks = read_blocks(fd, where, where.length, piece)
        ours = b"".join(library.decode(blocks, wav49=suffix_of(name) == "WAV"))
        theirs = b"".join(ffmpeg.decode(fd, where, "ffmpeg", Deadline(30)))
    assert ours == theirs
    assert len(ours) > 1000


def test_a_frame_without_the_gsm_signature_is_invalid_input(library: GsmLibrary) -> None:
    good = b"\xd2" + bytes(32)
    with pytest.raises(InvalidInputError, match="no GSM frame"):
        b"".join(library.decode([good + b"\x12" + bytes(32)], wav49=False))


def test_bytes_that_make_no_whole_frame_give_no_sound(library: GsmLibrary) -> None:
    assert b"".join(library.decode([b"\xd2" * 32], wav49=False)) == b""
    assert b"".join(library.decode([b"\xd2" * 64], wav49=True)) == b""


def test_any_frames_decode_without_harm(library: GsmLibrary) -> None:
    """The library runs in this process: 20,000 random frames must pass through it."""
    draw = random.Random(6)
    pairs = draw.randbytes(65 * 5000)
    frames = b"".join(b"\xd0" + draw.randbytes(32) for _ in range(10_000))
    assert len(b"".join(library.decode([pairs], wav49=True))) == 5000 * 640
    assert len(b"".join(library.decode([frames], wav49=False))) == 10_000 * 320


def test_a_system_without_the_library_has_none() -> None:
    assert GsmLibrary.load("libgsm-that-is-not-there.so.1") is None


def test_a_library_that_is_another_one_is_none() -> None:
    assert GsmLibrary.load("libc.so.6") is None
