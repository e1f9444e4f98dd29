import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.call import CallStatus, CallType, Leg, Party, Verdict
from service.cdr.judge import MOST_PARTIES, counted, in_order, judge, mailboxes, parties, phone
from service.cdr.merge import key
from tests.cdr.records import leg

INTERNAL = re.compile(r"^\d{2,6}$")
START = 1795211447
A, B, C = "PJSIP/200-00000002", "PJSIP/201-00000003", "PJSIP/202-00000004"
ANSWERED, NOT_ANSWERED, BUSY, FAILED = CallStatus
INCOMING, OUTGOING, INSIDE = CallType


def dial(
    dstchannel: str, disposition: str, start: int = 0, answer: int | None = None, end: int = 10, **told: object
) -> Leg:
    """A leg with these seconds after the call's start."""
    answered = None if answer is None else START + answer
    billsec = 0 if answer is None else end - answer
    times = {
        "start": START + start,
        "answer": answered,
        "end": START + end,
        "duration": end - start,
        "billsec": billsec,
    }
    return leg(dstchannel=dstchannel, disposition=disposition, **(times | told))


def voicemail(start: int = 10, end: int = 20, **told: object) -> Leg:
    return dial("", "ANSWERED", start, start, end, **({"lastapp": "VoiceMail", "lastdata": "100@default,us"} | told))


def verdict(*found: Leg) -> Verdict:
    return judge(found, INTERNAL)


def status(*found: Leg) -> CallStatus:
    return verdict(*found).status


# --- status


def test_of_dialled_legs_an_answer_counts_more_than_busy_busy_more_than_failed_and_failed_more_than_no_answer() -> None:
    no_answer, failed, busy, answered = (dial(A, word) for word in ("NO ANSWER", "FAILED", "BUSY", "ANSWERED"))
    assert status(no_answer) is NOT_ANSWERED
    assert status(no_answer, failed) is FAILED
    assert status(no_answer, dial(A, "CONGESTION")) is FAILED
    assert status(no_answer, failed, busy) is BUSY
    assert status(no_answer, failed, busy, answered) is ANSWERED


def test_an_unknown_disposition_is_no_answer() -> None:
    assert status(dial(A, "DOCUMENTATION"), dial("", "ANSWERED")) is NOT_ANSWERED


def test_what_was_not_dialled_does_not_count_beside_what_was() -> None:
    assert status(dial(A, "BUSY"), dial("", "ANSWERED"), voicemail()) is BUSY


def test_where_nobody_was_dialled_the_other_legs_but_voicemail_count() -> None:
    assert status(dial("", "ANSWERED", answer=0)) is ANSWERED
    assert status(dial("", "NO ANSWER"), voicemail()) is NOT_ANSWERED
    assert status(dial("", "BUSY"), voicemail()) is BUSY


def test_a_call_to_voicemail_alone_was_not_answered() -> None:
    told = verdict(voicemail(0, 30))
    assert (told.status, told.conversation, told.duration) == (NOT_ANSWERED, 0, 30)


# --- duration and conversation


def test_one_leg_gives_its_own_duration_and_billable_seconds() -> None:
    told = verdict(dial(A, "ANSWERED", 0, 2, 10, duration=9, billsec=7))
    assert (told.start, told.end, told.duration, told.conversation) == (START, START + 10, 9, 7)


def test_several_legs_last_from_the_first_start_to_the_last_end() -> None:
    told = verdict(voicemail(10, 25), dial(A, "NO ANSWER", 0, None, 10, duration=9))
    assert (told.start, told.end, told.duration) == (START, START + 25, 25)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(2, 10), (2, 10)], 8),
        ([(2, 10), (5, 12)], 10),
        ([(2, 10), (10, 12)], 10),
        ([(2, 4), (8, 10)], 4),
        ([(2, 20), (5, 8), (9, 10)], 18),
        ([(3, 3), (4, 4)], 0),
    ],
)
def test_the_conversation_is_the_time_covered_by_answered_legs(spans: list[tuple[int, int]], expected: int) -> None:
    found = [dial(A, "ANSWERED", 0, answer, end) for answer, end in spans]
    assert verdict(*found, dial(B, "BUSY", 0, None, 60), voicemail(30, 40)).conversation == expected


def test_there_is_no_conversation_in_a_call_that_was_not_answered() -> None:
    assert verdict(dial(A, "BUSY", 0, 2, 10), dial("", "ANSWERED", 0, 0, 10)).conversation == 0


# --- the halves of Local channels

HALF = "Local/200@internal-00000000;"


def test_of_a_local_channel_the_half_in_the_dialplan_counts() -> None:
    first = dial("", "ANSWERED", 0, 0, 60, channel=f"{HALF}1", src="200", dst="s")
    second = dial(A, "BUSY", 1, None, 10, channel=f"{HALF}2")
    told = verdict(first, second)
    assert (told.src, told.dst, told.status, told.duration) == ("15551234567", "200", BUSY, 9)
    assert counted((first, second)) == (second,)


