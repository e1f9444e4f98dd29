import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.call import Call, CallStatus, CallType, Leg, Party
from service.model import Imported, Mailbox, View
from service.store import calls, journal, links, mailboxes
from service.store.transaction import Transaction
from tests.store.ledger import (
    DAY_S,
    INTERNAL,
    START,
    all_calls,
    bare,
    counted,
    leg,
    nameless,
    only,
    record,
    recounted,
    undone,
    voicemail,
    what_is_stored,
    what_they_are,
)
from tests.store.shelf import BOX, NEXT, OTHER, found, put, told, types

RANG = leg(1, 0, 20, disposition="NO ANSWER")
LEFT = voicemail(1)


class Source(NamedTuple):
    """What a source of legs is set up to tell."""

    uniqueid: bool
    linkedid: bool
    sequence: bool

    def tells(self, one: Leg) -> Leg:
        if not self.uniqueid:
            one = one._replace(uniqueid="")
        if not self.linkedid:
            one = one._replace(linkedid="")
        return one if self.sequence else one._replace(sequence=None)


SOURCES = [Source(uniqueid, mapped, mapped) for uniqueid in (True, False) for mapped in (True, False)]
AMI = st.sampled_from([source for source in SOURCES if source.uniqueid])
CSV = st.sampled_from(SOURCES)


@st.composite
def true_calls(draw: st.DrawFn) -> list[Leg]:
    """The legs of some calls as the PBX knows them: channels of one linkedid, one leg after another on each."""
    legs: list[Leg] = []
    number = 0
    for _ in range(draw(st.integers(1, 3))):
        begun = draw(st.integers(0, 3)) * 10
        linkedid = f"{START + begun}.{number + 1}"
        for half in draw(st.sampled_from([("",), ("", ""), (";1", ";2"), ("", ";1", ";2")])):
            number += 1
            channel = f"Local/200@internal-{number // 2:08x}{half}" if half else f"PJSIP/trunk-{number:08x}"
            names = {"uniqueid": f"{START + begun}.{number}", "linkedid": linkedid, "channel": channel}
            legs += draw(on_one_channel(number, begun, names))
    return [one._replace(sequence=sequence) for sequence, one in enumerate(legs)]


@st.composite
def on_one_channel(draw: st.DrawFn, number: int, begun: int, names: dict[str, Any]) -> list[Leg]:
    legs: list[Leg] = []
    at = begun
    kinds = st.sampled_from(["ring", "fork", "talk", "leave", "hang up"])
    for place, kind in enumerate(draw(st.lists(kinds, min_size=1, max_size=4))):
        until = at if kind == "hang up" else at + draw(st.integers(1, 9))
        match kind:
            case "leave":
                legs.append(voicemail(number, at, until, **names))
            case "hang up":
                legs.append(leg(number, at, until, dstchannel="", lastapp="Hangup", dst=f"h{place}", **names))
            case _:
                how = "ANSWERED" if kind == "talk" else "NO ANSWER"
                phone = f"PJSIP/{200 + place}-{number:08x}"
                legs.append(leg(number, at, until, dstchannel=phone, disposition=how, **names))
        at = at if kind == "fork" else until
    return legs


class Telling(NamedTuple):
    legs: list[Leg]
    history: bool


@st.composite
def tellings(draw: st.DrawFn) -> list[Telling]:
    """What two sources tell of the same legs: each something or everything, in any order and batches, with repeats."""
    legs, ami, csv = draw(true_calls()), draw(AMI), draw(CSV)
    some = [source.tells(one) for one in legs for source in draw(st.sampled_from([(ami,), (csv,), (ami, csv)]))]
    some += draw(st.lists(st.sampled_from(some), max_size=3))
    some = draw(st.permutations(some))
    cuts = sorted(draw(st.lists(st.integers(0, len(some)), max_size=4)))
    history = draw(st.sampled_from([(False,), (True,), (False, True)]))
    ends = zip([0, *cuts], [*cuts, len(some)], strict=True)
    return [Telling(some[begin:end], draw(st.sampled_from(history))) for begin, end in ends]


