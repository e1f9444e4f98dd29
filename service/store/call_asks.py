"""Which calls somebody asks for, in the terms of SQL, and how many there are of them.

Every condition is put so that the index by which calls are found tells it by itself, or another index does: an index
is small and near, a row of the table is not.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import NamedTuple

from service.call import CallStatus, CallType
from service.model import View
from service.store import call_counts, call_lines
from service.store.call_counts import EVER, NEVER, NO_CONVERSATION, NO_DURATION, Kind, Kinds, Where
from service.store.calls import visible_condition
from service.store.query import Query

VALUES = ("src", "dst", "external_number", "duration", "conversation")
"""The fields that have an index of their own, `call_src` and so on: of that field, id, type, status, and some more."""
FILTERS = (*VALUES, "type", "status")

_LENGTHS = frozenset({"duration", "conversation"})
_MORE = {
    "src": _LENGTHS,
    "dst": _LENGTHS,
    "external_number": _LENGTHS | {"start"},
    "duration": _LENGTHS,
    "conversation": _LENGTHS,
}
"""What else these indexes tell."""
_ZEROS = {"duration": NO_DURATION, "conversation": NO_CONVERSATION}
_CAPS = (1_000, 50_000)
"""How far it is counted to find the rarest value, and how far if that is not enough."""
_MOST_RUNS = 8
"""So many stretches of ids are told in a query."""


class Driver(NamedTuple):
    """The filter by whose index calls are found, and how many it finds."""

    calls: int
    field: str
    value: str | int

    @property
    def by_index(self) -> str:
        """The clause that has SQLite take its index."""
        return f"INDEXED BY call_{self.field}"

    def tells(self, field: str) -> bool:
        """Whether its index has this field."""
        return field in _MORE[self.field]


@dataclass(frozen=True, slots=True)
class Ask:
    """Those of a kind, with these values, that started in this time (epoch seconds), and are `visible`."""

    kind: Kind
    values: tuple[tuple[str, str | int], ...]
    since: int = EVER
    until: int = NEVER
    visible: Where | None = None

    @classmethod
    def of(cls, conn: sqlite3.Connection, view: View, query: Query) -> "Ask":
        """Those that a query asks for. Raises KeyError for a filter there is none of."""
        unknown = query.filters.keys() - set(FILTERS)
        if unknown:
            raise KeyError(*unknown)
        values = {name: value for name, value in query.filters.items() if name in VALUES}
        kind = Kind(_number(query, "type"), _number(query, "status"))
        if view is None and all(_is_kept(conn, name, value) for name, value in values.items()):
            zero = sum(_ZEROS[name] for name in values if name in _ZEROS)
            kind = kind._replace(zero=zero, line=str(values.get("external_number", "")))
            values.clear()
        since = EVER if query.since is None else max(query.since, EVER)
        until = NEVER if query.until is None else min(query.until, NEVER)
        return cls(kind, tuple(values.items()), since, until, visible_to(view))

    @property
    def ranged(self) -> bool:
        """Whether it asks for a time."""
        return (self.since, self.until) != (EVER, NEVER)

    def of_group(self, column: str, group: int) -> "Ask":
        """Those of them that are of this type, or have this status."""
        kind = self.kind._replace(type=group) if column == "type" else self.kind._replace(status=group)
        return replace(self, kind=kind)

    def in_time(self) -> Where:
        """The condition on when they started."""
        return Where(("start BETWEEN ? AND ?",), (self.since, self.until)) if self.ranged else Where()

    def of_row(self) -> Where:
        """All conditions, put to a row of the table."""
        values = Where(tuple(f"{name} = ?" for name, _ in self.values), tuple(value for _, value in self.values))
        return self.kind.called & values & self.in_time() & (self.visible or Where())

    def of_driver(self, by: Driver) -> Where:
        """All conditions but the time, put to the driver's index; what that does not tell is looked up in others."""
        found = Where((f"{by.field} = ?",), (by.value,)) & self.kind.called
        for name, value in self.values:
            if name != by.field:
                found &= Where((f"{name} = ?",), (value,)) if by.tells(name) else _probe(name, value)
        return found

    def of_others(self) -> Where:
        """All conditions but the time, put to an index of none of the values that tells id, type and status.

        Those that are told by another index or by the row itself come last.
        """
        found = Kind(self.kind.type, self.kind.status).called
        line = (("external_number", self.kind.line),) if self.kind.line else ()
        for name, value in (*self.values, *line):
            found &= _probe(name, value)
        row = Kind(zero=self.kind.zero).called
        if row.terms:
            found &= Where((f"EXISTS (SELECT 1 FROM call AS o WHERE o.id = call.id AND {row})",), row.values)
        return found


def visible_to(view: View) -> Where | None:
    """The condition on what somebody may see, None where that is everything."""
    if view is None:
        return None
    condition, parameters = visible_condition(view)
    return Where((condition,), parameters)


def among(low: int, high: int) -> Where:
    """The condition on ids, both ends included."""
    return Where(("call.id BETWEEN ? AND ?",), (low, high))


def _probe(name: str, value: str | int) -> Where:
    term = f"EXISTS (SELECT 1 FROM call AS o INDEXED BY call_{name} WHERE o.{name} = ? AND o.id = call.id)"
    return Where((term,), (value,))


def _is_kept(conn: sqlite3.Connection, name: str, value: str | int) -> bool:
    """Whether the calls with this value are kept counted."""
    return value == 0 if name in _ZEROS else name == "external_number" and call_lines.kept(conn, str(value))


def _number(query: Query, name: str) -> int | None:
    value = query.filters.get(name)
    return None if value is None else int(value)


