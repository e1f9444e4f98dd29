"""Many mailboxes at once: the same rows and records as one after the other."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from service.difference import Difference
from service.model import Counts, Folder, Mailbox
from service.store import fill, mailboxes, reconcile
from service.store.fill import Change
from service.store.transaction import Transaction
from tests.store.ledger import START, record, voicemail
from tests.store.shelf import (
    BOX,
    NEXT,
    OTHER,
    apply,
    found,
    known,
    live,
    outside,
    put,
    replayed,
    told,
    transaction,
    types,
)

NEW = (
    Change(BOX, 0, Difference(read=[found(1, Folder.OLD), found(2), found(3, Folder.URGENT)]), "looked"),
    Change(NEXT, 0, Difference(read=[found(1, silent=True), found(5, Folder.WORK, caller="201")])),
    Change(OTHER, 0, Difference(read=[found(6, msg_id="", fingerprint="fp-6")])),
)


def one_by_one(tx: Transaction, changes: Sequence[Change]) -> list[bool]:
    return [
        reconcile.apply(tx, mailbox, generation, difference, outside, looked=looked)
        for mailbox, generation, difference, looked in changes
    ]


def all_of(tx: Transaction) -> object:
    looked = mailboxes.looked(tx.conn)
    scanned = [reconcile.known(tx.conn, box) for box in (BOX, NEXT, OTHER)]
    return live(tx.conn), mailboxes.list_all(tx.conn), looked, scanned, replayed(tx.conn), told(tx)


def test_new_mailboxes_are_written_as_each_would_be_alone(tmp_path: Path) -> None:
    with transaction(tmp_path / "all") as tx:
        assert fill.apply_all(tx, NEW, outside) == [True, True, True]
        together = all_of(tx)
    with transaction(tmp_path / "each") as tx:
        assert one_by_one(tx, NEW) == [True, True, True]
        assert all_of(tx) == together


def test_ids_go_on_where_others_ended(tx: Transaction) -> None:
    put(tx, BOX, found(9))
    assert fill.apply_all(tx, NEW[1:], outside) == [True, True]
    assert [message.id for message in live(tx.conn)] == [1, 2, 3, 4]
    put(tx, BOX, found(10, msgnum=1))
    assert [message.id for message in live(tx.conn)] == [1, 2, 3, 4, 5]
    assert replayed(tx.conn) == told(tx)


def test_a_mailbox_that_is_known_by_name_alone_is_filled(tx: Transaction) -> None:
    mailboxes.ensure(tx, BOX)
    mailboxes.set_fields(tx, BOX, phone="+15550001111")
    told(tx)
    assert fill.apply_all(tx, NEW[:1], outside) == [True]
    box = mailboxes.box(tx.conn, BOX)
    assert (box.phone, box.counts) == ("+15550001111", Counts(new=2, old=1, urgent=1))
    assert types(tx) == ["message.new"] * 3 + ["unread"]


def test_a_mailbox_with_messages_is_compared_with_them(tx: Transaction) -> None:
    (before, _other) = put(tx, BOX, found(1), found(2, msgnum=1))
    told(tx)
    generation, rows = reconcile.known(tx.conn, BOX)
    gone = Change(BOX, generation, Difference(gone=[row for row in rows if row.id == before.id]))
    assert fill.apply_all(tx, [gone, NEW[1]], outside) == [True, True]
    assert types(tx) == ["message.new", "message.new", "unread", "message.deleted", "unread"]
    assert mailboxes.counts(tx.conn) == {BOX: Counts(new=1), NEXT: Counts(new=1, saved=1)}


def test_a_message_that_is_back_has_its_old_id(tx: Transaction) -> None:
    (before,) = put(tx, BOX, found(1))
    assert apply(tx, BOX, Difference(gone=list(known(tx).values())))
    generation, _rows = reconcile.known(tx.conn, BOX)
    assert fill.apply_all(tx, [Change(BOX, generation, Difference(read=[found(1)]))], outside) == [True]
    assert live(tx.conn) == [before]


def test_a_scan_from_before_the_first_message_is_out_of_date(tx: Transaction) -> None:
    put(tx, BOX, found(9))
    assert fill.apply_all(tx, NEW, outside) == [False, True, True]
    assert [message.msg_id for message in live(tx.conn) if message.mailbox == BOX] == [found(9).msg_id]


def test_where_a_uuid_is_taken_all_are_written_one_by_one(tx: Transaction) -> None:
    (taken,) = put(tx, BOX, found(9))
    uuid = reconcile_uuid(NEXT, 1)
    tx.conn.execute("UPDATE message SET uuid = ? WHERE id = ?", (uuid, taken.id))
    told(tx)
    assert fill.apply_all(tx, NEW[1:], outside) == [True, True]
    assert len({message.uuid for message in live(tx.conn)}) == 4
    assert types(tx) == ["message.new", "message.new", "unread", "message.new", "unread"]


def reconcile_uuid(mailbox: Mailbox, number: int) -> str:
    return mailboxes.derived_uuid(f"pbx1/{mailbox.context}/{mailbox.extension}/{found(number).msg_id}")


def test_messages_are_linked_with_the_calls_they_were_left_in(tx: Transaction) -> None:
    left = found(1, origtime=START + 25)
    record(tx, voicemail(1, 20, 40, box="100@default", channel="PJSIP/trunk-0"))
    assert fill.apply_all(tx, [Change(BOX, 0, Difference(read=[left]))], outside) == [True]
    (message,) = live(tx.conn)
    assert message.uniqueid != ""


@pytest.mark.parametrize("change", [Difference(), Difference(gone=())])
def test_a_mailbox_without_messages_is_noted_as_looked_at(tx: Transaction, change: Difference) -> None:
    assert fill.apply_all(tx, [Change(BOX, 0, change, "seen")], outside) == [True]
    assert (mailboxes.looked(tx.conn), types(tx)) == ({BOX: "seen"}, [])
