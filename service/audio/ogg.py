"""Opus in Ogg (RFC 3533, RFC 7845, RFC 6716): whether a file really is that, and how long it plays.

Nothing is decoded: every page has to be whole, with its checksum right, and what a packet's first bytes say of its
length is added up, for a page's own count of samples can say anything.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from service.errors import InvalidInputError

RATE = 48_000
"""Samples of Opus are counted at this rate, whatever the recording's own was."""
_HEADER = 27
_CONTINUED, _FIRST = 0x01, 0x02
_CHECKSUM = slice(22, 26)
_FULL = 255
_OPUS_HEAD, _MAPPING = 19, 21
"""Bytes of an identification header, at least, and with a channel mapping, without what it lists for each channel."""
_MOST_UNMAPPED = 2
_LONGEST_PACKET = RATE * 120 // 1000
_SILK, _HYBRID = (480, 960, 1920, 2880), (480, 960)
_CELT = (120, 240, 480, 960)
_FRAMES = _SILK * 3 + _HYBRID * 2 + _CELT * 4
"""Samples of a frame, by its configuration (RFC 6716, table 2)."""
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Opus(NamedTuple):
    """What the file is: milliseconds, recorded at `input_rate` (0: unknown), and how many channels."""

    duration_ms: int
    input_rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class _Page:
    flags: int
    granule: int
    serial: bytes
    lacing: bytes
    body: bytes


def parse_opus(data: bytes) -> Opus:
    """Read a whole file. Raises InvalidInputError where it is not one stream of Opus in Ogg, to its last byte.

    A file that is cut off is refused, too: its last page is not whole.
    """
    pages = _pages(data)
    first = next(pages, None)
    if first is None:
        raise InvalidInputError("it is empty")
    channels, skipped, input_rate = _identification(first)
    sound = _Sound()
    for page in pages:
        if page.serial != first.serial or page.flags & _FIRST:
            raise InvalidInputError("it holds more than one stream")
        sound.feed(page)
    if sound.unfinished is not None:
        raise InvalidInputError("it is cut off in the middle of a packet")
    return Opus(max(0, sound.samples - skipped) * 1000 // RATE, input_rate, channels)


def checksum(page: bytes) -> int:
    """The checksum of a page whose own is left out as zeros (RFC 3533, 6): CRC-32 the other way round, begun at 0."""
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")


def _pages(data: bytes) -> Iterator[_Page]:
    position = 0
    while position < len(data):
        head = data[position : position + _HEADER]
        if len(head) < _HEADER or head[:4] != b"OggS" or head[4] != 0:
            raise InvalidInputError("it is no Ogg file, or not a whole one")
        body_at = position + _HEADER + head[-1]
        lacing = data[position + _HEADER : body_at]
        end = body_at + sum(lacing)
        if len(lacing) < head[-1] or end > len(data):
            raise InvalidInputError("it is cut off in the middle of a page")
        blank = head[: _CHECKSUM.start] + bytes(4) + data[position + _CHECKSUM.stop : end]
        if checksum(blank) != int.from_bytes(head[_CHECKSUM], "little"):
            raise InvalidInputError("it is damaged")
        granule = int.from_bytes(head[6:14], "little", signed=True)
        yield _Page(head[5], granule, head[14:18], lacing, data[body_at:end])
        position = end


def _identification(page: _Page) -> tuple[int, int, int]:
    """Channels, samples to skip, and input rate, of the identification header (RFC 7845, 5.1)."""
    body = page.body
    if not page.flags & _FIRST or body[:8] != b"OpusHead" or len(body) < _OPUS_HEAD or body[8] >> 4 != 0:
        raise InvalidInputError("it is Ogg, but not Opus")
    channels, family = body[9], body[18]
    if channels == 0 or (channels > _MOST_UNMAPPED if family == 0 else len(body) < _MAPPING + channels):
        raise InvalidInputError("its header is no header of Opus")
    return channels, int.from_bytes(body[10:12], "little"), int.from_bytes(body[12:16], "little")


class _Sound:
    """Adds up how many samples the packets hold, pages after the first fed in their order."""

    def __init__(self) -> None:
        self.unfinished: bytes | None = None  # the first bytes of a packet that goes on in the next page
        self._tagged = False
        self._packets = 0  # samples in packets so far
        self._begin: int | None = None  # where pages' own count of samples begins
        self._last = 0

    @property
    def samples(self) -> int:
        """So many: the last page may say that it ends before its last packet does."""
        return min(self._packets, self._last - (self._begin or 0))

    def feed(self, page: _Page) -> None:
        if bool(page.flags & _CONTINUED) is not (self.unfinished is not None):
            raise InvalidInputError("a part of it is missing")
        before, tagged = self._packets, self._tagged
        for start in self._packets_of(page):
            if self._tagged:
                self._packets += samples_of(start)
            elif start.startswith(b"OpusTags"):
                self._tagged = True
            else:
                raise InvalidInputError("it is Ogg, but not Opus")
        if tagged and page.granule >= 0:
            if self._begin is None:
                self._begin = max(0, page.granule - (self._packets - before))
            self._last = max(self._last, page.granule)

    def _packets_of(self, page: _Page) -> Iterator[bytes]:
        """The first 8 bytes of every packet that ends in this page."""
        at = length = 0
        for size in page.lacing:
            length += size
            if size < _FULL:
                yield self._start(page, at, length)
                self.unfinished = None
                at, length = at + length, 0
        if page.lacing and page.lacing[-1] == _FULL:
            self.unfinished = self._start(page, at, length)

    def _start(self, page: _Page, at: int, length: int) -> bytes:
        return ((self.unfinished or b"") + page.body[at : at + min(length, 8)])[:8]


def samples_of(packet: bytes) -> int:
    """How many samples a packet of Opus holds, by its first two bytes (RFC 6716, 3.1 and 3.2); 0 where it is empty."""
    if not packet:
        return 0
    frames = (1, 2, 2, packet[1] & 0x3F if len(packet) > 1 else 0)[packet[0] & 0x03]
    samples = frames * _FRAMES[packet[0] >> 3]
    if not 0 < samples <= _LONGEST_PACKET:
        raise InvalidInputError("a packet of it is none of Opus")
    return samples
