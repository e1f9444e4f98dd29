from collections.abc import Iterator
from pathlib import Path

import pytest

from service.model import Folder, Status
from service.store import inbox, mailboxes, messages
from service.store.inbox import Shelf
from service.store.transaction import Transaction
from tests.store.shelf import BOX, found, put, transaction

PHONE = "+4571919998"


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Transaction]:
    with transaction(tmp_path / "voicemaild.db") as made:
        yield made


def listed(tx: Transaction, shelf: Shelf) -> list[int]:
    """The numbers of the messages on a shelf."""
    return [message.envelope.origtime - 1000 for message in inbox.listed(tx.conn, BOX, shelf)]


def test_what_is_unread_is_new_what_is_read_is_old_and_what_was_put_elsewhere_is_saved(tx: Transaction) -> None:
    put(
        tx,
        BOX,
        found(1),
        found(2, Folder.URGENT),
        found(3, Folder.OLD),
        found(4, Folder.WORK),
    )
    assert listed(tx, Shelf.NEW) == [2, 1]
    assert listed(tx, Shelf.OLD) == [3]
    assert listed(tx, Shelf.SAVED) == [4]


def test_a_status_kept_here_alone_counts(tx: Transaction) -> None:
    [message] = put(tx, BOX, found(1))
    messages.set_local_status(tx, [message.id], Status.READ)
    assert listed(tx, Shelf.NEW) == []
    assert listed(tx, Shelf.OLD) == [1]


def test_a_box_is_found_by_its_number_alone(tx: Transaction) -> None:
    put(tx, BOX, found(1))
    assert inbox.by_phone(tx.conn, PHONE) is None
    assert inbox.by_phone(tx.conn, "") is None
    mailboxes.set_fields(tx, BOX, phone=PHONE)
    owned = inbox.by_phone(tx.conn, PHONE)
    assert owned is not None
    assert (owned.box.mailbox, owned.box.counts.new) == (BOX, 1)
    assert (owned.configured, owned.disabled, owned.pin_hash) == (False, False, "")
