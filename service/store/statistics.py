"""What a dashboard shows of calls: how many there were of each kind, and in which hour of the day."""

import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from functools import partial

from service.call import CallStatus, CallType
from service.model import View
from service.store import call_asks, call_counts
from service.store.call_asks import Ask
from service.store.call_counts import DAY, QUARTER
from service.store.query import Query

HOURS = 24
HOUR_S = 3600
_WEEK_S = 7 * DAY
_LONG_AGO = 100_000 * DAY
"""So many seconds make the time of every call a positive number."""


def calls_count(
    conn: sqlite3.Connection, view: View, since: int, until: int, *, external_number: str | None = None
) -> Mapping[tuple[CallType, CallStatus], int]:
    """How many calls in view started from `since` to `until` (epoch seconds, inclusive), by type and status."""
    found = call_asks.matrix(conn, _ask(conn, view, since, until, external_number))
    return {(CallType(kind), CallStatus(status)): number for (kind, status), number in found.items() if number}


def calls_by_hour(
    conn: sqlite3.Connection, view: View, since: int, until: int, *, zone: tzinfo, external_number: str | None = None
) -> Sequence[Mapping[CallType, int]]:
    """The same by type for each hour of the day, 0 to 23, as the clocks in `zone` showed it when a call started."""
    hours: Sequence[Counter[CallType]] = [Counter() for _ in range(HOURS)]
    ask = _ask(conn, view, since, until, external_number)
    first, last = conn.execute("SELECT (SELECT min(start) FROM call), (SELECT max(start) FROM call)").fetchone()
    if first is None:
        return hours
    for begin, end, offset in _constant_offsets(max(since, first), min(until, last), zone):
        seconds: Counter[tuple[int, int]] = Counter()
        for second, kind, number in _by_time_of_day(conn, replace(ask, since=begin, until=end), offset):
            seconds[second, kind] += number
        for (second, kind), number in seconds.items():
            hours[(second + offset) // HOUR_S % HOURS][CallType(kind)] += number
    return hours


def _ask(conn: sqlite3.Connection, view: View, since: int, until: int, external_number: str | None) -> Ask:
    filters = {} if external_number is None else {"external_number": external_number}
    return Ask.of(conn, view, Query(filters, since, until))


def _by_time_of_day(conn: sqlite3.Connection, ask: Ask, offset: int) -> Iterator[tuple[int, int, int]]:
    """A second of the day (in UTC), the type, and how many of those calls started in the same hour on the clocks."""
    if not ask.values and ask.visible is None and offset % QUARTER == 0:
        yield from call_counts.by_time_of_day(conn, ask.kind, ask.since, ask.until)
        return
    index, where = call_asks.source(conn, ask)
    # counted by SQLite, beside which others get on, and by hours as the clocks show them
    hour = f"(start + {offset + _LONG_AGO:d}) / {HOUR_S:d} % {HOURS:d}"
    rows = conn.execute(
        f"SELECT {hour} AS hour, type, count(*) FROM call {index} WHERE {where} GROUP BY hour, type", where.values
    )
    yield from (((hour * HOUR_S - offset) % DAY, kind, number) for hour, kind, number in rows)


def _constant_offsets(since: int, until: int, zone: tzinfo) -> Iterator[tuple[int, int, int]]:
    """A time in parts in which no clock is changed: first and last second, and the clocks' seconds from UTC."""
    while since <= until:
        offset = _offset(since, zone)
        last = since
        while last < until and _offset(min(last + _WEEK_S, until), zone) == offset:  # no two changes in a week
            last = min(last + _WEEK_S, until)
        if last < until:
            coming = range(last + 1, min(last + _WEEK_S, until) + 1)
            last += bisect_left(coming, True, key=partial(_is_other, offset, zone))
        yield since, last, offset
        since = last + 1


def _is_other(offset: int, zone: tzinfo, epoch: int) -> bool:
    return _offset(epoch, zone) != offset


def _offset(epoch: int, zone: tzinfo) -> int:
    offset = datetime.fromtimestamp(epoch, zone).utcoffset()
    return 0 if offset is None else offset // timedelta(seconds=1)
