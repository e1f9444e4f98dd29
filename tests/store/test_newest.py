"""Messages newest first, held against all messages sorted one by one."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import NotFoundError
from service.model import Mailbox, Message, View
from service.store import newest
from service.store.transaction import Transaction
from tests.store.shelf import BOX, NEXT, OTHER, found, live, put


@pytest.fixture
def filled(tx: Transaction) -> Transaction:
    """Messages of three mailboxes, some left in the same second."""
    for number, (box, time) in enumerate(
        [(BOX, 100), (OTHER, 300), (BOX, 200), (NEXT, 200), (BOX, 200), (OTHER, 50), (NEXT, 400)]
    ):
        put(tx, box, found(number, origtime=time))
    return tx


def expected(tx: Transaction, view: View, mailbox: Mailbox | None) -> list[Message]:
    rows = [
        message
        for message in live(tx.conn)
        if (view is None or message.mailbox in view) and mailbox in (None, message.mailbox)
    ]
    return sorted(rows, key=lambda message: (message.envelope.origtime, message.id), reverse=True)


BOXES = [BOX, NEXT, OTHER, Mailbox("default", "999")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    view=st.none() | st.frozensets(st.sampled_from(BOXES)),
    mailbox=st.none() | st.sampled_from(BOXES),
    limit=st.integers(1, 10),
    offset=st.integers(0, 10) | st.just(10**18 - 1),
)
def test_a_part_of_the_list_is_what_stands_there(
    filled: Transaction, view: View, mailbox: Mailbox | None, limit: int, offset: int
) -> None:
    rows = expected(filled, view, mailbox)
    page = newest.page(filled.conn, view, limit=limit, offset=offset, mailbox=mailbox)
    assert (page.rows, page.total) == (rows[offset : offset + limit], len(rows))


@pytest.mark.parametrize("view", [None, frozenset({BOX}), frozenset({BOX, OTHER})])
def test_the_newest_of_a_mailbox_is_the_last_that_came_in_its_last_second(filled: Transaction, view: View) -> None:
    assert newest.of_mailbox(filled.conn, view, BOX).id == 5


@pytest.mark.parametrize(
    ("view", "mailbox"),
    [(frozenset({NEXT}), BOX), (frozenset(), BOX), (None, BOXES[-1]), (frozenset({BOXES[-1]}), BOXES[-1])],
)
def test_a_mailbox_without_messages_or_of_somebody_else_has_no_newest(
    filled: Transaction, view: View, mailbox: Mailbox
) -> None:
    with pytest.raises(NotFoundError):
        newest.of_mailbox(filled.conn, view, mailbox)
