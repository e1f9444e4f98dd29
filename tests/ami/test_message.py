import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.ami.message import Event, Fields, Response, Shape, Stream, check_fields, parse
from service.errors import InvalidInputError
from tests.ami.pbx import GREETING, RECORDINGS, event, recording, waiting

NAMES = sorted(path.stem for path in RECORDINGS.glob("*.txt"))
WANTED = frozenset({"MessageWaiting", "Cdr", "FullyBooted", "Shutdown"})
WIDE = WANTED | {"TestEvent", "CEL", "SuccessfulAuth", "VoicemailUserEntry"}
Result = tuple[list[Event | Response], str, str, int, int]


def read(parts: list[bytes], stream: Stream) -> Result:
    """Everything that a stream tells of these reads."""
    messages = [message for part in parts for message in stream.feed(part, tagged=True)]
    return messages, stream.greeting, stream.broken, stream.skipped, stream.malformed


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def small() -> Stream:
    return Stream(WANTED, max_line=40, max_message=90)


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_reads_the_same_in_one_piece_byte_by_byte_and_in_random_pieces(name: str) -> None:
    data = recording(name)
    whole = read([data], Stream(WIDE))
    assert whole[1].startswith("Asterisk Call Manager/")
    assert whole[2] == ""
    assert whole[4] == 0
    assert read(bytewise(data), Stream(WIDE)) == whole
    chance = random.Random(name)
    cuts = [0, *sorted(chance.randrange(len(data)) for _ in range(60)), len(data)]
    assert read([data[a:b] for a, b in pairwise(cuts)], Stream(WIDE)) == whole


@pytest.mark.parametrize("name", [name for name in NAMES if len(recording(name)) < 2_100])
def test_a_short_session_reads_the_same_at_every_split_into_two(name: str) -> None:
    data = recording(name)
    whole = read([data], Stream(WIDE))
    for cut in range(1, len(data)):
        assert read([data[:cut], data[cut:]], Stream(WIDE)) == whole


@pytest.mark.parametrize("name", NAMES)
def test_of_every_recording_each_message_is_found_or_counted(name: str) -> None:
    data = recording(name)
    messages, _, _, skipped, malformed = read([data], Stream(WANTED))
    announced = data.count(b"\r\nEvent: ") + data.count(b"\r\nResponse: ")
    inner = data.count(b"Event: OriginateResponse")  # it holds a line `Response: ` of its own
    assert len(messages) + skipped + malformed == announced - inner


def test_a_voicemail_left_on_a_real_pbx_gives_its_messagewaiting_and_cdrs() -> None:
    messages = Stream(WANTED).feed(recording("22-leave-voicemail"))
    events = [message for message in messages if isinstance(message, Event)]
    assert Counter(event.name for event in events) == {"FullyBooted": 1, "Cdr": 2, "MessageWaiting": 1}
    mwi = next(event for event in events if event.name == "MessageWaiting")
    assert [mwi.fields.get(key) for key in ("Mailbox", "New", "CallerIDName")] == ["100@default", "1", "Jane Doe"]


@pytest.mark.parametrize("pbx", ["16", "22"])
def test_a_callers_name_in_utf8_arrives_whole(pbx: str) -> None:
    messages, *_ = read(bytewise(recording(f"{pbx}-cid-2")), Stream(WANTED))
    assert "Emoji 😀 Ltd" in [message.fields.get("CallerIDName") for message in messages]


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    message = parse(b'Event: Cdr\r\nCallerID: "M\xfcller\xed\xa0\x80" <1>\r\nSource: 1\xc3\r\nUserField: x')
    assert message is not None
    assert message.fields.get("CallerID") == '"M\ufffdller\ufffd\ufffd\ufffd" <1>'
    assert message.fields.get("Source") == "1\ufffd"
    assert message.fields.get("UserField") == "x"


def test_a_bare_line_feed_at_the_end_of_a_value_is_dropped_and_starts_no_message() -> None:
    messages = Stream(WANTED).feed(recording("22-ami-errors"))
    answers = [message for message in messages if isinstance(message, Response)]
    assert [answer.message for answer in answers[1:4]] == [
        "Message move failed",
        "Message move successful",
        "Message move failed",
    ]
    assert not answers[6].ok
    assert len(answers) == recording("22-ami-errors").count(b"Response: ")