def driver(conn: sqlite3.Connection, ask: Ask) -> Driver:
    """The rarest of the values that are asked for, in about that time."""
    near = hull(conn, ask)
    values = sorted(ask.values, key=lambda value: VALUES.index(value[0]))  # of the common, what tells most
    for cap in _CAPS:
        found = min((Driver(_up_to(conn, cap, *one, near), *one) for one in values), key=attrgetter("calls"))
        if found.calls < cap:
            break
    return found


def leading(conn: sqlite3.Connection, ask: Ask) -> Driver:
    """The same where nobody asks how many it finds: the only one need not be counted."""
    return driver(conn, ask) if len(ask.values) > 1 else Driver(0, *ask.values[0])


def _up_to(conn: sqlite3.Connection, cap: int, name: str, value: str | int, near: Where) -> int:
    where = Where((f"{name} = ?",), (value,)) & near
    some = f"SELECT 1 FROM call INDEXED BY call_{name} WHERE {where} LIMIT {cap:d}"
    return int(conn.execute(f"SELECT count(*) FROM ({some})", where.values).fetchone()[0])


def hull(conn: sqlite3.Connection, ask: Ask) -> Where:
    """The condition on ids that holds for all calls of that time, and for few others."""
    if not ask.ranged:
        return Where()
    found = runs(conn, ask)
    return among(found[0][0], found[-1][1]) if found else among(0, -1)


def count(conn: sqlite3.Connection, ask: Ask) -> int:
    """How many calls those are, exactly."""
    if not ask.values and ask.visible is None:
        return call_counts.total(conn, ask.kind, ask.since, ask.until)
    return sum(total for (total,) in _aggregated(conn, ask, "count(*)"))


def matrix(conn: sqlite3.Connection, ask: Ask) -> Kinds:
    """How many calls those are, exactly, by type and status."""
    if not ask.values and ask.visible is None:
        return call_counts.kinds(conn, ask.kind, ask.since, ask.until)
    kinds = [(int(kind), int(status)) for kind in CallType for status in CallStatus]
    columns = (f"count(*) FILTER (WHERE type = {kind:d} AND status = {status:d})" for kind, status in kinds)
    found: Kinds = Counter()
    for numbers in _aggregated(conn, ask, ", ".join(columns)):
        found.update(dict(zip(kinds, numbers, strict=True)))
    return found


def _aggregated(conn: sqlite3.Connection, ask: Ask, columns: str) -> Iterator[tuple[int, ...]]:
    """What is counted of those calls, in parts: where all calls among some ids are of that time, none is looked at."""
    index, where = source(conn, replace(ask, since=EVER, until=NEVER))
    timed = ask.in_time()
    parts = [timed]
    if ask.ranged and ask.visible is None:
        parts = [among(low, high) & (Where() if whole else timed) for low, high, whole in runs(conn, ask)]
    for part in parts:
        conditions = where & part
        yield conn.execute(f"SELECT {columns} FROM call {index} WHERE {conditions}", conditions.values).fetchone()


def timely(conn: sqlite3.Connection, ask: Ask) -> Where:
    """The condition on the time, put to any index: a row is read only where its id leaves that open."""
    if not ask.ranged:
        return Where()
    whole = [among(low, high) for low, high, whole in runs(conn, ask) if whole][:_MOST_RUNS]
    row = "EXISTS (SELECT 1 FROM call AS t WHERE t.id = call.id AND t.start BETWEEN ? AND ?)"
    term = " OR ".join([*map(str, whole), row])
    return hull(conn, ask) & Where(
        (f"({term})",), (*(end for one in whole for end in one.values), ask.since, ask.until)
    )


def extent(conn: sqlite3.Connection, by: Driver, near: Where) -> Where:
    """Conditions on id and type of all that a driver finds there: a line may be new, an extension be never called."""
    where = Where((f"{by.field} = ?",), (by.value,)) & near
    ends = (f"SELECT {end}(id) FROM call {by.by_index} WHERE {where}" for end in ("min", "max"))
    low, high = (conn.execute(end, where.values).fetchone()[0] for end in ends)
    if by.calls >= _CAPS[-1]:
        return among(low, high)
    has = f"EXISTS (SELECT 1 FROM call {by.by_index} WHERE {where} AND type = {{}})"
    columns = ", ".join(has.format(int(kind)) for kind in CallType)
    row = conn.execute(f"SELECT {columns}", where.values * len(CallType)).fetchone()
    types = [str(int(kind)) for kind, found in zip(CallType, row, strict=True) if found]
    return among(low, high) & Where((f"type IN ({', '.join(types)})",))


def source(conn: sqlite3.Connection, ask: Ask) -> tuple[str, Where]:
    """The clause that says how SQLite is to find those calls, and all conditions."""
    if ask.visible is not None:
        return "NOT INDEXED", ask.of_row()
    if not ask.values:
        return "INDEXED BY call_start", ask.in_time() & ask.kind.called
    by = leading(conn, ask)
    return by.by_index, ask.of_driver(by) & ask.in_time()


def runs(conn: sqlite3.Connection, ask: Ask) -> Sequence[tuple[int, int, bool]]:
    """Between which ids calls of that time are, and whether all calls there are of that time."""
    found: list[tuple[int, int, bool]] = []
    for zone in call_counts.zones(conn, ask.since, ask.until):
        whole = zone.within(ask.since, ask.until)
        if found and found[-1][1:] == (zone.low - 1, whole):
            found[-1] = (found[-1][0], zone.high, whole)
        else:
            found.append((zone.low, zone.high, whole))
    return found
