"""Pages of calls: any filter, sort and range, any page, with the exact total, and no million rows looked at.

A page is found as ids first, within indexes alone, from whichever end is nearer; then its rows are read. Calls that
have the same of what they are sorted by stand by their ids, in the same direction. Which way the ids are found:

- By id or time, without other values: the kept counts say in which zone or quarter of an hour the page begins.
- With values that are filtered by: the rarest one's index has them by id; zone by zone they come by time.
- By any other field: along that field's index, each looked at until the page is full; or, where those that are asked
  for are so few that this would go on for long, all of them, sorted.
- For who sees not all: the first of all that match, whoever sees them, are read, and it is looked who takes part;
  or, where most are another's or the page is deep, all that are seen are found by their parties, and sorted.
"""

import heapq
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, NamedTuple, TypeVar

import orjson

from service.call import Call, CallStatus, CallType
from service.model import Mailbox, View
from service.store import call_counts, calls
from service.store.call_asks import FILTERS, Ask, Driver, among, count, driver, extent, hull, leading, timely
from service.store.call_counts import NO_CONVERSATION, NO_DURATION, Kind, Span, Where
from service.store.query import Page, Query

T = TypeVar("T")

SORTS = ("id", "datetime", *FILTERS)
WINDOW = 4096
"""So many calls are looked at one by one before the counts are asked where a page begins."""
FEW = 1000
"""So many calls are soonest sorted all together."""
ROW, NEXT, SORT, VALUE, PROBE, STEP = 1.5, 0.25, 0.15, 15.0, 0.4, 0.06
"""What it takes, in microseconds: to read a row somewhere, or the next; to sort one that an index tells whole; to find
a value in an index; to look for a call in another index; to go on to the next in one.

Measured at a million calls; they choose between ways that answer the same.
"""

LOOK, SEE = 40.0, 1.5
"""The same for a call that is read whole, to see who takes part; and for one that is among all that somebody sees."""
ENOUGH = 1.5
"""So many times what is expected is read whole."""
PATIENCE = 4
"""So many times what is expected it is gone on for, where there is another way."""

_GROUPS = {"type": tuple(CallType), "status": tuple(CallStatus)}
_ZEROS = {"duration": NO_DURATION, "conversation": NO_CONVERSATION}


@dataclass(frozen=True, slots=True)
class _Cut:
    """Which part of the calls, in which order. `column` is "id" for those that are the same in what sorts them."""

    column: str
    descending: bool
    limit: int
    offset: int

    @property
    def end(self) -> int:
        """How many calls come before its end."""
        return self.offset + self.limit

    @property
    def order(self) -> str:
        """The end of a query: ORDER BY, LIMIT and OFFSET."""
        way = "DESC" if self.descending else "ASC"
        by_id = "" if self.column == "id" else f", call.id {way}"
        return f"ORDER BY call.{self.column} {way}{by_id} LIMIT {self.limit:d} OFFSET {self.offset:d}"


def page(conn: sqlite3.Connection, view: View, query: Query) -> Page[Call]:
    """The calls in view that match, sorted, `limit` of them from `offset` on, and the exact total."""
    if query.sort not in SORTS:
        raise KeyError(query.sort)
    ask = Ask.of(conn, view, query)
    total = _total(conn, view, ask)
    limit = min(query.limit, total - query.offset)
    if limit <= 0:
        return Page([], total)
    cut = _Cut("start" if query.sort == "datetime" else query.sort, query.descending, limit, query.offset)
    from_the_end = query.offset > total // 2
    if from_the_end:
        cut = replace(cut, descending=not cut.descending, offset=total - cut.end)
    rows = None if view is None else _seen_among_all(conn, view, ask, cut, total)
    if rows is None:
        rows = calls.load(conn, _ids(conn, ask, cut, total))
    return Page(rows[::-1] if from_the_end else rows, total)


def _total(conn: sqlite3.Connection, view: View, ask: Ask) -> int:
    if view is not None and ask == Ask(Kind(), (), visible=ask.visible):
        return calls.count_visible(conn, view)
    return count(conn, ask)