def test_a_bare_line_feed_inside_a_value_forges_no_line() -> None:
    message = parse(b"Event: Newchannel\r\nCallerIDName: x\nMailbox: 100@default\r\nExten: 1")
    assert message is not None
    assert message.fields.get("Mailbox") == ""
    assert message.fields.get("CallerIDName") == "x\nMailbox: 100@default"


def test_repeated_empty_and_odd_keys_are_kept_as_they_came() -> None:
    message = parse(b"Event: TestEvent\r\nState: A\r\nState: B\r\n: nameless\r\nEmpty:\r\nNo colon\r\nPath: a: b ")
    assert message is not None
    assert message.fields.all("state") == ("A", "B")
    assert message.fields.get("STATE") == "A"
    assert message.fields.get("") == "nameless"
    assert message.fields.get("Empty", "missing") == ""
    assert message.fields.get("Nothing", "missing") == "missing"
    assert message.fields.get("Path") == "a: b "


def test_an_event_in_a_real_flood_that_repeats_a_key_keeps_both_values() -> None:
    messages = Stream(frozenset({"TestEvent"})).feed(recording("22-perm-daemon-read-call-cdr-user-reporting"))
    assert any(len(message.fields.all("State")) == 2 for message in messages)


def test_fields_are_equal_where_their_lines_are() -> None:
    lines = [("Mailbox", "100@default"), ("New", "1")]
    assert Fields(lines) == Fields(tuple(lines))
    assert hash(Fields(lines)) == hash(Fields(lines))
    assert Fields(lines) != Fields(lines[:1])


def test_unwanted_events_are_skipped_unless_they_carry_an_action_id_while_one_is_awaited() -> None:
    entry = event("VoicemailUserEntry", ActionID="a2", VoiceMailbox="100")
    other = event("Newchannel", Channel="Local/1")
    alike = event("CdrExtra", Channel="Local/1")
    stream = Stream(WANTED)
    stream.feed(GREETING)
    assert stream.feed(entry + other + alike) == []
    assert stream.skipped == 3
    assert [type(message) for message in stream.feed(entry + other + alike, tagged=True)] == [Event]


def test_what_is_no_message_is_counted_and_what_follows_it_is_read() -> None:
    stream = Stream(WANTED)
    messages = stream.feed(GREETING + b"nonsense\r\n\r\n" + b"\r\n\r\n\r\n" + waiting("1@a") + b"\r\n" + waiting("2@a"))
    assert [message.fields.get("Mailbox") for message in messages] == ["1@a", "2@a"]
    assert stream.malformed == 1


def test_what_greets_otherwise_is_not_a_pbx() -> None:
    stream = Stream(WANTED)
    assert stream.feed(b"SSH-2.0-OpenSSH_9.2\r\n" + waiting("1@a")) == []
    assert "not an Asterisk Manager Interface" in stream.broken


@pytest.mark.parametrize(
    "hostile",
    [
        b"Event: Cdr\r\nUserField: " + b"x" * 9_000,
        b"Event: Cdr\r\nUserField: " + b"x" * 9_000 + b"\r\n\r\n",
        b"Event: Newchannel\r\n" + b"a: b\r\n" * 60_000,
        b"Event: Newchannel\r\n" + b"a: b\r\n" * 60_000 + b"\r\n",
    ],
    ids=["endless line", "long line", "endless message", "long message"],
)
def test_what_passes_the_limits_ends_the_stream_after_all_that_came_before(hostile: bytes) -> None:
    stream = Stream(WANTED)
    messages = stream.feed(GREETING + waiting("1@a") + hostile)
    assert [message.fields.get("Mailbox") for message in messages] == ["1@a"]
    assert "beyond" in stream.broken
    assert stream.feed(waiting("3@a")) == []


def test_a_long_greeting_is_not_waited_for() -> None:
    stream = Stream(WANTED)
    stream.feed(b"Asterisk Call Manager/" + b"1" * 9_000)
    assert stream.broken


