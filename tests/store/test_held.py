"""Messages whose audio we hold, and deletions that can be undone: what everybody else sees of them."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from service.difference import Difference
from service.errors import NotFoundError
from service.model import Counts, Envelope, Folder, Mailbox, Message, Status, Summary
from service.store import held, journal, mailboxes, messages, newest, reconcile
from service.store.query import Query
from service.store.transaction import Transaction
from tests.store.shelf import BOX, NEXT, NOW_MS, OTHER, apply, audio, found, known, lies, live, put, replayed, types

DAY_MS = 24 * 3600 * 1000
UUID = "0b5f6c1e-6a67-4d9b-8f43-2f1f3f4c5d6e"
NAME = f"{UUID}.wav"
Door = Callable[[], Message]


def upload(tx: Transaction, mailbox: Mailbox = BOX, uuid: str = UUID, *, created: int = 5000) -> Message:
    """An uploaded message."""
    return held.insert(
        tx,
        mailbox,
        uuid=uuid,
        envelope=Envelope("", created, 3, "", "998901234567"),
        external_number="998901234567",
        audio=audio(7, duration_ms=3500),
        held=f"{uuid}.wav",
        sip_from="sip:998901234567@example.com",
    )


def badge(tx: Transaction, mailbox: Mailbox = BOX) -> Counts:
    return mailboxes.counts(tx.conn).get(mailbox, Counts())


def trashed(tx: Transaction, number: int = 1) -> Message:
    """A message that was deleted on the PBX, after a copy was kept of its audio."""
    [message] = put(tx, BOX, found(number))
    held.keep(tx, [(message.id, f"{message.uuid}.wav")])
    apply(tx, BOX, Difference(gone=[known(tx)[message.msg_id]]))
    types(tx)
    return message


def seen(conn: sqlite3.Connection, message: Message) -> list[str]:
    """By which doors a message can be had."""
    doors: dict[str, Door] = {
        "id": lambda: messages.by_id(conn, None, message.id),
        "uuid": lambda: messages.by_uuid(conn, None, message.uuid),
        "newest": lambda: newest.of_mailbox(conn, None, message.mailbox),
    }
    lists: dict[str, Sequence[Message | Summary]] = {
        "ids": messages.by_ids(conn, [message.id]),
        "page": messages.page(conn, None, Query(limit=10)).rows,
        "filtered": messages.page(conn, None, Query(limit=10, filters={"src": message.envelope.caller_id_number})).rows,
        "unread": messages.unread(conn, None),
        "unmeasured": messages.unmeasured(conn, 10),
        "newest page": newest.page(conn, None, limit=10, offset=0).rows,
    }
    open_doors = [name for name, rows in lists.items() if message.uuid in [row.uuid for row in rows]]
    for name, door in doors.items():
        try:
            open_doors += [name] * (door().uuid == message.uuid)
        except NotFoundError:
            continue
    return open_doors


def test_an_uploaded_message_is_like_any_other(tx: Transaction) -> None:
    message = upload(tx)
    assert types(tx) == ["message.new", "unread"]
    assert [record.state for record in replayed(tx.conn)] == [message, Counts(new=1)]
    assert (message.folder, message.status, message.duration) == (Folder.INBOX, Status.UNREAD, 3)
    assert (message.held, message.sip_from, message.uploaded) == (NAME, "sip:998901234567@example.com", NOW_MS // 1000)
    assert (message.uuid, message.envelope.origtime, message.external_number) == (UUID, 5000, "998901234567")
    assert message.audio == audio(7, duration_ms=3500)
    assert (badge(tx), mailboxes.unread_count(tx.conn, None)) == (Counts(new=1), 1)
    assert len(seen(tx.conn, message)) == 9
    assert messages.page(tx.conn, frozenset({NEXT}), Query(limit=10)).rows == []


def test_an_upload_makes_a_mailbox_that_nobody_knew(tx: Transaction) -> None:
    upload(tx, Mailbox("new", "777"))
    assert mailboxes.names(tx.conn) == [Mailbox("new", "777")]


def test_a_scan_leaves_alone_what_we_hold(tx: Transaction) -> None:
    upload(tx)
    [left] = put(tx, BOX, found(1))
    assert list(known(tx)) == [left.msg_id]
    apply(tx, BOX, Difference(gone=[known(tx)[left.msg_id]]))
    assert [message.uuid for message in live(tx.conn)] == [UUID]
    assert badge(tx) == Counts(new=1)


def test_dropping_what_we_hold_leaves_its_audio_in_the_trash(tx: Transaction) -> None:
    message, other = upload(tx), upload(tx, uuid=UUID.replace("0b", "1c"))
    types(tx)
    held.drop(tx, [message.id])
    assert types(tx) == ["message.deleted", "unread"]
    assert replayed(tx.conn)[-2].state == message
    assert (badge(tx), seen(tx.conn, message)) == (Counts(new=1), [])
    assert held.deleted(tx.conn, None, UUID).uuid == UUID
    assert held.needed(tx.conn, [NAME, f"{other.uuid}.wav", "other.wav"]) == {NAME, f"{other.uuid}.wav"}


def test_a_second_deletion_changes_nothing_and_tells_nothing(tx: Transaction) -> None:
    message = upload(tx)
    [hidden] = put(tx, BOX, found(1))
    held.drop(tx, [message.id])
    held.hide(tx, [hidden.id])
    types(tx)
    held.drop(tx, [message.id, hidden.id, 999])
    held.hide(tx, [message.id, hidden.id, 999])
    assert types(tx) == []
    assert held.restore(tx, message.id, 7).held == NAME


def test_what_lies_in_the_spool_is_not_dropped_and_what_we_hold_is_not_hidden(tx: Transaction) -> None:
    [left] = put(tx, BOX, found(1))
    uploaded = upload(tx)
    held.drop(tx, [left.id])
    held.hide(tx, [uploaded.id])
    assert badge(tx) == Counts(new=2)


@pytest.mark.parametrize("way", ["dropped", "hidden", "trashed"])
def test_nothing_of_what_was_deleted_is_seen_until_it_is_restored(tx: Transaction, way: str) -> None:
    if way == "dropped":
        message = upload(tx)
        held.drop(tx, [message.id])
    elif way == "hidden":
        [message] = put(tx, BOX, found(1))
        held.hide(tx, [message.id])
    else:
        message = trashed(tx)
    assert seen(tx.conn, message) == []
    assert (badge(tx), mailboxes.message_count(tx.conn, None)) == (Counts(), 0)
    types(tx)
    restored = held.restore(tx, message.id, 7)
    assert types(tx) == ["message.new", "unread"]
    assert restored.uuid == message.uuid
    assert restored.held == {"dropped": NAME, "hidden": None, "trashed": f"{message.uuid}.wav"}[way]
    assert (badge(tx), len(seen(tx.conn, message))) == (Counts(new=1), 9)
    with pytest.raises(NotFoundError):
        held.restore(tx, message.id, 7)


def test_a_deletion_is_undone_within_its_days_alone_and_by_who_may_see_the_mailbox(tx: Transaction) -> None:
    message = upload(tx)
    [hidden] = put(tx, BOX, found(1))
    held.drop(tx, [message.id])
    held.hide(tx, [hidden.id])
    for uuid in (message.uuid, hidden.uuid):
        assert held.deleted(tx.conn, frozenset({BOX}), uuid).uuid == uuid
        with pytest.raises(NotFoundError):
            held.deleted(tx.conn, frozenset({NEXT, OTHER}), uuid)
    later = replace(tx, now_ms=NOW_MS + 7 * DAY_MS)
    for one in (message, hidden):
        for moment, days in ((tx, 0), (later, 7), (later, 1)):
            with pytest.raises(NotFoundError):
                held.restore(moment, one.id, days)
    assert held.restore(later, message.id, 8).uuid == UUID
    assert held.restore(replace(later, now_ms=later.now_ms - 1), hidden.id, 7).uuid == hidden.uuid


def test_what_is_there_or_was_not_kept_is_not_in_the_trash(tx: Transaction) -> None:
    [there, gone] = put(tx, BOX, found(1), found(2))
    apply(tx, BOX, Difference(gone=[known(tx)[gone.msg_id]]))
    for message in (there, gone):
        with pytest.raises(NotFoundError):
            held.deleted(tx.conn, None, message.uuid)
        with pytest.raises(NotFoundError):
            held.restore(tx, message.id, 7)
    with pytest.raises(NotFoundError):
        held.deleted(tx.conn, None, "nobody")


def test_what_was_not_deleted_after_all_is_not_kept(tx: Transaction) -> None:
    there, gone = put(tx, BOX, found(1), found(2))
    held.keep(tx, [(there.id, "there.wav"), (gone.id, "gone.wav")])
    apply(tx, BOX, Difference(gone=[known(tx)[gone.msg_id]]))
    assert held.release(tx, [there.id, gone.id]) == ["there.wav"]
    assert held.needed(tx.conn, ["there.wav", "gone.wav"]) == {"gone.wav"}
    assert held.release(tx, [there.id, gone.id]) == []


def test_a_restored_message_that_comes_back_to_the_spool_is_the_pbxs_again(tx: Transaction) -> None:
    message = trashed(tx)
    restored = held.restore(tx, message.id, 7)
    types(tx)
    [back] = put(tx, BOX, found(1, Folder.OLD))
    assert (back.id, back.uuid, back.held, back.folder) == (message.id, message.uuid, None, Folder.OLD)
    assert types(tx) == ["message.updated", "unread"]
    assert badge(tx) == Counts(old=1)
    assert restored.held is not None
    assert held.needed(tx.conn, [restored.held]) == set()


def test_a_deleted_message_that_comes_back_to_the_spool_needs_no_trash(tx: Transaction) -> None:
    message = trashed(tx)
    put(tx, BOX, found(1))
    assert types(tx) == ["message.new", "unread"]
    assert held.needed(tx.conn, [f"{message.uuid}.wav"]) == set()
    apply(tx, BOX, Difference(gone=[known(tx)[message.msg_id]]))
    with pytest.raises(NotFoundError):
        held.deleted(tx.conn, None, message.uuid)


def test_a_hidden_message_is_followed_through_the_spool_without_a_word(tx: Transaction) -> None:
    [message] = put(tx, BOX, found(1))
    held.hide(tx, [message.id])
    types(tx)
    row = known(tx)[message.msg_id]
    apply(tx, BOX, Difference(relocated=[lies(row, Folder.OLD, 4)]))
    apply(tx, BOX, Difference(read=[found(1, Folder.WORK, 5, known=known(tx)[message.msg_id])]))
    assert (types(tx), badge(tx), seen(tx.conn, message)) == ([], Counts(), [])
    restored = held.restore(tx, message.id, 7)
    assert (restored.folder, restored.msgnum, badge(tx)) == (Folder.WORK, 5, Counts(old=0, saved=1))
    held.hide(tx, [message.id])
    types(tx)
    apply(tx, BOX, Difference(gone=[known(tx)[message.msg_id]]))
    assert types(tx) == []
    assert known(tx) == {}
    with pytest.raises(NotFoundError):
        held.deleted(tx.conn, None, message.uuid)


def test_a_message_that_is_hidden_while_a_scan_looks_stays_hidden(tx: Transaction) -> None:
    [message] = put(tx, BOX, found(1))
    generation, rows = reconcile.known(tx.conn, BOX)
    held.hide(tx, [message.id])
    reconcile.apply(tx, BOX, generation, Difference(gone=rows), lambda _number: None)
    assert types(tx).count("message.deleted") == 1
    assert badge(tx) == Counts()


def test_marks_of_what_we_hold_are_kept_here_and_survive_its_deletion(tx: Transaction) -> None:
    message = upload(tx)
    messages.set_local_status(tx, [message.id], Status.READ)
    assert badge(tx) == Counts(old=1)
    held.drop(tx, [message.id])
    assert held.restore(tx, message.id, 7).status is Status.READ
    messages.set_local_status(tx, [message.id], Status.UNREAD)
    assert badge(tx) == Counts(new=1)


def test_the_oldest_deletions_are_forgotten_first(tx: Transaction) -> None:
    uuids = [UUID.replace("0b", f"{number}a") for number in range(3)]
    for number, uuid in enumerate(uuids):
        message = upload(tx, uuid=uuid)
        held.drop(replace(tx, now_ms=NOW_MS - number * DAY_MS), [message.id])
    found_rows = held.expired(tx.conn, NOW_MS, 10)
    assert [name for _id, name in found_rows] == [f"{uuids[2]}.wav", f"{uuids[1]}.wav"]
    assert held.expired(tx.conn, NOW_MS, 1) == found_rows[:1]
    held.forget(tx, [one for one, _name in found_rows])
    assert held.expired(tx.conn, NOW_MS, 10) == []
    assert held.needed(tx.conn, [f"{uuid}.wav" for uuid in uuids]) == {f"{uuids[0]}.wav"}
    with pytest.raises(NotFoundError):
        held.deleted(tx.conn, None, uuids[2])


def test_the_counts_kept_are_those_of_the_journal(tx: Transaction) -> None:
    """After everything that can be done to messages, the badge is what was told of it."""
    uploaded, other = upload(tx), upload(tx, uuid=UUID.replace("0b", "1c"))
    first, second = put(tx, BOX, found(1), found(2, Folder.URGENT))
    held.drop(tx, [uploaded.id])
    held.hide(tx, [first.id, second.id])
    messages.set_local_status(tx, [other.id], Status.READ)
    held.restore(tx, second.id, 7)
    held.restore(tx, uploaded.id, 7)
    assert badge(tx) == Counts(new=2, old=1, urgent=1)
    assert sum(record.delta for record in replayed(tx.conn)) == 2
    assert journal.replay(tx.conn, None, 0, 1000).total == 2