def _seen_among_all(
    conn: sqlite3.Connection, view: Collection[Mailbox], ask: Ask, cut: _Cut, total: int
) -> list[Call] | None:
    """The page, looked for among the first of all calls that match, whoever sees them; None where that takes longer."""
    everybodys = replace(ask, visible=None)
    every = count(conn, everybodys)
    number = min(every, int(ENOUGH * cut.end * every / total) + cut.limit)
    if number * LOOK > total * SEE:
        return None
    boxes: dict[str, list[Mailbox]] = {}
    for box in view:
        boxes.setdefault(box.extension, []).append(box)
    first = calls.load(conn, _ids(conn, everybodys, replace(cut, limit=number, offset=0), every))
    rows = [call for call in first if _takes_part(call, boxes)][cut.offset : cut.end]
    return rows if len(rows) == cut.limit else None


def _takes_part(call: Call, boxes: Mapping[str, Collection[Mailbox]]) -> bool:
    """Whether one of these mailboxes takes part, which are given by their extensions."""
    mine = (box for extension in call.extensions & boxes.keys() for box in boxes[extension])
    return any(call.takes_part(box.context, box.extension) for box in mine)


def _ids(conn: sqlite3.Connection, ask: Ask, cut: _Cut, total: int) -> list[int]:
    if _constant(conn, ask, cut.column, total):
        cut = replace(cut, column="id")
    if cut.column in _GROUPS:
        return _group_by_group(conn, ask, cut)
    if ask.visible is not None:
        return _selected(conn, "NOT INDEXED", ask.of_row(), cut)
    if ask.values:
        return _of_values(conn, ask, cut, total)
    if cut.column == "id":
        return _by_id(conn, ask, cut)
    if cut.column == "start":
        return _by_start(conn, ask, cut)
    return _along(conn, ask, cut, total)


def _constant(conn: sqlite3.Connection, ask: Ask, column: str, total: int) -> bool:
    """Whether all of those calls are known to have the same in this column."""
    if any(name == column for name, _ in ask.values) or (column == "external_number" and ask.kind.line):
        return True
    if column in _GROUPS and getattr(ask.kind, column) is not None:
        return True
    if column not in _ZEROS or ask.values or ask.visible is not None:
        return False
    none = ask.kind._replace(zero=ask.kind.zero | _ZEROS[column])
    return total == call_counts.total(conn, none, ask.since, ask.until)


def _selected(conn: sqlite3.Connection, index: str, where: Where, cut: _Cut) -> list[int]:
    return _all_ids(conn, f"SELECT call.id AS id FROM call {index} WHERE {where} {cut.order}", where.values)


def _all_ids(conn: sqlite3.Connection, query: str, values: Sequence[Any]) -> list[int]:
    """What a query gives as `id`, in its order; as one row, see `call_rows.load`."""
    (ids,) = conn.execute(f"SELECT json_group_array(id) FROM ({query})", values).fetchone()
    found: list[int] = orjson.loads(ids)
    return found


def _group_by_group(conn: sqlite3.Connection, ask: Ask, cut: _Cut) -> list[int]:
    """By type or status, which have few values: one after the other."""
    groups = [int(group) for group in sorted(_GROUPS[cut.column], reverse=cut.descending)]
    parts = ((group, count(conn, ask.of_group(cut.column, group))) for group in groups)
    found: list[int] = []
    for group, number, part in _cut_up(parts, replace(cut, column="id")):
        found += _ids(conn, ask.of_group(cut.column, group), part, number)
    return found


def _cut_up(parts: Iterable[tuple[T, int]], cut: _Cut) -> Iterator[tuple[T, int, _Cut]]:
    """Which of these parts, each with its number of calls, a cut lies in, and what it is of each."""
    offset, limit = cut.offset, cut.limit
    for part, number in parts:
        if offset >= number:
            offset -= number
            continue
        taken = min(limit, number - offset)
        yield part, number, replace(cut, offset=offset, limit=taken)
        offset, limit = 0, limit - taken
        if limit == 0:
            return


# ---- without values


def _by_id(conn: sqlite3.Connection, ask: Ask, cut: _Cut) -> list[int]:
    where = ask.kind.called & ask.in_time()
    if cut.end <= WINDOW:
        found = _near(conn, hull(conn, ask), where, cut)
        if len(found) == cut.limit:
            return found
    found = []
    for low, _number, part in _cut_up(_in_zones(conn, ask, where, cut), cut):
        found += _selected(conn, "", among(low, low + call_counts.ZONE - 1) & where, part)
    return found


