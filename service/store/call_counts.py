"""Calls kept counted: how many of each type and status there are in all, in a span of time, among neighbouring ids.

Table `call_count` has a row for every kind of call in every bucket that holds any; for all calls together, and once
more for those of each outside line in table `call_line` (see `call_lines`). Table `call_zone` tells when the calls of
neighbouring ids started: ids and times run together, but for what is imported late.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

ALL = 0
"""The unit with one bucket, 0."""
DAY = 86400
"""The unit whose buckets are days, from the epoch on in UTC."""
LONG = 32 * DAY
"""The unit whose buckets are so many seconds."""
QUARTER = 900
"""The unit whose buckets are quarters of an hour; it does not tell status and `zero` apart."""
PROFILES = (32, 4)
"""The units whose buckets are the 96 quarters of a day, each of so many days; nor do they."""
ZONE = 1024
"""The unit whose buckets are zones: so many neighbouring ids each."""
QUARTERS = DAY // QUARTER
NO_DURATION, NO_CONVERSATION = 1, 2
"""The bits of `zero`."""
EVER, NEVER = -(10**5) * LONG, 10**5 * LONG - 1
"""Before and after every call, in epoch seconds."""

_ADD = "INSERT INTO call_count VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET calls = calls + excluded.calls"
_CLEAN = (
    "DELETE FROM call_count"
    " WHERE line = ? AND unit = ? AND bucket = ? AND type = ? AND status = ? AND zero = ? AND calls = 0"
)
_WIDEN = (
    "INSERT INTO call_zone VALUES (?, ?, ?)"
    " ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)"
    " WHERE excluded.first < first OR excluded.last > last"
)

Kinds = Counter[tuple[int, int]]
"""Numbers of calls by type and status."""


class Counted(NamedTuple):
    """What is counted of a call."""

    id: int
    start: int
    type: int
    status: int
    duration: int
    conversation: int
    external_number: str | None


class Tally:
    """What a batch changes in the counts: gathered call by call, written at once."""

    def __init__(self) -> None:
        self._come: list[Counted] = []
        self._gone: list[Counted] = []

    def come(self, call: Counted) -> None:
        """There is a call that was not, or not like this."""
        self._come.append(call)

    def gone(self, call: Counted) -> None:
        """A call is no more, or is another now."""
        self._gone.append(call)

    def flush(self, conn: sqlite3.Connection) -> None:
        """Write it."""
        totals: _Totals = Counter()
        lines = dict(conn.execute("SELECT number, upto FROM call_line"))
        for calls, sign in ((self._come, 1), (self._gone, -1)):
            _add("", calls, sign, totals)
            for line, some in _by_line(calls, lines).items() if lines else ():
                _add(line, some, sign, totals)
        _write(conn, totals)
        zones: dict[int, list[int]] = {}
        for call in self._come:
            zones.setdefault(call.id // ZONE, []).append(call.start)
        conn.executemany(_WIDEN, [(zone, min(starts), max(starts)) for zone, starts in zones.items()])


_Totals = Counter[tuple[str, int, int, int, int, int]]


def count_line(conn: sqlite3.Connection, line: str, calls: Sequence[Counted]) -> None:
    """Count calls of a line that had not been counted for it."""
    totals: _Totals = Counter()
    _add(line, calls, 1, totals)
    _write(conn, totals)


def _by_line(calls: Iterable[Counted], lines: dict[str, int]) -> dict[str, list[Counted]]:
    """The calls of each line, of those that are counted for it already."""
    found: dict[str, list[Counted]] = {}
    for call in calls:
        line = call.external_number
        if line is not None and call.id <= lines.get(line, -1):
            found.setdefault(line, []).append(call)
    return found


def _add(line: str, calls: Sequence[Counted], sign: int, totals: _Totals) -> None:
    alike = Counter(
        [
            (start // QUARTER, call_id // ZONE, kind, status, (duration == 0) + 2 * (conversation == 0))
            for call_id, start, kind, status, duration, conversation, _line in calls
        ]
    )
    for (quarter, zone, kind, status, zero), number in alike.items():
        calls_more = sign * number
        day, of_day = divmod(quarter, QUARTERS)
        totals[line, ALL, 0, kind, status, zero] += calls_more
        totals[line, LONG, day * DAY // LONG, kind, status, zero] += calls_more
        totals[line, DAY, day, kind, status, zero] += calls_more
        totals[line, ZONE, zone, kind, status, zero] += calls_more
        totals[line, QUARTER, quarter, kind, 0, 0] += calls_more
        for profile in PROFILES:
            totals[line, profile, day // profile * QUARTERS + of_day, kind, 0, 0] += calls_more


def _write(conn: sqlite3.Connection, totals: _Totals) -> None:
    conn.executemany(_ADD, [(*key, calls) for key, calls in totals.items() if calls])
    conn.executemany(_CLEAN, [key for key, calls in totals.items() if calls < 0])


class Kind(NamedTuple):
    """Of which calls: of any type and status where that is None, with all bits of `zero`, of a line where that is one.

    Only lines that are kept counted may be asked for, see `call_lines.kept`.
    """

    type: int | None = None
    status: int | None = None
    zero: int = 0
    line: str = ""

    @property
    def called(self) -> "Where":
        """The condition on `call`."""
        found = self._told
        if self.zero & NO_DURATION:
            found &= Where(("duration = 0",))
        if self.zero & NO_CONVERSATION:
            found &= Where(("conversation = 0",))
        return found & Where(("external_number = ?",), (self.line,)) if self.line else found

    @property
    def counted(self) -> "Where":
        """The condition on `call_count`."""
        zeros = Where((f"zero & {self.zero:d} = {self.zero:d}",)) if self.zero else Where()
        return Where(("line = ?",), (self.line,)) & self._told & zeros

    @property
    def _told(self) -> "Where":
        found = Where()
        for name, value in (("type", self.type), ("status", self.status)):
            if value is not None:
                found &= Where((f"{name} = ?",), (value,))
        return found


class Where(NamedTuple):
    """Conditions that all have to hold, and their parameters."""

    terms: tuple[str, ...] = ()
    values: tuple[str | int | bytes, ...] = ()

    def __and__(self, other: "Where") -> "Where":
        return Where(self.terms + other.terms, self.values + other.values)

    def __str__(self) -> str:
        return " AND ".join(self.terms) or "1"


class Span(NamedTuple):
    """A span of time, both ends included, in epoch seconds, and how many calls of the kind asked for started in it."""

    since: int
    until: int
    calls: int


class Zone(NamedTuple):
    """Neighbouring ids, both ends included, and between which epoch seconds their calls started."""

    low: int
    high: int
    first: int
    last: int

    def within(self, since: int, until: int) -> bool:
        """Whether all of its calls started in that time."""
        return since <= self.first and self.last <= until


class _Piece(NamedTuple):
    """A part of a time: buckets of a unit from `first` until before `last`; or, with unit ALL, these seconds."""

    unit: int
    first: int
    last: int


def _pieces(since: int, until: int, units: Sequence[int]) -> Iterator[_Piece]:
    """A time in whole buckets of these units, the longest first, and what remains at its edges; in order."""
    if since > until:
        return
    if not units:
        yield _Piece(ALL, since, until + 1)
        return
    unit, *shorter = units
    first, last = -(-since // unit), (until + 1) // unit
    if first >= last:
        yield from _pieces(since, until, shorter)
        return
    yield from _pieces(since, first * unit - 1, shorter)
    yield _Piece(unit, first, last)
    yield from _pieces(last * unit, until, shorter)


def _units(kind: Kind, *longer: int) -> Sequence[int]:
    """The units in which this kind is told apart."""
    return longer if kind.zero or kind.status is not None else (*longer, QUARTER)


def _select(columns: str, kind: Kind, piece: _Piece) -> tuple[str, tuple[str | int | bytes, ...]]:
    """A query of what is counted in a piece, in whose columns `{n}` is the number of calls."""
    if piece.unit == ALL:
        where = Where(("start >= ?", "start < ?"), piece[1:]) & kind.called
        return f"SELECT {columns.format(n='count(*)')} FROM call INDEXED BY call_start WHERE {where}", where.values
    where = Where(("unit = ?", "bucket >= ?", "bucket < ?"), piece) & kind.counted
    return f"SELECT {columns.format(n='coalesce(sum(calls), 0)')} FROM call_count WHERE {where}", where.values


def total(conn: sqlite3.Connection, kind: Kind, since: int = EVER, until: int = NEVER) -> int:
    """How many calls of this kind started from `since` to `until`, both included, in epoch seconds."""
    if (since, until) == (EVER, NEVER):
        where = Where(("unit = ?",), (ALL,)) & kind.counted
        query = f"SELECT coalesce(sum(calls), 0) FROM call_count WHERE {where}"
        return int(conn.execute(query, where.values).fetchone()[0])
    pieces = _pieces(since, until, _units(kind, LONG, DAY))
    return sum(int(conn.execute(*_select("{n}", kind, piece)).fetchone()[0]) for piece in pieces)


def kinds(conn: sqlite3.Connection, kind: Kind, since: int = EVER, until: int = NEVER) -> Kinds:
    """The same by type and status."""
    found: Kinds = Counter()
    for piece in _pieces(since, until, (LONG, DAY)):
        query, values = _select("type, status, {n}", kind, piece)
        for call_type, status, calls in conn.execute(f"{query} GROUP BY type, status", values):
            found[call_type, status] += calls
    return found


def days(conn: sqlite3.Connection, kind: Kind, since: int, until: int) -> Iterator[Span]:
    """The days (in UTC) of this time that have calls of this kind, in order; those at its edges in part."""
    yield from _spans(conn, kind, _pieces(since, until, _units(kind, DAY)))


def quarters(conn: sqlite3.Connection, kind: Kind, since: int, until: int) -> Iterator[Span]:
    """The same by quarters of an hour, where they tell this kind apart; else that time in one."""
    yield from _spans(conn, kind, _pieces(since, until, _units(kind)))


def _spans(conn: sqlite3.Connection, kind: Kind, pieces: Iterable[_Piece]) -> Iterator[Span]:
    for piece in pieces:
        if piece.unit == ALL:
            calls = conn.execute(*_select("{n}", kind, piece)).fetchone()[0]
            if calls:
                yield Span(piece.first, piece.last - 1, calls)
            continue
        unit = piece.unit
        query, values = _select("bucket, {n}", kind, piece)
        for bucket, calls in conn.execute(f"{query} GROUP BY bucket ORDER BY bucket", values).fetchall():
            yield Span(bucket * unit, bucket * unit + unit - 1, calls)


def by_time_of_day(conn: sqlite3.Connection, kind: Kind, since: int, until: int) -> Iterator[tuple[int, int, int]]:
    """Calls that started in this time: the second of the day (in UTC), the type, and how many.

    The second is when the call started, or when that quarter of an hour began. `kind` may tell a line alone.
    """
    profiles = {profile * DAY: profile for profile in PROFILES}
    for piece in _pieces(since, until, (*profiles, QUARTER)):
        unit, first, last = piece
        if unit == ALL:
            query, values = _select("start, type, {n}", kind, piece)
            yield from ((start % DAY, *rest) for start, *rest in conn.execute(f"{query} GROUP BY start, type", values))
            continue
        buckets = (profiles[unit], first * QUARTERS, last * QUARTERS) if unit in profiles else piece
        where = Where(("unit = ?", "bucket >= ?", "bucket < ?"), buckets) & kind.counted
        rows = conn.execute(f"SELECT bucket, type, calls FROM call_count WHERE {where}", where.values)
        yield from ((bucket % QUARTERS * QUARTER, call_type, calls) for bucket, call_type, calls in rows)


def zones(conn: sqlite3.Connection, since: int, until: int, order: str = "zone") -> Iterator[Zone]:
    """The zones that may have calls that started in this time, by their ids, or by `first` or by `last DESC`."""
    query = f"SELECT zone, first, last FROM call_zone WHERE last >= ? AND first <= ? ORDER BY {order}"
    for zone, first, last in conn.execute(query, (since, until)):
        yield Zone(zone * ZONE, zone * ZONE + ZONE - 1, first, last)


def by_zone(conn: sqlite3.Connection, kind: Kind, *, descending: bool = False) -> Iterator[tuple[int, int]]:
    """How many calls of this kind each zone has, by its lowest id, in that order; not those that have none."""
    where = Where(("unit = ?",), (ZONE,)) & kind.counted
    order = "DESC" if descending else "ASC"
    query = f"SELECT bucket, sum(calls) FROM call_count WHERE {where} GROUP BY bucket ORDER BY bucket {order}"
    for zone, calls in conn.execute(query, where.values):
        yield zone * ZONE, calls
