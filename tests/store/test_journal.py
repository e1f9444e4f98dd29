from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.call import Call
from service.model import Box, Counts, Imported, Mailbox, View
from service.store import journal, mailboxes
from service.store.transaction import Transaction
from tests.calls import call, calls_between, concerns, party
from tests.store.shelf import BOX, NEXT, NOW_MS, OTHER, found, live, put, replayed, told, transaction

BOXES = (BOX, NEXT, OTHER)


def badge(tx: Transaction, mailbox: Mailbox, new: int) -> None:
    """A mailbox's badge becomes so many, with its record."""
    mailbox_id = mailboxes.ensure(tx, mailbox)
    before = tx.conn.execute("SELECT new FROM mailbox WHERE id = ?", (mailbox_id,)).fetchone()[0]
    tx.conn.execute("UPDATE mailbox SET new = ? WHERE id = ?", (new, mailbox_id))
    journal.append(tx, "unread", mailbox, Counts(new=new), new - before)


def test_before_the_first_record_the_journal_begins_at_1_and_ends_at_0(tx: Transaction) -> None:
    assert journal.bounds(tx.conn) == (1, 0)


def test_a_record_is_journalled_as_it_is_published(tx: Transaction) -> None:
    put(tx, BOX, found(1))
    badge(tx, NEXT, 2)
    journal.append(tx, "mailbox.updated", BOX, Box(BOX, "uuid", "+998901234567"))
    journal.append(tx, "call.new", None, call())
    journal.append(tx, "calls.imported", None, Imported(3))
    records = told(tx)
    assert replayed(tx.conn) == records
    assert [(record.seq, record.time_ms, record.pbx) for record in records] == [
        (seq, NOW_MS, "pbx1") for seq in range(1, 7)
    ]
    assert [record.mailbox for record in records[2:]] == [NEXT, BOX, None, None]
    assert records[0].state == live(tx.conn)[0]
    assert journal.bounds(tx.conn) == (1, 6)


def test_pruning_drops_the_oldest_and_only_what_is_old_enough(tx: Transaction) -> None:
    for age in (50, 40, 30, 20, 10):
        tx.now_ms = NOW_MS - age
        badge(tx, BOX, age)
    assert journal.prune(tx, NOW_MS - 30, limit=1) == 1
    assert journal.bounds(tx.conn) == (2, 5)
    assert journal.prune(tx, NOW_MS - 30, limit=100) == 1
    assert journal.prune(tx, NOW_MS - 30, limit=100) == 0
    assert [record.seq for record in replayed(tx.conn)] == [3, 4, 5]


def test_a_position_is_never_given_twice_even_when_all_records_are_gone(tx: Transaction) -> None:
    badge(tx, BOX, 1)
    badge(tx, BOX, 2)
    assert journal.prune(tx, NOW_MS + 1) == 2
    assert journal.bounds(tx.conn) == (3, 2)
    badge(tx, BOX, 3)
    assert journal.bounds(tx.conn) == (3, 3)


def test_pruning_leaves_no_hole_where_the_clock_was_set_back(tx: Transaction) -> None:
    """A reader at the first of these would miss the others without being told."""
    for time_ms in (NOW_MS - 100, NOW_MS - 1000, NOW_MS - 900):
        tx.now_ms = time_ms
        badge(tx, BOX, 1)
    tx.now_ms = NOW_MS
    assert journal.prune(tx, NOW_MS - 500) == 0
    assert journal.bounds(tx.conn) == (1, 3)


def test_a_record_from_the_future_does_not_keep_the_journal_for_ever(tx: Transaction) -> None:
    for time_ms in (NOW_MS + 10**9, NOW_MS - 1000, NOW_MS):
        tx.now_ms = time_ms
        badge(tx, BOX, 1)
    assert journal.prune(tx, NOW_MS - 500) == 2
    assert journal.bounds(tx.conn) == (3, 3)


def test_replay_gives_what_came_after_a_position_in_order_and_no_more_than_asked_for(tx: Transaction) -> None:
    for new in range(1, 6):
        badge(tx, BOX, new)
    page = journal.replay(tx.conn, None, 2, 2)
    assert ([record.seq for record, _ in page.records], page.position) == ([3, 4], 4)
    assert journal.replay(tx.conn, None, 5, 10) == journal.Replayed([], 5, 5)


def test_beside_each_record_stands_the_total_as_it_was_then(tx: Transaction) -> None:
    badge(tx, BOX, 3)
    badge(tx, OTHER, 5)
    badge(tx, BOX, 1)
    assert totals(journal.replay(tx.conn, None, 0, 10)) == [3, 8, 6]
    assert totals(journal.replay(tx.conn, None, 0, 2)) == [3, 8]
    assert totals(journal.replay(tx.conn, frozenset({BOX}), 0, 10)) == [3, 1]


