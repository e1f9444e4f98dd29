"""Reading samples in pieces, and bringing them to 16 bits."""

import os
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audio.formats import Encoding
from service.audio.layout import Layout
from service.audio.look import layout_of
from service.audio.pcm import decodes, read_blocks, to_pcm16
from tests.audio.files import RECORDINGS, memory_file, recording


def layout(length: int, block: int = 2, offset: int = 0) -> Layout:
    return Layout("audio/wav", Encoding.PCM16, offset, length, 8000, 1, block, 1)


def test_the_data_of_a_recording_is_read_without_its_header() -> None:
    with recording("message-22.wav") as fd:
        where = layout_of(fd, "wav")
        assert where is not None
        data = b"".join(read_blocks(fd, where, 10**9))
    assert data == (RECORDINGS / "message-22.wav").read_bytes()[44:]


@given(st.binary(max_size=500), st.integers(0, 40), st.integers(1, 9), st.integers(9, 64), st.integers(0, 600))
def test_pieces_are_whole_blocks_of_bounded_size_and_make_up_the_data(
    content: bytes, offset: int, block: int, piece: int, limit: int
) -> None:
    length = max(len(content) - offset, 0)
    with memory_file(content) as fd:
        pieces = list(read_blocks(fd, layout(length, block, offset), limit, piece))
    end = offset + min(length, limit) // block * block
    assert b"".join(pieces) == content[offset:end]
    assert all(0 < len(part) <= piece and len(part) % block == 0 for part in pieces)


def test_a_file_that_shrinks_while_it_is_read_ends_early() -> None:
    with memory_file(bytes(1000)) as fd:
        pieces = read_blocks(fd, layout(1000), 1000, 400)
        assert len(next(pieces)) == 400
        os.truncate(fd, 501)
        assert [len(part) for part in pieces] == [100]


@pytest.mark.parametrize(
    ("encoding", "data", "samples"),
    [
        (Encoding.PCM16, b"\x00\x80\xff\x7f", [-32768, 32767]),
        (Encoding.PCM_U8, b"\x00\x80\xff", [-32768, 0, 32512]),
        (Encoding.PCM24, b"\x99\x00\x80\x00\x01\x00", [-32768, 1]),
        (Encoding.PCM32, b"\x99\x99\x00\x80\x00\x00\x01\x00", [-32768, 1]),
        (Encoding.ULAW, b"\x00\xff\x80", [-32124, 0, 32124]),
        (Encoding.ALAW, b"\x2a\xd5\xaa", [-32256, 8, 32256]),
    ],
)
def test_samples_of_every_width_become_16_bits(encoding: Encoding, data: bytes, samples: list[int]) -> None:
    assert decodes(encoding)
    assert array("h", to_pcm16(data, encoding)).tolist() == samples


def test_compressed_audio_is_left_to_others() -> None:
    assert not any(map(decodes, (Encoding.GSM, Encoding.WAV49, Encoding.G722, Encoding.OTHER)))
