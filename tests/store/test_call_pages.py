"""Pages of calls, held against all calls sorted and filtered one by one."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.call import Call
from service.model import View
from service.store import call_asks, call_counts, call_lines, call_pages
from service.store.query import Query
from service.store.transaction import Transaction
from tests.store.history import BOXES, INSIDE, LINE, OUTSIDE, TIMES, a_history
from tests.store.ledger import DAY_S, START, all_calls, leg, record
from tests.store.shelf import BOX, transaction

FILTERS: dict[str, Sequence[Any]] = {
    "src": (*INSIDE, *OUTSIDE, "999"),
    "dst": (*INSIDE, *OUTSIDE),
    "external_number": ("15551234567", "15559876543", LINE, "nobody"),
    "duration": (0, 5, 20, -1),
    "conversation": (0, 3, 18, 7),
    "type": (1, 2, 3),
    "status": (1, 2, 3, 4),
}
VIEWS: tuple[View, ...] = (None, frozenset({BOX}), frozenset(BOXES), frozenset())
SMALL: dict[str, dict[str, float]] = {
    "counted": {"WINDOW": 0, "FEW": 0},
    "sorted": {"WINDOW": 0, "FEW": 10**9, "ROW": 0, "SORT": 0},
    "walked": {"WINDOW": 0, "FEW": 0, "STEP": 1e-6, "PROBE": 0},
    "from value to value": {"WINDOW": 0, "FEW": 100, "STEP": 1e-6, "PROBE": 0, "VALUE": 1e-6, "PATIENCE": 0},
    "given up": {"WINDOW": 0, "FEW": 100, "STEP": 1e-6, "PROBE": 0, "VALUE": 10, "PATIENCE": 0},
    "near": {},
    "read": {"LOOK": 0},
    "seen": {"SEE": 0},
}
"""Which way the ids are found is chosen by numbers that a test has not: so these numbers are made small."""


@pytest.fixture(params=SMALL)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_counts, "ZONE", 8)
    monkeypatch.setattr(call_lines, "AT_ONCE", 3)
    monkeypatch.setattr(call_asks, "_CAPS", (2, 10, 10**9))
    for name, number in SMALL[request.param].items():
        monkeypatch.setattr(call_pages, name, number)


@pytest.fixture
def tx(tmp_path: Path, _way: None) -> Iterator[Transaction]:
    """A database in which the zones of ids are small from the first call on."""
    with transaction(tmp_path / "voicemaild.db") as tx:
        yield tx


def sorted_and_cut(found: Sequence[Call], view: View, query: Query) -> tuple[list[int], int]:
    """The simple model."""
    wanted = [
        call
        for call in found
        if (query.since is None or call.start >= query.since)
        and (query.until is None or call.start <= query.until)
        and all(getattr(call, name) == value for name, value in query.filters.items())
        and (view is None or any(call.takes_part(box.context, box.extension) for box in view))
    ]
    name = {"datetime": "start"}.get(query.sort, query.sort)
    wanted.sort(
        key=lambda call: (getattr(call, name) or "" if name == "external_number" else getattr(call, name), call.id)
    )
    if query.descending:
        wanted.reverse()
    return [call.id for call in wanted[query.offset : query.offset + query.limit]], len(wanted)


def a_query(rng: random.Random) -> Query:
    names = rng.sample(sorted(FILTERS), rng.choice((0, 0, 1, 1, 2, 3)))
    edges = [START + rng.choice(TIMES) + rng.randrange(-2, 300) for _ in range(2)]
    return Query(
        filters={name: rng.choice(FILTERS[name]) for name in names},
        since=rng.choice((None, min(edges), edges[0])),
        until=rng.choice((None, max(edges), edges[1])),
        sort=rng.choice(call_pages.SORTS),
        descending=rng.random() < 0.5,
        limit=rng.choice((1, 3, 20)),
        offset=rng.choice((0, 0, 1, 7, 30, 95, 2000)),
    )


def answered(tx: Transaction, view: View, query: Query) -> tuple[list[int], int]:
    page = call_pages.page(tx.conn, view, query)
    return [call.id for call in page.rows], page.total


@pytest.mark.parametrize("seed", range(5))
def test_any_page_is_that_of_all_calls_filtered_and_sorted_one_by_one(tx: Transaction, seed: int) -> None:
    rng = random.Random(seed)
    a_history(tx, rng)
    found = all_calls(tx.conn)
    assert len(found) > 50
    for _ in range(400):
        query, view = a_query(rng), rng.choice((None, None, *VIEWS))
        assert answered(tx, view, query) == sorted_and_cut(found, view, query), (query, view)


@pytest.mark.parametrize("view", VIEWS[:2])
def test_every_filter_goes_with_every_sort_and_every_page_of_it_is_right(tx: Transaction, view: View) -> None:
    a_history(tx, random.Random(42), 60)
    found = all_calls(tx.conn)
    day = (START + 900, START + 2 * DAY_S)
    for filters in ({}, *({name: values[1]} for name, values in FILTERS.items()), {"duration": 0}, {"conversation": 0}):
        for sort in call_pages.SORTS:
            for since, until in ((None, None), day):
                whole = Query(filters, since, until, sort, descending=len(filters) % 2 == 0, limit=10**6)
                ids, total = answered(tx, view, whole)
                assert (ids, total) == sorted_and_cut(found, view, whole), whole
                pages = [answered(tx, view, replace(whole, limit=7, offset=at))[0] for at in range(0, total + 7, 7)]
                assert [call_id for page in pages for call_id in page] == ids, whole


@pytest.mark.parametrize("descending", [False, True])
def test_calls_of_one_second_stand_by_their_ids_also_where_some_were_imported_late(
    tx: Transaction, *, descending: bool
) -> None:
    """The first to be read is what was imported: its last call started when the first one here did."""
    for number, start in enumerate((100, 101, 102, 103, 104, 105, 106, 107, 0, 100, 50, 107, 60, 70, 80, 90)):
        record(tx, leg(number, start, src="100", dst="101"))
    found = all_calls(tx.conn)
    query = Query({"src": "100"}, sort="datetime", descending=descending)
    assert answered(tx, None, query) == sorted_and_cut(found, None, query)


def test_a_filter_or_a_sort_that_is_none_is_a_mistake_of_ours(tx: Transaction) -> None:
    for query in (Query(filters={"1=1 OR src": ""}), Query(sort="src; DROP TABLE call")):
        with pytest.raises(KeyError):
            call_pages.page(tx.conn, None, query)
