from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.call import (
    Call,
    CallStatus,
    CallType,
    Disposition,
    Integration,
    IntegrationStatus,
    Left,
    Leg,
    Party,
)
from service.model import (
    Audio,
    AudioFile,
    Box,
    Counts,
    Envelope,
    Folder,
    Imported,
    Levels,
    Mailbox,
    Message,
    RecordState,
    Status,
)
from service.store.codec import dump, load
from tests.calls import call

NUMBERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))  # what comes out of decoding with "replace"
DECIBELS = st.floats(-200, 0)
MAILBOXES = st.builds(Mailbox, TEXTS, TEXTS)
AUDIO = st.builds(
    Audio,
    file=st.builds(AudioFile, TEXTS, NUMBERS, NUMBERS, st.integers(0, 2**64 - 1), TEXTS),
    content_type=TEXTS,
    duration_ms=st.none() | NUMBERS,
    sample_rate=st.none() | NUMBERS,
    channels=st.none() | NUMBERS,
    truncated=st.booleans(),
    levels=st.none() | st.builds(Levels, st.none() | DECIBELS, st.none() | DECIBELS, st.floats(0, 1)),
)
MESSAGES = st.builds(
    Message,
    id=NUMBERS,
    uuid=TEXTS,
    pbx=TEXTS,
    mailbox=MAILBOXES,
    msg_id=TEXTS,
    folder=st.sampled_from(Folder),
    msgnum=NUMBERS,
    envelope=st.builds(Envelope, TEXTS, NUMBERS, NUMBERS, TEXTS, TEXTS, TEXTS, st.booleans(), TEXTS),
    external_number=st.none() | TEXTS,
    audio=st.none() | AUDIO,
    local_status=st.none() | st.sampled_from(Status),
    uniqueid=TEXTS,
    held=st.none() | TEXTS,
    sip_from=TEXTS,
    uploaded=st.none() | NUMBERS,
)
COUNTS = st.builds(Counts, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
BOXES = st.builds(Box, MAILBOXES, TEXTS, TEXTS, TEXTS, COUNTS)
LEGS = st.builds(
    Leg,
    *[TEXTS] * 2,
    st.none() | NUMBERS,
    *[TEXTS] * 13,
    NUMBERS,
    st.none() | NUMBERS,
    *[NUMBERS] * 3,
    st.sampled_from(Disposition),
    TEXTS,
)
PARTIES = st.lists(st.builds(Party, TEXTS, *[st.lists(TEXTS, max_size=2).map(tuple)] * 2), max_size=2).map(tuple)
CALLS = st.builds(
    Call,
    *[NUMBERS, TEXTS, TEXTS, TEXTS, NUMBERS, NUMBERS, TEXTS, TEXTS, st.none() | TEXTS, NUMBERS, NUMBERS],
    st.sampled_from(CallType),
    st.sampled_from(CallStatus),
    TEXTS,
    uniqueids=st.lists(TEXTS, max_size=3).map(tuple),
    parties=PARTIES,
    voicemails=st.lists(st.builds(Left, TEXTS, TEXTS, NUMBERS), max_size=2).map(tuple),
    integration=st.lists(
        st.builds(Integration, NUMBERS, TEXTS, st.sampled_from(IntegrationStatus), st.none() | TEXTS, NUMBERS, NUMBERS),
        max_size=2,
    ).map(tuple),
    legs=st.lists(LEGS, max_size=2).map(tuple),
    outlying=PARTIES,
)
STATES = st.one_of(
    st.tuples(st.sampled_from(["message.new", "message.updated", "message.deleted"]), MESSAGES),
    st.tuples(st.just("unread"), COUNTS),
    st.tuples(st.just("mailbox.updated"), BOXES),
    st.tuples(st.sampled_from(["call.new", "call.updated", "call.deleted"]), CALLS),
    st.tuples(st.just("calls.imported"), st.builds(Imported, NUMBERS)),
)


@given(STATES)
def test_a_state_reads_back_as_it_was_written(record: tuple[str, RecordState]) -> None:
    record_type, state = record
    assert load(record_type, dump(state)) == state


@given(MESSAGES)
def test_enumerations_come_back_as_such(message: Message) -> None:
    """An int or a str equals its enumeration, but has none of its words."""
    loaded = load("message.new", dump(message))
    assert isinstance(loaded, Message)
    assert type(loaded.folder) is Folder
    assert loaded.local_status is message.local_status


@given(CALLS)
def test_what_a_call_is_made_of_comes_back_as_such(told: Call) -> None:
    """An int or a str equals its enumeration, and a tuple a leg, but has none of their words."""
    loaded = load("call.new", dump(told))
    assert isinstance(loaded, Call)
    assert (type(loaded.type), type(loaded.status)) == (CallType, CallStatus)
    assert {type(one.status) for one in loaded.integration} <= {IntegrationStatus}
    assert {type(leg) for leg in loaded.legs} <= {Leg}


@given(MESSAGES)
def test_a_record_of_before_uploads_is_readable(message: Message) -> None:
    written = orjson.loads(dump(message))
    for name in ("held", "sip_from", "uploaded"):
        del written[name]
    assert load("message.new", orjson.dumps(written)) == replace(message, held=None, sip_from="", uploaded=None)


def test_each_field_stands_under_its_own_name() -> None:
    """What is written today must be readable by a later version, whatever the order of fields is then."""
    badge = orjson.loads(dump(Counts(new=3, old=2, saved=1, urgent=1)))
    assert badge == {"new": 3, "old": 2, "saved": 1, "urgent": 1}
    box = orjson.loads(dump(Box(Mailbox("other", "100"), "u", "+998901234567", "C7")))
    assert box["mailbox"] == {"context": "other", "extension": "100"}
    told = orjson.loads(dump(call(7, left="100@default")))
    assert told["parties"] == [{"extension": "100", "contexts": ["default"], "known": ["default"]}]
    assert told["voicemails"] == [{"mailbox": "100@default", "uuid": "uuid-7", "id": 7}]


@pytest.mark.parametrize("record_type", ["message.new", "call.new"])
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}"])
def test_what_nobody_wrote_is_not_taken_for_a_state(data: bytes, record_type: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        load(record_type, data)
