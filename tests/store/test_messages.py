from dataclasses import replace

import pytest

from service.difference import Difference
from service.errors import NotFoundError
from service.model import Folder, Levels, Mailbox, Message, Status, Summary, View
from service.store import messages
from service.store.query import Page, Query
from service.store.transaction import Transaction
from tests.store.shelf import BOX, NEXT, OTHER, apply, audio, found, known, live, put, told, types

LEVELS = Levels(-3.5, -20.25, 0.125)
MINE: View = frozenset({BOX})


def filled(tx: Transaction) -> None:
    """Five messages, whose ids are 1 to 5 in the order of their times."""
    put(tx, BOX, found(1, origtime=100, caller="300", name="Ann", sound=audio(1, duration_ms=9999)))
    put(tx, OTHER, found(2, origtime=200, caller="15551234567", sound=audio(2, duration_ms=1000)))
    put(tx, BOX, found(3, Folder.OLD, origtime=300, caller="15551234567", sound=audio(3, duration_ms=2500)))
    put(tx, NEXT, found(4, Folder.URGENT, origtime=300, caller="", name="", silent=True))
    put(tx, BOX, found(5, Folder.WORK, origtime=400, caller="42", sound=audio(5, duration_ms=2000)))


def ids(page: Page[Summary]) -> list[int]:
    return [message.id for message in page.rows]


def test_a_message_comes_out_as_it_went_in(tx: Transaction) -> None:
    one = found(1, Folder.URGENT, 7, sound=audio(1, duration_ms=1220))
    assert one.envelope is not None
    envelope = replace(one.envelope, urgent=True, category='sales,north "q"')
    (message,) = put(tx, BOX, one._replace(envelope=envelope))
    assert message == Message(
        id=1,
        uuid=message.uuid,
        pbx="pbx1",
        mailbox=BOX,
        msg_id=one.msg_id,
        folder=Folder.URGENT,
        msgnum=7,
        envelope=envelope,
        external_number="15551234567",
        audio=one.audio,
    )


def test_a_message_without_audio_or_without_a_msg_id_comes_out_as_it_went_in(tx: Transaction) -> None:
    (message,) = put(tx, BOX, found(1, msg_id="", fingerprint="fp-1", silent=True))
    assert (message.msg_id, message.envelope.msg_id, message.audio) == ("fp-1", "", None)


# --- pages


def test_a_page_shows_of_each_message_what_the_message_says_of_itself(tx: Transaction) -> None:
    filled(tx)
    put(tx, BOX, found(6, origtime=-1, caller='"\\\x00\x1f\x7f\u2028😀', name="", sound=audio(6, duration_ms=None)))
    messages.set_local_status(tx, [1], Status.READ)
    page = messages.page(tx.conn, None, Query())
    assert page == Page([message.summary for message in live(tx.conn)], 6)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"src": "15551234567"}, [2, 3]),
        ({"src": "1555"}, []),
        ({"src": ""}, [4]),
        ({"dst": "100"}, [1, 2, 3, 5]),
        ({"dst": "101"}, [4]),
        ({"external_number": "15551234567"}, [2, 3]),
        ({"external_number": "42"}, []),
        ({"duration": 2}, [3, 5]),
        ({"duration": 9}, [1, 4]),
        ({"status": 1}, [1, 2, 4]),
        ({"status": 2}, [3, 5]),
        ({"status": 11}, []),
        ({"src": "15551234567", "status": 2}, [3]),
    ],
)
def test_a_filter_matches_exactly_and_all_of_them_have_to(
    tx: Transaction, filters: dict[str, str | int], expected: list[int]
) -> None:
    filled(tx)
    page = messages.page(tx.conn, None, Query(filters=filters))
    assert (ids(page), page.total) == (expected, len(expected))


