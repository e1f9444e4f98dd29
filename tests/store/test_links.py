from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.call import Call, Left, Leg
from service.difference import Difference
from service.model import Imported, Mailbox, Message, Record
from service.store import calls, journal, links, mailboxes
from service.store.transaction import Transaction
from tests.store.ledger import DAY_S, START, all_calls, bare, leg, only, record, undone, voicemail
from tests.store.shelf import BOX, NEXT, OTHER, apply, found, known, live, outside, put, told

BOXES = {"100": BOX, "101": NEXT, "100@other": OTHER}
CHANNEL = "PJSIP/trunk-00000001"
LOCAL = "Local/200@internal-00000001"
CALLER = "15551234567"
LINE = "15559990000"


@pytest.fixture(autouse=True)
def extensions(tx: Transaction) -> None:
    """The rule for outside numbers stands in the store, as the daemon has it there."""
    mailboxes.adopt_internal(tx.conn, r"^\d{1,3}$", outside)


def left(tx: Transaction, mailbox: Mailbox = BOX, at: int = 25, *, channel: str = CHANNEL, number: int = 1) -> Message:
    """A message that this channel left, found in the spool."""
    one = found(number, origtime=START + at, caller=CALLER)
    assert one.envelope is not None
    (message,) = put(tx, mailbox, one._replace(envelope=replace(one.envelope, callerchan=channel)))
    return message


def leaving(start: int = 20, end: int = 40, *, box: str = "100", **told: Any) -> Leg:
    return voicemail(1, start, end, box=box, **told)


def message(tx: Transaction, message_id: int) -> Message:
    return next(one for one in live(tx.conn) if one.id == message_id)


def lefts(*messages: Message) -> tuple[Left, ...]:
    return tuple(Left(str(one.mailbox), one.uuid, one.id) for one in messages)


def of_calls(records: Iterable[Record]) -> list[tuple[str, object]]:
    return [(one.type, one.state) for one in records if one.type.startswith("call")]


@pytest.mark.parametrize("first", ["message", "call"])
def test_a_message_knows_the_call_it_was_left_in_and_the_call_knows_it(tx: Transaction, first: str) -> None:
    if first == "call":
        record(tx, leaving())
    before = left(tx)
    if first == "message":
        record(tx, leaving())
    after = message(tx, before.id)
    assert after == replace(before, uniqueid=f"{START}.1")
    assert only(tx.conn).voicemails == lefts(after)


def test_a_message_before_its_call_is_told_again_and_the_call_with_its_message(tx: Transaction) -> None:
    before = left(tx)
    told(tx)
    record(tx, leaving())
    after = replace(before, uniqueid=f"{START}.1")
    assert [(one.type, one.state) for one in told(tx)] == [("message.updated", after), ("call.new", only(tx.conn))]


def test_a_message_after_its_call_has_the_call_told_again(tx: Transaction) -> None:
    record(tx, leaving())
    told(tx)
    left(tx)
    records = told(tx)
    assert [one.type for one in records] == ["message.new", "message.updated", "call.updated", "unread"]
    assert records[2].state == only(tx.conn)


def test_of_imported_calls_and_their_messages_nobody_is_told(tx: Transaction) -> None:
    before = left(tx)
    told(tx)
    record(tx, leaving(), history=True)
    assert [(one.type, one.state) for one in told(tx)] == [("calls.imported", Imported(1))]
    assert message(tx, before.id).uniqueid == f"{START}.1"
    assert only(tx.conn).voicemails == lefts(before)


@pytest.mark.parametrize(
    ("channel", "at", "box"),
    [
        ("PJSIP/trunk-00000002", 25, "100"),
        ("", 25, "100"),
        (CHANNEL, 18, "100"),
        (CHANNEL, 42, "100"),
        (CHANNEL, 25, "101"),
        (CHANNEL, 25, "100@other"),
    ],
)
def test_another_channel_time_or_mailbox_is_another_call(tx: Transaction, channel: str, at: int, box: str) -> None:
    record(tx, leaving())
    left(tx, BOXES[box], at, channel=channel)
    assert ([one.uniqueid for one in live(tx.conn)], only(tx.conn).voicemails) == ([""], ())


