"""One field of a form (RFC 7578, RFC 2046 5.1), piece by piece: no part of it is ever held as a whole.

aiohttp's own reader is not used: it follows encodings a part claims to have, reads parts of any size to pass over
them, and answers what it cannot read with errors of its own making.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator
from email.message import Message
from email.parser import BytesHeaderParser
from enum import Enum, auto

from service.errors import InvalidInputError

MOST_BESIDE = 64 * 1024
"""Bytes that a form may have beside the field: other fields, headers, boundaries."""
_LONGEST_HEADERS = 8 * 1024
_LONGEST_PADDING = 1024  # blanks behind a boundary; all of them are looked at again whenever one more comes
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\Z", re.ASCII)
_AS_IT_IS = frozenset({"", "7bit", "8bit", "binary"})
_END_OF_HEADERS = b"\r\n\r\n"


def boundary_of(content_type: str) -> str | None:
    """What separates the parts of a form; None where this is the type of something else. Raises InvalidInputError."""
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_type() != "multipart/form-data":
        return None
    boundary = message.get_boundary("")
    if _BOUNDARY.match(boundary) is None:
        raise InvalidInputError("the form names no boundary between its parts")
    return boundary


async def field(content: AsyncIterable[bytes], boundary: str, name: str) -> AsyncIterator[bytes]:
    """The content of the first field of this name. Raises InvalidInputError where the form has none, or is damaged."""
    form = Form(boundary.encode(), name)
    async for chunk in content:
        piece = form.feed(chunk)
        if piece:
            yield piece
        if form.done:
            return
    raise InvalidInputError(f"the form is cut off, or has no field `{name}`")


class _Within(Enum):
    DELIMITER = auto()  # the rest of its line
    HEADERS = auto()
    WANTED = auto()
    OTHER = auto()


class Form:
    """Takes a form in pieces of any size and gives one field's content; `done` once all of that was given."""

    def __init__(self, boundary: bytes, name: str) -> None:
        self.done = False
        self._name = name
        self._delimiter = b"\r\n--" + boundary
        self._rest = b"\r\n"  # the first delimiter may be the first line
        self._within = _Within.OTHER
        self._beside = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; gives what of the field is in them. Raises InvalidInputError."""
        self._rest += data
        given = bytearray()
        while not self.done and self._step(given):
            pass
        waiting = 0 if self._within is _Within.WANTED else len(self._rest)
        if self._beside + waiting > MOST_BESIDE:
            raise InvalidInputError(f"the form holds too much beside the field `{self._name}`")
        return bytes(given)

    def _step(self, given: bytearray) -> bool:
        """Read up to where something else begins; False where more has to come first."""
        match self._within:
            case _Within.DELIMITER:
                return self._end_delimiter()
            case _Within.HEADERS:
                return self._read_headers()
        return self._read_content(given)

    def _take(self, size: int) -> bytes:
        taken, self._rest = self._rest[:size], self._rest[size:]
        if self._within is not _Within.WANTED:
            self._beside += size
        return taken

    def _read_content(self, given: bytearray) -> bool:
        found = self._rest.find(self._delimiter)
        content = self._take(found if found >= 0 else max(0, len(self._rest) - len(self._delimiter) + 1))
        if self._within is _Within.WANTED:
            given += content
            self.done = found >= 0
        if found >= 0:
            self._take(len(self._delimiter))
            self._within = _Within.DELIMITER
        return found >= 0

    def _end_delimiter(self) -> bool:
        line, end, _ = self._rest.partition(b"\r\n")
        if line.startswith(b"--"):
            raise InvalidInputError(f"the form has no field `{self._name}`")
        padding = (line if end else line.removesuffix(b"\r")).strip(b" \t")
        if len(line) > _LONGEST_PADDING or (padding and (end or padding != b"-")):
            raise InvalidInputError("the form is damaged: a boundary in it is no line of its own")
        if end:
            self._take(len(line))  # its end may be that of the headers, where there are none
            self._within = _Within.HEADERS
        return bool(end)

    def _read_headers(self) -> bool:
        end = self._rest.find(_END_OF_HEADERS)
        if (end if end >= 0 else len(self._rest)) > _LONGEST_HEADERS:
            raise InvalidInputError("the form is damaged: a part of it has headers without end")
        if end >= 0:
            headers = BytesHeaderParser().parsebytes(self._take(end + len(_END_OF_HEADERS)).lstrip(b"\r\n"))
            self._within = _Within.WANTED if self._is_wanted(headers) else _Within.OTHER
        return end >= 0

    def _is_wanted(self, headers: Message) -> bool:
        if headers.get_param("name", header="Content-Disposition") != self._name:
            return False
        encodings = (str(headers.get(name, "")) for name in ("Content-Transfer-Encoding", "Content-Encoding"))
        if not all(encoding.strip().lower() in _AS_IT_IS for encoding in encodings):
            raise InvalidInputError(f"the field `{self._name}` must not be encoded")
        return True