def test_a_filter_is_never_taken_for_sql(tx: Transaction) -> None:
    filled(tx)
    assert ids(messages.page(tx.conn, None, Query(filters={"src": "' OR 1=1 --"}))) == []
    with pytest.raises(KeyError):
        messages.page(tx.conn, None, Query(filters={"1=1 OR src": ""}))
    with pytest.raises(KeyError):
        messages.page(tx.conn, None, Query(sort="src; DROP TABLE message"))


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (200, None, [2, 3, 4, 5]),
        (None, 300, [1, 2, 3, 4]),
        (300, 300, [3, 4]),
        (201, 299, []),
        (400, 100, []),
    ],
)
def test_a_span_of_time_includes_both_its_ends(
    tx: Transaction, since: int | None, until: int | None, expected: list[int]
) -> None:
    filled(tx)
    page = messages.page(tx.conn, None, Query(since=since, until=until))
    assert (ids(page), page.total) == (expected, len(expected))


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("id", [1, 2, 3, 4, 5]),
        ("datetime", [1, 2, 3, 4, 5]),
        ("src", [4, 2, 3, 1, 5]),
        ("dst", [1, 2, 3, 5, 4]),
        ("external_number", [1, 4, 5, 2, 3]),
        ("duration", [2, 3, 5, 1, 4]),
        ("status", [1, 2, 4, 3, 5]),
    ],
)
def test_every_sort_is_complete_also_among_equals_and_reverses_exactly(
    tx: Transaction, sort: str, expected: list[int]
) -> None:
    filled(tx)
    assert ids(messages.page(tx.conn, None, Query(sort=sort))) == expected
    assert ids(messages.page(tx.conn, None, Query(sort=sort, descending=True))) == expected[::-1]


def test_every_sort_is_among_those_that_were_tried() -> None:
    assert set(messages.SORTS) == {"id", "datetime", "src", "dst", "external_number", "duration", "status"}
    assert set(messages.FILTERS) == {"src", "dst", "external_number", "duration", "status"}


def test_pages_do_not_overlap_and_the_total_is_that_of_all(tx: Transaction) -> None:
    filled(tx)
    pages = [messages.page(tx.conn, None, Query(sort="dst", limit=2, offset=offset)) for offset in (0, 2, 4, 6)]
    assert [ids(page) for page in pages] == [[1, 2], [3, 5], [4], []]
    assert {page.total for page in pages} == {5}


@pytest.mark.parametrize(
    ("view", "expected"),
    [(None, [1, 2, 3, 4, 5]), (MINE, [1, 3, 5]), (frozenset({NEXT, OTHER}), [2, 4]), (frozenset(), [])],
)
def test_nobody_sees_or_counts_what_is_not_in_view(tx: Transaction, view: View, expected: list[int]) -> None:
    filled(tx)
    page = messages.page(tx.conn, view, Query())
    assert (ids(page), page.total) == (expected, len(expected))


def test_what_has_left_the_spool_is_on_no_page(tx: Transaction) -> None:
    filled(tx)
    apply(tx, BOX, Difference(gone=list(known(tx).values())))
    assert ids(messages.page(tx.conn, None, Query())) == [2, 4]
    assert messages.unread(tx.conn, MINE) == []


# --- single messages


def test_a_message_is_found_by_id_and_by_uuid_in_view_alone(tx: Transaction) -> None:
    filled(tx)
    first = live(tx.conn)[0]
    for view in (None, MINE):
        assert messages.by_id(tx.conn, view, first.id) == first
        assert messages.by_uuid(tx.conn, view, first.uuid) == first
    for view in (frozenset({NEXT}), frozenset[Mailbox]()):
        with pytest.raises(NotFoundError):
            messages.by_id(tx.conn, view, first.id)
        with pytest.raises(NotFoundError):
            messages.by_uuid(tx.conn, view, first.uuid)


def test_what_never_was_and_what_is_gone_are_not_found_in_the_same_words(tx: Transaction) -> None:
    (message,) = put(tx, BOX, found(1))
    apply(tx, BOX, Difference(gone=list(known(tx).values())))
    with pytest.raises(NotFoundError) as gone:
        messages.by_id(tx.conn, None, message.id)
    with pytest.raises(NotFoundError) as never:
        messages.by_uuid(tx.conn, None, "never")
    assert str(gone.value) == str(never.value)
    assert messages.by_ids(tx.conn, [message.id]) == []


def test_several_are_found_by_their_ids_and_those_that_are_not_there_left_out(tx: Transaction) -> None:
    filled(tx)
    assert [message.id for message in messages.by_ids(tx.conn, [5, 2, 99, 2])] == [2, 5]
    assert messages.by_ids(tx.conn, []) == []


def test_unread_messages_come_by_mailbox_and_folder_the_highest_number_first(tx: Transaction) -> None:
    put(tx, OTHER, found(1, msgnum=0))
    put(tx, BOX, found(2, msgnum=0), found(3, msgnum=10), found(4, msgnum=9), found(5, Folder.OLD, 11))
    put(tx, BOX, found(6, Folder.URGENT, msgnum=2), found(7, Folder.URGENT, msgnum=3))
    order = [(str(message.mailbox), message.folder.value, message.msgnum) for message in messages.unread(tx.conn, None)]
    assert order == [
        ("100@default", "INBOX", 10),
        ("100@default", "INBOX", 9),
        ("100@default", "INBOX", 0),
        ("100@default", "Urgent", 3),
        ("100@default", "Urgent", 2),
        ("100@other", "INBOX", 0),
    ]
    assert len(messages.unread(tx.conn, frozenset({OTHER}))) == 1


