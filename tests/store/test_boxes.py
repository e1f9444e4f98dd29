"""The PBX's boxes in the database: what it told, what was taken out and is kept here, who sees which."""

import pytest

from service.errors import NotFoundError
from service.model import Mailbox, View
from service.store import boxes, mailboxes
from service.store.boxes import Told
from service.store.transaction import Transaction
from service.voicemail_conf import BoxLine
from tests.store.shelf import BOX, NEXT, OTHER, found, live, put, types

ALICE = Told(BOX, "Alice", "alice@example.com", keeps=True)
BOB = Told(NEXT, "Bob", "", keeps=False)
ELSE = Told(OTHER, "Else", "", keeps=True)
LINE = BoxLine("7351906", "Alice A ", "a@example.com", "p@example.com", "x=y|delete=yes")


def listed(tx: Transaction, view: View = None, limit: int = 10, offset: int = 0) -> list[Mailbox]:
    rows, _total = boxes.page(tx.conn, view, limit=limit, offset=offset)
    return [box.mailbox for box in rows]


def test_what_the_pbx_tells_is_kept_and_told_again(tx: Transaction) -> None:
    boxes.tell(tx, [ELSE, BOB, ALICE])
    assert boxes.as_told(tx.conn) == {BOX: ALICE, NEXT: BOB, OTHER: ELSE}
    box = boxes.find(tx.conn, None, NEXT)
    assert (box.configured, box.disabled, box.fullname, box.email, box.keeps) == (True, None, "Bob", "", False)
    boxes.tell(tx, [Told(NEXT, "Robert", "r@example.com", keeps=True)], gone=[OTHER])
    assert boxes.find(tx.conn, None, NEXT).fullname == "Robert"
    assert listed(tx) == [BOX, NEXT]


def test_they_are_listed_in_parts_by_context_and_extension(tx: Transaction) -> None:
    boxes.tell(tx, [ELSE, BOB, ALICE])
    assert boxes.page(tx.conn, None, limit=1, offset=1) == ([boxes.find(tx.conn, None, NEXT)], 3)
    assert listed(tx, limit=10, offset=2) == [OTHER]
    assert boxes.page(tx.conn, None, limit=10, offset=3) == ([], 3)


def test_nobody_sees_a_box_out_of_his_view(tx: Transaction) -> None:
    boxes.tell(tx, [ELSE, BOB, ALICE])
    view = frozenset({BOX})
    assert boxes.page(tx.conn, view, limit=10, offset=0)[1] == 1
    assert listed(tx, view) == [BOX]
    with pytest.raises(NotFoundError):
        boxes.find(tx.conn, view, OTHER)


def test_until_the_pbx_has_told_a_mailbox_of_the_spool_is_a_box(tx: Transaction) -> None:
    put(tx, BOX, found(1))
    assert listed(tx) == [BOX]
    boxes.tell(tx, [BOB])
    assert listed(tx) == [NEXT]
    assert boxes.not_configured(tx.conn, None, 10) == [BOX]
    with pytest.raises(NotFoundError):
        boxes.find(tx.conn, None, BOX)


def test_a_disabled_box_keeps_its_line_but_for_the_pin(tx: Transaction) -> None:
    boxes.tell(tx, [ALICE])
    boxes.disable(tx, BOX, LINE)
    box = boxes.find(tx.conn, None, BOX)
    assert box.disabled == BoxLine("", "Alice A ", "a@example.com", "p@example.com", "x=y|delete=yes")
    assert (box.configured, box.fullname, box.keeps) == (False, "Alice A", False)
    assert "7351906" not in "".join(tx.conn.iterdump())
    assert boxes.as_told(tx.conn) == {}
    assert boxes.not_configured(tx.conn, None, 10) == []
    assert boxes.disabled_alike(tx.conn, Mailbox("DEFAULT", "100")) == BOX
    boxes.tell(tx, [ALICE])
    assert boxes.find(tx.conn, None, BOX).disabled is None
    assert boxes.disabled_alike(tx.conn, BOX) is None


def test_a_box_is_forgotten_and_its_messages_are_not(tx: Transaction) -> None:
    put(tx, BOX, found(1))
    boxes.tell(tx, [ALICE, BOB])
    uuid = boxes.find(tx.conn, None, BOX).uuid
    boxes.forget(tx, BOX)
    assert listed(tx) == [NEXT]
    assert len(live(tx.conn)) == 1
    boxes.disable(tx, BOX, LINE)
    boxes.forget(tx, BOX)
    assert listed(tx) == [NEXT]
    boxes.tell(tx, [ALICE])
    assert boxes.find(tx.conn, None, BOX).uuid == uuid


def test_mailboxes_that_are_no_boxes_are_gone_through_in_parts(tx: Transaction) -> None:
    put(tx, BOX, found(1))
    put(tx, NEXT, found(2))
    put(tx, OTHER, found(3))
    mailboxes.ensure(tx, Mailbox("default", "999"))
    assert boxes.not_configured(tx.conn, None, 2) == [BOX, NEXT]
    assert boxes.not_configured(tx.conn, NEXT, 2) == [OTHER]
    assert boxes.not_configured(tx.conn, OTHER, 2) == []


def test_what_the_pbx_tells_of_its_boxes_is_no_news_to_readers_of_the_journal(tx: Transaction) -> None:
    boxes.tell(tx, [ALICE, BOB], gone=[OTHER])
    boxes.disable(tx, BOX, LINE)
    assert types(tx) == []
