"""What is said of calls that were made on real PBXs."""

import re
from collections import defaultdict

import pytest

from service.call import CallStatus, CallType, Leg
from service.cdr.judge import judge
from tests.cdr.records import RECORDINGS, legs

INTERNAL = re.compile(r"^\d{2,6}$")
ANSWERED, NOT_ANSWERED, BUSY, FAILED = CallStatus
INCOMING, OUTGOING, INSIDE = CallType


def calls(name: str) -> list[list[Leg]]:
    """The legs of a recording by call: by linkedid, else by uniqueid."""
    found = defaultdict(list)
    for told in legs(name):
        found[told.linkedid or told.uniqueid].append(told)
    return [*found.values()]


def told_of(name: str, dst: str) -> tuple[object, ...]:
    """What is said of the one call in a recording to this number."""
    [told] = [told for told in (judge(found, INTERNAL) for found in calls(name)) if told.dst == dst]
    return told.src, told.external_number, told.type, told.status, told.duration, told.conversation


CALLER = "15551234567"


@pytest.mark.parametrize("pbx", ["16", "22"])
@pytest.mark.parametrize(
    ("name", "dst", "expected"),
    [
        ("answered", "200", (CALLER, CALLER, INCOMING, ANSWERED, 4, 3)),
        ("answered-in-pbx", "213", (CALLER, CALLER, INCOMING, ANSWERED, 0, 0)),
        ("noanswer", "201", (CALLER, CALLER, INCOMING, NOT_ANSWERED, 3, 0)),
        ("noanswer-to-voicemail", "212", (CALLER, CALLER, INCOMING, NOT_ANSWERED, 14, 0)),
        ("mapped-linkedid-sequence", "212", (CALLER, CALLER, INCOMING, NOT_ANSWERED, 14, 0)),
        ("busy", "202", (CALLER, CALLER, INCOMING, BUSY, 0, 0)),
        ("congestion", "203", (CALLER, CALLER, INCOMING, FAILED, 0, 0)),
        ("failed", "209", (CALLER, CALLER, INCOMING, FAILED, 0, 0)),
        ("cancel", "214", (CALLER, CALLER, INCOMING, NOT_ANSWERED, 2, 0)),
        ("local-answered", "200", (CALLER, CALLER, INCOMING, ANSWERED, 4, 3)),
        ("outgoing-answered", "9200", ("200", None, INSIDE, ANSWERED, 4, 3)),
        ("userfield-account", "210", ("+4915550001", "+4915550001", INCOMING, ANSWERED, 4, 3)),
    ],
)
def test_a_recorded_call_is_what_its_caller_went_through(
    pbx: str, name: str, dst: str, expected: tuple[object, ...]
) -> None:
    assert told_of(f"{pbx}-cdr-{name}", dst) == expected


def test_a_recorded_call_to_an_outside_number_is_outgoing() -> None:
    number = "915559876543"
    assert told_of("22-cdr-outgoing-number", number) == ("200", number, OUTGOING, ANSWERED, 4, 3)


@pytest.mark.parametrize("pbx", ["16", "22"])
@pytest.mark.parametrize(
    ("src", "dst", "external", "kind", "status", "count"),
    [
        ("15550000001", "200", "15550000001", INCOMING, ANSWERED, 1),
        ("15550000002", "201", "15550000002", INCOMING, NOT_ANSWERED, 2),
        ("15550000003", "202", "15550000003", INCOMING, BUSY, 2),
        ("15550000004", "203", "15550000004", INCOMING, FAILED, 2),
        ("15550000005", "209", "15550000005", INCOMING, FAILED, 1),
        ("15550000007", "214", "15550000007", INCOMING, ANSWERED, 2),  # a forked dial
        ("15550000008", "215", "15550000008", INCOMING, ANSWERED, 2),  # a phone behind a Local channel
        ("15550000009", "216", "15550000009", INCOMING, ANSWERED, 1),  # a queue
        ("15550000010", "217", "12025550100", INCOMING, ANSWERED, 1),  # by way of a line that `did` tells
        ("15550000011", "218", "15550000011", INCOMING, BUSY, 3),  # no answer, then busy, then hung up
        ("15550000012", "12025550199", "15550000012", INCOMING, NOT_ANSWERED, 2),  # no answer, then voicemail
        ("15550000021", "200", "15550000021", INCOMING, ANSWERED, 2),  # put through by 204
        ("15550000022", "219", "15550000022", INCOMING, ANSWERED, 6),  # put through after a word
        ("200", "201", None, INSIDE, NOT_ANSWERED, 2),
        ("200", "915559870001", "915559870001", OUTGOING, ANSWERED, 1),
        ("200", "915559870002", "915559870002", OUTGOING, BUSY, 2),
    ],
)
def test_a_recorded_call_of_many_kinds_is_one_call(
    *, pbx: str, src: str, dst: str, external: str | None, kind: CallType, status: CallStatus, count: int
) -> None:
    told = [(judge(found, INTERNAL), found) for found in calls(f"{pbx}-calls")]
    [(one, found)] = [(one, found) for one, found in told if (one.src, one.dst) == (src, dst)]
    assert (one.external_number, one.type, one.status, len(found)) == (external, kind, status, count)
    assert (one.conversation > 0) is (status is ANSWERED)


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recorded_call_can_be_judged(name: str) -> None:
    for found in calls(name):
        told = judge(found, INTERNAL)
        assert 0 <= told.conversation <= told.duration <= told.end - told.start + 1
