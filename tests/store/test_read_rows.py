from service.model import Folder, Status
from service.store import read_rows
from service.store.transaction import Transaction
from tests.store.shelf import BOX, found, live, outside, put


def test_a_message_that_was_found_is_the_one_that_is_read_back(tx: Transaction) -> None:
    one = found(1, Folder.WORK, 7)
    (message,) = put(tx, BOX, one)
    assert message == read_rows.message("pbx1", BOX, one, outside, message_id=1)
    assert message.status is Status.READ


def test_its_uuid_can_be_made_another(tx: Transaction) -> None:
    usual, other = (read_rows.message("pbx1", BOX, found(1), outside, message_id=1, again=text) for text in ("", "/1"))
    assert usual.uuid != other.uuid
    assert live(tx.conn) == []


def test_the_last_id_is_that_of_the_newest_message(tx: Transaction) -> None:
    assert read_rows.last_id(tx.conn) == 0
    put(tx, BOX, found(1), found(2, msgnum=1))
    assert read_rows.last_id(tx.conn) == 2
