"""Makes CDRs of any number: as AMI events and as lines of Master.csv, the same calls in the same shares each time."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

FIRST_START = 1_700_000_000
EVERY_S = 25
"""Seconds between two calls: a million of them make most of a year."""
OUTSIDE = 20_000
INSIDE = 300


def lines(number: int, *, seed: int = 1) -> Iterator[tuple[str, ...]]:
    """The fields of so many calls of one leg each, in the order of Master.csv with all its columns."""
    rng = random.Random(seed)
    for count in range(number):
        start = FIRST_START + count * EVERY_S
        inside, outside = str(100 + rng.randrange(INSIDE)), f"1555{rng.randrange(OUTSIDE):07d}"
        way = rng.random()
        src, dst = (
            (outside, inside) if way < 0.6 else (inside, outside) if way < 0.9 else (inside, str(100 + count % 7))
        )
        ring, talk = rng.randrange(1, 20), int(rng.expovariate(1 / 90))
        answered = rng.random() < 0.7
        disposition = "ANSWERED" if answered else rng.choice(("NO ANSWER", "NO ANSWER", "BUSY", "FAILED"))
        talk = talk if answered else 0
        unique = f"{start}.{2 * count}"
        yield (
            "",
            src,
            dst,
            "from-trunk" if src == outside else "internal",
            f'"Caller {src}" <{src}>',
            f"PJSIP/{'trunk' if src == outside else src}-{2 * count:08x}",
            f"PJSIP/{'trunk' if dst == outside else dst}-{2 * count + 1:08x}",
            "Dial",
            f"PJSIP/{dst},20",
            _wall(start),
            _wall(start + ring) if answered else "",
            _wall(start + ring + talk),
            str(ring + talk),
            str(talk),
            disposition,
            "DOCUMENTATION",
            unique,
            "",
            "",
            unique,
            str(count),
        )


def _wall(epoch: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(epoch))


_NUMBERS = (12, 13, 20)
_EVENT = (  # noqa: SIM905 -- a list of 21 quoted names is no easier to read
    "AccountCode Source Destination DestinationContext CallerID Channel DestinationChannel LastApplication LastData"
    " StartTime AnswerTime EndTime Duration BillableSeconds Disposition AMAFlags UniqueID UserField PeerAccount"
    " LinkedID Sequence"
).split()


def csv_line(fields: tuple[str, ...]) -> str:
    """The line as cdr_csv writes it."""
    quoted = (
        value
        if place in _NUMBERS
        else '"' + value.replace('"', '""') + '"'
        if value or place not in (9, 10, 11)
        else ""
        for place, value in enumerate(fields)
    )
    return ",".join(quoted) + "\n"


def write_csv(path: Path, number: int) -> int:
    """Write a Master.csv of so many calls; gives its size in bytes."""
    with path.open("w") as file:
        file.writelines(map(csv_line, lines(number)))
    return path.stat().st_size


def event(fields: tuple[str, ...]) -> bytes:
    """The event as cdr_manager sends it, with its end."""
    rows = [f"{name}: {value}" for name, value in zip(_EVENT, fields, strict=True) if name != "PeerAccount"]
    return "\r\n".join(["Event: Cdr", "Privilege: cdr,all", *rows, "", ""]).encode()
