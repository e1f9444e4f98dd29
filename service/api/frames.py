"""The websocket's frames as bytes, and what a client may send (contract 8). Pure: no connection is touched here.

A frame is the same for every connection that may see the same, so it is made once (RFC 6455, 5.2: what a server sends
is not masked) and written to each.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from service.api import records
from service.api.edge import Edge
from service.api.sieve import MOST_BYTES, TOO_LONG
from service.call import Call
from service.errors import InvalidInputError
from service.model import Counts, Mailbox, Message, Record, View

PROTOCOL = 1
EVENTS = ("unread", "message", "call")
"""What a connection may be about; the part of a record's type before the dot."""
DEFAULT_EVENTS = frozenset({"unread", "message"})

PIECE = 16 * 1024
"""A longer text is sent in fragments of so many bytes (RFC 6455, 5.4), so that pings and flow control get a word in."""

_TEXT, _CONTINUATION, _FINAL = 0x1, 0x0, 0x80
_SHORT, _MEDIUM = 125, 0xFFFF

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a client asked to hear of; None where it named nothing and the default holds."""

    mailboxes: frozenset[Mailbox] | None
    events: frozenset[str] | None


class Ping:
    """A client's `{"type":"ping"}`."""


def encode(content: Json) -> bytes:
    """The content as one finished text frame, or, where it is long, as the fragments of one, joined."""
    return b"".join(pieces(content))


def pieces(content: Json) -> list[bytes]:
    """The content as one finished text frame, or, where it is long, as the fragments of one."""
    payload = orjson.dumps(content)
    starts = range(0, len(payload), PIECE) if payload else (0,)
    return [
        _frame(
            (_CONTINUATION if start else _TEXT) | (_FINAL if start + PIECE >= len(payload) else 0),
            payload[start : start + PIECE],
        )
        for start in starts
    ]


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= _SHORT:
        return bytes((first, size)) + payload
    assert size <= _MEDIUM  # a piece is smaller
    return bytes((first, 126)) + size.to_bytes(2, "big") + payload


def batches(frames: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The frames in groups of about PIECE bytes, or of one frame where that is longer."""
    batch: list[bytes] = []
    size = 0
    for frame in frames:
        if batch and size + len(frame) > PIECE:
            yield batch
            batch, size = [], 0
        batch.append(frame)
        size += len(frame)
    if batch:
        yield batch


def kind(record: Record) -> str:
    """Which of EVENTS a record is, or another word for what nobody outside hears of."""
    return record.type.partition(".")[0]


def state(total: int, counts: Mapping[Mailbox, Counts]) -> Json:
    """The badges a connection is about, with their sum."""
    return {"total": total, "mailboxes": {str(mailbox): _counts(counts[mailbox]) for mailbox in sorted(counts)}}


def hello(pbx: str, seq: int, unread: Json) -> Json:
    """The first frame: where the journal is, and the badges as of then."""
    return {"type": "hello", "protocol": PROTOCOL, "pbx": pbx, "seq": seq, "unread": unread}


def event(record: Record, total: int, edge: Edge, view: View) -> Json:
    """A record, of one of EVENTS, as it goes out to who hears of these boxes; `total` is the sum of their `new`."""
    match record.state:
        case Counts():
            badge = _counts(record.state) | {"total": total}
            return {"type": record.type, "seq": record.seq, "mailbox": str(record.mailbox)} | badge
        case Message():
            return {"type": record.type, "seq": record.seq, "message": records.message_event(record.state, edge)}
        case Call():
            return {"type": record.type, "seq": record.seq, "call": records.call_event(record.state, edge, view)}
    raise TypeError(record.type)


def subscribed(seq: int, mailboxes: View, events: frozenset[str], unread: Json) -> Json:
    """What holds from now on; `mailboxes` null is all. With the badges, for what is heard of anew has a new total."""
    return {
        "type": "subscribed",
        "seq": seq,
        "mailboxes": None if mailboxes is None else [str(mailbox) for mailbox in sorted(mailboxes)],
        "events": [event for event in EVENTS if event in events],
        "unread": unread,
    }


def error(message: str) -> Json:
    """What a client sent could not be understood or not be done."""
    return {"type": "error", "message": message}


RESET: Json = {"type": "reset"}
PONG: Json = {"type": "pong"}


def parse(text: str) -> Subscription | Ping:
    """What a client sent. Raises InvalidInputError, in words for the client, where it is nothing we know."""
    if text.endswith(TOO_LONG):
        raise InvalidInputError(f"this is too long: send at most {MOST_BYTES} bytes at once")
    try:
        command = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise InvalidInputError('this is not JSON: send an object such as {"type": "ping"}') from problem
    match command:
        case {"type": "ping"}:
            return Ping()
        case {"type": "subscribe", **named}:
            return Subscription(_mailboxes(named.get("mailboxes")), _events(named.get("events")))
    raise InvalidInputError("unknown type: send `subscribe` or `ping`")


def mailboxes(text: str) -> frozenset[Mailbox]:
    """The `mailboxes` of a query: names with commas between. Raises InvalidInputError where one is none."""
    try:
        return frozenset(Mailbox.parse(name.strip()) for name in text.split(","))
    except InvalidInputError as problem:
        raise InvalidInputError(str(problem), "mailboxes") from problem


def _mailboxes(named: object) -> frozenset[Mailbox] | None:
    if named is None:
        return None
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise InvalidInputError("`mailboxes` is a list of names such as 100@default", "mailboxes")
    return frozenset(Mailbox.parse(name) for name in named)


def _events(named: object) -> frozenset[str] | None:
    if named is None:
        return None
    if not isinstance(named, list) or not all(event in EVENTS for event in named):
        raise InvalidInputError(f"`events` is a list of {', '.join(EVENTS)}", "events")
    return frozenset(named)


def _counts(counts: Counts) -> Json:
    return {"new": counts.new, "old": counts.old, "saved": counts.saved, "urgent": counts.urgent}