# --- a status kept here alone


def test_a_status_kept_here_alone_shows_everywhere_and_is_told(tx: Transaction) -> None:
    filled(tx)
    told(tx)
    messages.set_local_status(tx, [1, 2, 3], Status.READ)
    assert types(tx) == ["message.updated", "message.updated", "unread", "unread"]
    assert messages.by_id(tx.conn, None, 1).local_status is Status.READ
    assert messages.by_id(tx.conn, None, 3).local_status is None
    assert ids(messages.page(tx.conn, None, Query(filters={"status": 2}))) == [1, 2, 3, 5]
    assert [message.id for message in messages.unread(tx.conn, None)] == [4]


def test_marking_again_what_is_gone_or_what_never_was_changes_nothing(tx: Transaction) -> None:
    put(tx, BOX, found(1))
    messages.set_local_status(tx, [1], Status.READ)
    told(tx)
    messages.set_local_status(tx, [1, 99], Status.READ)
    apply(tx, BOX, Difference(gone=list(known(tx).values())))
    told(tx)
    messages.set_local_status(tx, [1], Status.UNREAD)
    assert types(tx) == []


def test_a_status_can_be_taken_back(tx: Transaction) -> None:
    put(tx, BOX, found(1))
    messages.set_local_status(tx, [1], Status.READ)
    messages.set_local_status(tx, [1], Status.UNREAD)
    assert messages.by_id(tx.conn, None, 1).status is Status.UNREAD
    assert [message.id for message in messages.unread(tx.conn, None)] == [1]


# --- levels


def test_the_newest_are_measured_first_and_what_has_no_audio_never(tx: Transaction) -> None:
    filled(tx)
    assert [message.id for message in messages.unmeasured(tx.conn, 2)] == [5, 3]
    assert [message.id for message in messages.unmeasured(tx.conn, 10)] == [5, 3, 2, 1]


def test_levels_are_kept_and_told_once(tx: Transaction) -> None:
    (message,) = put(tx, BOX, found(1))
    told(tx)
    messages.set_levels(tx, message, LEVELS)
    after = messages.by_id(tx.conn, None, message.id)
    assert after.audio is not None
    assert after.audio.levels == LEVELS
    (record,) = told(tx)
    assert (record.type, record.state) == ("message.updated", after)
    assert messages.unmeasured(tx.conn, 10) == []


def test_digital_silence_is_measured_too(tx: Transaction) -> None:
    (message,) = put(tx, BOX, found(1))
    messages.set_levels(tx, message, Levels(None, None, 1.0))
    after = messages.by_id(tx.conn, None, message.id)
    assert after.audio is not None
    assert after.audio.levels == Levels(None, None, 1.0)


def test_what_cannot_be_measured_is_not_asked_for_again_and_nothing_is_told(tx: Transaction) -> None:
    (message,) = put(tx, BOX, found(1))
    told(tx)
    messages.set_levels(tx, message, None)
    assert messages.unmeasured(tx.conn, 10) == []
    assert messages.by_id(tx.conn, None, message.id) == message
    assert types(tx) == []


def test_levels_of_another_recording_are_not_taken(tx: Transaction) -> None:
    (before,) = put(tx, BOX, found(1, sound=audio(1)))
    (after,) = put(tx, BOX, found(1, sound=audio(2))._replace(known=known(tx)[before.msg_id]))
    told(tx)
    messages.set_levels(tx, before, LEVELS)
    assert messages.by_id(tx.conn, None, before.id) == after
    assert [message.id for message in messages.unmeasured(tx.conn, 10)] == [before.id]


def test_levels_are_taken_wherever_the_same_recording_lies_now(tx: Transaction) -> None:
    (before,) = put(tx, BOX, found(1, sound=audio(1, inode=7)))
    put(tx, BOX, found(1, Folder.OLD, sound=audio(1, inode=8))._replace(known=known(tx)[before.msg_id]))
    messages.set_levels(tx, before, LEVELS)
    after = messages.by_id(tx.conn, None, before.id)
    assert after.audio is not None
    assert (after.folder, after.audio.file.inode, after.audio.levels) == (Folder.OLD, 8, LEVELS)


def test_levels_of_a_message_that_is_gone_are_not_told(tx: Transaction) -> None:
    (message,) = put(tx, BOX, found(1))
    apply(tx, BOX, Difference(gone=list(known(tx).values())))
    told(tx)
    messages.set_levels(tx, message, LEVELS)
    assert types(tx) == []
