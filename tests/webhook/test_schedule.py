from hypothesis import given
from hypothesis import strategies as st

from service.webhook.schedule import DAY_MS, asked_ms, next_try, pause_ms


def exactly(_low: float, _high: float) -> float:
    return 1.0


def test_the_waits_are_those_of_the_contract() -> None:
    waits = [pause_ms(tries, exactly) / 1000 for tries in range(1, 9)]
    assert waits == [5, 30, 120, 600, 1800, 1800, 1800, 1800]


def test_a_wait_is_spread_by_a_tenth() -> None:
    assert pause_ms(1, lambda low, _high: low) == 4500
    assert pause_ms(1, lambda _low, high: high) == 5500


def test_an_endpoint_may_have_us_wait_but_for_an_hour_at_most() -> None:
    assert asked_ms(7.5) == 7500
    assert asked_ms(86_400) == 3_600_000
    assert asked_ms(0) == asked_ms(-5) == 5000


def test_the_last_try_is_made_as_the_day_ends() -> None:
    assert next_try(DAY_MS - 1000, 0, 5000) == DAY_MS
    assert next_try(DAY_MS - 10_000, 0, 5000) == DAY_MS - 5000
    assert next_try(DAY_MS, 0, 5000) is None


def test_a_first_try_in_the_future_does_not_make_the_day_longer() -> None:
    assert next_try(0, 10 * DAY_MS, DAY_MS * 2) == DAY_MS


@given(st.integers(0, 10**13), st.floats(0.9, 1.1))
def test_whoever_never_answers_is_tried_about_fifty_times_and_given_up_after_a_day(start: int, luck: float) -> None:
    now, tries = start, 1
    while (later := next_try(now, start, pause_ms(tries, lambda _low, _high: luck))) is not None:
        assert now < later <= start + DAY_MS
        now, tries = later, tries + 1
    assert now == start + DAY_MS
    assert 45 <= tries <= 60
