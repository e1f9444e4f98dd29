"""Recordings for uploads, as clients have them."""

import subprocess
from functools import cache

from service.simulator.tone import voice

MORE_THAN_THERE_IS = 44
"""Where a WAV file's samples begin."""


def wav(seconds: float = 1.0, seed: int = 1) -> bytes:
    """16-bit PCM."""
    return voice(seconds, seed)


def wav_of(size: int) -> bytes:
    """A WAV file of exactly so many bytes."""
    samples = (size - MORE_THAN_THERE_IS) // 2
    content = voice(samples / 8000, 1)
    return content + bytes(size - len(content))


@cache
def opus(seconds: float = 1.0) -> bytes:
    """Opus in Ogg."""
    return encoded("libopus", "ogg", seconds)


@cache
def encoded(codec: str, container: str, seconds: float = 1.0) -> bytes:
    """What ffmpeg makes of a tone."""
    tone = ("-f", "lavfi", "-i", "sine=frequency=440", "-t", str(seconds))
    command = ("ffmpeg", "-v", "error", *tone, "-c:a", codec, "-f", container, "-")
    return subprocess.run(command, capture_output=True, check=True, timeout=240).stdout
