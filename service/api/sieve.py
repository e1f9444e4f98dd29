"""What a client sends on a websocket, before aiohttp reads it: a message that is too long is taken out on its way.

aiohttp keeps a message until it is whole, and one over its limit ends the connection. Here the connection stays
(contract 8, "anything else"), and nothing of what is too long is kept: `TOO_LONG` stands in its place. Frames are those
of RFC 6455, 5.2.
"""

from collections.abc import Iterator
from typing import Protocol

MOST_BYTES = 16 * 1024
"""So long a message may be: a `subscribe` that names a thousand mailboxes."""
TOO_LONG = "\0"
"""The end of the text that comes instead of one that is too long. No JSON ends so."""

_CONTROL, _OPCODE, _LENGTH, _MASKED = 0x08, 0x0F, 0x7F, 0x80
_LONGER = {126: 2, 127: 8}
_NO_MASK = bytes(4)


class Parser(Protocol):
    """What is given the bytes of a websocket: aiohttp's reader."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take what came. Gives whether that was the end, and what is left over."""

    def feed_eof(self) -> None:
        """Take note that no more comes."""


class Sieve:
    """A parser that hands on to another one whatever is no part of a message of more than `most` bytes."""

    def __init__(self, parser: Parser, most: int = MOST_BYTES) -> None:
        self._parser = parser
        self._most = most
        self._head = bytearray()
        self._left = 0  # of the payload of the frame that is under way
        self._passes = True  # whether that payload is handed on
        self._size = 0  # of the message that is under way

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """As the other parser's."""
        return self._parser.feed_data(b"".join(self._sifted(bytes(data))))

    def feed_eof(self) -> None:
        """As the other parser's."""
        self._parser.feed_eof()

    def _sifted(self, data: bytes) -> Iterator[bytes]:
        position = 0
        while position < len(data):
            if self._left:
                piece = data[position : position + self._left]
                self._left -= len(piece)
                position += len(piece)
                if self._passes:
                    yield piece
                continue
            self._head.append(data[position])
            position += 1
            if len(self._head) == _head_size(self._head):
                head, self._head = bytes(self._head), bytearray()
                yield self._begin(head)

    def _begin(self, head: bytes) -> bytes:
        """Begin a frame; gives what is handed on instead of its head, and where it does not pass, of all of it."""
        self._left = _payload_size(head)
        opcode = head[0] & _OPCODE
        self._passes = bool(opcode & _CONTROL)  # a ping may stand between the parts of a message
        if self._passes:
            return head
        before = 0 if opcode else self._size
        self._size = before + self._left
        self._passes = self._size <= self._most
        if self._passes:
            return head
        mark = TOO_LONG.encode() if before <= self._most else b""
        return bytes((head[0], _MASKED | len(mark))) + _NO_MASK + mark


def _head_size(head: bytes | bytearray) -> int:
    """How many bytes a frame's head has, as far as its first bytes tell."""
    if len(head) < 2:  # noqa: PLR2004 -- the second tells
        return 2
    return 2 + _LONGER.get(head[1] & _LENGTH, 0) + (len(_NO_MASK) if head[1] & _MASKED else 0)


def _payload_size(head: bytes) -> int:
    short = head[1] & _LENGTH
    longer = _LONGER.get(short)
    return short if longer is None else int.from_bytes(head[2 : 2 + longer], "big")
