import pytest

from service.call import IntegrationStatus
from service.model import Counts
from service.store import calls, deliveries, journal, webhooks
from service.store.transaction import Transaction
from service.store.webhooks import State, Wanted
from tests.store.shelf import NOW_MS
from tests.webhook.world import BOX, go_on, leave, ring

CRM = Wanted("crm", calls=True, messages=True)
LOG = Wanted("log", calls=False, messages=True)


def take(tx: Transaction, name: str = "crm") -> list[int]:
    deliveries.take(tx, name, NOW_MS)
    return [one.seq for one in deliveries.outlook(tx.conn, name, 0, NOW_MS, 100, tried=False).due]


def statuses(tx: Transaction) -> list[tuple[IntegrationStatus, str | None]]:
    found = calls.load(tx.conn, [1, 2, 3], legs=False)
    return [(one.status, one.error_message) for call in found for one in call.integration]


def test_a_new_one_begins_where_the_journal_ends(tx: Transaction) -> None:
    leave(tx, 1)
    webhooks.configure(tx, [CRM], NOW_MS)
    leave(tx, 2)
    assert take(tx) == [2]


def test_the_same_configuration_again_changes_nothing(tx: Transaction) -> None:
    webhooks.configure(tx, [CRM, LOG], NOW_MS)
    leave(tx, 1)
    take(tx)
    leave(tx, 2)
    before = webhooks.list_all(tx.conn)
    webhooks.configure(tx, [LOG, CRM], NOW_MS + 1)
    assert webhooks.list_all(tx.conn) == before
    assert take(tx) == [1, 2]


def test_one_that_is_gone_has_failed_and_gets_no_more(tx: Transaction) -> None:
    webhooks.configure(tx, [CRM], NOW_MS)
    ring(tx, 1, 2)
    take(tx)
    deliveries.delivered(tx, "crm", 1, NOW_MS)
    webhooks.configure(tx, [LOG], NOW_MS)
    ring(tx, 3)
    assert statuses(tx) == [(IntegrationStatus.SYNCED, None), (IntegrationStatus.FAILED, "no longer configured")]
    crm, log = webhooks.list_all(tx.conn)
    assert (crm.active, crm.pending, crm.failed, crm.behind, log.active) == (False, 0, 0, 0, True)


def test_one_that_is_back_goes_on_from_now(tx: Transaction) -> None:
    webhooks.configure(tx, [CRM], NOW_MS)
    leave(tx, 1)
    take(tx)
    webhooks.configure(tx, [], NOW_MS)
    leave(tx, 2)
    webhooks.configure(tx, [CRM], NOW_MS)
    leave(tx, 3)
    assert take(tx) == [3]


def test_one_that_no_longer_wants_calls_keeps_what_it_has_of_messages(tx: Transaction) -> None:
    webhooks.configure(tx, [CRM], NOW_MS)
    ring(tx, 1)
    leave(tx, 2)
    take(tx)
    webhooks.configure(tx, [Wanted("crm", calls=False, messages=True)], NOW_MS)
    go_on(tx, 1)
    assert take(tx) == [2]
    assert statuses(tx) == [(IntegrationStatus.FAILED, "no longer configured")]
    (state,) = webhooks.list_all(tx.conn)
    assert state.pending == 1


def test_one_is_down_from_the_first_moment_until_it_is_back(tx: Transaction) -> None:
    webhooks.configure(tx, [CRM], NOW_MS)
    assert not webhooks.is_down(tx.conn, "crm")
    webhooks.went_down(tx, "crm", NOW_MS)
    webhooks.went_down(tx, "crm", NOW_MS + 1000)
    (state,) = webhooks.list_all(tx.conn)
    assert (webhooks.is_down(tx.conn, "crm"), state.down_ms) == (True, NOW_MS)
    webhooks.came_back(tx, "crm")
    assert not webhooks.is_down(tx.conn, "crm")


def test_the_list_tells_how_each_one_is(tx: Transaction) -> None:
    webhooks.configure(tx, [LOG, CRM], NOW_MS)
    leave(tx, 1)
    leave(tx, 2)
    take(tx)
    deliveries.given_up(tx, "crm", 1, NOW_MS, "no")
    leave(tx, 3)
    ring(tx, 4)
    assert webhooks.list_all(tx.conn) == [
        State("crm", active=True, down_ms=None, pending=1, failed=1, behind=2, error="no"),
        State("log", active=True, down_ms=None, pending=0, failed=0, behind=3, error=""),
    ]


@pytest.mark.parametrize("told", [False, True])
def test_the_journal_is_needed_from_the_first_record_that_was_not_told(tx: Transaction, told: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    assert webhooks.oldest_needed(tx.conn) is None
    webhooks.configure(tx, [CRM, LOG], NOW_MS)
    assert webhooks.oldest_needed(tx.conn) is None
    journal.append(tx, "unread", BOX, Counts(new=1), 1)
    ring(tx, 1)
    leave(tx, 2)
    assert webhooks.oldest_needed(tx.conn) == 2
    take(tx)
    take(tx, "log")
    assert webhooks.oldest_needed(tx.conn) == 2
    if told:
        deliveries.delivered(tx, "crm", 2, NOW_MS)
    else:
        deliveries.given_up(tx, "crm", 2, NOW_MS, "no")
    assert webhooks.oldest_needed(tx.conn) == 3
    webhooks.configure(tx, [], NOW_MS)
    assert webhooks.oldest_needed(tx.conn) is None
