from dataclasses import replace

import pytest

from service.difference import Difference, difference
from service.model import Audio, Counts, Folder, Found, Known, Levels, Message, Status
from service.store import mailboxes, messages, reconcile
from service.store.transaction import Transaction
from tests.store.shelf import BOX, OTHER, apply, audio, found, known, lies, live, outside, put, told, types

LEVELS = Levels(-3.5, -20.25, 0.125)


def only(tx: Transaction) -> Message:
    (message,) = live(tx.conn)
    return message


def row(tx: Transaction) -> Known:
    (one,) = known(tx).values()
    return one


def look(tx: Transaction, *lying: Found) -> None:
    """A complete scan of the box finds these."""
    _generation, rows = reconcile.known(tx.conn, BOX)
    assert apply(tx, BOX, difference(rows, lying, complete=True))


def test_of_a_mailbox_nobody_has_seen_nothing_is_known(tx: Transaction) -> None:
    assert reconcile.known(tx.conn, BOX) == (0, [])
    assert mailboxes.names(tx.conn) == []


def test_what_was_read_need_not_be_read_again(tx: Transaction) -> None:
    put(tx, BOX, found(1, Folder.URGENT, 7, sound=audio(1, inode=77)), found(2, msg_id="", fingerprint="fp-2"))
    put(tx, OTHER, found(3, silent=True))
    assert sorted(known(tx).values(), key=lambda row: row.id) == [
        Known(1, "1795210952-00000001", True, Folder.URGENT, 7, 1, 1, 300, 77),
        Known(2, "fp-2", False, Folder.INBOX, 0, 2, 1, 300, 502),
    ]
    assert [one.audio_inode for one in known(tx, OTHER).values()] == [None]


def test_an_inode_number_may_use_all_64_bits(tx: Transaction) -> None:
    largest = 2**64 - 1
    (message,) = put(tx, BOX, found(1, sound=audio(1, inode=largest), stamp=largest - 1))
    assert message.audio is not None
    assert message.audio.file.inode == largest
    assert (row(tx).stamp, row(tx).audio_inode) == ((largest - 1, 1, 300), -1)  # signed, as SQLite has it


def test_a_new_message_is_told_before_the_badge_it_changes(tx: Transaction) -> None:
    put(tx, BOX, found(1), found(2, Folder.OLD))
    records = told(tx)
    assert [record.type for record in records] == ["message.new", "message.new", "unread"]
    assert [record.state for record in records] == [*live(tx.conn), Counts(new=1, old=1)]
    assert [record.delta for record in records] == [0, 0, 1]


def test_a_caller_who_is_an_extension_is_not_outside(tx: Transaction) -> None:
    put(tx, BOX, found(1, caller="201"), found(2, msgnum=1, caller="15551234567"))
    assert [message.external_number for message in live(tx.conn)] == [None, "15551234567"]


def test_a_renumbered_message_is_noted_and_not_told(tx: Transaction) -> None:
    put(tx, BOX, found(1, msgnum=3))
    told(tx)
    look(tx, lies(row(tx), Folder.INBOX, 0))
    assert (only(tx).msgnum, types(tx)) == (0, [])


def test_a_moved_message_is_told_with_its_new_folder_and_status(tx: Transaction) -> None:
    (before,) = put(tx, BOX, found(1, msgnum=3))
    told(tx)
    look(tx, lies(row(tx), Folder.OLD, 0))
    updated, unread = told(tx)
    assert updated.state == replace(before, folder=Folder.OLD, msgnum=0) == only(tx)
    assert only(tx).status is Status.READ
    assert (unread.state, unread.delta) == (Counts(old=1), -1)


@pytest.mark.parametrize("copied", [False, True])
def test_a_status_kept_here_alone_gives_way_when_the_pbx_moves_the_message(tx: Transaction, *, copied: bool) -> None:
    """Whether it was renamed or copied into the other folder."""
    (message,) = put(tx, BOX, found(1))
    messages.set_local_status(tx, [message.id], Status.READ)
    look(tx, found(1, Folder.WORK, stamp=9) if copied else lies(row(tx), Folder.WORK, 0))
    assert (only(tx).local_status, only(tx).status) == (None, Status.READ)
    look(tx, found(1, Folder.INBOX, stamp=10) if copied else lies(row(tx), Folder.INBOX, 0))
    assert only(tx).status is Status.UNREAD
    assert mailboxes.counts(tx.conn)[BOX] == Counts(new=1)


