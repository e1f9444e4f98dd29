"""The audio formats of Asterisk: what each file suffix means, and which of several is served.

Suffixes, rates and frame sizes are those of Asterisk's format modules (`exts` in formats/format_*.c). `format=` in
voicemail.conf names them as they stand there, but for `wav49`, whose files are named `.WAV`. Case matters.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

ULAW_TYPE = "audio/basic"
WAV_TYPE = "audio/wav"


class Container(Enum):
    """What stands around the samples."""

    RAW = auto()
    RIFF = auto()
    AU = auto()
    OPAQUE = auto()
    """Nothing this program reads: the file is audio, but of unknown length."""


class Encoding(Enum):
    """How the samples are written. A PCM encoding's value is its bytes per sample."""

    PCM_U8 = 1
    PCM16 = 2
    PCM24 = 3
    PCM32 = 4
    ULAW = "ulaw"
    ALAW = "alaw"
    GSM = "gsm"
    WAV49 = "wav49"
    G722 = "g722"
    OTHER = "other"
    """A constant-rate code whose length follows from the file's size, but whose levels are not measured."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a suffix says of a file. `block_bytes` hold `block_samples` of each channel.

    Of a RIFF or AU file the header has the last word on everything but the container.
    """

    content_type: str
    container: Container
    encoding: Encoding = Encoding.OTHER
    sample_rate: int = 0
    block_bytes: int = 0
    block_samples: int = 0


def _raw(content_type: str, encoding: Encoding, sample_rate: int, block_bytes: int, block_samples: int) -> Format:
    return Format(content_type, Container.RAW, encoding, sample_rate, block_bytes, block_samples)


def _other(content_type: str, sample_rate: int, block_bytes: int, block_samples: int) -> Format:
    return _raw(content_type, Encoding.OTHER, sample_rate, block_bytes, block_samples)


def _slin(sample_rate: int) -> Format:
    # Not audio/L16, which is big-endian (RFC 2586); these files are little-endian on every host Asterisk runs on.
    content_type = f"audio/x-raw;format=S16LE;rate={sample_rate};channels=1"
    return _raw(content_type, Encoding.PCM16, sample_rate, 2, 1)


def _opaque(content_type: str) -> Format:
    return Format(content_type, Container.OPAQUE)


_RIFF = Format(WAV_TYPE, Container.RIFF)
_ULAW = _raw(ULAW_TYPE, Encoding.ULAW, 8000, 1, 1)
_ALAW = _raw("audio/PCMA", Encoding.ALAW, 8000, 1, 1)
_SLIN = _slin(8000)

FORMATS: dict[str, Format] = {
    # Browsers play 16-bit PCM in RIFF as it is.
    "wav16": _RIFF,
    "wav": _RIFF,
    # Nothing lost, or nothing but companding; the best rate first.
    "sln192": _slin(192_000),
    "sln96": _slin(96_000),
    "sln48": _slin(48_000),
    "sln44": _slin(44_100),
    "sln32": _slin(32_000),
    "sln24": _slin(24_000),
    "sln16": _slin(16_000),
    "sln12": _slin(12_000),
    "sln": _SLIN,
    "slin": _SLIN,
    "raw": _SLIN,
    "g722": _raw("audio/G722", Encoding.G722, 16_000, 1, 2),
    "ulaw": _ULAW,
    "pcm": _ULAW,
    "ul": _ULAW,
    "mu": _ULAW,
    "ulw": _ULAW,
    "au": Format(ULAW_TYPE, Container.AU),
    "alaw": _ALAW,
    "al": _ALAW,
    "alw": _ALAW,
    # GSM 06.10: wav49 packs two frames into 65 bytes (msgsm.h), gsm is plain frames.
    "WAV": _RIFF,
    "wav49": _RIFF,
    "gsm": _raw("audio/gsm", Encoding.GSM, 8000, 33, 160),
    # Of these the length is known, the levels are not.
    "g719": _other("audio/G719", 48_000, 160, 960),
    "siren14": _other("audio/G7221", 32_000, 120, 640),
    "siren7": _other("audio/G7221", 16_000, 80, 320),
    "g726-40": _other("audio/G726-40", 8000, 5, 8),
    "g726-32": _other("audio/G726-32", 8000, 4, 8),
    "g726-24": _other("audio/G726-24", 8000, 3, 8),
    "g726-16": _other("audio/G726-16", 8000, 2, 8),
    "vox": _other("audio/x-vox", 8000, 1, 2),
    "ilbc": _other("audio/iLBC", 8000, 50, 240),
    "g729": _other("audio/G729", 8000, 10, 80),
    # Of these nothing is known but that they are audio.
    "ogg": _opaque("audio/ogg"),
    "opus": _opaque("audio/ogg;codecs=opus"),
    "spx32": _opaque("audio/ogg;codecs=speex"),
    "spx16": _opaque("audio/ogg;codecs=speex"),
    "spx": _opaque("audio/ogg;codecs=speex"),
    "mp3": _opaque("audio/mpeg"),
    "g723": _opaque("audio/G723"),
    "g723sf": _opaque("audio/G723"),
}
"""Every suffix that is a message's audio, best first: the order in which one of several formats is chosen."""

SUFFIXES: tuple[str, ...] = tuple(FORMATS)
"""The suffixes of FORMATS, in its order. Longer ones may begin with shorter ones, and some hold a `-`."""

_RANK = {suffix: rank for rank, suffix in enumerate(SUFFIXES)}


def preferred(suffixes: Iterable[str]) -> str | None:
    """The suffix of the file that is served and described, of those a message has; None when none is audio."""
    return min((suffix for suffix in suffixes if suffix in _RANK), key=_RANK.__getitem__, default=None)