@pytest.mark.parametrize("at", [19, 20, 40, 41])
def test_the_clocks_of_both_may_be_a_second_apart(tx: Transaction, at: int) -> None:
    record(tx, leaving())
    assert only(tx.conn).voicemails == () != lefts(left(tx, at=at)) == only(tx.conn).voicemails


def test_a_leg_that_is_no_voicemail_leaves_nothing(tx: Transaction) -> None:
    left(tx)
    record(tx, leg(1, 20, 40, lastdata="100"))
    assert only(tx.conn).voicemails == ()


def test_a_message_for_several_mailboxes_is_left_in_each(tx: Transaction) -> None:
    second = left(tx, OTHER)
    record(tx, leaving(box="101&100@other&102"))
    first = left(tx, NEXT)
    assert only(tx.conn).voicemails == lefts(second, first)
    assert {one.uniqueid for one in live(tx.conn)} == {f"{START}.1"}


def test_the_half_of_a_local_channel_that_asterisk_lost_does_not_matter(tx: Transaction) -> None:
    record(tx, leaving(channel=f"{LOCAL};2"))
    one, other = left(tx, channel=LOCAL), left(tx, NEXT, channel=f"{LOCAL};1")
    assert [message(tx, one.id).uniqueid, message(tx, other.id).uniqueid] == [f"{START}.1", ""]


def test_two_messages_that_may_be_the_one_a_leg_left_are_linked_with_nothing(tx: Transaction) -> None:
    record(tx, leaving(did=LINE))
    first = left(tx, at=25)
    linked = only(tx.conn)
    told(tx)
    left(tx, at=30, number=2)
    assert [(one.uniqueid, one.external_number) for one in live(tx.conn)] == [("", CALLER)] * 2
    assert (linked.voicemails, only(tx.conn).voicemails) == (lefts(first), ())
    assert of_calls(told(tx)) == [("call.updated", only(tx.conn))]


def test_of_two_messages_the_one_within_the_legs_time_is_its(tx: Transaction) -> None:
    record(tx, leaving())
    left(tx, at=19)
    within = left(tx, at=30, number=2)
    assert only(tx.conn).voicemails == lefts(within)


def test_a_message_that_legs_of_two_calls_may_have_left_is_linked_with_neither(tx: Transaction) -> None:
    one = left(tx, at=41)
    record(tx, leaving(20, 40), leaving(42, 60, uniqueid=f"{START}.7"))
    assert (message(tx, one.id).uniqueid, [call.voicemails for call in all_calls(tx.conn)]) == ("", [(), ()])


def test_time_decides_between_two_calls_of_one_channels_name(tx: Transaction) -> None:
    record(tx, leaving(20, 40), leaving(41, 60, uniqueid=f"{START}.7"))
    one = left(tx, at=41)
    assert message(tx, one.id).uniqueid == f"{START}.7"


def test_of_a_call_without_names_the_message_learns_no_uniqueid_but_the_call_knows_it(tx: Transaction) -> None:
    one = left(tx)
    record(tx, bare(leaving()))
    assert (message(tx, one.id).uniqueid, only(tx.conn).voicemails) == ("", lefts(one))
    record(tx, leaving())
    assert (message(tx, one.id).uniqueid, only(tx.conn).voicemails) == (f"{START}.1", lefts(one))


def test_what_was_left_in_a_call_that_is_part_of_another_was_left_in_that(tx: Transaction) -> None:
    record(tx, leg(2))
    record(tx, bare(leaving()))
    one = left(tx)
    record(tx, leaving(linkedid=leg(2).uniqueid))
    assert (only(tx.conn).id, only(tx.conn).voicemails) == (1, lefts(one))


def test_a_conclusion_goes_with_its_call_also_where_its_leg_was_told_before(tx: Transaction) -> None:
    """Nothing but the row of the call is another now."""
    record(tx, leg(1, 0, 20))
    record(tx, bare(leaving(20, 40)))
    one = left(tx)
    told(tx)
    record(tx, bare(leg(1, 0, 20)))
    assert (only(tx.conn).id, only(tx.conn).voicemails) == (1, lefts(one))
    assert [record.type for record in told(tx)] == ["call.deleted", "call.updated"]
    record(tx, leaving(20, 40))
    assert message(tx, one.id).uniqueid == f"{START}.1"


