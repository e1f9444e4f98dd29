import pytest

from service.call import Call, Integration, IntegrationStatus
from service.store.call_news import MOST_LEGS
from service.store.transaction import Transaction
from tests.store.ledger import leg, only, record, voicemail
from tests.store.shelf import NOW_MS, told

NOW_US = NOW_MS * 1000
RANG = leg(1, disposition="NO ANSWER")


def webhook(tx: Transaction, name: str, *, wants: bool = True, active: bool = True) -> None:
    tx.conn.execute(
        "INSERT INTO webhook (name, cursor, calls, messages, active) VALUES (?, 0, ?, 1, ?)", (name, wants, active)
    )


def pending(number: int, name: str, created_us: int = NOW_US) -> Integration:
    return Integration(number, name, IntegrationStatus.PENDING, None, created_us, NOW_US)


def test_every_webhook_that_wants_calls_is_to_be_told_of_a_new_one(tx: Transaction) -> None:
    for name in ("sales", "crm"):
        webhook(tx, name)
    webhook(tx, "mail", wants=False)
    webhook(tx, "old", active=False)
    record(tx, RANG)
    assert only(tx.conn).integration == (pending(1, "crm"), pending(2, "sales"))
    assert [one.state for one in told(tx)] == [only(tx.conn)]


def test_a_call_that_changed_is_to_be_told_again(tx: Transaction) -> None:
    webhook(tx, "crm")
    record(tx, RANG)
    tx.conn.execute("UPDATE integration SET status = 'failed', error_message = '500', created_us = 1, updated_us = 2")
    record(tx, voicemail(1))
    assert only(tx.conn).integration == (pending(1, "crm", created_us=1),)
    state = told(tx)[-1].state
    assert isinstance(state, Call)
    assert state.integration == only(tx.conn).integration


def test_one_that_did_not_change_is_not(tx: Transaction) -> None:
    webhook(tx, "crm")
    record(tx, RANG)
    tx.conn.execute("UPDATE integration SET status = 'synced', updated_us = 2")
    record(tx, RANG._replace(accountcode="sales"))
    assert [(one.status, one.updated_us) for one in only(tx.conn).integration] == [("synced", 2)]


def test_of_history_no_webhook_is_told(tx: Transaction) -> None:
    webhook(tx, "crm")
    record(tx, RANG, history=True)
    record(tx, voicemail(1), history=True)
    assert only(tx.conn).integration == ()


def test_but_what_comes_to_it_later_is_news(tx: Transaction) -> None:
    webhook(tx, "crm")
    record(tx, RANG, history=True)
    record(tx, voicemail(1))
    assert only(tx.conn).integration == (pending(1, "crm"),)


def test_what_became_of_telling_one_that_is_configured_no_longer_stays(tx: Transaction) -> None:
    webhook(tx, "crm")
    record(tx, RANG)
    tx.conn.execute("UPDATE webhook SET active = 0")
    tx.conn.execute("UPDATE integration SET status = 'synced', updated_us = 2")
    webhook(tx, "new")
    record(tx, voicemail(1))
    assert [(one.name, one.status) for one in only(tx.conn).integration] == [("crm", "synced"), ("new", "pending")]


def test_a_call_of_very_many_legs_is_told_without_them(tx: Transaction) -> None:
    """Each new leg would be told with all before it."""
    legs = [leg(1, 0, 20 + number, uniqueid=RANG.uniqueid) for number in range(MOST_LEGS)]
    record(tx, *legs)
    record(tx, voicemail(1, 0, 900))
    told_with = [len(one.state.legs) for one in told(tx) if isinstance(one.state, Call)]
    assert (told_with, len(only(tx.conn).legs)) == ([MOST_LEGS, 0], MOST_LEGS + 1)


@pytest.mark.parametrize("history", [False, True])
def test_a_call_that_is_part_of_another_has_its_integration_no_longer(tx: Transaction, history: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    webhook(tx, "crm")
    record(tx, leg(1), leg(2))
    record(tx, leg(1, linkedid=leg(2).uniqueid), history=history)
    assert only(tx.conn).integration == (pending(1, "crm"),)
    assert tx.conn.execute("SELECT count(*) FROM integration").fetchone() == (1,)