@pytest.mark.parametrize("reread", [False, True])
def test_a_status_kept_here_alone_stays_while_the_message_stays_in_its_folder(tx: Transaction, *, reread: bool) -> None:
    (message,) = put(tx, BOX, found(1, msgnum=3))
    messages.set_local_status(tx, [message.id], Status.READ)
    look(tx, found(1, stamp=9) if reread else lies(row(tx), Folder.INBOX, 0))
    assert (only(tx).local_status, only(tx).status) == (Status.READ, Status.READ)
    assert mailboxes.counts(tx.conn)[BOX] == Counts(old=1)


def test_levels_stay_when_a_message_is_copied_and_go_with_the_recording(tx: Transaction) -> None:
    def levels(sound: Audio) -> Levels | None:
        look(tx, found(1, Folder.OLD, sound=sound, stamp=sound.file.inode))
        now = only(tx).audio
        assert now is not None
        assert now.file.inode == sound.file.inode
        return now.levels

    (message,) = put(tx, BOX, found(1, sound=audio(1, inode=7)))
    messages.set_levels(tx, message, LEVELS)
    assert levels(audio(1, inode=8)) == LEVELS
    assert messages.unmeasured(tx.conn, 10) == []
    assert levels(audio(2, inode=9)) is None
    assert [one.id for one in messages.unmeasured(tx.conn, 10)] == [message.id]


def test_a_file_that_was_only_written_again_is_not_told(tx: Transaction) -> None:
    """Another inode, time, number and channel: nobody outside sees any of it."""
    put(tx, BOX, found(1, msgnum=3, sound=audio(1, inode=7)))
    told(tx)
    again = found(1, msgnum=2, sound=audio(1, inode=8), stamp=99)
    assert again.envelope is not None
    look(tx, again._replace(envelope=replace(again.envelope, callerchan="Local/vm109@lab-0")))
    assert types(tx) == []
    assert (row(tx).stamp, row(tx).audio_inode, row(tx).msgnum) == ((99, 1, 300), 8, 2)


def test_a_text_that_says_something_else_now_is_told(tx: Transaction) -> None:
    put(tx, BOX, found(1))
    told(tx)
    look(tx, found(1, name="Bob", caller="201", stamp=9))
    (record,) = told(tx)
    assert (record.type, record.state) == ("message.updated", only(tx))
    assert (only(tx).envelope.caller_id_name, only(tx).external_number) == ("Bob", None)


def test_a_message_that_is_gone_is_told_as_it_last_was(tx: Transaction) -> None:
    (message,) = put(tx, BOX, found(1))
    told(tx)
    look(tx)
    deleted, unread = told(tx)
    assert (deleted.type, deleted.state) == ("message.deleted", message)
    assert (unread.state, unread.delta) == (Counts(), -1)
    assert reconcile.known(tx.conn, BOX)[1] == []


def test_a_message_that_is_back_has_its_id_and_uuid_again_and_is_told_as_new(tx: Transaction) -> None:
    (message,) = put(tx, BOX, found(1))
    look(tx)
    told(tx)
    look(tx, found(1, Folder.OLD, stamp=9))
    new, unread = told(tx)
    assert (new.type, unread.state) == ("message.new", Counts(old=1))
    assert (only(tx).id, only(tx).uuid, only(tx).folder) == (message.id, message.uuid, Folder.OLD)


def test_a_scan_from_before_another_change_is_out_of_date_and_changes_nothing(tx: Transaction) -> None:
    before, _rows = reconcile.known(tx.conn, BOX)
    put(tx, BOX, found(1))
    told(tx)
    assert not reconcile.apply(tx, BOX, before, Difference(read=[found(2)]), outside)
    assert types(tx) == []
    after, rows = reconcile.known(tx.conn, BOX)
    assert reconcile.apply(tx, BOX, after, Difference(gone=rows), outside)
    assert not reconcile.apply(tx, BOX, after, Difference(gone=rows), outside)


