"""How ffmpeg is told to read a file: demuxer and decoder by name, so that what a file claims to be starts no other.

PCM and companded samples are read from behind their header, which this program has read itself. Of ogg files the first
page names the codec (RFC 3533; "OpusHead": RFC 7845; Vorbis I, 4.2.1; the Speex manual, 7).
"""

from typing import NamedTuple

from service.audio.formats import Encoding
from service.audio.layout import Layout

_SAMPLES = {
    Encoding.PCM_U8: ("u8", "pcm_u8"),
    Encoding.PCM16: ("s16le", "pcm_s16le"),
    Encoding.PCM24: ("s24le", "pcm_s24le"),
    Encoding.PCM32: ("s32le", "pcm_s32le"),
    Encoding.ULAW: ("mulaw", "pcm_mulaw"),
    Encoding.ALAW: ("alaw", "pcm_alaw"),
}
_FRAMES = {Encoding.G722: ("g722", "g722"), Encoding.GSM: ("gsm", "gsm"), Encoding.WAV49: ("wav", "gsm_ms")}
_OGG = ("ogg", "opus", "spx", "spx16", "spx32")
_OGG_HEADER = 27
_OGG_CODECS = {b"OpusHead": "opus", b"\x01vorbis": "vorbis", b"Speex   ": "speex"}


class Source(NamedTuple):
    """ffmpeg's arguments for its input, and where in the file that begins."""

    arguments: tuple[str, ...]
    offset: int = 0


def ogg_codec(head: bytes) -> str:
    """The codec of an ogg file by its first bytes, as ffmpeg calls it; "" where it is none that is known."""
    if head[:4] != b"OggS" or len(head) < _OGG_HEADER:
        return ""
    packet = _OGG_HEADER + head[_OGG_HEADER - 1]
    return next((codec for magic, codec in _OGG_CODECS.items() if head.startswith(magic, packet)), "")


def source_of(suffix: str, layout: Layout | None, head: bytes = b"") -> Source | None:
    """How a file is read, or None where ffmpeg has nothing for it.

    `layout` is the file's; where it is None, the inside being unknown, suffix and `head`, its first bytes, decide.
    """
    if layout is None:
        return _opaque(suffix, head)
    if layout.encoding in _FRAMES:
        demuxer, decoder = _FRAMES[layout.encoding]
        return Source(("-f", demuxer, "-c:a", decoder))
    if layout.encoding in _SAMPLES:
        demuxer, decoder = _SAMPLES[layout.encoding]
        form = ("-f", demuxer, "-c:a", decoder, "-ar", str(layout.sample_rate), "-ac", str(layout.channels))
        return Source((*form, "-t", f"{layout.duration_ms / 1000:.3f}"), layout.offset)  # what follows is no sound
    if suffix == "g729":
        return Source(("-f", "g729", "-bit_rate", "8000", "-c:a", "g729"))
    return None


def _opaque(suffix: str, head: bytes) -> Source | None:
    if suffix == "mp3":
        return Source(("-f", "mp3", "-c:a", "mp3float"))
    codec = ogg_codec(head) if suffix in _OGG else ""
    return Source(("-f", "ogg", "-c:a", codec)) if codec else None
