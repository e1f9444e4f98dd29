"""The samples of a file as 16-bit PCM, in pieces of bounded size read from an open descriptor."""

import audioop
import os
from collections.abc import Generator

from service.audio.formats import Encoding
from service.audio.layout import Layout

PIECE = 256 * 1024
"""Bytes of the file in one piece; at most twice as many bytes of PCM come of it."""


def read_blocks(fd: int, layout: Layout, limit: int, piece: int = PIECE) -> Generator[bytes]:
    """The file's whole blocks, from its first on, in pieces of about `piece` bytes, at most `limit` in all."""
    block = layout.block_bytes
    step = piece // block * block
    at = layout.offset
    end = at + min(layout.length, limit) // block * block
    while at < end:
        data = os.pread(fd, min(step, end - at), at)
        whole = len(data) // block * block  # the file may have shrunk since its size was taken
        if not whole:
            return
        yield data[:whole]
        at += whole


def decodes(encoding: Encoding) -> bool:
    """Whether `to_pcm16` knows this encoding."""
    return encoding in _PCM or encoding in (Encoding.ULAW, Encoding.ALAW)


def to_pcm16(data: bytes, encoding: Encoding) -> bytes:
    """Samples of an encoding that `decodes` names, as signed 16-bit ones."""
    match encoding:
        case Encoding.PCM16:
            return data
        case Encoding.ULAW:
            return audioop.ulaw2lin(data, 2)
        case Encoding.ALAW:
            return audioop.alaw2lin(data, 2)
        case Encoding.PCM_U8:
            return audioop.lin2lin(audioop.bias(data, 1, 128), 1, 2)
        case _:
            return audioop.lin2lin(data, _PCM[encoding], 2)


_PCM = {Encoding.PCM_U8: 1, Encoding.PCM16: 2, Encoding.PCM24: 3, Encoding.PCM32: 4}
