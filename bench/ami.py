"""AMI bytes to handled events, beside a parser that does no more than filter by the first line.

The stream is put together from recordings of a real PBX: one Cdr in 40 events, the others of kinds that nobody wants
here. Both read it in pieces as large as asyncio's reads.
"""

import asyncio
import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

from bench import statistic, table
from service.ami import Event, Limits
from service.ami.client import EVENTS
from service.ami.link import Counters, Link
from service.ami.message import END, EOL

RECORDINGS = Path(__file__).parents[1] / "tests" / "fixtures" / "ami"
MESSAGES = 100_000
ONE_IN = 40
PIECE = 256 * 1024
ROUNDS = 9
GREETING = b"Asterisk Call Manager/11.0.0" + EOL
_WANTED = tuple(b"Event: " + name.encode() for name in sorted(EVENTS))
_NAME = re.compile(rb"Event: ([^\r]+)\r\n")


def recorded() -> tuple[list[bytes], list[bytes]]:
    """The Cdr events of the recordings, and the events that nobody here wants, each with its end."""
    cdrs, others = [], []
    for file in sorted(RECORDINGS.glob("22-*.txt")):
        for raw in file.read_bytes().split(END):
            found = _NAME.match(raw)
            if found is not None and found[1] == b"Cdr":
                cdrs.append(raw + END)
            elif found is not None and found[1].decode() not in EVENTS:
                others.append(raw + END)
    return cdrs, others


def stream() -> list[bytes]:
    """The mixed stream, in pieces."""
    cdrs, others = map(itertools.cycle, recorded())
    data = b"".join(next(others if number % ONE_IN else cdrs) for number in range(MESSAGES))
    return [data[start : start + PIECE] for start in range(0, len(data), PIECE)]


async def ours(pieces: list[bytes]) -> float:
    """Seconds in which our client hands out all Cdr events of the pieces."""
    events: list[Event] = []
    link = Link(("127.0.0.1", 1), limits=Limits(), wanted=EVENTS, on_event=events.append, counters=Counters())
    protocol: asyncio.Protocol = link.config["protocol_factory"]()
    protocol.connection_made(asyncio.Transport())
    link.authenticated = True
    protocol.data_received(GREETING)
    began = time.thread_time()
    for piece in pieces:
        protocol.data_received(piece)
    took = time.thread_time() - began
    assert len(events) == -(-MESSAGES // ONE_IN), len(events)
    return took


def limit(pieces: list[bytes]) -> float:
    """Seconds in which a first-line filter reads the same events into dictionaries."""
    began = time.thread_time()
    found = list(_filtered(pieces))
    took = time.thread_time() - began
    assert len(found) == -(-MESSAGES // ONE_IN), len(found)
    return took


def _filtered(pieces: list[bytes]) -> Iterator[dict[str, str]]:
    rest = b""
    for piece in pieces:
        messages = (rest + piece).split(END)
        rest = messages.pop()
        for raw in messages:
            if raw.startswith(_WANTED):
                lines = raw.decode("utf-8", "replace").split("\r\n")
                yield {key: value for key, _, value in (line.partition(": ") for line in lines)}


def figures() -> Iterator[table.Row]:
    pieces = stream()
    took = statistic.interleaved({"ours": lambda: asyncio.run(ours(pieces)), "limit": lambda: limit(pieces)}, ROUNDS)
    rates = {name: [MESSAGES / one for one in values] for name, values in took.items()}
    yield table.Row.compared(
        f"AMI events, 1 Cdr in {ONE_IN}: {statistic.percentile(rates['ours'], 50) / 1e3:.0f} k/s",
        f"first-line filter {statistic.percentile(rates['limit'], 50) / 1e3:.0f} k/s",
        statistic.ratio(rates, "ours", "limit"),
        ">= 0.55",
    )


if __name__ == "__main__":
    table.tell(figures)
