"""What is kept counted of calls, held against counting them one by one."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from service.call import Call
from service.store import call_counts, calls
from service.store.call_counts import DAY, EVER, NEVER, QUARTER, Kind
from service.store.transaction import Transaction
from tests.store.history import LINE, TIMES, a_history
from tests.store.ledger import START, all_calls, leg, record
from tests.store.shelf import transaction

KINDS = (
    Kind(),
    Kind(type=1),
    Kind(status=2),
    Kind(type=2, status=1),
    Kind(zero=1),
    Kind(zero=2),
    Kind(type=1, zero=3),
    Kind(line=LINE),
    Kind(type=1, status=1, line=LINE),
    Kind(zero=2, line=LINE),
)
PERIODS = [
    (EVER, NEVER),
    (START, START),
    (START + 1, START),
    *((START + since, START + until) for since in TIMES[::2] for until in TIMES[1::2]),
    (START - 5000, START + 200 * DAY),
]


@pytest.fixture(params=range(3))
def tx(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transaction]:
    """Calls of some months; zones of ids are small."""
    monkeypatch.setattr(call_counts, "ZONE", 8)
    with transaction(tmp_path / "voicemaild.db") as tx:
        a_history(tx, random.Random(request.param))
        yield tx


def those(found: Sequence[Call], kind: Kind, since: int, until: int) -> list[Call]:
    """The simple model."""
    return [
        call
        for call in found
        if since <= call.start <= until
        and kind.type in (None, call.type)
        and kind.status in (None, call.status)
        and kind.line in ("", call.external_number)
        and not (kind.zero & 1 and call.duration)
        and not (kind.zero & 2 and call.conversation)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_is_what_is_counted(tx: Transaction, kind: Kind) -> None:
    found = all_calls(tx.conn)
    assert those(found, kind, EVER, NEVER)
    for since, until in PERIODS:
        wanted = those(found, kind, since, until)
        assert call_counts.total(tx.conn, kind, since, until) == len(wanted)
        by_kind = Counter((int(call.type), int(call.status)) for call in wanted)
        assert call_counts.kinds(tx.conn, kind, since, until) == by_kind
        for spans in (call_counts.days, call_counts.quarters):
            told = list(spans(tx.conn, kind, since, until))
            assert [one.calls for one in told] == [len(those(wanted, kind, one.since, one.until)) for one in told]
            assert sum(one.calls for one in told) == len(wanted)
            assert told == sorted(told)
            assert all(since <= one.since <= one.until <= until for one in told)


@pytest.mark.parametrize("kind", [Kind(), Kind(line=LINE)])
def test_the_times_of_the_day_are_those_of_the_calls(tx: Transaction, kind: Kind) -> None:
    found = all_calls(tx.conn)
    for since, until in PERIODS:
        told: Counter[tuple[int, int]] = Counter()
        for second, call_type, number in call_counts.by_time_of_day(tx.conn, kind, since, until):
            told[second // QUARTER, call_type] += number
        calls_then = those(found, kind, since, until)
        assert told == Counter((call.start % DAY // QUARTER, int(call.type)) for call in calls_then)


@pytest.mark.parametrize("kind", KINDS)
def test_zones_tell_where_the_calls_of_a_time_are(tx: Transaction, kind: Kind) -> None:
    found = all_calls(tx.conn)
    numbers = dict(call_counts.by_zone(tx.conn, kind))
    assert list(call_counts.by_zone(tx.conn, kind, descending=True)) == sorted(numbers.items(), reverse=True)
    assert sum(numbers.values()) == len(those(found, kind, EVER, NEVER))
    for since, until in PERIODS:
        zones = list(call_counts.zones(tx.conn, since, until))
        for call in those(found, kind, since, until):
            assert any(zone.low <= call.id <= zone.high and zone.first <= call.start <= zone.last for zone in zones)
        for zone in zones:
            there = [call for call in found if zone.low <= call.id <= zone.high]
            assert numbers.get(zone.low, 0) == len(those(there, kind, EVER, NEVER))
            assert not zone.within(since, until) or there == those(there, Kind(), since, until)


def test_what_is_gone_leaves_nothing_behind(tx: Transaction) -> None:
    while calls.forget(tx, NEVER):
        pass
    assert tx.conn.execute("SELECT count(*) FROM call_count").fetchone() == (0,)


def test_what_changes_nothing_writes_nothing(tx: Transaction) -> None:
    record(tx, leg(5000))
    before = tx.conn.total_changes
    record(tx, leg(5000))
    assert tx.conn.total_changes == before