def test_a_half_alone_counts() -> None:
    first = dial("", "ANSWERED", channel=f"{HALF}1", src="200", dst="s")
    other = dial(A, "BUSY", channel="Local/200@internal-00000001;2")
    assert counted((first,)) == (first,)
    assert counted((first, other)) == (first, other)


# --- src and dst


def test_src_and_dst_are_those_of_the_first_leg_by_start_sequence_and_uniqueid() -> None:
    later = dial(A, "BUSY", 1, dst="1", sequence=1)
    unnumbered = dial(A, "BUSY", 0, dst="2", uniqueid="1.1")
    tenth = dial(A, "BUSY", 0, dst="3", sequence=10)
    ninth = dial(A, "BUSY", 0, dst="4", sequence=9, uniqueid="1795211447.10")
    first = dial(A, "BUSY", 0, dst="5", sequence=9, uniqueid="1795211447.9")
    found = in_order([later, unnumbered, tenth, ninth, first])
    assert [told.dst for told in found] == ["5", "4", "3", "2", "1"]
    assert verdict(later, unnumbered, tenth, ninth, first).dst == "5"


def test_legs_that_nothing_puts_in_order_are_always_in_the_same_one() -> None:
    one, other = dial(A, "BUSY", dst="200"), dial(A, "BUSY", dst="201")
    assert verdict(one, other) == verdict(other, one)


def test_a_caller_who_shows_no_number_is_nobody() -> None:
    told = verdict(dial(A, "ANSWERED", src=""))
    assert (told.src, told.type, told.external_number) == ("", INCOMING, None)


# --- type and external number


@pytest.mark.parametrize(
    ("src", "dst", "kind", "number"),
    [
        ("15551234567", "200", INCOMING, "15551234567"),
        ("15551234567", "15559876543", INCOMING, "15551234567"),
        ("anonymous", "200", INCOMING, None),
        ("200", "15559876543", OUTGOING, "15559876543"),
        ("200", "*97", OUTGOING, "*97"),
        ("200", "", OUTGOING, None),
        ("200", "s", OUTGOING, None),  # a place in the dialplan
        ("200", "201", INSIDE, None),
    ],
)
def test_the_type_follows_from_which_side_is_inside(src: str, dst: str, kind: CallType, number: str | None) -> None:
    told = verdict(dial(A, "ANSWERED", src=src, dst=dst))
    assert (told.type, told.external_number) == (kind, number)


def test_the_outside_line_is_told_before_the_outside_number() -> None:
    plain = dial(A, "BUSY", 0)
    assert verdict(plain, dial(B, "ANSWERED", 1, did="111", outbound_cnum="222")).external_number == "111"
    assert verdict(plain, dial(B, "ANSWERED", 1, outbound_cnum="222")).external_number == "222"
    out = dial(A, "ANSWERED", src="200", dst="15559876543")
    assert verdict(out, dial(B, "ANSWERED", 1, did="111", outbound_cnum="222")).external_number == "222"
    assert verdict(out, dial(B, "ANSWERED", 1, did="111")).external_number == "111"
    assert verdict(dial(A, "ANSWERED", src="200", dst="201", did="111", outbound_cnum="222")).external_number is None
    assert verdict(dial(A, "BUSY", 1, did="2"), dial(B, "BUSY", 0, did="1")).external_number == "1"


# --- recording


def test_the_recording_is_that_of_an_answered_leg_else_any() -> None:
    rang = dial(A, "NO ANSWER", 0, recordingfile="rang.wav")
    spoke = dial(B, "ANSWERED", 1, recordingfile="spoke.wav")
    assert verdict(rang, spoke).recording == "spoke.wav"
    assert verdict(rang, spoke._replace(recordingfile="")).recording == "rang.wav"
    assert verdict(dial(A, "ANSWERED")).recording == ""


# --- parties


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("PJSIP/200-0000002a", "200"),
        ("SIP/200-0001", "200"),
        ("IAX2/200-12", "200"),
        ("PJSIP/tenant-200-0000002a", "tenant-200"),
        ("Local/200@from-internal-00000001;2", "200"),
        ("DAHDI/1-1", ""),
        ("DAHDI/i1/200-1", ""),
        ("Zap/1-1", ""),
        ("PJSIP/200", ""),
        ("", ""),
    ],
)
def test_a_channel_is_named_for_a_phone(channel: str, expected: str) -> None:
    assert phone(channel) == expected


@pytest.mark.parametrize(
    ("lastdata", "expected"),
    [
        ("100@default,us", [("100", "default")]),
        ("100@default&101@other,us", [("100", "default"), ("101", "other")]),
        ("100", [("100", "default")]),
        ("100@,u", [("100", "default")]),
        (" 100 & 101@x", [("100", "default"), ("101", "x")]),
        ("", []),
        (",us", []),
        ("&@x&", []),
    ],
)
def test_voicemail_was_called_with_its_mailboxes(lastdata: str, expected: list[tuple[str, str]]) -> None:
    assert list(mailboxes(lastdata)) == expected


