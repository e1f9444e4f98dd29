import sqlite3
from contextlib import closing

from service.model import Box, Mailbox
from service.store import journal
from service.store.transaction import Transaction
from tests.store.shelf import BOX, NOW_MS


def test_each_change_gathers_its_own_records_in_the_order_they_were_written(tx: Transaction) -> None:
    """One that is undone must not take another's along."""
    other = Transaction(tx.conn, tx.pbx, tx.now_ms)
    for number, one in enumerate((tx, other, tx)):
        journal.append(one, "mailbox.updated", BOX, Box(BOX, f"uuid-{number}"))
    assert [record.seq for record in tx.records] == [1, 3]
    assert [record.seq for record in other.records] == [2]


def test_records_bear_the_time_and_the_pbx_of_their_change(tx: Transaction) -> None:
    journal.append(tx, "mailbox.updated", Mailbox("other", "1"), Box(BOX, "uuid"))
    (record,) = tx.records
    assert (record.time_ms, record.pbx, str(record.mailbox)) == (NOW_MS, "pbx1", "1@other")


def test_a_new_change_has_written_nothing() -> None:
    with closing(sqlite3.connect(":memory:")) as conn:
        assert Transaction(conn, "pbx1", NOW_MS).records == []
