r"""AMI's wire format without I/O: the bytes a PBX sends become events and answers.

A PBX sends one line of greeting and then messages: lines `Key: value\r\n`, ended by an empty line. The first line of a
message is `Event: NAME` or `Response: WORD`. To be expected: an event may repeat a key, leave it or its value empty and
hold `: ` in a value; text may be invalid UTF-8; Move, Remove and Forward answer with a bare LF at the end of a value;
some messages are followed by one empty line more. Only CRLF breaks a line: a LF within a value forges none.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from service.errors import InvalidInputError

EOL = b"\r\n"
END = EOL + EOL
GREETING = b"Asterisk Call Manager"
MAX_SENT_LINE = 1024 - len(EOL)
"""What Asterisk still reads as one line of an action (`inbuf` in manager.c), in bytes."""

MOST_KINDS = 64
"""Of so many kinds of messages it is kept what shape they have."""

_EVENT = b"Event: "
_RESPONSE = b"Response: "
_TAGGED = EOL + b"ActionID: "


class Shape:
    """The keys of a message, in order. A PBX's events of a kind have the same ones time after time.

    What is found out about them is kept: where each key stands and, once it is `learnt`, how to read such a message in
    a third of the time.
    """

    __slots__ = ("_folded", "_read", "keys", "places")

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.places: Mapping[str, int] = {key: place for place, key in reversed(tuple(enumerate(keys)))}
        self._folded: Mapping[str, int] | None = None  # made when a key is asked for that is not there as it is written
        self._read: re.Pattern[str] | None = None

    def elsewhere(self, key: str) -> int | None:
        """Where a key that is not written like this stands first in another case; None if it does not."""
        if self._folded is None:
            self._folded = {name.lower(): place for place, name in reversed(tuple(enumerate(self.keys)))}
        return self._folded.get(key.lower())

    def learn(self) -> None:
        """From now on `read` such messages in one go."""
        if self._read is None:
            self._read = re.compile("\r\n".join(f"{re.escape(key)}: (.*)" for key in self.keys))

    def read(self, text: str) -> tuple[str, ...] | None:
        """The values of a message, if it is of this shape, plainly, and that was learnt."""
        if self._read is None or text.count("\r") != len(self.keys) - 1:
            return None
        found = self._read.fullmatch(text)
        return None if found is None else found.groups()


_shape = lru_cache(256)(Shape)


class Fields:
    """The lines of a message, as they came: keys keep their case, and a repeated key all of its values."""

    __slots__ = ("_values", "shape")

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        pairs = tuple(pairs)
        self.shape = _shape(tuple([key for key, _ in pairs]))
        self._values: Sequence[str] = [value for _, value in pairs]

    @classmethod
    def of(cls, shape: Shape, values: Sequence[str]) -> Self:
        """The lines whose keys are those of a shape."""
        fields = cls.__new__(cls)
        fields.shape, fields._values = shape, values  # noqa: SLF001 -- its own
        return fields

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every line, in order."""
        return tuple(zip(self.shape.keys, self._values, strict=True))

    @property
    def first(self) -> tuple[str, str]:
        """The first line; two empty texts where there is none."""
        return (self.shape.keys[0], self._values[0]) if self._values else ("", "")

    def get(self, key: str, default: str = "") -> str:
        """Give the first value of a key, whatever the key's case (`Uniqueid`, `UniqueID`), or the default."""
        place = self.shape.places.get(key)
        if place is None:
            place = self.shape.elsewhere(key)
        return default if place is None else self._values[place]

    def all(self, key: str) -> tuple[str, ...]:
        """Give every value of a key, whatever the key's case, in the order they came."""
        wanted = key.lower()
        return tuple(value for name, value in self.pairs if name.lower() == wanted)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self.pairs == other.pairs

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __repr__(self) -> str:
        """Some keys alone: a value may be a PIN, as in the lines of voicemail.conf."""
        return f"Fields({len(self.pairs)}: {', '.join(name for name, _ in self.pairs[:20])})"