def test_a_total_that_is_known_is_not_counted_anew(tx: Transaction) -> None:
    for new in (3, 5, 4):
        badge(tx, BOX, new)
    first = journal.replay(tx.conn, None, 0, 2)
    assert first.total == 5
    assert totals(journal.replay(tx.conn, None, first.position, 2, first.total)) == [4]
    assert totals(journal.replay(tx.conn, None, first.position, 2, 100)) == [99]


@pytest.mark.parametrize("view", [frozenset(), frozenset({Mailbox("default", "1")})])
def test_who_may_see_none_of_it_is_told_nothing(tx: Transaction, view: View) -> None:
    badge(tx, Mailbox("default", "100"), 1)
    journal.append(tx, "call.new", None, call(1, "998901234567", party("100"), dst="100"))
    journal.append(tx, "calls.imported", None, Imported(3))
    assert journal.replay(tx.conn, view, 0, 10) == journal.Replayed([], 3, 0)


def test_a_call_is_replayed_to_those_whose_extensions_take_part_and_to_no_other_tenant(tx: Transaction) -> None:
    both = ("default", "other")
    for number, (context, left) in enumerate((("default", ""), ("other", ""), ("pstn", ""), ("pstn", "100@other"))):
        told = call(number, "998901234567", party("100", context, known=both), dst="100", left=left)
        journal.append(tx, "call.new", None, told)
    assert (str(BOX), str(OTHER)) == ("100@default", "100@other")
    seen = [journal.replay(tx.conn, view, 0, 10) for view in (frozenset({BOX}), frozenset({OTHER}), None)]
    assert [[record.seq for record, _ in page.records] for page in seen] == [[1], [2, 4], [1, 2, 3, 4]]
    assert [page.position for page in seen] == [4, 4, 4]


def test_calls_of_others_are_passed_over_a_part_at_a_time(tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST_PASSED", 3)
    badge(tx, BOX, 2)
    for number in range(7):
        journal.append(tx, "call.new", None, call(number, "998901234567", party("999"), dst="999"))
    badge(tx, BOX, 1)
    pages = [journal.replay(tx.conn, frozenset({BOX}), since, 10) for since in (1, 4, 7, 9)]
    assert [page.position for page in pages] == [4, 7, 9, 9]
    assert [len(page.records) for page in pages] == [0, 0, 1, 0]
    assert [page.total for page in pages] == [2, 2, 1, 1]


def totals(page: journal.Replayed) -> list[int]:
    return [total for _, total in page.records]


@dataclass(frozen=True)
class Step:
    box: int
    new: int


STEPS = st.lists(st.builds(Step, st.integers(0, 2), st.integers(0, 9)) | calls_between(list(BOXES)), max_size=25)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.none() | st.sets(st.integers(0, 2)), st.integers(0, 26), st.integers(1, 30))
def test_replay_agrees_with_a_list_that_was_kept_beside_it(
    steps: list[Step | Call], seen: set[int] | None, since: int, limit: int
) -> None:
    view = None if seen is None else frozenset(BOXES[number] for number in seen)
    now: dict[Mailbox, int] = {}
    expected = []
    with TemporaryDirectory() as folder, transaction(Path(folder) / "voicemaild.db") as tx:
        for step in steps:
            if isinstance(step, Call):
                journal.append(tx, "call.new", None, step)
            else:
                badge(tx, BOXES[step.box], step.new)
                now[BOXES[step.box]] = step.new
            if concerns(tx.records[-1], view):
                total = sum(new for other, new in now.items() if view is None or other in view)
                expected.append((tx.records[-1], total))
        page = journal.replay(tx.conn, view, since, limit)
        wanted = [(record, total) for record, total in expected if record.seq > since]
        assert page.records == wanted[:limit]
        assert page.position == (wanted[limit - 1][0].seq if len(wanted) >= limit else max(since, len(steps)))
        following = journal.replay(tx.conn, view, page.position, 100, page.total)
        assert page.records + following.records == wanted


def test_a_record_keeps_the_state_of_its_time(tx: Transaction) -> None:
    (message,) = put(tx, BOX, found(1))
    put(tx, BOX, found(1, name="Bob")._replace(known=None))
    states = [record.state for record in replayed(tx.conn) if record.type.startswith("message")]
    assert states[0] == message
    assert states[1] != message


def test_what_somebody_has_yet_to_read_is_not_pruned(tx: Transaction) -> None:
    for new in range(4):
        badge(tx, BOX, new)
    last = journal.bounds(tx.conn)[1]
    tx.conn.execute("UPDATE journal SET time_ms = 0")
    assert journal.prune(tx, 1, needed=3) == 2
    assert journal.bounds(tx.conn) == (3, last)
    journal.prune(tx, 1)
    assert journal.bounds(tx.conn) == (last + 1, last)