def test_what_was_concluded_of_a_forgotten_call_is_a_fact_from_then_on(tx: Transaction) -> None:
    """A call that has the id later would else have the message as well."""
    record(tx, bare(leaving(did=LINE)))
    one = left(tx)
    calls.forget(tx, START + DAY_S)
    assert tx.conn.execute("SELECT call_id FROM message").fetchall() == [(None,)]
    record(tx, leg(2))
    assert (only(tx.conn).voicemails, message(tx, one.id).uniqueid) == ((), "")


def test_of_two_legs_of_one_call_that_may_have_left_a_message_neither_names_it(tx: Transaction) -> None:
    halves = [leaving(channel=f"{LOCAL};{half}", uniqueid=f"{START}.{half}", linkedid="1.1") for half in (1, 2)]
    record(tx, *halves)
    one = left(tx, channel=LOCAL)
    assert (message(tx, one.id).uniqueid, only(tx.conn).voicemails) == ("", lefts(one))


def test_a_message_has_the_outside_line_of_its_call(tx: Transaction) -> None:
    one = left(tx)
    record(tx, leaving())
    assert message(tx, one.id).external_number == CALLER
    record(tx, leaving(did=LINE))
    assert message(tx, one.id).external_number == LINE


def test_and_keeps_it_when_its_files_are_read_again(tx: Transaction) -> None:
    record(tx, leaving(did=LINE))
    one = left(tx)
    told(tx)
    (row,) = known(tx).values()
    again = found(1, origtime=START + 25, caller=CALLER, known=row, stamp=77)
    assert again.envelope is not None
    apply(tx, BOX, Difference(read=[again._replace(envelope=replace(again.envelope, callerchan=CHANNEL))]))
    assert message(tx, one.id).external_number == LINE
    assert told(tx) == []


def test_a_call_keeps_what_was_left_in_it_and_deleted(tx: Transaction) -> None:
    one = left(tx)
    apply(tx, BOX, Difference(gone=list(known(tx).values())))
    told(tx)
    record(tx, leaving())
    assert only(tx.conn).voicemails == lefts(one)
    assert [kind for kind, _ in of_calls(told(tx))] == ["call.new"]


def test_a_message_of_a_call_that_is_forgotten_keeps_what_it_knows(tx: Transaction) -> None:
    record(tx, leaving(did=LINE))
    one = left(tx)
    calls.forget(tx, START + DAY_S)
    assert (message(tx, one.id).uniqueid, message(tx, one.id).external_number) == (f"{START}.1", LINE)
    record(tx, leaving())
    assert only(tx.conn).voicemails == lefts(one)


def test_what_the_pbx_tells_is_no_conclusion(tx: Transaction) -> None:
    """Neither the lastdata nor the time have to fit, nor has the call to be known."""
    one = left(tx, NEXT)
    told(tx)
    links.told(tx, NEXT, CHANNEL, f"{START}.1")
    assert [(one.type, one.state) for one in told(tx)] == [("message.updated", replace(one, uniqueid=f"{START}.1"))]
    record(tx, leg(1, 0, 10, lastapp="Hangup"))
    assert only(tx.conn).voicemails == lefts(one)


def test_two_messages_of_one_call_are_both_its_where_the_pbx_told(tx: Transaction) -> None:
    record(tx, leaving())
    some = []
    for number in (1, 2):
        some.append(left(tx, at=25 + number, number=number))
        links.told(tx, BOX, CHANNEL, f"{START}.1")
    assert only(tx.conn).voicemails == lefts(*some)


def test_what_the_pbx_tells_wins_over_what_was_concluded(tx: Transaction) -> None:
    one = left(tx)
    record(tx, leaving(did=LINE), leg(2))
    assert message(tx, one.id).uniqueid == f"{START}.1"
    links.told(tx, BOX, CHANNEL, leg(2).uniqueid)
    assert message(tx, one.id) == replace(one, uniqueid=leg(2).uniqueid)
    assert [call.voicemails for call in all_calls(tx.conn)] == [(), lefts(one)]


def test_a_line_that_is_told_late_is_that_of_the_message_in_a_call_without_names(tx: Transaction) -> None:
    record(tx, bare(leaving()))
    one = left(tx)
    record(tx, bare(leaving(did=LINE)))
    assert message(tx, one.id).external_number == LINE