def _in_zones(conn: sqlite3.Connection, ask: Ask, where: Where, cut: _Cut) -> Iterator[tuple[int, int]]:
    """How many of the calls each zone has, by its lowest id, in the direction of a cut."""
    zones = {zone.low: zone for zone in call_counts.zones(conn, ask.since, ask.until)} if ask.ranged else {}
    for low, number in call_counts.by_zone(conn, ask.kind, descending=cut.descending):
        if not ask.ranged or (low in zones and zones[low].within(ask.since, ask.until)):
            yield low, number
        elif low in zones:
            here = among(low, zones[low].high) & where
            yield low, conn.execute(f"SELECT count(*) FROM call WHERE {here}", here.values).fetchone()[0]


def _by_start(conn: sqlite3.Connection, ask: Ask, cut: _Cut) -> list[int]:
    if cut.end <= WINDOW:
        found = _near(conn, ask.in_time(), ask.kind.called, cut)
        if len(found) == cut.limit:
            return found
    found = []
    for day, _number, part in _cut_up(_ways(call_counts.days(conn, ask.kind, ask.since, ask.until), cut), cut):
        quarters = _ways(call_counts.quarters(conn, ask.kind, day.since, day.until), part)
        for quarter, _number, rest in _cut_up(quarters, part):
            one = replace(ask, since=quarter.since, until=quarter.until)
            found += _selected(conn, "INDEXED BY call_start", one.in_time() & one.kind.called, rest)
    return found


def _ways(spans: Iterable[Span], cut: _Cut) -> Iterator[tuple[Span, int]]:
    """The spans in the direction of a cut, with their numbers."""
    for span in reversed(list(spans)) if cut.descending else spans:
        yield span, span.calls


def _near(conn: sqlite3.Connection, near: Where, where: Where, cut: _Cut) -> list[int]:
    """Those of the page that are among the nearest calls; fewer than the page where it goes on beyond them."""
    index = "" if cut.column == "id" else f"INDEXED BY call_{cut.column}"
    if where == Where():
        return _selected(conn, index, near, cut)
    window = replace(cut, limit=WINDOW, offset=0)
    columns = "id, start, type, status, duration, conversation, external_number"
    nearest = f"SELECT {columns} FROM call {index} WHERE {near} {window.order}"
    query = f"SELECT id FROM ({nearest}) WHERE {where} LIMIT {cut.limit:d} OFFSET {cut.offset:d}"
    return _all_ids(conn, query, (*near.values, *where.values))


def _along(conn: sqlite3.Connection, ask: Ask, cut: _Cut, total: int) -> list[int]:
    """By a field that is not filtered by: along its index, unless it is sooner to sort all that are asked for."""
    every = call_counts.total(conn, Kind())
    in_time, last = timely(conn, ask), None
    near = in_time
    if ask.values:
        by = driver(conn, ask)
        cost = by.calls * (SORT if by.tells(cut.column) else ROW)
        last = _Resort(by.by_index, ask.of_driver(by) & in_time, cost)
        near = extent(conn, by, hull(conn, ask)) & in_time
    elif ask.ranged:
        number = call_counts.total(conn, Kind(), ask.since, ask.until)
        last = _Resort("INDEXED BY call_start", ask.in_time() & ask.kind.called, number * NEXT)
    elif ask.kind.line:
        near = extent(conn, Driver(every, "external_number", ask.kind.line), Where())
    walk = _walk(conn, ask, cut, near)
    last = last or _Resort(walk.by_index, walk.within & walk.near & walk.where, every * STEP)
    steps = cut.end * every / total
    if steps * (STEP + PROBE * len(ask.values)) < last.cost:
        found = walk.on(conn, cut, steps, last.cost, every)
        if len(found) == cut.limit:
            return found
    return _selected(conn, last.by_index, last.where, cut)


class _Resort(NamedTuple):
    """Sorting all calls that are asked for: how these are found, and what it takes (microseconds)."""

    by_index: str
    where: Where
    cost: float


def _walk(conn: sqlite3.Connection, ask: Ask, cut: _Cut, near: Where) -> "_Walk":
    """How the calls come by this field; `near` holds for all that are wanted."""
    if cut.column == "duration" and _none_talks(conn, ask.kind):
        ask = replace(ask, kind=ask.kind._replace(zero=ask.kind.zero & ~NO_CONVERSATION))
        return _Walk("INDEXED BY call_unanswered", Where(("conversation = 0",)), near, ask.of_others())
    return _Walk(f"INDEXED BY call_{cut.column}", Where(), near, ask.of_others())


