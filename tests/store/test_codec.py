import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model import (
    Audio,
    AudioFile,
    Box,
    Counts,
    Envelope,
    Folder,
    Levels,
    Mailbox,
    Message,
    RecordState,
    Status,
)
from service.store.codec import dump, load

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
)
COUNTS = st.builds(Counts, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
BOXES = st.builds(Box, MAILBOXES, TEXTS, TEXTS, TEXTS, COUNTS)
STATES = st.one_of(
    st.tuples(st.sampled_from(["message.new", "message.updated", "message.deleted"]), MESSAGES),
    st.tuples(st.just("unread"), COUNTS),
    st.tuples(st.just("mailbox.updated"), BOXES),
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


def test_each_field_stands_under_its_own_name() -> None:
    """What is written today must be readable by a later version, whatever the order of fields is then."""
    badge = orjson.loads(dump(Counts(new=3, old=2, saved=1, urgent=1)))
    assert badge == {"new": 3, "old": 2, "saved": 1, "urgent": 1}
    box = orjson.loads(dump(Box(Mailbox("other", "100"), "u", "+998901234567", "C7")))
    assert box["mailbox"] == {"context": "other", "extension": "100"}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}"])
def test_what_nobody_wrote_is_not_taken_for_a_message(data: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        load("message.new", data)