def test_whoever_tells_whatever_in_any_order_the_calls_are_what_all_legs_together_make(tx: Transaction) -> None:
    @given(tellings())
    @settings(deadline=None, max_examples=200)
    def holds(batches: list[Telling]) -> None:
        with undone(tx):
            so_far: list[Leg] = []
            for batch in batches:
                before = all_calls(tx.conn)
                changed = record(tx, *batch.legs, history=batch.history)
                so_far += batch.legs
                now = all_calls(tx.conn)
                assert what_is_stored(tx.conn) == what_they_are(so_far)
                assert counted(tx.conn) == recounted(now)
                agree_with_the_journal(tx, before, now, changed, history=batch.history)
            nothing_changes(tx, so_far, history=batches[0].history)

    holds()


def nothing_changes(tx: Transaction, legs: Sequence[Leg], *, history: bool) -> None:
    """Told once more, this writes not a row, and no record."""
    before = (journal.bounds(tx.conn), tx.conn.total_changes, all_calls(tx.conn))
    assert record(tx, *legs, history=history) == 0
    assert (journal.bounds(tx.conn), tx.conn.total_changes, all_calls(tx.conn)) == before


def agree_with_the_journal(
    tx: Transaction, before: Sequence[Call], now: Sequence[Call], changed: int, *, history: bool
) -> None:
    """What a batch wrote there says what it did."""
    records = told(tx)
    if history:
        assert [record.state for record in records] == ([Imported(changed)] if changed else [])
        return
    assert len(records) == changed
    mirror = {call.id: call for call in before}
    for one in records:
        assert isinstance(one.state, Call)
        assert (one.state.id in mirror) is (one.type != "call.new")
        if one.type == "call.deleted":
            assert mirror.pop(one.state.id) == one.state
        else:
            mirror[one.state.id] = one.state
    assert nameless(map(seen, mirror.values())) == nameless(map(seen, now))


def seen(call: Call) -> Call:
    """What can be seen of it outside."""
    return replace(call, legs=())


def test_a_call_is_there_from_its_first_leg_on_and_changes_as_more_come(tx: Transaction) -> None:
    record(tx, RANG)
    rang = only(tx.conn)
    record(tx, LEFT)
    left = only(tx.conn)
    assert (rang.status, rang.duration, rang.legs) == (CallStatus.NOT_ANSWERED, 20, (RANG,))
    assert (left.status, left.duration, left.legs) == (CallStatus.NOT_ANSWERED, 40, (RANG, LEFT))
    assert [(one.type, one.state) for one in told(tx)] == [("call.new", rang), ("call.updated", left)]


def test_a_call_has_its_uuid_from_the_pbx_and_its_key(tx: Transaction) -> None:
    record(tx, RANG._replace(linkedid="1.1"))
    assert only(tx.conn).key == "1.1"
    assert only(tx.conn).uuid == mailboxes.derived_uuid("pbx1/call/1.1")


def test_a_leg_that_leads_to_two_calls_makes_one_of_them_and_the_other_is_told_gone(tx: Transaction) -> None:
    first, second = leg(5), leg(3)
    record(tx, first)
    record(tx, second)
    told(tx)
    later, earlier = all_calls(tx.conn)
    assert record(tx, leg(7, uniqueid=first.uniqueid, linkedid=second.uniqueid, wall="another")) == 2
    one = only(tx.conn)
    assert (one.id, one.key, one.uuid) == (later.id, earlier.key, earlier.uuid)  # the oldest row, the smallest name
    assert one.uniqueids == (second.uniqueid, first.uniqueid)
    assert [(record.type, record.state) for record in told(tx)] == [("call.deleted", earlier), ("call.updated", one)]
    record(tx, leg(9))
    assert [call.id for call in all_calls(tx.conn)] == [1, 3]  # no id is given twice


