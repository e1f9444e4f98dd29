import json
from datetime import UTC

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api import frames
from service.api.edge import Edge
from service.api.links import Signer
from service.api.records import call_event
from service.errors import InvalidInputError
from service.model import Counts, Imported, Mailbox, Record
from tests.api.world import frames_in, split
from tests.calls import call

EDGE = Edge(UTC, "http://pbx", Signer(b"k" * 16))


@given(st.integers(0, 3 * frames.PIECE))
def test_a_text_of_any_length_is_read_as_it_was_written(size: int) -> None:
    content = {"text": "x" * size}
    found, rest = split(frames.encode(content))
    assert [(opcode, json.loads(payload)) for opcode, payload in found] == [(1, content)]
    assert rest == b""


def test_only_the_first_and_the_last_fragment_say_so() -> None:
    pieces = frames.pieces({"text": "x" * 3 * frames.PIECE})
    firsts = [first for piece in pieces for first, _, _ in frames_in(piece)]
    assert firsts == [0x01, 0x00, 0x00, 0x80]


def test_an_ordinary_frame_is_whole() -> None:
    assert frames.encode({"type": "pong"}) == b'\x81\x0f{"type":"pong"}'


@given(st.lists(st.binary(min_size=1, max_size=frames.PIECE + 9), max_size=20))
def test_batches_keep_every_frame_in_order_and_stay_small(data: list[bytes]) -> None:
    batches = list(frames.batches(data))
    assert [frame for batch in batches for frame in batch] == data
    assert all(len(batch) == 1 or sum(map(len, batch)) <= frames.PIECE for batch in batches)


def test_a_subscription_may_name_mailboxes_and_events() -> None:
    text = '{"type":"subscribe","mailboxes":["100","101@sales"],"events":["call"]}'
    named = frozenset({Mailbox.parse("100@default"), Mailbox.parse("101@sales")})
    assert frames.parse(text) == frames.Subscription(named, frozenset({"call"}))


@pytest.mark.parametrize("text", ['{"type":"subscribe"}', '{"type":"subscribe","mailboxes":null,"events":null}'])
def test_a_subscription_may_name_nothing(text: str) -> None:
    assert frames.parse(text) == frames.Subscription(None, None)


def test_a_subscription_may_name_none_at_all() -> None:
    text = '{"type":"subscribe","mailboxes":[],"events":[]}'
    assert frames.parse(text) == frames.Subscription(frozenset(), frozenset())


def test_a_ping_is_known() -> None:
    assert isinstance(frames.parse('{"type":"ping","id":7}'), frames.Ping)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[" * 3000,
        "null",
        "[]",
        '"ping"',
        "{}",
        '{"type":null}',
        '{"type":"hello"}',
        '{"type":["ping"]}',
        '{"type":"subscribe","mailboxes":"100"}',
        '{"type":"subscribe","mailboxes":[100]}',
        '{"type":"subscribe","mailboxes":["../etc"]}',
        '{"type":"subscribe","events":"unread"}',
        '{"type":"subscribe","events":["mailbox"]}',
        '{"type":"subscribe","events":[["unread"]]}',
    ],
)
def test_anything_else_is_told_in_words(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"\w"):
        frames.parse(text)


@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    try:
        found = frames.parse(text)
    except InvalidInputError:
        return
    assert isinstance(found, frames.Ping | frames.Subscription)


@pytest.mark.parametrize("record_type", ["call.new", "call.updated", "call.deleted"])
def test_a_call_is_told_with_its_position(record_type: str) -> None:
    record = Record(5, 0, record_type, "pbx1", None, call(7))
    told = frames.event(record, 3, EDGE, None)
    assert told == {"type": record_type, "seq": 5, "call": call_event(call(7), EDGE, None)}
    assert told["call"]["id"] == 7


def test_of_what_nobody_outside_hears_no_frame_is_made() -> None:
    record = Record(5, 0, "calls.imported", "pbx1", None, Imported(3))
    assert frames.kind(record) not in frames.EVENTS
    with pytest.raises(TypeError):
        frames.event(record, 0, EDGE, None)


def test_badges_are_told_by_name_in_order() -> None:
    counts = {Mailbox.parse("101"): Counts(1, 2, 3, 1), Mailbox.parse("100"): Counts()}
    told = frames.state(1, counts)
    assert orjson.dumps(told) == (
        b'{"total":1,"mailboxes":{"100@default":{"new":0,"old":0,"saved":0,"urgent":0},'
        b'"101@default":{"new":1,"old":2,"saved":3,"urgent":1}}}'
    )
