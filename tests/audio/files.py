"""Recordings of real PBXs, crafted files in memory, and the WAVE headers they are made of."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "audio"

DURATIONS_MS = {
    "short-22.wav": 120,
    "short-22.WAV": 120,
    "short-22.gsm": 120,
    "message-16.wav": 3220,
    "message-16.WAV": 3200,
    "message-16.gsm": 3220,
    "message-22.wav": 2220,
    "message-22.WAV": 2200,
    "message-22.gsm": 2220,
    "message.wav16": 2220,
    "message.sln": 2220,
    "message.sln16": 2220,
    "message.ulaw": 2220,
    "message.au": 2220,
    "message.alaw": 2220,
    "message.g722": 2220,
    "halves.wav": 1500,
}
"""What ffprobe says of each recording."""


def suffix_of(name: str) -> str:
    return name.rpartition(".")[2]


def open_recording(name: str) -> int:
    return os.open(RECORDINGS / name, os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def recording(name: str) -> Iterator[int]:
    fd = open_recording(name)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def memory_file(content: bytes, size: int | None = None) -> Iterator[int]:
    """A regular file of these bytes; `size` lengthens it by a hole."""
    fd = os.memfd_create("audio", os.MFD_CLOEXEC)
    try:
        os.write(fd, content)
        if size is not None:
            os.truncate(fd, size)
        yield fd
    finally:
        os.close(fd)


def chunk(name: bytes, body: bytes, claimed: int | None = None) -> bytes:
    """A RIFF chunk, padded to an even length unless it lies about its size."""
    pad = b"\0" * (len(body) % 2) if claimed is None else b""
    return name + struct.pack("<I", len(body) if claimed is None else claimed) + body + pad


def fmt(rate: int = 8000, channels: int = 1, bits: int = 16, tag: int = 1) -> bytes:
    """A `fmt ` chunk of 16 bytes."""
    block = channels * bits // 8 % 65536
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * block % 2**32, block, bits))


def riff(*chunks: bytes, claimed: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if claimed is None else claimed) + body