def test_the_longest_line_and_message_allowed_are_read() -> None:
    stream = Stream(WANTED)
    line = b"A: " + b"x" * (8 * 1024 - 3) + b"\r\n"
    first = b"Event: Cdr\r\n"
    last = b"B: " + b"y" * (256 * 1024 - len(first) - 31 * len(line) - 3) + b"\r\n"
    assert len(stream.feed(GREETING + first + line * 31 + last + b"\r\n")) == 1
    assert stream.broken == ""


SCRAPS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"\r\n",
            b"\n",
            b"\r",
            b"\r\n\r\n",
            b"Event: Cdr",
            b"Event: ",
            b"Response: Success",
            b": ",
            b"ActionID: a1",
            b"x" * 39,
        ]
    ),
)


TEXTS = st.text(st.sampled_from(": a\r\n1é"), max_size=6)


@given(st.lists(SCRAPS, max_size=40).map(b"".join), st.lists(st.integers(0, 2_000), max_size=6))
@example(b"Event: Cdr\r\n" + b"x" * 40 + b"\r\n\r\n", [53])
@example(b"Event: Cdr\r\n" + b"x" * 41 + b"\r\n\r\n", [54])
def test_any_bytes_at_any_splits_read_the_same_and_raise_nothing(garbage: bytes, places: list[int]) -> None:
    data = GREETING + garbage
    cuts = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    whole = read([data], small())
    parts = [data[a:b] for a, b in pairwise(cuts)]
    assert read(parts, small())[0] == whole[0]
    if not whole[2]:
        assert read(parts, small()) == whole


@given(st.lists(SCRAPS, max_size=40).map(b"".join))
def test_after_any_garbage_within_the_limits_the_next_event_is_read(garbage: bytes) -> None:
    stream = Stream(WANTED)
    stream.feed(GREETING + garbage + b"\r\n\r\n")
    messages = stream.feed(waiting("100@default"))
    assert [message.fields.get("Mailbox") for message in messages] == ["100@default"]


@given(st.binary(max_size=30))
def test_any_first_bytes_are_a_greeting_or_break_the_stream(data: bytes) -> None:
    assert read([data + b"\r\n"], Stream(WANTED)) == read(bytewise(data + b"\r\n"), Stream(WANTED))


LINES = st.lists(
    st.tuples(st.sampled_from(["A", "a", "B", "C(d)"]), st.sampled_from([":", ": ", ":  ", "", "\n: ", ": \r"]), TEXTS),
    min_size=1,
    max_size=4,
)


@given(LINES, st.lists(TEXTS, min_size=4, max_size=4))
def test_a_message_of_a_shape_that_was_learnt_reads_as_if_it_were_the_first(
    lines: list[tuple[str, str, str]], others: list[str]
) -> None:
    def message(values: list[str]) -> bytes:
        told = [key + colon + value for (key, colon, _), value in zip(lines, values, strict=False)]
        return "\r\n".join(["Event: Cdr", *told]).encode()

    known: dict[str, Shape] = {}
    first = [value for _, _, value in lines]
    for values in (first, first, others, first, others[::-1]):
        found, fresh = parse(message(values), known), parse(message(values))
        assert found == fresh
        assert found is None or fresh is None or found.fields.get("c(D)", "-") == fresh.fields.get("c(D)", "-")


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=60), max_size=4))
def test_text_that_is_let_through_is_one_line_of_valid_utf8(fields: dict[str, str]) -> None:
    try:
        check_fields(fields)
    except InvalidInputError:
        return
    for key, value in fields.items():
        assert not set("\r\n\0") & set(key + value)
        assert f"{key}: {value}".encode().partition(b": ")[0] == key.encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"Mailbox": "100\r\nAction: Originate"},
        {"Mailbox": "100\nx"},
        {"Mailbox": "100\0"},
        {"Mailbox\r\nAction": "Originate"},
        {"Mailbox": "\udcff"},
        {"Mailbox": "é" * 600},
        {"ActionID": "1"},
        {"action": "Originate"},
        {"a: b": "c"},
        {"": "c"},
    ],
)
def test_fields_that_would_not_arrive_as_they_are_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        check_fields(fields)
