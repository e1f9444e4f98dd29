import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from service.api.audience import MOST_OWED, Audience, Backlog, Connection, Interest
from service.api.edge import Edge
from service.api.links import Signer
from service.call import Call
from service.model import Counts, Imported, Mailbox, Principal, Record, Scope, View
from tests.api.world import box, message
from tests.calls import call, calls_between, concerns, party

MAILBOX = Mailbox.parse("100")
EDGE = Edge(UTC, "http://pbx", Signer(b"k" * 16))


def interest(*names: str) -> Interest:
    boxes = frozenset(box(name) for name in names) if names else None
    return Interest(boxes, named=False, events=frozenset({"unread"}), edge=EDGE)


def connection(*names: str) -> Connection:
    mine = interest(*names)
    principal = Principal("crm", Scope.READ, None)
    return Connection(web.WebSocketResponse(), asyncio.Transport(), "secret", principal, mine, mine)


def join(audience: Audience, *names: str) -> Connection:
    one = connection(*names)
    audience.group(one.interest, no_total).live[one.transport] = one
    return one


def no_total(_view: View) -> int:
    return 0


def unread(seq: int, mailbox: Mailbox) -> Record:
    return Record(seq, 0, "unread", "pbx1", mailbox, Counts(new=seq))


def new(seq: int, mailbox: Mailbox = MAILBOX) -> Record:
    return Record(seq, 0, "message.new", "pbx1", mailbox, message(mailbox, seq))


def called(told: Call) -> Record:
    return Record(1, 0, "call.new", "pbx1", None, told)


def reset() -> list[bytes]:
    return [b"reset", b"hello"]


def test_a_box_concerns_those_who_see_it_and_those_who_see_all() -> None:
    audience = Audience()
    everybody, both, one = join(audience), join(audience, "100", "101"), join(audience, "101")
    concerned = [audience.of(each) for each in (everybody, both, one)]
    assert set(audience.concerned(unread(1, box("101")))) == set(concerned)
    assert set(audience.concerned(new(1, box("100")))) == set(concerned[:2])
    assert set(audience.concerned(unread(1, box("200")))) == set(concerned[:1])


def test_a_call_concerns_those_of_the_extensions_that_take_part_and_those_who_see_all() -> None:
    audience = Audience()
    everybody, both, one = join(audience), join(audience, "100", "101"), join(audience, "101", "300")
    concerned = [audience.of(each) for each in (everybody, both, one)]
    told = call(1, "101", party("101"), party("100"), dst="100")
    assert sorted(map(id, audience.concerned(called(told)))) == sorted(map(id, concerned))
    assert set(audience.concerned(called(call()))) == set(concerned[:2])
    assert set(audience.concerned(called(call(1, "5", party("200"), dst="200")))) == set(concerned[:1])
    assert set(audience.concerned(Record(1, 0, "calls.imported", "pbx1", None, Imported(3)))) == set(concerned[:1])


def test_a_call_of_one_tenant_does_not_concern_another_who_has_the_same_extension() -> None:
    audience = Audience()
    mine, other = join(audience, "100"), join(audience, "100@sales")
    told = call(1, "5", party("100", known=("default", "sales")), dst="100")
    assert set(audience.concerned(called(told))) == {audience.of(mine)}
    audience.leave(mine)
    assert set(audience.concerned(called(told))) == set()
    told = call(1, "5", party("100", "from-trunk", known=("default", "sales")), dst="100", left="100@sales")
    assert set(audience.concerned(called(told))) == {audience.of(other)}


NAMES = ["100", "101", "100@sales", "200@sales"]


@given(
    st.lists(st.sets(st.sampled_from(NAMES)), max_size=6),
    st.sets(st.integers(0, 5)),
    calls_between([box(name) for name in NAMES]),
)
def test_a_call_concerns_just_those_groups_that_may_hear_of_it(
    interests: list[set[str]], left: set[int], told: Call
) -> None:
    audience = Audience()
    joined = [join(audience, *names) for names in interests]
    for number in left & set(range(len(joined))):
        audience.leave(joined[number])
    expected = {group for group in audience if concerns(called(told), group.interest.mailboxes)}
    assert set(audience.concerned(called(told))) == expected


def test_who_hears_the_same_stands_in_the_same_group() -> None:
    audience = Audience()
    first, second, other = join(audience, "100"), join(audience, "100"), join(audience, "101")
    assert audience.of(first) is audience.of(second)
    assert audience.of(first) is not audience.of(other)
    assert set(audience.of(first).live.values()) == {first, second}


def test_an_empty_group_is_forgotten() -> None:
    audience = Audience()
    members = [join(audience), join(audience, "100", "101"), join(audience, "100")]
    for member in members:
        audience.leave(member)
        audience.leave(member)
    assert list(audience) == []
    assert set(audience.concerned(unread(1, box("100")))) == set()
    assert set(audience.concerned(called(call()))) == set()


def test_the_token_is_in_no_words_about_a_connection() -> None:
    assert "secret" not in repr(connection())


def test_of_a_badge_only_the_newest_is_owed_and_in_the_order_of_the_journal() -> None:
    backlog = Backlog(0.0)
    for seq, name in enumerate(["100", "101", "100"]):
        backlog.owe(unread(seq, box(name)), f"{name} {seq}".encode())
    backlog.refill(reset)
    assert list(backlog.outbox) == [b"101 1", b"100 2"]


def test_every_message_and_every_call_is_owed() -> None:
    backlog = Backlog(0.0)
    backlog.owe(unread(1, box("100")), b"100 1")
    backlog.owe(new(2), b"message 2")
    backlog.owe(unread(3, box("100")), b"100 3")
    backlog.owe(new(4), b"message 4")
    backlog.owe(replace(called(call()), seq=5), b"call 5")
    backlog.owe(replace(called(call()), seq=6), b"call 6")
    backlog.refill(reset)
    assert list(backlog.outbox) == [b"message 2", b"100 3", b"message 4", b"call 5", b"call 6"]


@pytest.mark.parametrize("record", [unread, new])
def test_what_is_owed_does_not_grow_without_end(record: Callable[[int, Mailbox], Record]) -> None:
    """With more than that, everything that was left out is made up for by a new beginning."""
    backlog = Backlog(0.0)
    for number in range(MOST_OWED + 1):
        backlog.owe(record(number, box(f"{number}")), b"frame")
    backlog.owe(unread(number, box("100")), b"frame")
    backlog.refill(reset)
    assert list(backlog.outbox) == [b"reset", b"hello"]


def test_what_is_owed_once_is_not_owed_again() -> None:
    backlog = Backlog(0.0)
    for seq in range(MOST_OWED + 1):
        backlog.owe(new(seq), b"message")
    backlog.refill(reset)
    backlog.outbox.clear()
    backlog.owe(unread(3, box("100")), b"100 3")
    backlog.refill(reset)
    assert list(backlog.outbox) == [b"100 3"]
