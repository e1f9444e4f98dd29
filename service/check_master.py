"""What `check` finds in Master.csv: whether its lines can be joined with what AMI tells, and have the right times."""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from service import check_pbxconf
from service.call import Leg
from service.cdr.master_csv import fields, leg_of_row, split
from service.cdr.times import LocalTimes
from service.check_finding import Finding, bad, ok, warn
from service.errors import InvalidInputError
from service.master_rows import reason
from service.settings import Settings, is_loopback

LOOKED_AT = 64 << 10
MOST_LINES = 50
QUARTER_S = 900
"""Time zones lie that far apart at least."""
CLOCKS_S = 60
"""Two readings of one clock never lie that far apart."""
RELOAD = "in [csv] of cdr.conf, then `module reload cdr_csv.so`; config/asterisk/ has the lines"
_YES = frozenset({"yes", "true", "y", "t", "1", "on"})
_EPOCH = re.compile(r"(\d{9,11})\.\d+\Z")


def content(settings: Settings, path: Path, etc: Path) -> Iterator[Finding]:
    """Findings about a file that can be read; `etc` is the PBX's configuration directory, if it is on this machine."""
    conf = _conf(settings, etc)
    try:
        legs = _last_legs(path, settings.pbx.timezone)
    except InvalidInputError as error:
        yield bad(
            f"Master.csv: the last line of {path} is not understood: {reason(error)}",
            "is cdr.csv what cdr_csv.so writes?",
        )
        return
    except OSError as error:
        yield bad(f"Master.csv: {path} cannot be read: {error.strerror}", "look at the disk")
        return
    findings = [*_columns(legs, conf), *_times(legs, conf, settings.pbx.timezone)]
    if not findings:
        found = f"last call {legs[-1].wall.partition('|')[0]}" if legs else "no call in it yet"
        yield ok(f"Master.csv: {path}, {found}")
    yield from findings


def configured(settings: Settings, etc: Path) -> Iterator[Finding]:
    """Findings about what cdr_csv.so will write, while there is no file yet."""
    conf = _conf(settings, etc)
    yield from _columns([], conf)
    yield from _times([], conf, settings.pbx.timezone)


def _conf(settings: Settings, etc: Path) -> dict[str, bool] | None:
    """What `[csv]` of the PBX's cdr.conf switches on; None where it cannot be told from here."""
    if not is_loopback(settings.ami.host):
        return None
    try:
        categories = check_pbxconf.read(etc, "cdr.conf")
    except OSError:
        return None
    names = ("usegmtime", "loguniqueid", "newcdrcolumns")
    return {name: (categories.get("csv", name) or "no").lower() in _YES for name in names}


def _last_legs(path: Path, zone: ZoneInfo) -> list[Leg]:
    """The legs of the last lines; raises OSError, InvalidInputError where the very last is none."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - LOOKED_AT))
        if size > LOOKED_AT:
            file.readline()
        records = split(file.read(LOOKED_AT)).records
    times, legs = LocalTimes(zone), []
    for place, record in enumerate(reversed(records[-MOST_LINES:])):
        try:
            legs.append(leg_of_row(fields(record), times))
        except InvalidInputError:
            if place == 0:
                raise
    return legs[::-1]


def _columns(legs: Sequence[Leg], conf: dict[str, bool] | None) -> Iterator[Finding]:
    """Whether a line has what joins it with the event that AMI sent, and with the other lines of its call."""
    uniqueid, linkedid = (legs[-1].uniqueid, legs[-1].linkedid) if legs else ("?", "?")
    if legs == [] and conf is not None:
        uniqueid, linkedid = "?" * conf["loguniqueid"], "?" * conf["newcdrcolumns"]
    if not uniqueid:
        yield bad(
            "Master.csv: its lines have no uniqueid, so what AMI told of the same calls can hardly be told from them",
            f"loguniqueid = yes {RELOAD}",
        )
    if not linkedid:
        yield warn(
            "Master.csv: its lines have no linkedid, so transferred and forwarded calls that AMI missed fall apart",
            f"newcdrcolumns = yes {RELOAD}",
        )


def _times(legs: Sequence[Leg], conf: dict[str, bool] | None, zone: ZoneInfo) -> Iterator[Finding]:
    """Whether the local times of the lines fit their uniqueids, which begin with the same moment as an epoch."""
    if conf is not None and conf["usegmtime"] and zone.key != "UTC":
        yield bad("Master.csv: its times are UTC, those that AMI tells are local", f"usegmtime = no {RELOAD}")
        return
    gaps = [gap for gap in (_gap(leg, zone) for leg in legs) if gap is not None]
    off_s, epoch = min(gaps, key=lambda gap: abs(gap[0]), default=(0, 0))
    if off_s:
        here = _offset_s(epoch, zone)
        yield bad(
            f"Master.csv: its times fit {_utc(here + off_s)}, but pbx.timezone = {zone.key} is {_utc(here)}",
            "set pbx.timezone to what the PBX's local time is",
        )


def _gap(leg: Leg, zone: ZoneInfo) -> tuple[int, int] | None:
    """How many seconds, in quarters of an hour, the zone is off, and at which moment; None where nothing tells.

    A leg begins with its channel or somewhat later, never before.
    """
    found = _EPOCH.search(leg.uniqueid)
    if found is None:
        return None
    epoch = int(found[1])
    wall = datetime.fromisoformat(leg.wall.partition("|")[0]).replace(tzinfo=UTC)
    off_s = int(wall.timestamp()) - epoch - _offset_s(epoch, zone)
    return (off_s + CLOCKS_S) // QUARTER_S * QUARTER_S, epoch


def _offset_s(epoch: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(epoch, zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _utc(offset_s: int) -> str:
    hours, minutes = divmod(abs(offset_s) // 60, 60)
    return f"UTC{'-' if offset_s < 0 else '+'}{hours:02d}:{minutes:02d}"
