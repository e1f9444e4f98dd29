"""Samples of a file by whatever decodes it."""

import os

import pytest

from service.audio import GsmLibrary
from service.audio.deadline import Deadline
from service.audio.decoding import Decoders
from service.audio.ffmpeg import NoDecoderError
from service.audio.look import layout_of
from service.errors import InvalidInputError
from tests.audio.files import DURATIONS_MS, memory_file, recording, suffix_of

ALL = Decoders(GsmLibrary.load())
NONE = Decoders(None, "/nonexistent/ffmpeg")


@pytest.mark.parametrize(("name", "duration_ms"), DURATIONS_MS.items())
def test_of_every_recording_there_are_as_many_samples_as_it_is_long(name: str, duration_ms: int) -> None:
    with recording(name) as fd:
        layout = layout_of(fd, suffix_of(name))
        assert layout is not None
        assert ALL.knows(layout)
        pcm = b"".join(ALL.pcm(fd, layout, Deadline(30)))
        assert len(pcm) / 2 / layout.sample_rate == pytest.approx(duration_ms / 1000, abs=0.03)


def test_what_only_ffmpeg_knows_is_resampled() -> None:
    with recording("message.g722") as fd:
        pieces = ALL.resampled(fd, "g722", layout_of(fd, "g722"), 8000, Deadline(30))
        assert pieces is not None
        assert len(b"".join(pieces)) / 16_000 == pytest.approx(2.22, abs=0.03)


def test_g729_is_known_to_ffmpeg_alone() -> None:
    with memory_file(bytes(1000)) as fd:
        layout = layout_of(fd, "g729")
        assert layout is not None
        assert not ALL.knows(layout)
        pieces = ALL.resampled(fd, "g729", layout, 8000, Deadline(30))
        assert pieces is not None
        assert len(b"".join(pieces)) == 100 * 80 * 2


def test_without_a_decoder_there_is_nothing() -> None:
    with recording("message-22.gsm") as fd:
        layout = layout_of(fd, "gsm")
        assert layout is not None
        with pytest.raises(NoDecoderError):
            list(NONE.pcm(fd, layout, Deadline(30)))
    with memory_file(b"OggS") as fd:
        assert ALL.resampled(fd, "ogg", None, 8000, Deadline(30)) is None


def test_what_is_too_large_is_not_decoded() -> None:
    small = Decoders(GsmLibrary.load(), max_compressed=100)
    with recording("message-22.gsm") as fd:
        layout = layout_of(fd, "gsm")
        assert layout is not None
        with pytest.raises(InvalidInputError, match="too many"):
            list(small.pcm(fd, layout, Deadline(30)))
        with pytest.raises(InvalidInputError, match="too many"):
            list(small.resampled(fd, "mp3", None, 8000, Deadline(30)) or ())
        assert os.fstat(fd).st_size > 100