def test_told_what_is_known_nothing_is_told(tx: Transaction) -> None:
    left(tx)
    record(tx, leaving())
    told(tx)
    for _ in range(2):
        links.told(tx, BOX, CHANNEL, f"{START}.1")
    assert told(tx) == []


@pytest.mark.parametrize(
    ("mailbox", "channel", "uniqueid"),
    [
        (NEXT, CHANNEL, f"{START}.1"),
        (BOX, "PJSIP/phone-1", f"{START}.1"),
        (BOX, CHANNEL, f"{START + 60}.1"),
    ],
)
def test_of_another_box_channel_or_time_the_pbx_told_nothing(
    tx: Transaction, mailbox: Mailbox, channel: str, uniqueid: str
) -> None:
    """The name of a channel comes again: a message is older than the second channel of that name."""
    left(tx)
    mailboxes.ensure(tx, mailbox)
    links.told(tx, mailbox, channel, uniqueid)
    assert [one.uniqueid for one in live(tx.conn)] == [""]


def test_a_message_of_the_day_before_is_not_what_the_pbx_means(tx: Transaction) -> None:
    left(tx, at=-DAY_S - 1)
    links.told(tx, BOX, CHANNEL, "odd")
    assert [one.uniqueid for one in live(tx.conn)] == [""]


def test_a_webhook_hears_of_a_voicemail_in_a_call_that_it_knew(tx: Transaction) -> None:
    tx.conn.execute("INSERT INTO webhook (name, cursor, calls, messages) VALUES ('crm', 0, 1, 0)")
    record(tx, leaving())
    record(tx, leaving(uniqueid=f"{START}.2", channel="PJSIP/trunk-00000002"), history=True)
    tx.conn.execute("UPDATE integration SET status = 'synced'")
    left(tx)
    left(tx, number=2, channel="PJSIP/trunk-00000002")
    integration = [[(one.name, one.status) for one in call.integration] for call in all_calls(tx.conn)]
    assert integration == [[("crm", "pending")], []]


class Said(NamedTuple):
    """What the PBX tells of a message: whose box, and the channel's uniqueid."""

    box: str
    channel: str
    uniqueid: str


class Heard(NamedTuple):
    """A message as it lies in the spool."""

    box: str
    msg_id: int
    channel: str
    at: int


Event = Said | Heard | Leg
CHANNELS = [CHANNEL, f"{LOCAL};1", f"{LOCAL};2"]


@st.composite
def leaving_legs(draw: st.DrawFn) -> Leg:
    place = draw(st.integers(0, 2))
    start = draw(st.sampled_from([0, 10, 20]))
    one = leaving(
        start,
        start + draw(st.sampled_from([5, 10])),
        box=draw(st.sampled_from(["100", "101", "100&101@default,us", "100@other"])),
        channel=CHANNELS[place],
        uniqueid=f"{START}.{place}{draw(st.sampled_from([0, start]))}",
        did=draw(st.sampled_from(["", LINE])),
    )
    return draw(st.sampled_from([one, one, bare(one)]))


HEARD = st.builds(
    Heard,
    st.sampled_from(sorted(BOXES)),
    st.integers(1, 3),
    st.sampled_from([*CHANNELS, LOCAL]),
    st.integers(0, 32),
)
SAID = st.builds(
    Said, st.sampled_from(sorted(BOXES)), st.sampled_from(CHANNELS), st.sampled_from([f"{START}.00", f"{START}.220"])
)
EVENTS = st.lists(
    leaving_legs() | HEARD | SAID,
    max_size=9,
    unique_by=lambda event: (event[:2], type(event)) if isinstance(event, Heard) else event,
)


