from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store import pins
from service.store.pins import Lock
from service.store.transaction import Transaction
from tests.store.shelf import transaction

PHONE, OTHER = "+4571919998", "+4571919999"
HERE, THERE = "192.0.2.1", "198.51.100.7"
NOW = 1_768_000_000
DAY = (NOW // pins.DAY_S, (NOW // pins.DAY_S + 1) * pins.DAY_S)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Transaction]:
    with transaction(tmp_path / "voicemaild.db") as made:
        yield made


def wrong(tx: Transaction, times: int, *, phone: str = PHONE, address: str = HERE, now: int = NOW) -> None:
    for _ in range(times):
        pins.failed(tx, phone, address, now, DAY[0])


def lock(tx: Transaction, *, phone: str = PHONE, address: str = HERE, now: int = NOW) -> Lock | None:
    return pins.lock(tx.conn, phone, address, now, DAY)


def test_four_wrong_ones_are_free_and_the_fifth_locks_for_a_minute(tx: Transaction) -> None:
    wrong(tx, 4)
    assert lock(tx) is None
    wrong(tx, 1)
    assert lock(tx) == Lock(NOW + 60)
    assert lock(tx, now=NOW + 59) is not None
    assert lock(tx, now=NOW + 60) is None


def test_every_further_five_double_it_up_to_an_hour(tx: Transaction) -> None:
    until = []
    now = NOW
    for _ in range(9):
        wrong(tx, 5, now=now)
        found = pins.lock(tx.conn, PHONE, HERE, now, (0, 0))  # of a day that has no failures
        assert found is not None
        until.append(found.until - now)
        now = found.until
    assert until == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_a_lock_is_for_one_number_and_one_address(tx: Transaction) -> None:
    wrong(tx, 5)
    assert lock(tx, address=THERE) is None
    assert lock(tx, phone=OTHER) is None


def test_after_twenty_in_a_day_from_anywhere_strangers_are_refused_until_it_is_over(tx: Transaction) -> None:
    pins.succeeded(tx, PHONE, THERE, NOW - 29 * pins.DAY_S)
    for number in range(20):
        assert lock(tx, address="203.0.113.99") is None
        wrong(tx, 1, address=f"203.0.113.{number}")
    assert lock(tx, address="203.0.113.99") == Lock(DAY[1])
    assert lock(tx, address=THERE) is None
    assert lock(tx, phone=OTHER, address="203.0.113.99") is None
    tomorrow = (DAY[0] + 1, DAY[1] + pins.DAY_S)
    assert pins.lock(tx.conn, PHONE, "203.0.113.99", DAY[1], tomorrow) is None


def test_an_address_is_known_for_thirty_days(tx: Transaction) -> None:
    pins.succeeded(tx, PHONE, THERE, NOW - 30 * pins.DAY_S)
    wrong(tx, 20, address=HERE)
    assert lock(tx, address=THERE) == Lock(DAY[1])


def test_the_right_one_forgives_the_wrong_ones(tx: Transaction) -> None:
    wrong(tx, 4)
    pins.succeeded(tx, PHONE, HERE, NOW)
    wrong(tx, 4)
    assert lock(tx) is None


def test_a_clock_that_is_set_back_shortens_no_lock(tx: Transaction) -> None:
    wrong(tx, 5)
    wrong(tx, 5, now=NOW - 3600)
    found = lock(tx)
    assert found is not None
    assert found.until >= NOW + 60


def test_wrong_ones_of_yesterday_are_forgotten(tx: Transaction) -> None:
    wrong(tx, 4)
    later = NOW + pins.DAY_S
    wrong(tx, 1, now=later)
    assert pins.lock(tx.conn, PHONE, HERE, later, (0, 0)) is None


def test_what_is_remembered_has_a_limit(tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "MOST_ROWS", 10)
    for number in range(50):
        wrong(tx, 1, address=f"2001:db8:{number:x}::/64", now=NOW + number)
    assert tx.conn.execute("SELECT count(*) FROM pin_failure").fetchone() == (10,)
    wrong(tx, 1, now=NOW + 2 * pins.DAY_S)
    assert tx.conn.execute("SELECT count(*) FROM pin_failure").fetchone() == (1,)