@dataclass(frozen=True, slots=True)
class Event:
    """Something the PBX tells without being asked, or one entry of a list action's answer."""

    name: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to an action. `events` are the entries of a list action, without the event that closes the list.

    `ok` is what the PBX claims, and it claims `Success` for moves and removals that failed too: read `message`,
    and look at the spool.
    """

    ok: bool
    message: str
    fields: Fields
    events: tuple[Event, ...] = ()


def parse(raw: bytes, known: dict[str, Shape] | None = None) -> Event | Response | None:
    """Read one whole message, without the empty line that ends it. None if it is neither an event nor an answer.

    Bytes that are not UTF-8 become U+FFFD, so that every text may go into JSON and SQLite. `known` keeps by its first
    line what shape such a message had last.
    """
    text = raw.decode("utf-8", "replace")
    first = text[: text.find("\r\n")]
    shape = known.get(first) if known else None
    values = shape.read(text) if shape else None
    if shape is None or values is None:
        fields = Fields(_pairs(text))
        if known is not None:
            _note(known, first, fields.shape)
    else:
        fields = Fields.of(shape, values)
    return _message(fields)


def _note(known: dict[str, Shape], first: str, shape: Shape) -> None:
    """Learn a shape that comes again."""
    if known.get(first) is shape:
        shape.learn()
    elif first in known or len(known) < MOST_KINDS:
        known[first] = shape


def _message(fields: Fields) -> Event | Response | None:
    match fields.first:
        case ("Event", name):
            return Event(name, fields)
        case ("Response", word):
            return Response(word in ("Success", "Goodbye"), fields.get("Message"), fields)
    return None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\r\n"):
        key, colon, value = line.partition(":")
        if colon:
            yield key, value.removeprefix(" ").rstrip("\r\n")


def check_text(text: str, field: str) -> None:
    """Refuse with InvalidInputError what would end a line, or is no text at all."""
    if "\r" in text or "\n" in text or "\0" in text:
        raise InvalidInputError(f"{field} must not hold a line break or NUL", field)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInputError(f"{field} holds characters that are no valid text", field)


def check_fields(fields: Mapping[str, str]) -> None:
    """Refuse with InvalidInputError fields that would not reach the PBX as they are, before a byte of them is sent."""
    for key, value in fields.items():
        check_text(key, "the name of a field")
        check_text(value, key)
        if not key or ":" in key or key.lower() in ("action", "actionid", "commandid"):
            raise InvalidInputError(f"{key[:100]!r} cannot be the name of a field", key)
        if len(f"{key}: {value}".encode()) > MAX_SENT_LINE:
            raise InvalidInputError(f"{key[:100]} is too long: Asterisk reads lines up to {MAX_SENT_LINE} bytes", key)


class Stream:
    """The messages in a stream of bytes, however it is cut into reads.

    Events whose name nobody wants are skipped by their first line, unread. Bounded: a line beyond `max_line` or a
    message beyond `max_message` bytes, or a greeting that is not AMI's, sets `broken` to the reason, and nothing
    is read from then on. `greeting` is the PBX's first line; "" until it came.
    """

    def __init__(self, wanted: frozenset[str], *, max_line: int = 8 * 1024, max_message: int = 256 * 1024) -> None:
        self.greeting = ""
        self.broken = ""
        self.skipped = 0
        self.malformed = 0
        self._wanted = wanted
        self._read = (_RESPONSE, *(_EVENT + name.encode() for name in sorted(wanted)))
        self._max_line = max_line
        self._max_message = max_message
        self._known: dict[str, Shape] = {}
        self._rest = bytearray()
        self._line_start = 0  # of the line of `_rest` that is not whole, or an earlier one

    def feed(self, data: bytes, *, tagged: bool = False) -> list[Event | Response]:
        """Take what was received; give the messages it completes. `tagged`: unwanted events with an ActionID too."""
        if self.broken:
            return []
        if not self.greeting:
            data = self._greet(data)
        found: list[Event | Response] = []
        for raw in self._cut(data):
            if raw.startswith(self._read):
                self._take(raw, found, tagged=tagged)
            elif raw.startswith(_EVENT):
                if tagged and _TAGGED in raw:
                    self._take(raw, found, tagged=True)
                else:
                    self.skipped += 1
            else:
                self._odd(raw, found, tagged=tagged)
        return found

    def _take(self, raw: bytes, found: list[Event | Response], *, tagged: bool) -> None:
        message = parse(raw, self._known)
        if message is None:
            self.malformed += 1
        elif (
            isinstance(message, Response) or message.name in self._wanted or (tagged and message.fields.get("ActionID"))
        ):
            found.append(message)
        else:
            self.skipped += 1

    def _odd(self, raw: bytes, found: list[Event | Response], *, tagged: bool) -> None:
        """Take a message that doesn't begin as one: behind an empty line too many, or no message at all."""
        stripped = raw.lstrip(EOL)
        if stripped.startswith((_RESPONSE, _EVENT)):
            self._take(stripped, found, tagged=tagged)
        elif stripped:
            self.malformed += 1

    def _greet(self, data: bytes) -> bytes:
        """Take the greeting's line off the front; what is behind it, or nothing while that line isn't whole."""
        self._rest += data
        line, end, behind = bytes(self._rest).partition(EOL)
        if not line.startswith(GREETING[: len(line)]) or (end and not line.startswith(GREETING)):
            self.broken = "what answers there is not an Asterisk Manager Interface"
        elif len(line) > self._max_line + (not end):
            self._break()
        if self.broken or not end:
            return b""
        self._rest.clear()
        self.greeting = line.decode("utf-8", "replace")
        return behind

    def _cut(self, data: bytes) -> list[bytes]:
        """Cut off the messages that are whole now, each without its empty line."""
        rest = self._rest
        if not self.greeting:
            return []
        if rest:
            start = max(0, len(rest) - len(END) + 1)
            rest += data
            if rest.find(END, start) < 0:
                self._check_rest()
                return []
            data = bytes(rest)
        messages = data.split(END)
        self._rest = bytearray(messages.pop())
        self._line_start = 0
        if messages and max(map(len, messages)) > self._max_line:
            messages = self._within_limits(messages)
        self._check_rest()
        return messages

    def _within_limits(self, messages: list[bytes]) -> list[bytes]:
        for place, raw in enumerate(messages):
            if len(raw) > self._max_message or max(map(len, raw.split(EOL))) > self._max_line:
                self._break()
                return messages[:place]
        return messages

    def _check_rest(self) -> None:
        """Break off once a line or the unfinished message is certain to be too long; its end may have begun to come."""
        rest, size = self._rest, len(self._rest)
        if size <= self._max_line:
            return
        start = self._line_start
        while (end := rest.find(EOL, start)) >= 0 and end - start <= self._max_line:
            start = end + len(EOL)
        self._line_start = start
        if end >= 0 or size >= self._max_message + len(END) or size - start > self._max_line + 1:
            self._break()

    def _break(self) -> None:
        self._rest.clear()
        self.broken = f"it sent a line beyond {self._max_line} or a message beyond {self._max_message} bytes"
