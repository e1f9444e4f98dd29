"""ffmpeg as a subprocess: what it decodes, what it may use, and that it never stays."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from service.audio import ffmpeg
from service.audio.deadline import Deadline
from service.audio.formats import Encoding
from service.audio.layout import Layout
from service.audio.look import layout_of
from service.errors import InvalidInputError
from tests.audio.files import memory_file, recording
from tests.audio.processes import Children, limits

G722 = Layout("audio/G722", Encoding.G722, 0, 8000, 16_000, 1, 1, 2)
GSM = Layout("audio/gsm", Encoding.GSM, 0, 3300, 8000, 1, 33, 160)
WAV49 = Layout("audio/vnd.wave;codec=31", Encoding.WAV49, 60, 650, 8000, 1, 65, 320)

Stand = Callable[[str], str]


@pytest.fixture
def stand_in(tmp_path: Path) -> Stand:
    """A program in ffmpeg's place that runs this line of shell."""

    def make(line: str) -> str:
        program = tmp_path / "decoder"
        program.write_text(f"#!/bin/sh\n{line}\n", encoding="ascii")
        program.chmod(0o755)
        return str(program)

    return make


def test_g722_is_decoded_at_its_own_rate() -> None:
    with recording("message.g722") as fd:
        layout = layout_of(fd, "g722")
        assert layout is not None
        pcm = b"".join(ffmpeg.decode(fd, layout, "ffmpeg", Deadline(30)))
    assert abs(len(pcm) - 17_760 * 2 * 2) <= 640


def test_decoding_begins_at_the_start_wherever_the_offset_was() -> None:
    with recording("message-22.gsm") as fd:
        os.lseek(fd, 2000, os.SEEK_SET)
        pcm = b"".join(ffmpeg.decode(fd, GSM, "ffmpeg", Deadline(30)))
    assert len(pcm) == 111 * 320


@pytest.mark.parametrize("content", [b"#EXTM3U\nfile:///etc/passwd\n" * 9, b"RIFF\0\0\0\0WAVEfmt " * 9])
def test_a_file_of_another_kind_than_its_suffix_is_invalid_input(content: bytes) -> None:
    with memory_file(content) as fd, pytest.raises(InvalidInputError, match="could not decode"):
        b"".join(ffmpeg.decode(fd, WAV49, "ffmpeg", Deadline(30)))


def test_a_file_without_a_whole_frame_is_no_sound_and_starts_nothing() -> None:
    with memory_file(b"") as fd:
        assert list(ffmpeg.decode(fd, GSM._replace(length=32), "/nonexistent/ffmpeg", Deadline(30))) == []


def test_a_program_that_is_not_there_is_no_decoder() -> None:
    with memory_file(b"") as fd, pytest.raises(ffmpeg.NoDecoderError, match="cannot be started"):
        b"".join(ffmpeg.decode(fd, G722, "/nonexistent/ffmpeg", Deadline(30)))


def test_a_decoder_that_gives_nothing_is_killed_at_the_deadline(stand_in: Stand, children: Children) -> None:
    with memory_file(b"") as fd, pytest.raises(TimeoutError):
        b"".join(ffmpeg.decode(fd, G722, stand_in("exec sleep 60"), Deadline(0.05)))
    assert children() == []


def test_a_decoder_that_closes_its_output_and_stays_is_killed(stand_in: Stand, children: Children) -> None:
    with memory_file(b"") as fd, pytest.raises(TimeoutError):
        b"".join(ffmpeg.decode(fd, G722, stand_in("exec sleep 60 >&-"), Deadline(0.05)))
    assert children() == []


def test_a_decoder_that_never_ends_is_cut_off(stand_in: Stand, children: Children) -> None:
    pieces: list[int] = []
    with memory_file(b"") as fd, pytest.raises(InvalidInputError, match="more than is measured"):
        pieces.extend(map(len, ffmpeg.decode(fd, G722, stand_in("exec cat /dev/zero"), Deadline(60))))
    assert sum(pieces) <= ffmpeg.MAX_PCM
    assert max(pieces) <= 256 * 1024 + 1
    assert children() == []


def test_a_decoder_is_gone_when_its_reader_loses_interest(stand_in: Stand, children: Children) -> None:
    with memory_file(b"") as fd:
        pcm = ffmpeg.decode(fd, G722, stand_in("exec cat /dev/zero"), Deadline(60))
        next(pcm)
        assert len(children()) == 1
        pcm.close()
    assert children() == []


def test_a_decoder_has_limits_on_memory_cpu_and_files(stand_in: Stand, children: Children) -> None:
    with memory_file(b"") as fd:
        pcm = ffmpeg.decode(fd, G722, stand_in("exec cat /dev/zero"), Deadline(60))
        next(pcm)
        found = limits(children()[0])
        pcm.close()
    assert found["Max address space"] == str(512 * 1024 * 1024)
    assert found["Max cpu time"] == "5"
    assert found["Max file size"] == "0"


def test_a_decoder_has_no_open_file_but_the_audio_and_its_output(
    stand_in: Stand, tmp_path: Path, children: Children
) -> None:
    with (tmp_path / "secret").open("w", encoding="ascii") as secret, memory_file(b"") as fd:
        os.set_inheritable(secret.fileno(), True)
        pcm = ffmpeg.decode(fd, G722, stand_in("exec cat /dev/zero"), Deadline(60))
        next(pcm)
        links = {str(link.readlink()) for link in Path(f"/proc/{children()[0]}/fd").iterdir()}
        pcm.close()
    assert str(tmp_path / "secret") not in links
    assert any("memfd:audio" in link for link in links)


def test_an_odd_byte_between_two_reads_is_not_lost(stand_in: Stand) -> None:
    with memory_file(b"") as fd:
        pieces = list(ffmpeg.decode(fd, G722, stand_in("printf abc; sleep 0.05; printf def"), Deadline(30)))
    assert b"".join(pieces) == b"abcdef"
    assert all(len(piece) % 2 == 0 for piece in pieces)
