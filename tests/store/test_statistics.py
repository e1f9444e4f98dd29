"""Statistics of calls, held against counting them one by one by the clock on the wall."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.call import Call
from service.model import View
from service.store import statistics
from service.store.transaction import Transaction
from tests.store.history import BOXES, LINE, TIMES, a_history
from tests.store.ledger import DAY_S, START, all_calls, leg, record
from tests.store.shelf import BOX, transaction

ZONES = [ZoneInfo(name) for name in ("UTC", "Asia/Tashkent", "Europe/Berlin", "Asia/Kathmandu", "America/New_York")]
PERIODS = [
    (START - 10 * DAY_S, START + 200 * DAY_S),
    (START + 5, START + 2 * DAY_S),
    (START, START + 899),
    (START + 40 * DAY_S, START + 90 * DAY_S + 300),
    (START + 10, START),
    (-(2**63), 2**63 - 1),
]


@pytest.fixture(params=range(2))
def tx(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transaction]:
    """Calls of some months, over days on which clocks are changed."""
    with transaction(tmp_path / "voicemaild.db") as tx:
        a_history(tx, random.Random(request.param))
        for hour in range(48):  # the day before the clocks of Berlin are put forward, and that day
            record(tx, leg(10_000 + hour, 1_806_102_000 - START + hour * 3600))
        yield tx


def those(found: Sequence[Call], view: View, since: int, until: int, number: str | None) -> list[Call]:
    """The simple model."""
    return [
        call
        for call in found
        if since <= call.start <= until
        and number in (None, call.external_number)
        and (view is None or any(call.takes_part(box.context, box.extension) for box in view))
    ]


@pytest.mark.parametrize("number", [None, LINE, "15551234567", "nobody"])
@pytest.mark.parametrize("view", [None, frozenset({BOX}), frozenset(BOXES), frozenset()])
def test_statistics_are_what_is_counted_one_by_one(tx: Transaction, view: View, number: str | None) -> None:
    found = all_calls(tx.conn)
    for since, until in PERIODS:
        wanted = those(found, view, since, until, number)
        told = statistics.calls_count(tx.conn, view, since, until, external_number=number)
        assert told == Counter((call.type, call.status) for call in wanted)
        for zone in ZONES:
            hours = statistics.calls_by_hour(tx.conn, view, since, until, zone=zone, external_number=number)
            by_wall = Counter((datetime.fromtimestamp(call.start, zone).hour, call.type) for call in wanted)
            assert {(hour, kind): n for hour, kinds in enumerate(hours) for kind, n in kinds.items()} == by_wall
            assert len(hours) == 24


@pytest.mark.parametrize("year", [1969, 1971])
def test_a_zone_that_is_not_whole_quarters_from_utc_is_told_by_the_second(tx: Transaction, year: int) -> None:
    """Monrovia was 44 minutes and 30 seconds behind until 1972."""
    zone = ZoneInfo("Africa/Monrovia")
    start = int(datetime(year, 1, 5, 10, 59, 59, tzinfo=zone).timestamp())
    record(tx, *(leg(number, at - START) for number, at in enumerate((start - DAY_S, start, start + 1, start + DAY_S))))
    hours = statistics.calls_by_hour(tx.conn, None, start - DAY_S + 1, start + DAY_S - 1, zone=zone)
    assert {hour: sum(kinds.values()) for hour, kinds in enumerate(hours) if kinds} == {10: 1, 11: 1}


def test_without_a_call_all_is_zero(tmp_path: Path) -> None:
    with transaction(tmp_path / "empty.db") as tx:
        assert statistics.calls_count(tx.conn, None, 0, START) == {}
        assert [dict(hour) for hour in statistics.calls_by_hour(tx.conn, None, 0, START, zone=ZONES[0])] == [{}] * 24


@pytest.mark.parametrize("external", [None, "nobody"])
def test_times_are_asked_for_once(tx: Transaction, external: str | None) -> None:
    """Days end where the next begin: nothing is counted twice, and nothing is left out."""
    days = [(START + at // DAY_S * DAY_S, START + at // DAY_S * DAY_S + DAY_S - 1) for at in sorted(set(TIMES))]
    counted = [
        sum(statistics.calls_count(tx.conn, None, *day, external_number=external).values()) for day in sorted(set(days))
    ]
    found = all_calls(tx.conn)
    assert sum(counted) == sum(len(those(found, None, *day, external)) for day in set(days))