def test_legs_and_messages_in_any_order_are_linked_as_the_rules_say(tx: Transaction) -> None:
    @given(EVENTS)
    @settings(deadline=None, max_examples=200)
    def holds(events: list[Event]) -> None:
        with undone(tx):
            for mailbox in BOXES.values():
                mailboxes.ensure(tx, mailbox)
            heard: list[Heard] = []
            said: dict[Heard, str] = {}
            for event in events:
                happens(tx, event)
                if isinstance(event, Heard):
                    heard.append(event)
                if isinstance(event, Said):
                    said |= {one: event.uniqueid for one in heard if means(event, one) and one not in said}
                assert stored(tx) == ruled(all_calls(tx.conn), heard, said)
            legs = [event for event in events if isinstance(event, Leg)]
            end = (journal.bounds(tx.conn), tx.conn.total_changes)
            record(tx, *legs)
            assert (journal.bounds(tx.conn), tx.conn.total_changes) == end
            assert states(tx) == {call.id: replace(call, legs=()) for call in all_calls(tx.conn)}

    holds()


def happens(tx: Transaction, event: Event) -> None:
    match event:
        case Said(box, channel, uniqueid):
            links.told(tx, BOXES[box], channel, uniqueid)
        case Heard(box, number, channel, at):
            left(tx, BOXES[box], at, channel=channel, number=number)
        case _:
            record(tx, event)


def states(tx: Transaction) -> dict[int, Call]:
    """The calls without their legs, as the journal tells them; none of them was imported."""
    now: dict[int, Call] = {}
    for one in tx.records:
        if isinstance(one.state, Call):
            now[one.state.id] = replace(one.state, legs=())
            if one.type == "call.deleted":
                del now[one.state.id]
    return now


Links = tuple[dict[tuple[str, int], tuple[str, str | None]], dict[int, list[tuple[str, int]]]]


def stored(tx: Transaction) -> Links:
    """Uniqueid and outside number of each message, and the messages of each call."""
    names = {str(mailbox): box for box, mailbox in BOXES.items()}
    some = {one.uuid: (names[str(one.mailbox)], int(one.msg_id[-1])) for one in live(tx.conn)}
    told = {some[one.uuid]: (one.uniqueid, one.external_number) for one in live(tx.conn)}
    return told, {call.id: [some[one.uuid] for one in call.voicemails] for call in all_calls(tx.conn)}


def ruled(found: Sequence[Call], heard: Sequence[Heard], said: dict[Heard, str]) -> Links:
    """The same by the rules, as simply as can be."""
    pairs = [(call, one) for call in found for one in call.legs]
    fitting: dict[Heard, list[tuple[Call, Leg]]] = {}
    for one in heard:
        some = [pair for pair in pairs if fits(one, pair[1])] if one not in said else []
        some = [pair for pair in some if within(one, pair[1])] or some
        fitting[one] = some if len({call.id for call, _ in some}) == 1 else []
    told: dict[tuple[str, int], tuple[str, str | None]] = {}
    of_call: dict[int, list[Heard]] = {call.id: [] for call in found}
    for one in heard:
        sure = [
            pair for pair in fitting[one] if alone(one, pair[1], [other for other in heard if pair in fitting[other]])
        ]
        names = {pair[1].uniqueid for pair in sure}
        uniqueid = said.get(one) or (names.pop() if len(names) == 1 else "")
        home = [pair[0] for pair in sure] or [call for call in found if one in said and said[one] in call.uniqueids]
        line = home[0].external_number if home and any(part.did for part in home[0].legs) else CALLER
        told[one.box, one.msg_id] = (uniqueid, line)
        if home:
            of_call[home[0].id].append(one)
    first = {
        call_id: sorted(some, key=lambda one: (one.at, one.msg_id, str(BOXES[one.box])))
        for call_id, some in of_call.items()
    }
    return told, {call_id: [(one.box, one.msg_id) for one in some] for call_id, some in first.items()}


def means(said: Said, heard: Heard) -> bool:
    return said.box == heard.box and heard.channel in (said.channel, said.channel.partition(";")[0])


def fits(heard: Heard, one: Leg) -> bool:
    boxes = [box.removesuffix("@default") for box in one.lastdata.partition(",")[0].split("&")]
    near = one.start - 1 <= START + heard.at <= one.end + 1
    return near and heard.box in boxes and heard.channel in (one.channel, one.channel.partition(";")[0])


def within(heard: Heard, one: Leg) -> bool:
    return one.start <= START + heard.at <= one.end


def alone(heard: Heard, one: Leg, rivals: list[Heard]) -> bool:
    rivals = [other for other in rivals if within(other, one)] or rivals
    return heard in rivals and len({other.msg_id for other in rivals}) == 1
