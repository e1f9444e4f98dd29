import re

import pytest

from service.call import Leg
from service.store import calls
from service.store.transaction import Transaction
from tests.store.ledger import DAY_S, INTERNAL, all_calls, bare, counted, leg, record, recounted, voicemail

TABLES = ("call", "leg", "call_channel", "party", "call_count")
STEPS = {
    "new": [leg(1), leg(2, 100, 120, disposition="BUSY"), leg(3, DAY_S, DAY_S + 10, src="201")],
    "another status": [leg(2, 90, 99)._replace(uniqueid=leg(2, 100).uniqueid)],
    "another day": [leg(3, 900, 910, src="201", linkedid=leg(3, DAY_S).uniqueid)],
    "two are one": [leg(9, uniqueid=leg(1).uniqueid, linkedid=leg(2, 100).uniqueid)],
    "no name": [bare(leg(7, 50, 60)), bare(voicemail(7, 60, 70))],
}


def test_calls_are_counted_as_they_come_change_and_go(tx: Transaction) -> None:
    for legs in STEPS.values():
        record(tx, *legs)
        assert counted(tx.conn) == recounted(all_calls(tx.conn))
    assert sum(number for (unit, *_), number in counted(tx.conn).items() if unit == 0) == 3
    while calls.forget(tx, 2**40, 1):
        assert counted(tx.conn) == recounted(all_calls(tx.conn))


def test_nothing_is_left_of_calls_that_are_forgotten(tx: Transaction) -> None:
    for legs in STEPS.values():
        record(tx, *legs)
    calls.forget(tx, 2**40)
    assert [tx.conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES] == [0] * 5


def test_every_name_and_party_leads_to_its_call_and_nowhere_else(tx: Transaction) -> None:
    for legs in STEPS.values():
        record(tx, *legs)
        found = all_calls(tx.conn)
        parties = {(one.extension, call.id) for call in found for one in call.parties}
        assert set(tx.conn.execute("SELECT extension, call_id FROM party")) == parties
        names = {(name, call.id) for call in found for name in call.uniqueids}
        rows = set(tx.conn.execute("SELECT uniqueid, call_id FROM call_channel WHERE uniqueid NOT LIKE '|%'"))
        assert rows == names


@pytest.mark.parametrize("history", [False, True])
def test_parties_follow_the_pattern_for_extensions(tx: Transaction, history: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    record(tx, leg(1, dst="20"), history=history)
    calls.rejudge(tx, re.compile(r"^\d\d$"), 0, 9)
    assert tx.conn.execute("SELECT extension FROM party").fetchall() == [("20",)]
    calls.rejudge(tx, INTERNAL, 0, 9)
    assert tx.conn.execute("SELECT extension FROM party").fetchall() == [("200",)]


def test_every_field_of_a_leg_is_kept(tx: Transaction) -> None:
    plain = leg(1, sequence=4, answer=7)
    one = Leg._make(f"<{name}> ö \"'" if value == str(value) else value for name, value in plain._asdict().items())
    record(tx, one)
    assert all_calls(tx.conn)[0].legs == (one,)
