"""Voices for simulated callers: PCM in a WAV file as format_wav writes it (16 bit, mono, 8 kHz, 44 bytes of header)."""

import math
import random
import struct
from array import array

SAMPLE_RATE = 8000
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_WORD = SAMPLE_RATE // 2
_LOUDEST = 9000


def voice(seconds: float, seed: int) -> bytes:
    """Give a WAV file of this length; another seed is another voice, so that a mix-up of two messages shows.

    It is loud enough not to count as silence, and falls and rises like speech.
    """
    samples = _samples(round(seconds * SAMPLE_RATE), seed)
    return _header(len(samples) * 2) + samples.tobytes()


def _samples(count: int, seed: int) -> "array[int]":
    """One word of half a second, said over and over until it is long enough."""
    dice = random.Random(seed)  # noqa: S311 -- a voice is not a secret
    pitch, formant = dice.uniform(90, 220), dice.uniform(500, 1800)
    grain = [dice.randint(-200, 200) for _ in range(64)]
    word = array("h", (_sample(at, pitch, formant) + grain[at % 64] for at in range(_WORD)))
    repeated = word * (count // _WORD + 1)
    return repeated[:count]


def _sample(at: int, pitch: float, formant: float) -> int:
    turn = 2 * math.pi * at / SAMPLE_RATE
    swell = 0.3 + 0.7 * math.sin(math.pi * at / _WORD)
    return round(_LOUDEST * swell * (0.7 * math.sin(turn * pitch) + 0.3 * math.sin(turn * formant)))


def _header(size: int) -> bytes:
    byte_rate = SAMPLE_RATE * 2
    return _HEADER.pack(
        b"RIFF", size + 36, b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE, byte_rate, 2, 16, b"data", size
    )  # fmt: skip
