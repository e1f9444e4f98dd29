"""How ffmpeg is told to read a file: never by what the file itself claims."""

import pytest

from service.audio.formats import SUFFIXES, Encoding
from service.audio.layout import Layout
from service.audio.source import ogg_codec, source_of

STEREO = Layout("audio/wav", Encoding.PCM16, 44, 32_000, 16_000, 2, 4, 1)


def ogg(packet: bytes, segments: int = 1) -> bytes:
    """The first page of an ogg file."""
    return b"OggS" + bytes(22) + bytes([segments]) + bytes(segments) + packet


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (ogg(b"OpusHead\x01"), "opus"),
        (ogg(b"OpusHead\x01", 3), "opus"),
        (ogg(b"\x01vorbis\0"), "vorbis"),
        (ogg(b"Speex   1.2"), "speex"),
        (ogg(b"\x7fFLAC"), ""),
        (ogg(b"opushead"), ""),
        (ogg(b"OpusHead", 255)[:100], ""),
        (ogg(b""), ""),
        (b"OggS", ""),
        (b"", ""),
        (b"RIFF" + ogg(b"OpusHead")[4:], ""),
    ],
)
def test_the_codec_of_an_ogg_file_is_that_of_its_first_packet(head: bytes, codec: str) -> None:
    assert ogg_codec(head) == codec


def test_samples_are_read_from_behind_the_header_and_no_further() -> None:
    source = source_of("wav", STEREO)
    assert source is not None
    assert source.offset == 44
    assert source.arguments == (
        *("-f", "s16le", "-c:a", "pcm_s16le", "-ar", "16000", "-ac", "2", "-t", "0.500"),
    )  # fmt: skip


def test_the_demuxer_and_the_decoder_are_always_named() -> None:
    layouts = [None, *(STEREO._replace(encoding=encoding) for encoding in Encoding)]
    heads = [b"", b"#EXTM3U\n", ogg(b"OpusHead"), ogg(b"\x01vorbis"), b"concat:/etc/passwd"]
    for suffix in (*SUFFIXES, "", "txt", "m3u8"):
        for layout in layouts:
            for head in heads:
                source = source_of(suffix, layout, head)
                if source is not None:
                    assert source.arguments[0] == "-f"
                    assert "-c:a" in source.arguments


def test_what_is_opaque_and_unknown_is_not_read() -> None:
    assert source_of("g723", None, ogg(b"OpusHead")) is None
    assert source_of("ogg", None, b"ID3") is None
    assert source_of("vox", STEREO._replace(encoding=Encoding.OTHER)) is None