def _none_talks(conn: sqlite3.Connection, kind: Kind) -> bool:
    silent = kind._replace(zero=kind.zero | NO_CONVERSATION)
    return call_counts.total(conn, kind) == call_counts.total(conn, silent)


class _Walk(NamedTuple):
    """A way along an index: which, the condition under which calls are in it, and those under which they are wanted."""

    by_index: str
    within: Where
    near: Where
    where: Where

    def on(self, conn: sqlite3.Connection, cut: _Cut, steps: float, most: float, every: int) -> list[int]:
        """Go on until the page is full, or for about so many microseconds, if `every` call may not be passed by then.

        So many steps are expected. But what sorts them and what is asked for may run together, and the page lie far.
        """
        if self.near.terms and cut.column in _ZEROS and cut.end <= FEW:  # these have few values
            found = self._steps(conn, cut, PATIENCE * (steps + FEW))
            return found if len(found) == cut.limit else self._from_value_to_value(conn, cut, int(most / VALUE))
        if most >= every * STEP:
            return _selected(conn, self.by_index, self.within & self.near & self.where, cut)
        return self._steps(conn, cut, most / STEP)

    def _steps(self, conn: sqlite3.Connection, cut: _Cut, most: float) -> list[int]:
        part = replace(cut, limit=int(most), offset=0)
        first = f"SELECT id, type, status FROM call {self.by_index} WHERE {self.within} {part.order}"
        where = self.near & self.where
        query = f"SELECT id FROM ({first}) AS call WHERE {where} LIMIT {cut.limit:d} OFFSET {cut.offset:d}"
        return _all_ids(conn, query, (*self.within.values, *where.values))

    def _from_value_to_value(self, conn: sqlite3.Connection, cut: _Cut, most: int) -> list[int]:
        """Leave out those of each value whose ids are too small or too great, by that value's part of the index."""
        found: list[int] = []
        by_id = replace(cut, column="id", offset=0)
        for value in islice(self._all_values(conn, cut), most):
            here = Where((f"{cut.column} = ?",), (value,)) & self.within & self.near & self.where
            found += _selected(conn, self.by_index, here, replace(by_id, limit=cut.end - len(found)))
            if len(found) == cut.end:
                break
        return found[cut.offset :]

    def _all_values(self, conn: sqlite3.Connection, cut: _Cut) -> Iterator[int]:
        """The values of the field in the direction of the cut."""
        name, beyond, end = cut.column, *(("<", "max") if cut.descending else (">", "min"))
        select = f"SELECT {end}({name}) FROM call {self.by_index} WHERE {self.within}"
        value = conn.execute(select, self.within.values).fetchone()[0]
        while value is not None:
            yield value
            value = conn.execute(f"{select} AND {name} {beyond} ?", (*self.within.values, value)).fetchone()[0]


def _of_values(conn: sqlite3.Connection, ask: Ask, cut: _Cut, total: int) -> list[int]:
    if cut.column not in ("id", "start"):
        return _along(conn, ask, cut, total)
    by = leading(conn, ask)
    if cut.column == "start" and driver(conn, ask).calls > FEW:
        return _zone_by_zone(conn, ask, by, cut)
    return _selected(conn, by.by_index, ask.of_driver(by) & timely(conn, ask), cut)


def _zone_by_zone(conn: sqlite3.Connection, ask: Ask, by: Driver, cut: _Cut) -> list[int]:
    """By time, from the zone that has the first of all on, until no later zone can have an earlier one."""
    sign = -1 if cut.descending else 1
    found: list[int] = []
    waiting: list[tuple[int, int]] = []
    where = ask.of_driver(by) & ask.in_time()
    zones = call_counts.zones(conn, ask.since, ask.until, "last DESC" if cut.descending else "first")
    for zone in chain(zones, (None,)):
        begins = float("inf") if zone is None else -zone.last if cut.descending else zone.first
        while waiting and waiting[0][0] < begins and len(found) < cut.end:
            found.append(sign * heapq.heappop(waiting)[1])
        if zone is None or len(found) == cut.end:
            break
        here = where & among(zone.low, zone.high)
        for start, call_id in conn.execute(f"SELECT start, id FROM call {by.by_index} WHERE {here}", here.values):
            heapq.heappush(waiting, (sign * start, sign * call_id))
    return found[cut.offset :]
