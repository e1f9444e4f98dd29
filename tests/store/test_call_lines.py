"""Lines that are worth to be kept counted, found and counted a little at a time."""

from collections import Counter

import pytest

from service.store import call_counts, call_lines
from service.store.call_counts import Kind
from service.store.transaction import Transaction
from tests.store.history import LINE
from tests.store.ledger import all_calls, leg, record


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_lines, "MANY", 3)
    monkeypatch.setattr(call_lines, "AT_ONCE", 2)


def calls_by(tx: Transaction, line: str, *numbers: int) -> None:
    for number in numbers:
        record(tx, leg(number, number, did=line))


def test_a_line_is_a_number_of_many_calls(tx: Transaction) -> None:
    calls_by(tx, LINE, 1, 2, 3)
    calls_by(tx, "15550000001", 4, 5)
    record(tx, *(leg(number, src="100", dst="101") for number in range(10, 15)))  # no number at all
    assert call_lines.popular(tx.conn) == [LINE]
    call_lines.keep(tx, LINE)
    assert call_lines.popular(tx.conn) == []


def test_its_calls_are_counted_some_at_a_time_and_those_that_come_meanwhile_once(tx: Transaction) -> None:
    calls_by(tx, LINE, 1, 2, 3)
    assert call_lines.keep(tx, LINE)
    assert (call_lines.kept(tx.conn, LINE), call_lines.unfinished(tx.conn)) == (False, [LINE])
    calls_by(tx, LINE, 4)
    record(tx, leg(1, 1, did=LINE, disposition="BUSY", sequence=2))  # one that is counted already is another now
    while call_lines.keep(tx, LINE):
        pass
    assert (call_lines.kept(tx.conn, LINE), call_lines.unfinished(tx.conn)) == (True, [])
    calls_by(tx, LINE, 5)
    calls_by(tx, "15550000001", 6)
    by_line = [(int(call.type), int(call.status)) for call in all_calls(tx.conn) if call.external_number == LINE]
    assert len(by_line) == 5
    assert call_counts.kinds(tx.conn, Kind(line=LINE)) == Counter(by_line)


def test_a_line_that_is_not_known_is_not_kept(tx: Transaction) -> None:
    assert not call_lines.kept(tx.conn, "nobody")
