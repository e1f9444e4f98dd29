import re
import uuid

import pytest

from service.difference import Difference
from service.errors import ConflictError, NotFoundError
from service.ingest import outside_number
from service.model import Counts, Folder, Mailbox, Status, View
from service.store import mailboxes, messages
from service.store.transaction import Transaction
from tests.store.shelf import BOX, NEXT, OTHER, apply, found, known, live, outside, put, told, types

UNKNOWN = Mailbox("default", "999")


def filled(tx: Transaction) -> None:
    """100@default: 2 new (one urgent), 1 old, 1 saved; 100@other: 1 new; 101@default: nothing."""
    places = (Folder.INBOX, Folder.URGENT, Folder.OLD, Folder.WORK)
    put(tx, BOX, *(found(number, folder) for number, folder in enumerate(places)))
    put(tx, OTHER, found(9))
    mailboxes.ensure(tx, NEXT)


def test_a_mailbox_is_made_once(tx: Transaction) -> None:
    first = mailboxes.ensure(tx, BOX)
    assert mailboxes.ensure(tx, BOX) == first
    assert mailboxes.ensure(tx, OTHER) != first
    assert mailboxes.names(tx.conn) == [BOX, OTHER]


def test_its_uuid_follows_from_its_identity_alone(tx: Transaction) -> None:
    for mailbox in (OTHER, BOX):
        mailboxes.ensure(tx, mailbox)
    assert [box.uuid for box in mailboxes.list_all(tx.conn)] == [
        str(uuid.uuid5(mailboxes.NAMESPACE, f"pbx1/{mailbox.context}/{mailbox.extension}")) for mailbox in (BOX, OTHER)
    ]


@pytest.mark.parametrize("name", ["", "pbx1/default/100", "Zoë 😀"])
def test_the_quick_uuid_is_the_one_of_the_standard_library(name: str) -> None:
    assert mailboxes.derived_uuid(name) == str(uuid.uuid5(mailboxes.NAMESPACE, name))


def test_boxes_are_listed_in_order_with_their_badges(tx: Transaction) -> None:
    filled(tx)
    boxes = mailboxes.list_all(tx.conn)
    assert [(box.mailbox, box.counts) for box in boxes] == [
        (BOX, Counts(new=2, old=1, saved=1, urgent=1)),
        (NEXT, Counts()),
        (OTHER, Counts(new=1)),
    ]


def test_badges_are_those_of_the_boxes_in_view_that_hold_a_message(tx: Transaction) -> None:
    filled(tx)
    both = {BOX: Counts(new=2, old=1, saved=1, urgent=1), OTHER: Counts(new=1)}
    assert mailboxes.counts(tx.conn) == both
    assert mailboxes.counts(tx.conn, frozenset({OTHER, NEXT})) == {OTHER: Counts(new=1)}
    assert mailboxes.counts(tx.conn, frozenset()) == {}


@pytest.mark.parametrize(
    ("view", "count"),
    [(None, 3), (frozenset({BOX}), 2), (frozenset({OTHER, NEXT}), 1), (frozenset({UNKNOWN}), 0), (frozenset(), 0)],
)
def test_unread_messages_are_counted_in_view(tx: Transaction, view: View, count: int) -> None:
    filled(tx)
    assert mailboxes.unread_count(tx.conn, view) == count


def test_a_snapshot_holds_the_badges_and_the_position_they_belong_to(tx: Transaction) -> None:
    filled(tx)
    last = told(tx)[-1].seq
    expected = mailboxes.counts(tx.conn)
    tx.conn.execute("COMMIT")
    assert mailboxes.snapshot(tx.conn) == (last, expected)
    tx.conn.execute("BEGIN")


# --- the two fields that are ours


def test_a_field_that_is_set_is_kept_and_told_and_the_other_stays(tx: Transaction) -> None:
    mailboxes.ensure(tx, BOX)
    mailboxes.set_fields(tx, BOX, phone="+998901234567")
    box = mailboxes.set_fields(tx, BOX, customer="C7")
    assert (box.phone, box.customer) == ("+998901234567", "C7")
    assert mailboxes.list_all(tx.conn) == [box]
    records = told(tx)
    assert [record.type for record in records] == ["mailbox.updated", "mailbox.updated"]
    assert records[-1].state == box


def test_an_empty_text_takes_a_field_away(tx: Transaction) -> None:
    mailboxes.ensure(tx, BOX)
    mailboxes.set_fields(tx, BOX, phone="+998901234567", customer="C7")
    assert mailboxes.set_fields(tx, BOX, phone="", customer="").phone == ""


