"""CDRs for the tests: those that real PBXs sent, and any other, as either source tells them."""

from collections.abc import Callable, Iterable
from pathlib import Path
from zoneinfo import ZoneInfo

from service.ami.message import Event, Fields, parse
from service.call import Leg
from service.cdr.event import leg_of_event
from service.cdr.times import LocalTimes

FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDINGS = {
    path.stem.removeprefix("ami-"): path
    for directory in ("ami", "ami-recordings")
    for path in sorted((FIXTURES / directory).glob("*.txt"))
    if b"Event: Cdr" in path.read_bytes()
}
UTC = LocalTimes(ZoneInfo("UTC"))
NUMBERS = frozenset({12, 13, 20})
TIMES = frozenset({9, 10, 11})
COLUMNS = (
    "AccountCode",
    "Source",
    "Destination",
    "DestinationContext",
    "CallerID",
    "Channel",
    "DestinationChannel",
    "LastApplication",
    "LastData",
    "StartTime",
    "AnswerTime",
    "EndTime",
    "Duration",
    "BillableSeconds",
    "Disposition",
    "AMAFlags",
    "UniqueID",
    "UserField",
    "PeerAccount",
    "LinkedID",
    "Sequence",
)
"""An event's keys in the order of Master.csv with all its columns."""


def events(name: str) -> list[Fields]:
    """The `Cdr` events of a recorded session."""
    messages = (parse(raw.lstrip(b"\r\n")) for raw in RECORDINGS[name].read_bytes().split(b"\r\n\r\n"))
    return [message.fields for message in messages if isinstance(message, Event) and message.name == "Cdr"]


def legs(name: str) -> list[Leg]:
    """The legs of a recorded session."""
    return [leg_of_event(fields.get, UTC) for fields in events(name)]


def line(row: Iterable[str]) -> bytes:
    """A row as `cdr_csv.c` writes it: texts in quotes, numbers and an absent answer without."""
    return (
        ",".join(
            text if place in NUMBERS or (place in TIMES and not text) else '"' + text.replace('"', '""') + '"'
            for place, text in enumerate(row)
        ).encode()
        + b"\n"
    )


def row_of_event(get: Callable[[str], str]) -> list[str]:
    """The columns in which `cdr_csv.c` writes what this event tells."""
    return [get(key) for key in COLUMNS[: 21 if get("LinkedID") else 18]]


def leg(**told: object) -> Leg:
    """A leg that was answered from the outside, but for what is `told`."""
    fields: dict[str, object] = dict.fromkeys(Leg._fields, "") | {
        "uniqueid": "1795211447.1",
        "sequence": None,
        "channel": "PJSIP/trunk-00000001",
        "src": "15551234567",
        "dst": "200",
        "dcontext": "from-trunk",
        "lastapp": "Dial",
        "start": 1795211447,
        "answer": None,
        "end": 1795211452,
        "duration": 5,
        "billsec": 0,
        "disposition": "NO ANSWER",
    }
    return Leg(**(fields | told))  # type: ignore[arg-type] # the numbers are numbers
