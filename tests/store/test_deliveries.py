"""Deliveries by themselves; tests/webhook has them under a whole deliverer."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.call import IntegrationStatus
from service.errors import NotFoundError
from service.model import Counts
from service.store import calls, deliveries, journal, webhooks
from service.store.deliveries import DAY_MS, FARTHEST_MS, Delivery, Outlook
from service.store.transaction import Transaction
from service.store.webhooks import Wanted
from tests.store.shelf import NOW_MS, transaction
from tests.webhook.world import BOX, go_on, leave, ring

CRM = Wanted("crm", calls=True, messages=True)


@pytest.fixture(autouse=True)
def crm(tx: Transaction) -> None:
    webhooks.configure(tx, [CRM], NOW_MS)


def look(tx: Transaction, now_ms: int = NOW_MS, *, tried: bool = False, limit: int = 100) -> Outlook:
    return deliveries.outlook(tx.conn, "crm", 0, now_ms, limit, tried=tried)


def take(tx: Transaction, now_ms: int = NOW_MS) -> list[int]:
    """Take everything, and give the positions of what is due."""
    while look(tx).news:
        deliveries.take(tx, "crm", now_ms)
    return due(tx, now_ms)


def due(tx: Transaction, now_ms: int = NOW_MS, *, tried: bool = False) -> list[int]:
    return [one.seq for one in look(tx, now_ms, tried=tried).due]


def postpone(tx: Transaction, seq: int, next_ms: int, now_ms: int = NOW_MS) -> None:
    (one,) = [one for one in look(tx, now_ms).due if one.seq == seq]
    deliveries.postponed(tx, "crm", one, now_ms, next_ms=next_ms, error="no")


def integration(tx: Transaction, call_id: int = 1) -> tuple[IntegrationStatus, str | None]:
    (call,) = calls.load(tx.conn, [call_id], legs=False)
    (one,) = call.integration
    return one.status, one.error_message


def test_only_calls_and_messages_are_taken_and_only_once(tx: Transaction) -> None:
    leave(tx, 1)
    journal.append(tx, "unread", BOX, Counts(new=1), 1)
    ring(tx, 2)
    assert take(tx) == take(tx) == [1, 3]
    assert look(tx).pending == 2


def test_a_journal_full_of_what_nobody_wants_is_passed_over_now_and_then(tx: Transaction) -> None:
    for _ in range(deliveries.MOST_AT_ONCE):
        journal.append(tx, "unread", BOX, Counts(new=1), 1)
    assert not look(tx).news
    journal.append(tx, "unread", BOX, Counts(new=1), 1)
    assert look(tx).news
    assert take(tx) == []
    assert not look(tx).news


def test_a_look_goes_on_from_where_the_last_one_was(tx: Transaction) -> None:
    leave(tx, 1)
    assert deliveries.outlook(tx.conn, "crm", 0, NOW_MS, 1, tried=False).position == 0
    looked = deliveries.outlook(tx.conn, "crm", 1, NOW_MS, 1, tried=False)
    assert (looked.news, looked.position) == (False, 1)


def test_of_the_same_call_or_message_the_earlier_comes_first(tx: Transaction) -> None:
    ring(tx, 1)
    leave(tx, 2)
    go_on(tx, 1)
    leave(tx, 2, "deleted")
    assert take(tx) == [1, 2]
    deliveries.delivered(tx, "crm", 1, NOW_MS)
    assert due(tx) == [2, 3]
    deliveries.given_up(tx, "crm", 2, NOW_MS, "no")
    assert due(tx) == [3, 4]


def test_what_is_postponed_is_due_at_its_time(tx: Transaction) -> None:
    leave(tx, 1)
    leave(tx, 2)
    take(tx)
    postpone(tx, 1, NOW_MS + 5000)
    assert due(tx, tried=True) == []
    assert look(tx).next_ms == NOW_MS + 5000
    assert due(tx, NOW_MS + 4999) == [2]
    assert due(tx, NOW_MS + 5000) == [2, 1]
    assert due(tx, NOW_MS + 5000, tried=True) == [1]
    assert look(tx, NOW_MS + 5000).due[1] == Delivery(1, 1, NOW_MS)


def test_the_first_try_of_a_delivery_is_never_in_the_future(tx: Transaction) -> None:
    leave(tx, 1)
    take(tx)
    postpone(tx, 1, NOW_MS)
    before = NOW_MS - DAY_MS
    (one,) = look(tx).due
    deliveries.postponed(tx, "crm", one, before, next_ms=before, error="no")
    assert look(tx).due == (Delivery(1, 2, before),)


def test_a_wait_that_is_absurdly_long_is_mended(tx: Transaction) -> None:
    leave(tx, 1)
    take(tx)
    postpone(tx, 1, NOW_MS + FARTHEST_MS + 1)
    assert look(tx).amiss
    deliveries.mend(tx, "crm", NOW_MS)
    assert not look(tx).amiss
    assert due(tx) == [1]


def test_when_it_answers_again_all_that_failed_is_due(tx: Transaction) -> None:
    for number in (1, 2, 3):
        leave(tx, number)
    take(tx)
    postpone(tx, 2, NOW_MS + 9000)
    postpone(tx, 1, NOW_MS + 5000, NOW_MS + 1)
    deliveries.hasten(tx, "crm", NOW_MS + 10)
    assert due(tx, NOW_MS + 10, tried=True) == [2, 1]


def test_a_calls_integration_says_what_its_deliveries_say_together(tx: Transaction) -> None:
    ring(tx, 1)
    take(tx)
    assert integration(tx) == (IntegrationStatus.PENDING, None)
    postpone(tx, 1, NOW_MS)
    assert integration(tx) == (IntegrationStatus.PENDING, "no")
    go_on(tx, 1)
    take(tx)
    deliveries.given_up(tx, "crm", 1, NOW_MS, "never")
    assert integration(tx) == (IntegrationStatus.PENDING, "never")
    deliveries.given_up(tx, "crm", 2, NOW_MS, "never again")
    assert integration(tx) == (IntegrationStatus.FAILED, "never again")
    deliveries.retry(tx, "crm", NOW_MS)
    assert integration(tx) == (IntegrationStatus.PENDING, "never again")
    deliveries.delivered(tx, "crm", 1, NOW_MS)
    assert integration(tx) == (IntegrationStatus.PENDING, "never again")
    deliveries.delivered(tx, "crm", 2, NOW_MS)
    assert integration(tx) == (IntegrationStatus.SYNCED, None)


def test_a_call_that_was_made_before_a_webhook_is_not_told_when_only_its_voicemail_changes(tx: Transaction) -> None:
    """A record of it names no webhook in its integration."""
    webhooks.configure(tx, [], NOW_MS)
    ring(tx, 1)
    (call,) = calls.load(tx.conn, [1], legs=True)
    webhooks.configure(tx, [CRM], NOW_MS)
    journal.append(tx, "call.updated", None, call)
    assert take(tx) == []


def test_what_was_given_up_is_queued_again_in_order(tx: Transaction) -> None:
    ring(tx, 1)
    go_on(tx, 1)
    leave(tx, 2)
    take(tx)
    for seq in (1, 2, 3):
        deliveries.given_up(tx, "crm", seq, NOW_MS, "no")
    assert look(tx).pending == 0
    assert deliveries.retry(tx, "crm", NOW_MS) == 3
    assert due(tx) == [1, 3]
    assert look(tx).pending == 3
    assert [one.tries for one in look(tx).due] == [0, 0]


def test_whoever_asks_for_it_takes_the_webhook_to_answer_again(tx: Transaction) -> None:
    webhooks.went_down(tx, "crm", NOW_MS)
    assert look(tx).down
    deliveries.retry(tx, "crm", NOW_MS)
    assert not look(tx).down


def test_what_is_pending_of_a_call_stands_for_what_was_given_up_before(tx: Transaction) -> None:
    ring(tx, 1)
    go_on(tx, 1)
    take(tx)
    deliveries.given_up(tx, "crm", 1, NOW_MS, "no")
    assert deliveries.retry(tx, "crm", NOW_MS) == 0
    assert due(tx) == [2]
    deliveries.delivered(tx, "crm", 2, NOW_MS)
    assert deliveries.retry(tx, "crm", NOW_MS) == 0
    assert integration(tx) == (IntegrationStatus.SYNCED, None)


def test_nothing_is_queued_again_that_the_journal_has_dropped(tx: Transaction) -> None:
    leave(tx, 1)
    leave(tx, 2)
    take(tx)
    deliveries.given_up(tx, "crm", 1, NOW_MS, "no")
    deliveries.given_up(tx, "crm", 2, NOW_MS, "no")
    assert journal.prune(tx, NOW_MS + 1, limit=1) == 1
    assert deliveries.retry(tx, "crm", NOW_MS) == 1
    assert due(tx) == [2]


def test_what_was_given_up_is_forgotten_with_the_journal(tx: Transaction) -> None:
    leave(tx, 1)
    take(tx)
    deliveries.given_up(tx, "crm", 1, NOW_MS, "no")
    journal.prune(tx, NOW_MS + 1)
    leave(tx, 2)
    take(tx)
    (state,) = webhooks.list_all(tx.conn)
    assert (state.failed, state.pending) == (0, 1)


def test_nobody_retries_a_webhook_that_is_not_configured(tx: Transaction) -> None:
    webhooks.configure(tx, [], NOW_MS)
    for name in ("crm", "nope"):
        with pytest.raises(NotFoundError, match=name):
            deliveries.retry(tx, name, NOW_MS)


def test_no_more_is_taken_than_there_is_room_for(tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "MOST_PENDING", 2)
    for number in (1, 2, 3):
        leave(tx, number)
    assert take(tx) == [1, 2]
    deliveries.take(tx, "crm", NOW_MS)
    assert due(tx) == [1, 2]
    deliveries.delivered(tx, "crm", 1, NOW_MS)
    assert take(tx) == [2, 3]


def test_what_one_that_is_down_was_never_told_is_given_up_after_a_day(tx: Transaction) -> None:
    ring(tx, 1)
    leave(tx, 2)
    take(tx)
    postpone(tx, 2, NOW_MS + 5000)
    webhooks.went_down(tx, "crm", NOW_MS + 1000)
    assert deliveries.expire(tx, "crm", NOW_MS + DAY_MS, "closed") == 0
    assert deliveries.expire(tx, "crm", NOW_MS + DAY_MS + 1000, "closed") == 1
    assert integration(tx) == (IntegrationStatus.FAILED, "closed")
    webhooks.came_back(tx, "crm")
    assert deliveries.expire(tx, "crm", NOW_MS + 9 * DAY_MS, "closed") == 0


def test_what_is_not_there_any_more_is_not_noted(tx: Transaction) -> None:
    leave(tx, 1)
    take(tx)
    (one,) = look(tx).due
    deliveries.delivered(tx, "crm", 1, NOW_MS)
    deliveries.delivered(tx, "crm", 1, NOW_MS)
    deliveries.given_up(tx, "crm", 1, NOW_MS, "no")
    deliveries.postponed(tx, "crm", one, NOW_MS, next_ms=NOW_MS, error="no")
    (state,) = webhooks.list_all(tx.conn)
    assert (state.pending, state.failed) == (0, 0)


STEPS = st.lists(
    st.tuples(st.sampled_from(("new", "again", "ok", "later", "never", "retry", "expire")), st.integers(1, 3)),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_whatever_happens_the_order_the_counts_and_the_status_are_right(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[str, int]]
) -> None:
    """Against what was told in the end: of each call its newest state, and never an older one after a newer."""
    with transaction(tmp_path_factory.mktemp("steps") / "voicemaild.db") as tx:
        webhooks.configure(tx, [CRM], NOW_MS)
        webhooks.went_down(tx, "crm", 0)
        known: dict[int, int] = {}
        told: dict[int, list[int]] = {}
        for kind, number in steps:
            if kind in ("new", "again"):
                known[number] = known.get(number, 0) + 1
                go_on(tx, number, known[number])
            take(tx)
            step(tx, kind, number, told)
            check(tx, told)


def step(tx: Transaction, kind: str, number: int, told: dict[int, list[int]]) -> None:
    ready = look(tx).due
    if kind == "retry":
        deliveries.retry(tx, "crm", NOW_MS)
    elif kind == "expire":
        deliveries.expire(tx, "crm", NOW_MS + DAY_MS, "closed")
    elif ready and kind in ("ok", "later", "never"):
        one = ready[number % len(ready)]
        if kind == "ok":
            (call_id,) = tx.conn.execute("SELECT call_id FROM delivery WHERE seq = ?", (one.seq,)).fetchone()
            told.setdefault(call_id, []).append(one.seq)
            deliveries.delivered(tx, "crm", one.seq, NOW_MS)
        elif kind == "later":
            deliveries.postponed(tx, "crm", one, NOW_MS, next_ms=NOW_MS, error="no")
        else:
            deliveries.given_up(tx, "crm", one.seq, NOW_MS, "no")


def check(tx: Transaction, told: dict[int, list[int]]) -> None:
    rows = tx.conn.execute("SELECT call_id, seq, failed FROM delivery ORDER BY seq").fetchall()
    (state,) = webhooks.list_all(tx.conn)
    assert state.pending == sum(not failed for *_, failed in rows)
    assert state.failed == sum(failed for *_, failed in rows)
    for call in calls.load(tx.conn, [1, 2, 3], legs=False):
        heard = told.get(call.id, [])
        assert heard == sorted(set(heard))
        left = [(seq, failed) for call_id, seq, failed in rows if call_id == call.id]
        assert all(seq > max(heard, default=0) for seq, _ in left)
        (newest,) = tx.conn.execute(
            "SELECT max(seq) FROM journal WHERE type LIKE 'call.%' AND json_extract(CAST(state AS TEXT), '$.id') = ?",
            (call.id,),
        ).fetchone()
        (one,) = call.integration
        pending = any(not failed for _, failed in left)
        expected = "pending" if pending else "synced" if newest in heard else "failed"
        assert one.status == expected
