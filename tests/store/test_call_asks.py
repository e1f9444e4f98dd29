"""How what is asked for is told apart; that the answers are right is tested with the pages."""

import pytest

from service.store import call_asks, call_lines
from service.store.call_asks import Ask
from service.store.call_counts import EVER, NEVER, Kind
from service.store.query import Query
from service.store.transaction import Transaction
from tests.store.history import LINE
from tests.store.ledger import leg, record
from tests.store.shelf import BOX


def test_what_is_kept_counted_is_no_value_to_be_looked_for(tx: Transaction) -> None:
    call_lines.keep(tx, LINE)
    asked = Query({"type": 1, "status": 2, "duration": 0, "conversation": 0, "external_number": LINE})
    ask = Ask.of(tx.conn, None, asked)
    assert (ask.kind, ask.values, ask.ranged) == (Kind(1, 2, 3, LINE), (), False)


@pytest.mark.parametrize(
    "filters",
    [{"src": "100"}, {"external_number": "nobody"}, {"duration": 7}, {"conversation": 0, "dst": "100"}],
)
def test_all_else_is(tx: Transaction, filters: dict[str, str | int]) -> None:
    ask = Ask.of(tx.conn, None, Query(filters, since=5))
    assert (ask.kind, dict(ask.values), ask.since, ask.until) == (Kind(), filters, 5, NEVER)


def test_of_some_mailboxes_nothing_is_kept_counted(tx: Transaction) -> None:
    ask = Ask.of(tx.conn, frozenset({BOX}), Query({"duration": 0}))
    assert (ask.kind, dict(ask.values)) == (Kind(), {"duration": 0})
    assert ask.visible is not None


def test_times_beyond_all_calls_are_no_times(tx: Transaction) -> None:
    assert not Ask.of(tx.conn, None, Query(since=EVER - 1, until=NEVER + 1)).ranged


def test_the_rarest_value_leads_to_the_calls(tx: Transaction) -> None:
    record(tx, *(leg(number, number, src=f"1555000000{number % 2}", dst="200") for number in range(9)))
    record(tx, leg(100, src="15550000001", dst="201"))
    for filters, leading in (
        ({"src": "15550000001", "dst": "201"}, "dst"),
        ({"src": "nobody", "dst": "201"}, "src"),
    ):
        ask = Ask.of(tx.conn, None, Query(filters))
        assert call_asks.driver(tx.conn, ask).field == leading
