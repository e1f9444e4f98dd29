from collections.abc import Sequence

import pytest

from service.call import Leg
from service.store import call_joins
from service.store.transaction import Transaction
from tests.store.ledger import START, all_calls, bare, leg, record, voicemail

FIRST, SECOND, THIRD = leg(1), leg(2), leg(3)


def together(tx: Transaction, *legs: Leg) -> list[list[int]]:
    """The legs that belong together, by their places."""
    joined = call_joins.join(tx.conn, legs)
    return [[legs.index(one) for one in group.legs] for group in joined.groups]


def test_legs_that_share_a_name_are_together_also_over_a_third(tx: Transaction) -> None:
    bridge = leg(4, uniqueid=FIRST.uniqueid, linkedid=THIRD.uniqueid)
    assert together(tx, FIRST, SECOND, THIRD, voicemail(2), bridge) == [[0, 2, 4], [1, 3]]


def test_a_stored_name_leads_to_its_call(tx: Transaction) -> None:
    record(tx, FIRST, SECOND)
    joined = call_joins.join(tx.conn, [leg(9, linkedid=SECOND.uniqueid), THIRD])
    assert [group.calls for group in joined.groups] == [[2], []]
    assert joined.stored == {SECOND.uniqueid: 2}


def test_names_of_two_stored_calls_lead_to_both(tx: Transaction) -> None:
    record(tx, FIRST, SECOND)
    (group,) = call_joins.join(tx.conn, [leg(1, linkedid=SECOND.uniqueid)]).groups
    assert sorted(group.calls) == [1, 2]


@pytest.mark.parametrize(
    ("one", "names"),
    [
        (FIRST, (FIRST.uniqueid,)),
        (FIRST._replace(linkedid="1.1"), (FIRST.uniqueid, "1.1")),
        (FIRST._replace(uniqueid="", linkedid="1.1"), ("1.1",)),
        (bare(FIRST), (f"|PJSIP/trunk-00000001|0{START}|{START + 20}",)),
    ],
)
def test_a_leg_is_known_by_its_names_else_by_its_span(one: Leg, names: Sequence[str]) -> None:
    assert call_joins.names_of(one) == names
    assert call_joins.is_name(names[0]) is bool(one.uniqueid or one.linkedid)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(
    ("start", "end", "touches"),
    [(20, 30, True), (21, 30, True), (22, 30, False), (5, 7, True), (-9, -1, True), (-9, -2, False), (-9, 30, True)],
)
def test_spans_of_a_channel_that_touch_are_together(
    tx: Transaction,
    start: int,
    end: int,
    touches: bool,  # noqa: FBT001 -- a parameter of the test
    stored: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    one, other = bare(leg(1, 0, 20)), bare(leg(1, start, end, dst="201"))
    if stored:
        record(tx, one)
        record(tx, other)
    else:
        record(tx, one, other)
    assert len(all_calls(tx.conn)) == (1 if touches else 2)


def test_a_span_in_the_midst_of_a_longer_one_hides_nothing(tx: Transaction) -> None:
    assert together(tx, bare(leg(1, 0, 60)), bare(leg(1, 5, 10)), bare(leg(1, 59, 70))) == [[0, 1, 2]]


def test_spans_of_other_channels_do_not_touch(tx: Transaction) -> None:
    """Nor those of a channel whose name only begins like it."""
    record(tx, bare(leg(1, 0, 20)), bare(leg(1, 20, 30, channel="PJSIP/trunk-000000012")))
    record(tx, bare(leg(1, 20, 30, channel="PJSIP/trunk-0000000")))
    assert len(all_calls(tx.conn)) == 3


def test_a_uniqueid_that_looks_like_a_span_does_no_harm(tx: Transaction) -> None:
    """Whoever may originate may choose it."""
    odd = leg(1, uniqueid="|PJSIP/trunk-00000001|01799999999|x")
    record(tx, odd)
    record(tx, bare(leg(1, 60, 70)))
    assert [call.legs for call in all_calls(tx.conn)] == [(odd,), (bare(leg(1, 60, 70)),)]


@pytest.mark.parametrize("shift", [0, 3600, -3600])
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("lacking", [0, 1])
def test_the_same_cdr_is_known_by_its_contents_where_one_lacks_the_uniqueid(
    tx: Transaction,
    shift: int,
    stored: bool,  # noqa: FBT001 -- a parameter of the test
    lacking: int,
) -> None:
    named = FIRST._replace(start=FIRST.start + shift, end=FIRST.end + shift)
    pair = [FIRST, named]
    pair[lacking] = pair[lacking]._replace(uniqueid="", linkedid="7.7")
    if stored:
        record(tx, pair[0])
        record(tx, pair[1])
    else:
        record(tx, *pair)
    (call,) = all_calls(tx.conn)
    assert (call.key, len(call.legs)) == ("7.7", 1)


def test_another_cdr_of_the_same_second_is_not(tx: Transaction) -> None:
    record(tx, FIRST)
    record(tx, bare(FIRST._replace(dst="201")))
    record(tx, bare(SECOND), leg(2, dst="201", dstchannel="PJSIP/201-1"))
    assert len(all_calls(tx.conn)) == 4
