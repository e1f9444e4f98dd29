"""Slots for uploads: one secret fills one of them, once, within its hour."""

import pytest

from service.errors import NotFoundError
from service.model import Mailbox
from service.store import mailboxes, uploads
from service.store.transaction import Transaction
from service.store.uploads import MOST_OPEN, Slot
from tests.store.shelf import BOX, NEXT, NOW_MS

NOW = NOW_MS // 1000


def slot(uuid: str = "slot-1", mailbox: Mailbox = BOX, *, created: int = NOW) -> Slot:
    return Slot(uuid, mailbox, "sip:alice@example.com", "audio/wav", created, created + 3600)


def test_a_slot_is_found_by_its_secret_and_by_its_uuid(tx: Transaction) -> None:
    assert uploads.create(tx, slot(), "secret")
    assert uploads.by_secret(tx.conn, "secret", NOW) == slot()
    assert uploads.by_uuid(tx.conn, None, "slot-1", NOW) == slot()
    assert uploads.by_uuid(tx.conn, frozenset({BOX}), "slot-1", NOW) == slot()
    assert uploads.of_mailbox(tx.conn, BOX, NOW) == [slot()]
    assert uploads.of_mailbox(tx.conn, NEXT, NOW) == []


def test_nobody_else_finds_it(tx: Transaction) -> None:
    uploads.create(tx, slot(), "secret")
    for secret in ("", "Secret", "secre", "slot-1", "\udcff"):
        with pytest.raises(NotFoundError):
            uploads.by_secret(tx.conn, secret, NOW)
    for view in (frozenset({NEXT}), frozenset[Mailbox]()):
        with pytest.raises(NotFoundError):
            uploads.by_uuid(tx.conn, view, "slot-1", NOW)


def test_the_secret_itself_is_not_kept(tx: Transaction) -> None:
    uploads.create(tx, slot(), "a-secret-that-is-long")
    assert "a-secret-that-is-long" not in "\n".join(tx.conn.iterdump())


def test_its_hour_is_over_to_the_second(tx: Transaction) -> None:
    uploads.create(tx, slot(), "secret")
    assert uploads.by_secret(tx.conn, "secret", NOW + 3599)
    with pytest.raises(NotFoundError):
        uploads.by_secret(tx.conn, "secret", NOW + 3600)
    with pytest.raises(NotFoundError):
        uploads.by_uuid(tx.conn, None, "slot-1", NOW + 3600)
    assert uploads.of_mailbox(tx.conn, BOX, NOW + 3600) == []


def test_it_is_closed_once(tx: Transaction) -> None:
    uploads.create(tx, slot(), "secret")
    assert [uploads.close(tx, "slot-1"), uploads.close(tx, "slot-1")] == [True, False]
    with pytest.raises(NotFoundError):
        uploads.by_secret(tx.conn, "secret", NOW)


def test_the_newest_slots_come_first(tx: Transaction) -> None:
    for number, created in enumerate((NOW - 5, NOW, NOW - 9)):
        uploads.create(tx, slot(f"slot-{number}", created=created), f"secret-{number}")
    assert [one.uuid for one in uploads.of_mailbox(tx.conn, BOX, NOW)] == ["slot-1", "slot-0", "slot-2"]


def test_a_mailbox_has_so_many_open_and_others_have_their_own(tx: Transaction) -> None:
    for number in range(MOST_OPEN):
        assert uploads.create(tx, slot(f"slot-{number}"), f"secret-{number}")
    assert not uploads.create(tx, slot("one more"), "more")
    assert uploads.create(tx, slot("another's", NEXT), "another's")
    uploads.close(tx, "slot-0")
    assert uploads.create(tx, slot("one more"), "more")


def test_those_whose_hour_is_over_make_room_and_are_forgotten(tx: Transaction) -> None:
    for number in range(MOST_OPEN):
        uploads.create(tx, slot(f"slot-{number}"), f"secret-{number}")
    assert uploads.create(tx, slot("one more", created=NOW + 3600), "more")
    assert tx.conn.execute("SELECT count(*) FROM upload_slot").fetchone() == (1,)


def test_a_slot_makes_a_mailbox_that_nobody_knew(tx: Transaction) -> None:
    uploads.create(tx, slot(mailbox=Mailbox("new", "777")), "secret")
    assert mailboxes.is_known(tx.conn, Mailbox("new", "777"))
    assert not mailboxes.is_known(tx.conn, BOX)