@pytest.mark.parametrize("told_first", [0, 1])
def test_a_csv_line_without_uniqueid_is_the_leg_that_ami_told(tx: Transaction, told_first: int) -> None:
    pair = [RANG, bare(RANG)._replace(accountcode="sales")]
    record(tx, pair[told_first])
    record(tx, pair[1 - told_first])
    assert only(tx.conn).legs == (RANG._replace(accountcode="sales"),)
    assert only(tx.conn).uniqueids == (RANG.uniqueid,)


@pytest.mark.parametrize("told_first", [0, 1])
def test_so_it_is_in_the_hour_that_comes_twice_which_the_csv_line_alone_cannot_tell(
    tx: Transaction, told_first: int
) -> None:
    first_time = bare(RANG)._replace(start=RANG.start - 3600, end=RANG.end - 3600)
    pair = [RANG, first_time]
    record(tx, pair[told_first])
    record(tx, pair[1 - told_first])
    assert only(tx.conn).legs == (RANG,)


@pytest.mark.parametrize("turn", [False, True])
def test_legs_without_names_belong_together_where_their_channel_goes_on(tx: Transaction, turn: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    legs = [bare(RANG), bare(LEFT)]
    for one in reversed(legs) if turn else legs:
        record(tx, one)
    assert only(tx.conn).legs == (bare(RANG), bare(LEFT))
    assert only(tx.conn).uniqueids == ()


def test_a_line_that_tells_nothing_new_still_leads_the_next_line_to_its_call(tx: Transaction) -> None:
    for one in (RANG, bare(RANG), bare(LEFT)):
        record(tx, one)
    assert only(tx.conn).legs == (RANG, bare(LEFT))


def test_a_line_joins_the_leg_that_ami_told_with_the_line_that_came_before_it(tx: Transaction) -> None:
    for one in (RANG, bare(LEFT), bare(RANG)):
        record(tx, one)
    assert only(tx.conn).legs == (RANG, bare(LEFT))
    assert types(tx) == ["call.new", "call.new", "call.deleted", "call.updated"]


def test_the_name_of_a_channel_comes_again_after_a_restart_and_means_another_call(tx: Transaction) -> None:
    record(tx, bare(leg(1, 0, 20)), bare(leg(1, 22, 40)))
    record(tx, bare(leg(1, 42, 60)))
    assert len(all_calls(tx.conn)) == 3


def test_a_leg_that_changes_nothing_anybody_sees_is_kept_and_not_told(tx: Transaction) -> None:
    record(tx, RANG)
    told(tx)
    more = RANG._replace(sequence=7, clid='"Jane Doe" <15551234567>', lastdata="PJSIP/200,15,t")
    assert record(tx, more) == 0
    assert (only(tx.conn).legs, told(tx)) == ((more,), [])


def test_history_is_told_to_nobody_and_noted_for_caches(tx: Transaction) -> None:
    assert record(tx, RANG, leg(2), history=True) == 2
    assert record(tx, LEFT, leg(3), history=True) == 2
    assert [(one.type, one.mailbox, one.state) for one in told(tx)] == [("calls.imported", None, Imported(2))] * 2


def test_history_makes_one_of_two_calls_as_silently(tx: Transaction) -> None:
    record(tx, leg(1), leg(2))
    told(tx)
    assert record(tx, leg(1, linkedid=leg(2).uniqueid), history=True) == 2
    assert types(tx) == ["calls.imported"]


def test_nothing_told_is_nothing_done(tx: Transaction) -> None:
    assert record(tx) == 0
    assert told(tx) == []


CHANNEL = "PJSIP/trunk-00000009"
DESK, DESK_OF_OTHERS = Mailbox("default", "15551234567"), Mailbox("other", "15551234567")
BOXES = [BOX, NEXT, OTHER, DESK, Mailbox("other", "900"), DESK_OF_OTHERS]
LEGS = [
    leg(1, src="100", dst="15550000000", dcontext="default", channel="PJSIP/100-1"),
    leg(2, src="100", dst="101", dcontext="other", channel="PJSIP/100-2"),
    leg(3, src="15551234567", dst="600", dcontext="from-trunk", dstchannel="PJSIP/101-3"),
    leg(4, src="15551234567", dst="900", dcontext="other", dstchannel="PJSIP/100-4"),
    voicemail(5, box="100@other&101", dst="s", uniqueid=f"{START}.5"),
    leg(6, src="", dst="s", dstchannel=""),
    leg(7, src="100", dst="15551234567", dcontext="other", channel="PJSIP/100-7"),
    leg(8, src="100", dst="15551234567", channel=CHANNEL, dstchannel="", lastapp="VoiceMail", lastdata="15551234567"),
    bare(leg(9, 20, 40, dst="s", dstchannel="", lastapp="VoiceMail", lastdata="900@other")),
]
HEARD = st.tuples(st.sampled_from(BOXES), st.sampled_from(["", LEGS[0].uniqueid, LEGS[3].uniqueid]))
VIEWS: st.SearchStrategy[View] = st.none() | st.frozensets(st.sampled_from(BOXES))


def test_a_view_shows_the_calls_its_mailboxes_take_part_in(tx: Transaction) -> None:
    @given(st.lists(st.sampled_from(BOXES)), st.lists(st.sampled_from(LEGS)), st.lists(HEARD, max_size=2), VIEWS)
    @settings(deadline=None, max_examples=300)
    def holds(known: list[Mailbox], legs: list[Leg], heard: list[tuple[Mailbox, str]], view: View) -> None:
        with undone(tx):
            for mailbox in known:
                mailboxes.ensure(tx, mailbox)
            for number, (mailbox, uniqueid) in enumerate(heard):
                hear(tx, mailbox, number, uniqueid)
            record(tx, *legs)
            visible = [
                call.id
                for call in all_calls(tx.conn)
                if view is None or any(call.takes_part(box.context, box.extension) for box in view)
            ]
            assert shown(tx, view) == visible

    holds()


def hear(tx: Transaction, mailbox: Mailbox, number: int, uniqueid: str) -> None:
    """A message is found, and the PBX told the uniqueid of the channel that left it, or did not."""
    one = found(number, origtime=START + 25)
    assert one.envelope is not None
    put(tx, mailbox, one._replace(envelope=replace(one.envelope, callerchan=CHANNEL)))
    if uniqueid:
        links.told(tx, mailbox, CHANNEL, uniqueid)


def shown(tx: Transaction, view: View) -> list[int]:
    condition, parameters = calls.visible_condition(view)
    rows = tx.conn.execute(f"SELECT id FROM call WHERE {condition} ORDER BY id", parameters)
    return [call_id for (call_id,) in rows]


@pytest.mark.parametrize(
    ("box", "number", "seen"),
    [
        (BOX, 0, True),
        (NEXT, 0, False),
        (Mailbox("default", "15551234567"), 2, True),  # an outside number, that of a mailbox
        (Mailbox("default", "15551234567"), 6, True),
        (Mailbox("default", "15551234567"), 0, False),
        (Mailbox("other", "900"), 8, True),  # the call has no name, the message not its uniqueid
        (NEXT, 8, False),
    ],
)
def test_whoever_takes_part_sees_a_call(tx: Transaction, box: Mailbox, number: int, seen: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    record(tx, LEGS[number])
    assert shown(tx, frozenset([box])) == [1] * seen


def test_whose_mailbox_a_voicemail_was_left_in_sees_the_call(tx: Transaction) -> None:
    """Also where nothing else of the call says so."""
    record(tx, LEGS[0])
    hear(tx, NEXT, 1, LEGS[0].uniqueid)
    assert [shown(tx, frozenset([mailbox])) for mailbox in (NEXT, BOXES[4])] == [[1], []]


def test_also_of_a_call_without_names_and_with_more_parties_than_are_kept(tx: Transaction) -> None:
    for mailbox in (BOXES[4], replace(BOXES[4], context="third")):
        mailboxes.ensure(tx, mailbox)
    record(tx, LEGS[8])
    hear(tx, BOXES[4], 1, "")
    tx.conn.execute("DELETE FROM party")
    assert [shown(tx, frozenset([Mailbox(context, "900")])) for context in ("other", "third")] == [[1], []]


def test_of_two_tenants_with_one_extension_each_sees_its_own_calls(tx: Transaction) -> None:
    for mailbox in (BOX, OTHER):
        mailboxes.ensure(tx, mailbox)
    record(tx, LEGS[0], LEGS[1], LEGS[3])
    assert (shown(tx, frozenset([BOX])), shown(tx, frozenset([OTHER]))) == ([1], [2, 3])


def test_of_two_tenants_with_one_extension_that_looks_like_an_outside_number_each_sees_its_own_calls(
    tx: Transaction,
) -> None:
    for mailbox in (DESK, DESK_OF_OTHERS):
        mailboxes.ensure(tx, mailbox)
    record(tx, LEGS[2], LEGS[3], LEGS[6], LEGS[7])
    assert (shown(tx, frozenset([DESK])), shown(tx, frozenset([DESK_OF_OTHERS]))) == ([4], [2, 3])


def test_another_pattern_for_extensions_has_all_calls_judged_anew(tx: Transaction) -> None:
    wide = re.compile(r"^\d{3,11}$")
    assert calls.adopt_internal(tx.conn, INTERNAL)
    record(tx, *LEGS[:6])
    told(tx)
    assert calls.adopt_internal(tx.conn, INTERNAL)
    assert not calls.adopt_internal(tx.conn, wide)
    assert calls.rejudge(tx, wide, 0, 4) == 4
    assert not calls.adopt_internal(tx.conn, wide)
    assert calls.rejudge(tx, wide, 4, 4) == 6
    assert calls.rejudge(tx, wide, 6, 4) == 0
    assert calls.adopt_internal(tx.conn, wide)
    assert types(tx) == ["calls.imported"] * 2
    found = all_calls(tx.conn)
    assert [call.type for call in found] == [CallType.INTERNAL] * 4 + [CallType.OUTGOING, CallType.INCOMING]
    assert found[2].parties == (
        Party("101", ("from-trunk",)),
        Party("15551234567", ("from-trunk",)),
        Party("600", ("from-trunk",)),
    )
    assert counted(tx.conn) == recounted(found)
    assert shown(tx, frozenset([Mailbox("default", "600")])) == [3]


def test_what_is_judged_anew_and_comes_out_the_same_is_not_told(tx: Transaction) -> None:
    record(tx, *LEGS)
    told(tx)
    assert calls.rejudge(tx, INTERNAL, 0, 100) == len(LEGS)
    assert told(tx) == []


def test_old_calls_are_forgotten_with_all_that_hangs_on_them(tx: Transaction) -> None:
    tx.conn.execute("INSERT INTO webhook (name, cursor, calls, messages) VALUES ('crm', 0, 1, 0)")
    record(tx, RANG, LEFT, bare(leg(2)), leg(3, DAY_S, DAY_S + 20))
    assert calls.forget(tx, START + DAY_S, 1) == 1
    assert calls.forget(tx, START + DAY_S, 5) == 1
    assert calls.forget(tx, START + DAY_S, 5) == 0
    assert only(tx.conn).legs == (leg(3, DAY_S, DAY_S + 20),)
    assert counted(tx.conn) == recounted(all_calls(tx.conn))
    left = {
        table: tx.conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("leg", "call_channel", "integration")
    }
    assert left == {"leg": 1, "call_channel": 1, "integration": 1}
    assert {call_id for (call_id,) in tx.conn.execute("SELECT call_id FROM party")} == {only(tx.conn).id}
    record(tx, RANG)
    assert len(all_calls(tx.conn)) == 2
