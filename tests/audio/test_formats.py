"""Which files are a message's audio, and which of them is served."""

import pytest

from service.audio import SUFFIXES, describe, preferred
from service.audio.formats import FORMATS
from tests.audio.files import memory_file


def test_of_three_formats_of_a_message_the_wav_is_served() -> None:
    assert preferred(["gsm", "WAV", "wav"]) == "wav"


def test_without_a_wav_the_format_that_lost_least_is_served() -> None:
    assert preferred(["gsm", "WAV", "ulaw"]) == "ulaw"
    assert preferred(["gsm", "WAV"]) == "WAV"
    assert preferred(["g729", "gsm"]) == "gsm"


def test_files_that_are_no_audio_are_never_served() -> None:
    assert preferred(["txt", "Wav", "wav ", "jpg", "h263", ""]) is None


def test_capitals_tell_wav49_from_wav() -> None:
    assert {"wav", "WAV"} <= set(SUFFIXES)
    assert not {"Wav", "GSM", "ULAW"} & set(SUFFIXES)


@pytest.mark.parametrize(
    ("suffix", "bytes_per_minute", "rate"),
    [
        ("gsm", 99_000, 8000),
        ("ulaw", 480_000, 8000),
        ("pcm", 480_000, 8000),
        ("mu", 480_000, 8000),
        ("alaw", 480_000, 8000),
        ("al", 480_000, 8000),
        ("g722", 480_000, 16_000),
        ("sln", 960_000, 8000),
        ("raw", 960_000, 8000),
        ("sln12", 1_440_000, 12_000),
        ("sln16", 1_920_000, 16_000),
        ("sln24", 2_880_000, 24_000),
        ("sln32", 3_840_000, 32_000),
        ("sln44", 5_292_000, 44_100),
        ("sln48", 5_760_000, 48_000),
        ("sln96", 11_520_000, 96_000),
        ("sln192", 23_040_000, 192_000),
        ("g729", 60_000, 8000),
        ("ilbc", 100_000, 8000),
        ("g726-40", 300_000, 8000),
        ("g726-32", 240_000, 8000),
        ("g726-24", 180_000, 8000),
        ("g726-16", 120_000, 8000),
        ("vox", 240_000, 8000),
        ("siren7", 240_000, 16_000),
        ("siren14", 360_000, 32_000),
        ("g719", 480_000, 48_000),
    ],
)
def test_a_minute_of_a_format_without_header_lasts_a_minute(suffix: str, bytes_per_minute: int, rate: int) -> None:
    with memory_file(b"", bytes_per_minute) as fd:
        audio = describe(fd, suffix)
    assert (audio.duration_ms, audio.sample_rate, audio.channels) == (60_000, rate, 1)


@pytest.mark.parametrize("suffix", ["ogg", "opus", "mp3", "spx", "g723"])
def test_audio_that_cannot_be_looked_into_has_no_duration_but_a_type(suffix: str) -> None:
    with memory_file(b"OggS" * 100) as fd:
        audio = describe(fd, suffix)
    assert (audio.duration_ms, audio.sample_rate, audio.channels) == (None, None, None)
    assert audio.content_type.startswith("audio/")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_content_type_can_be_a_header_of_an_answer(suffix: str) -> None:
    kind = FORMATS[suffix].content_type
    assert kind.startswith("audio/")
    assert kind.isascii()
    assert kind.isprintable()
