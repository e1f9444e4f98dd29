"""What a conversion writes around and instead of samples."""

import io
import struct
import wave

import pytest

from service.audio.browser import MP3, OPUS, WAV
from service.audio.encoding import WAV_HEADER_BYTES, arguments, pcm_bytes, sizes_of, wav_header
from service.audio.formats import Encoding
from service.audio.layout import Layout
from service.errors import InvalidInputError
from tests.audio.files import chunk, fmt, riff

GSM = Layout("audio/gsm", Encoding.GSM, 0, 3333, 8000, 1, 33, 160)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16_000, 2), (192_000, 2)])
def test_the_header_of_a_wav_is_one(rate: int, channels: int) -> None:
    samples = bytes(400)
    header = wav_header(rate, channels, len(samples))
    assert len(header) == WAV_HEADER_BYTES
    with wave.open(io.BytesIO(header + samples)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, channels, 2)
        assert file.readframes(1000) == samples


def test_the_sizes_that_ffmpeg_left_open_are_filled_in() -> None:
    body = riff(fmt(), chunk(b"LIST", bytes(6)), chunk(b"data", b"", 0xFFFF_FFFF), claimed=0xFFFF_FFFF) + bytes(100)
    data = bytearray(body)
    for at, size in sizes_of(body, len(body)):
        data[at : at + len(size)] = size
    assert struct.unpack_from("<I", data, 4) == (len(data) - 8,)
    with wave.open(io.BytesIO(bytes(data))) as file:
        assert file.getnframes() == 50
    with pytest.raises(InvalidInputError):
        sizes_of(b"no wave", 7)


def value(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


@pytest.mark.parametrize(
    ("rate", "channels", "mp3_rate", "mp3_bits", "opus_bits"),
    [(8000, 1, "16000", "32k", "24k"), (16_000, 1, "16000", "32k", "24k"), (16_000, 2, "16000", "64k", "48k"),
     (24_000, 1, "24000", "64k", "32k"), (44_100, 2, "48000", "128k", "64k"), (192_000, 8, "48000", "128k", "64k")],
)  # fmt: skip
def test_rates_are_those_of_voice_and_of_what_players_know(
    rate: int, channels: int, mp3_rate: str, mp3_bits: str, opus_bits: str
) -> None:
    layout = GSM._replace(sample_rate=rate, channels=channels)
    mp3, opus = list(arguments(MP3, layout)), list(arguments(OPUS, layout))
    assert (value(mp3, "-ar"), value(mp3, "-b:a"), value(mp3, "-f")) == (mp3_rate, mp3_bits, "mp3")
    assert (value(opus, "-b:a"), value(opus, "-f")) == (opus_bits, "ogg")
    assert value(mp3, "-ac") == value(opus, "-ac") == str(min(channels, 2))
    assert "-ac" not in arguments(MP3, None)
    assert value(list(arguments(WAV, None)), "-c:a") == "pcm_s16le"


def test_how_much_pcm_a_file_comes_to() -> None:
    assert pcm_bytes(GSM) == 101 * 160 * 2
    assert pcm_bytes(GSM._replace(length=32)) == 0
