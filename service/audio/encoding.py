"""What a conversion writes: headers of WAV files, and how ffmpeg is told to encode for browsers.

Voice, not music: 32 kbit/s of MP3 and 24 kbit/s of Opus at telephone rates. MP3 has a constant bit rate and no header
of its own, so that players know its length and can seek although ffmpeg cannot go back in a pipe.
"""

from collections.abc import Sequence
from struct import Struct

from service.audio.browser import MP3, WAV, Target
from service.audio.layout import Layout
from service.audio.riff import parse_riff

WAV_HEADER_BYTES = 44
_WAV_HEADER = Struct("<4sI4s4sIHHIIHH4sI")
_SIZE = Struct("<I")
_SAMPLE_BYTES = 2
_MP3_RATES = (16_000, 24_000, 48_000)
"""MP3 of less than 16 kHz ("MPEG 2.5") is no standard, and not played by all."""
_WIDEBAND = 16_000
_SAME_EACH_TIME = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact")


def wav_header(sample_rate: int, channels: int, size: int) -> bytes:
    """The header of a 16-bit PCM WAVE file with so many bytes of samples."""
    block = channels * _SAMPLE_BYTES
    form = (b"fmt ", 16, 1, channels, sample_rate, sample_rate * block, block, _SAMPLE_BYTES * 8)
    return _WAV_HEADER.pack(b"RIFF", WAV_HEADER_BYTES - 8 + size, b"WAVE", *form, b"data", size)


def sizes_of(head: bytes, size: int) -> list[tuple[int, bytes]]:
    """What a WAVE file of `size` bytes, which ffmpeg wrote into a pipe, has to have where, for it left the sizes open.

    Raises InvalidInputError where `head`, its first bytes, is no such file's.
    """
    data_at = parse_riff(head, size, lambda _offset, _count: b"").offset
    return [(4, _SIZE.pack(size - 8)), (data_at - _SIZE.size, _SIZE.pack(size - data_at))]


def arguments(target: Target, layout: Layout | None) -> Sequence[str]:
    """The arguments of ffmpeg for its output; `layout` is that of the source, where it is known."""
    if target is WAV:
        return (*_SAME_EACH_TIME, "-c:a", "pcm_s16le", "-f", "wav")
    rate, channels = (_WIDEBAND, 1) if layout is None else (layout.sample_rate, min(layout.channels, 2))
    wide = rate > _WIDEBAND or layout is None
    channel_args = () if layout is None else ("-ac", str(channels))
    if target is MP3:
        mp3_rate = next((known for known in _MP3_RATES if known >= rate), _MP3_RATES[-1])
        bits = (64 if wide else 32) * channels
        codec = ("-c:a", "libmp3lame", "-compression_level", "7", "-b:a", f"{bits}k", "-ar", str(mp3_rate))
        return (*_SAME_EACH_TIME, *channel_args, *codec, "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3")
    bits = (32 if wide else 24) * channels
    codec = ("-c:a", "libopus", "-application", "voip", "-compression_level", "3", "-b:a", f"{bits}k")
    return (*_SAME_EACH_TIME, *channel_args, *codec, "-f", "ogg")


def pcm_bytes(layout: Layout) -> int:
    """How many bytes of 16-bit PCM a file comes to."""
    return layout.length // layout.block_bytes * layout.block_samples * layout.channels * _SAMPLE_BYTES
