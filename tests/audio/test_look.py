"""What a file is: identity, kind and true length."""

import os
import tracemalloc
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audio import SUFFIXES, describe
from service.errors import InvalidInputError
from tests.audio.files import DURATIONS_MS, RECORDINGS, chunk, fmt, memory_file, recording, riff, suffix_of

READ_LIMIT = 64 * 1024


@pytest.mark.parametrize(("name", "duration_ms"), DURATIONS_MS.items())
def test_a_recording_lasts_as_long_as_ffprobe_says(name: str, duration_ms: int) -> None:
    with recording(name) as fd:
        audio = describe(fd, suffix_of(name))
    assert (audio.duration_ms, audio.channels, audio.truncated) == (duration_ms, 1, False)
    assert audio.sample_rate == (16_000 if suffix_of(name) in ("g722", "sln16", "wav16") else 8000)


def test_a_file_is_known_by_its_inode_time_size_and_head() -> None:
    path = RECORDINGS / "message-22.wav"
    status = path.stat()
    with recording(path.name) as fd:
        file = describe(fd, "wav").file
    assert (file.suffix, file.size, file.inode, file.mtime_ns) == (
        "wav",
        status.st_size,
        status.st_ino,
        status.st_mtime_ns,
    )
    assert file.head == blake2b(path.read_bytes()[:1024], digest_size=16).hexdigest()


def test_files_that_differ_in_the_last_byte_of_1_kib_have_different_heads() -> None:
    heads = []
    for last in (b"\0", b"\1"):
        with memory_file(bytes(1023) + last + bytes(100)) as fd:
            heads.append(describe(fd, "sln").file.head)
    assert heads[0] != heads[1]


def test_looking_neither_needs_nor_moves_the_file_offset() -> None:
    with recording("message-22.WAV") as fd:
        os.lseek(fd, 1000, os.SEEK_SET)
        assert describe(fd, "WAV").duration_ms == 2200
        assert os.lseek(fd, 0, os.SEEK_CUR) == 1000


def test_the_kind_of_a_riff_file_is_what_its_header_says_not_its_suffix() -> None:
    with recording("message-22.WAV") as fd:
        assert describe(fd, "wav").content_type == "audio/vnd.wave;codec=31"
    with recording("message-22.wav") as fd:
        assert describe(fd, "WAV").content_type == "audio/wav"


def test_an_empty_file_without_header_lasts_no_time() -> None:
    with memory_file(b"") as fd:
        audio = describe(fd, "gsm")
    assert (audio.duration_ms, audio.file.size) == (0, 0)


@pytest.mark.parametrize("suffix", ["txt", "Wav", "", "wav\n", "../wav", "h264"])
def test_a_suffix_that_is_no_audio_is_refused(suffix: str) -> None:
    with memory_file(b"") as fd, pytest.raises(InvalidInputError, match="not the suffix"):
        describe(fd, suffix)


@pytest.mark.parametrize("path", ["/dev/zero", "/"])
def test_what_is_no_regular_file_is_refused(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(InvalidInputError, match="regular"):
            describe(fd, "wav")
    finally:
        os.close(fd)


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "msg0000.wav")
    fd = os.open(tmp_path / "msg0000.wav", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(InvalidInputError, match="regular"):
            describe(fd, "wav")
    finally:
        os.close(fd)


def _bytes_read() -> int:
    fields = Path("/proc/self/io").read_text(encoding="ascii").split()
    return int(fields[fields.index("rchar:") + 1])


@pytest.mark.parametrize(
    "content",
    [
        riff(fmt(), chunk(b"data", b"", 0xFFFF_FFFF)),
        riff(fmt(), chunk(b"data", b"", 0xFFFF_FFF0)),
        riff(*[chunk(b"junk", bytes(40))] * 200),
        riff(chunk(b"LIST", b"", 0xFFFF_0000)),
        riff(chunk(b"LIST", b"", 2**31)),
        riff(fmt(), *[chunk(b"x   ", b"", 2**26 - 8)]),
    ],
)
def test_a_file_of_four_gigabytes_costs_a_few_kilobytes(content: bytes) -> None:
    with memory_file(content, 2**32) as fd:
        tracemalloc.start()
        before = _bytes_read()
        try:
            describe(fd, "wav")
        except InvalidInputError as error:
            assert "header says" in str(error)  # noqa: PT017 -- either outcome is right, another exception is not
        read = _bytes_read() - before
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert read < READ_LIMIT
    assert peak < READ_LIMIT


@given(suffix=st.sampled_from(SUFFIXES), content=st.binary(max_size=6000))
def test_any_bytes_give_a_description_or_are_invalid_input(suffix: str, content: bytes) -> None:
    with memory_file(content) as fd:
        try:
            audio = describe(fd, suffix)
        except InvalidInputError:
            return
    assert audio.file.size == len(content)
    assert audio.duration_ms is None or 0 <= audio.duration_ms <= len(content) * 8