def test_one_mailbox_s_changes_do_not_make_a_scan_of_another_out_of_date(tx: Transaction) -> None:
    generation, _rows = reconcile.known(tx.conn, OTHER)
    put(tx, BOX, found(1))
    assert reconcile.apply(tx, OTHER, generation, Difference(read=[found(2)]), outside)


def test_one_msg_id_in_two_mailboxes_is_two_messages(tx: Transaction) -> None:
    put(tx, BOX, found(1))
    put(tx, OTHER, found(1))
    first, second = live(tx.conn)
    assert first.msg_id == second.msg_id
    assert len({first.id, second.id}) == len({first.uuid, second.uuid}) == 2


# --- messages that had no msg_id


def nameless(number: int = 1, msgnum: int = 0, stamp: int | None = None) -> Found:
    return found(number, msgnum=msgnum, msg_id="", fingerprint="fp-1", stamp=stamp)


def named(number: int = 1, msgnum: int = 0, stamp: int = 50) -> Found:
    return found(number, msgnum=msgnum, fingerprint="fp-1", stamp=stamp)


def test_a_message_that_is_given_a_msg_id_stays_the_same_message(tx: Transaction) -> None:
    (before,) = put(tx, BOX, nameless())
    told(tx)
    look(tx, named())
    after = only(tx)
    assert (after.id, after.uuid) == (before.id, before.uuid)
    assert (after.msg_id, after.envelope.msg_id) == ("1795210952-00000001", "1795210952-00000001")
    assert types(tx) == ["message.updated"]
    assert row(tx).given


def test_a_msg_id_that_is_lost_and_found_again_does_not_stop_anything(tx: Transaction) -> None:
    """Somebody edits a text by hand, and takes that back."""
    put(tx, BOX, named(stamp=1))
    look(tx, nameless(stamp=2))
    look(tx, named(stamp=3))
    assert [message.msg_id for message in live(tx.conn)] == ["1795210952-00000001"]
    assert mailboxes.counts(tx.conn)[BOX] == Counts(new=1)
    told(tx)
    look(tx, named(stamp=3))
    assert types(tx) == []


def test_an_old_text_that_is_put_back_does_not_stop_anything(tx: Transaction) -> None:
    """The message was given a msg_id since: what is there now is another message, with an own uuid."""
    (first,) = put(tx, BOX, nameless(stamp=1))
    look(tx, named(stamp=2))
    look(tx, nameless(stamp=3))
    assert [message.msg_id for message in live(tx.conn)] == ["fp-1"]
    assert only(tx).uuid != first.uuid
    look(tx, named(stamp=4))
    assert [message.msg_id for message in live(tx.conn)] == ["1795210952-00000001"]
    assert mailboxes.counts(tx.conn)[BOX] == Counts(new=1)


def test_a_nameless_copy_beside_the_message_it_was_does_not_stop_anything(tx: Transaction) -> None:
    put(tx, BOX, nameless(stamp=1))
    look(tx, named(stamp=2))
    look(tx, named(stamp=2), nameless(msgnum=1, stamp=3))
    assert len({message.uuid for message in live(tx.conn)}) == 2
    assert mailboxes.counts(tx.conn)[BOX] == Counts(new=2)


def test_a_message_that_is_distrusted_is_read_again_unless_it_has_moved_since(tx: Transaction) -> None:
    (message,) = put(tx, BOX, found(1))
    inode = row(tx).audio_inode
    generation, _rows = reconcile.known(tx.conn, BOX)
    assert reconcile.distrust(tx, [replace(message, msgnum=5), replace(message, folder=Folder.OLD)]) == 0
    assert (reconcile.known(tx.conn, BOX)[0], row(tx).audio_inode) == (generation, inode)
    assert reconcile.distrust(tx, [message]) == 1
    assert (reconcile.known(tx.conn, BOX)[0], row(tx).audio_inode) == (generation + 1, 0)
