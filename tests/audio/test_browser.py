"""What is sent as it is, and what is converted for whom."""

import pytest

from service.audio.browser import MP3, OPUS, TARGETS, WAV, Target, content_type_of, target_of
from service.audio.formats import SUFFIXES
from tests.audio.files import chunk, fmt, memory_file, recording, riff, suffix_of
from tests.audio.test_source import ogg

PCM = riff(fmt(), chunk(b"data", bytes(100)))
ULAW = riff(fmt(bits=8, tag=7), chunk(b"data", bytes(100)))


@pytest.mark.parametrize(
    ("suffix", "content", "own"),
    [
        ("wav", PCM, WAV),
        ("wav16", PCM, WAV),
        ("wav", ULAW, None),
        ("wav", riff(fmt(bits=24), chunk(b"data", bytes(99))), None),
        ("wav", b"nonsense", None),
        ("wav", b"", None),
        ("mp3", b"ID3", MP3),
        ("ogg", ogg(b"OpusHead"), OPUS),
        ("opus", ogg(b"OpusHead"), OPUS),
        ("ogg", ogg(b"\x01vorbis"), None),
        ("spx", ogg(b"Speex   "), None),
        ("gsm", bytes(330), None),
        ("sln", bytes(330), None),
        ("g723", bytes(330), None),
        ("txt", PCM, None),
    ],
)
def test_what_browsers_play_is_sent_as_it_is_and_all_else_converted(
    suffix: str, content: bytes, own: Target | None
) -> None:
    with memory_file(content) as fd:
        assert target_of(fd, suffix) == (WAV if own is None else None)
        assert target_of(fd, suffix, "original") is None
        for name, target in TARGETS.items():
            assert target_of(fd, suffix, name) == (None if target is own else target)


@pytest.mark.parametrize(("name", "same"), [("message-22.wav", True), ("message-22.WAV", False), ("message.au", False)])
def test_of_a_real_pbx_only_wav_is_played_as_it_is(name: str, same: bool) -> None:  # noqa: FBT001 -- a case
    with recording(name) as fd:
        assert (target_of(fd, suffix_of(name)) is None) == same


def test_the_content_type_is_that_of_what_is_in_it() -> None:
    with memory_file(PCM) as fd:
        assert content_type_of(fd, "wav") == "audio/wav"
        assert content_type_of(fd, "mp3") == "audio/mpeg"
        assert content_type_of(fd, "txt") == ""
        assert content_type_of(fd, "au") == ""
    with memory_file(ULAW) as fd:
        assert content_type_of(fd, "wav") == "audio/vnd.wave;codec=7"
        assert all(content_type_of(fd, suffix).startswith("audio/") for suffix in SUFFIXES if suffix != "au")