def test_a_number_belongs_to_one_mailbox(tx: Transaction) -> None:
    for mailbox in (BOX, OTHER):
        mailboxes.ensure(tx, mailbox)
    mailboxes.set_fields(tx, BOX, phone="+998901234567")
    with pytest.raises(ConflictError, match=r"\+998901234567"):
        mailboxes.set_fields(tx, OTHER, phone="+998901234567")
    assert mailboxes.set_fields(tx, BOX, phone="+998901234567").phone == "+998901234567"
    mailboxes.set_fields(tx, BOX, phone="")
    assert mailboxes.set_fields(tx, OTHER, phone="+998901234567").phone == "+998901234567"


def test_any_number_of_boxes_may_have_none(tx: Transaction) -> None:
    for mailbox in (BOX, OTHER):
        mailboxes.ensure(tx, mailbox)
        assert mailboxes.set_fields(tx, mailbox, phone="").phone == ""


def test_a_box_that_is_not_known_is_not_made_by_setting_a_field(tx: Transaction) -> None:
    with pytest.raises(NotFoundError, match="999@default"):
        mailboxes.set_fields(tx, UNKNOWN, customer="C7")
    assert mailboxes.names(tx.conn) == []


# --- counting


def test_a_changed_badge_is_told_with_its_step_and_an_unchanged_one_is_not(tx: Transaction) -> None:
    (first, _second) = put(tx, BOX, found(1), found(2, msgnum=1))
    told(tx)
    messages.set_local_status(tx, [first.id], Status.READ)
    updated, unread = told(tx)
    assert (updated.type, unread.type, unread.state, unread.delta) == (
        "message.updated",
        "unread",
        Counts(new=1, old=1),
        -1,
    )
    mailboxes.recount(tx, BOX, mailboxes.ensure(tx, BOX))
    assert types(tx) == []


def test_a_message_marked_unread_here_counts_as_new_wherever_it_lies(tx: Transaction) -> None:
    """And one marked read here counts as old while it lies in INBOX or Urgent."""
    (old, work, urgent) = put(tx, BOX, found(1, Folder.OLD), found(2, Folder.WORK), found(3, Folder.URGENT))
    messages.set_local_status(tx, [old.id, work.id], Status.UNREAD)
    messages.set_local_status(tx, [urgent.id], Status.READ)
    assert mailboxes.counts(tx.conn)[BOX] == Counts(new=2, old=1, saved=0, urgent=0)


# --- what the store belongs to


def test_a_store_keeps_its_uuids_when_its_pbx_is_given_another_name(tx: Transaction) -> None:
    (before,) = put(tx, BOX, found(1))
    mailboxes.adopt_pbx(tx.conn, "pbx2")
    (after,) = live(tx.conn)
    assert (after.pbx, after.uuid) == ("pbx2", before.uuid)


def test_another_rule_for_extensions_is_applied_to_what_is_there_and_only_once(tx: Transaction) -> None:
    put(tx, BOX, found(1, caller="4321"), found(2, msgnum=1, caller="15551234567"))
    assert [message.external_number for message in live(tx.conn)] == ["4321", "15551234567"]
    pattern = r"^\d{2,6}$"
    rule = outside_number(re.compile(pattern))
    assert mailboxes.adopt_internal(tx.conn, pattern, rule) == 2
    assert [message.external_number for message in live(tx.conn)] == [None, "15551234567"]
    assert mailboxes.adopt_internal(tx.conn, pattern, outside) == 0
    assert [message.external_number for message in live(tx.conn)] == [None, "15551234567"]
    assert mailboxes.adopt_internal(tx.conn, "another", outside) == 2
    assert [message.external_number for message in live(tx.conn)] == ["4321", "15551234567"]


def test_a_probe_leaves_nothing_behind(tx: Transaction) -> None:
    before = tx.conn.execute("SELECT count(*) FROM meta").fetchone()[0]
    for _ in range(3):
        mailboxes.probe(tx.conn)
    rows = tx.conn.execute("SELECT value FROM meta WHERE key = 'probe'").fetchall()
    assert rows == [("",)]
    assert tx.conn.execute("SELECT count(*) FROM meta").fetchone()[0] == before + 1


def test_of_a_box_that_was_only_found_neither_phone_nor_customer_is_known(tx: Transaction) -> None:
    mailboxes.ensure(tx, BOX)
    (box,) = mailboxes.list_all(tx.conn)
    assert (box.phone, box.customer, box.counts) == ("", "", Counts())


def test_only_boxes_in_which_something_was_found_count_as_reconciled(tx: Transaction) -> None:
    mailboxes.ensure(tx, NEXT)
    put(tx, BOX, found(1))
    assert mailboxes.reconciled(tx.conn) == {BOX}
    assert apply(tx, BOX, Difference(gone=list(known(tx).values())))
    assert (mailboxes.counts(tx.conn), mailboxes.reconciled(tx.conn)) == ({}, {BOX})