def test_parties_are_the_extensions_of_all_legs_with_the_contexts_they_were_seen_in() -> None:
    found = [
        dial(B, "ANSWERED", src="200", dst="15559876543", dcontext="internal", channel="PJSIP/200-00000001"),
        dial(C, "NO ANSWER", src="15551234567", dst="200", dcontext="from-trunk"),
        voicemail(lastdata="200@sales&100@default,us", dst="600"),
    ]
    assert parties(found, INTERNAL) == (
        Party("100", ("default",)),
        Party("200", ("from-trunk", "internal", "sales")),
        Party("201", ("internal",)),
        Party("202", ("from-trunk",)),
        Party("600", ("from-trunk",)),
    )


def test_a_context_that_is_not_told_is_none() -> None:
    assert parties([dial(A, "BUSY", dcontext="")], INTERNAL) == (Party("200", ()),)


def test_of_too_many_parties_phones_that_only_rang_are_left_out() -> None:
    rang = [dial(f"PJSIP/{number}-0000000{number % 10}", "NO ANSWER") for number in range(300, 400)]
    spoke = [dial(f"PJSIP/{number}-0000000{number % 10}", "ANSWERED") for number in (399, 398)]
    found = [party.extension for party in parties([*rang, *spoke], INTERNAL)]
    assert len(found) == MOST_PARTIES
    assert found == sorted(found)
    assert {"200", "300", "398", "399"} <= {*found}


# --- whatever the legs

SECONDS = st.integers(0, 30)
CHANNELS = st.sampled_from(["PJSIP/trunk-00000001", f"{HALF}1", f"{HALF}2", A])


@st.composite
def a_leg(draw: st.DrawFn) -> Leg:
    start, ring, talk = draw(SECONDS), draw(SECONDS), draw(st.none() | SECONDS)
    told = dial(
        draw(st.sampled_from(["", A, B, f"{HALF}1"])),
        draw(st.sampled_from(["ANSWERED", "NO ANSWER", "BUSY", "FAILED", "CONGESTION", "?"])),
        start,
        None if talk is None else start + ring,
        start + ring + (talk or 0),
        channel=draw(CHANNELS),
        sequence=draw(st.none() | st.integers(0, 3)),
        uniqueid=draw(st.sampled_from(["1795211447.1", "1795211447.10", "x", ""])),
        src=draw(st.sampled_from(["15551234567", "200", ""])),
        dst=draw(st.sampled_from(["200", "201", "15559876543"])),
        lastapp=draw(st.sampled_from(["Dial", "VoiceMail"])),
        lastdata=draw(st.sampled_from(["", "100@default&101@other,us"])),
        did=draw(st.sampled_from(["", "111", "112"])),
        outbound_cnum=draw(st.sampled_from(["", "222", "223"])),
        recordingfile=draw(st.sampled_from(["", "a.wav", "b.wav"])),
    )
    return told._replace(answer=None if draw(st.booleans()) else told.answer)


@given(st.lists(a_leg(), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_in_which_legs_came_does_not_matter(found: list[Leg], chance: Random) -> None:
    other = found.copy()
    chance.shuffle(other)
    assert judge(other, INTERNAL) == judge(found, INTERNAL)
    assert parties(other, INTERNAL) == parties(found, INTERNAL)
    assert in_order(other) == in_order(found)
    assert key(other) == key(found)


@given(st.lists(a_leg(), min_size=1, max_size=6))
def test_a_verdict_agrees_with_itself(found: list[Leg]) -> None:
    told = judge(found, INTERNAL)
    counting = counted(in_order(found))
    assert told.start == min(one.start for one in counting)
    assert told.end == max(one.end for one in counting)
    assert 0 <= told.conversation <= told.duration
    assert told.conversation == 0 or told.status is ANSWERED
    assert (told.external_number is None) >= (told.type is INSIDE)
    assert {counting[0].src, counting[0].dst} == {told.src, told.dst}
    if told.type is INSIDE:
        assert {told.src, told.dst} <= {party.extension for party in parties(found, INTERNAL)}


@given(st.lists(a_leg(), min_size=2, max_size=6))
def test_the_conversation_of_several_legs_is_its_seconds_counted_one_by_one(found: list[Leg]) -> None:
    counting = counted(found)
    deciding = [one for one in counting if one.dialled] or [one for one in counting if not one.voicemail]
    answered = [one for one in deciding if one.disposition == "ANSWERED"]
    if len(answered) > 1:
        spans = [range(one.end - one.billsec if one.answer is None else one.answer, one.end) for one in answered]
        assert judge(found, INTERNAL).conversation == len({second for span in spans for second in span})
