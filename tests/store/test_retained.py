from collections.abc import Iterator
from pathlib import Path

import pytest

from service.model import Counts
from service.store import held, journal, retained
from service.store.transaction import Transaction
from tests.calls import call
from tests.store.shelf import BOX, NOW_MS, found, live, put, transaction

LATER = NOW_MS + 1


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Transaction]:
    with transaction(tmp_path / "voicemaild.db") as made:
        yield made


def rows(tx: Transaction) -> int:
    return int(tx.conn.execute("SELECT count(*) FROM message").fetchone()[0])


def test_the_oldest_messages_come_first_and_young_ones_not_at_all(tx: Transaction) -> None:
    put(tx, BOX, found(3, origtime=30), found(1, origtime=10), found(2, origtime=20))
    assert [message.envelope.origtime for message in retained.outdated(tx.conn, 30, 10)] == [10, 20]
    assert len(retained.outdated(tx.conn, 30, 1)) == 1


def test_buried_is_what_was_deleted_long_enough_ago_and_cannot_come_back(tx: Transaction) -> None:
    gone, kept, hidden, _there = put(tx, BOX, *(found(number, origtime=10) for number in range(1, 5)))
    tx.conn.execute("UPDATE message SET deleted_ms = ? WHERE id IN (?, ?)", (NOW_MS, gone.id, kept.id))
    held.keep(tx, [(kept.id, "kept.wav")])
    held.hide(tx, [hidden.id])
    assert retained.bury(tx, 100, NOW_MS, 10) == 0  # not long enough ago
    assert retained.bury(tx, 10, LATER, 10) == 0  # not old enough
    assert retained.bury(tx, 100, LATER, 10) == 1
    assert rows(tx) == 3
    assert tx.conn.execute("SELECT 1 FROM message WHERE id = ?", (gone.id,)).fetchone() is None


def test_what_the_journal_tells_of_old_things_is_found_and_taken_out(tx: Transaction) -> None:
    put(tx, BOX, found(1, origtime=10), found(2, origtime=1000))
    journal.append(tx, "call.new", None, call())
    journal.append(tx, "unread", BOX, Counts(new=1))
    assert retained.told_of_messages(tx.conn, 100, NOW_MS, 10) == []
    positions = retained.told_of_messages(tx.conn, 100, LATER, 10)
    assert len(positions) == 1
    assert retained.told_of_calls(tx.conn, 100, LATER, 10) == []
    positions += retained.told_of_calls(tx.conn, call().start + 1, LATER, 10)
    before = tx.conn.execute("SELECT count(*) FROM journal").fetchone()[0]
    retained.untell(tx, positions)
    assert tx.conn.execute("SELECT count(*) FROM journal").fetchone()[0] == before - 2
    assert len(live(tx.conn)) == 2
