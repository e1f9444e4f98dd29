"""Times as people write them, above all in the hours in which clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.localtime import earliest, latest

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(
    [ZoneInfo(name) for name in ("Europe/Berlin", "Asia/Tashkent", "America/Havana", "Australia/Lord_Howe", "UTC")]
)
TIMES = st.integers(631152000, 2145916800).map(lambda epoch: datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None))


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_a_date_is_its_whole_day() -> None:
    zone = ZoneInfo("Asia/Tashkent")
    assert earliest("2026-01-13", zone) == utc("2026-01-12T19:00:00")
    assert latest("2026-01-13", zone) == utc("2026-01-13T18:59:59")


def test_the_day_on_which_clocks_go_forward_has_23_hours() -> None:
    first, last = earliest("2026-03-29", BERLIN), latest("2026-03-29", BERLIN)
    assert first is not None
    assert last is not None
    assert last - first + 1 == 23 * 3600


def test_the_day_on_which_clocks_go_back_has_25_hours() -> None:
    first, last = earliest("2026-10-25", BERLIN), latest("2026-10-25", BERLIN)
    assert first is not None
    assert last is not None
    assert last - first + 1 == 25 * 3600


def test_a_time_that_comes_twice_is_taken_with_both() -> None:
    assert earliest("2026-10-25 02:30:00", BERLIN) == utc("2026-10-25T00:30:00")
    assert latest("2026-10-25 02:30:00", BERLIN) == utc("2026-10-25T01:30:00")


def test_a_time_that_is_left_out_is_the_moment_of_the_change() -> None:
    assert earliest("2026-03-29 02:30:00", BERLIN) == utc("2026-03-29T01:00:00")
    assert latest("2026-03-29 02:30:00", BERLIN) == utc("2026-03-29T00:59:59")


@given(TIMES, ZONES)
def test_no_second_of_the_clock_lies_outside_its_own_bounds(local: datetime, zone: ZoneInfo) -> None:
    instant = int(local.replace(tzinfo=UTC).timestamp())
    shown = datetime.fromtimestamp(instant, zone).strftime("%Y-%m-%d %H:%M:%S")
    first, last = earliest(shown, zone), latest(shown, zone)
    assert first is not None
    assert last is not None
    assert first <= instant <= last
    day_first, day_last = earliest(shown[:10], zone), latest(shown[:10], zone)
    assert day_first is not None
    assert day_last is not None
    assert day_first <= instant <= day_last


@given(TIMES, ZONES)
def test_whatever_is_written_leaves_no_second_between_to_and_the_next_from(local: datetime, zone: ZoneInfo) -> None:
    last = latest(str(local), zone)
    following = earliest(str(local + timedelta(seconds=1)), zone)
    assert last is not None
    assert following is not None
    assert following <= last + 1


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29",
        "2026-13-01",
        "2026-01-01T00:00:00",
        "2026-01-01 24:00:00",
        "2026-01-01 10:00",
        "26-01-01",
        "2026-01-01 ",
        "2026-01-01\n",
        "0000-01-01",
        "२०२६-01-01",
        "today",
        "",
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    assert earliest(text, BERLIN) is None
    assert latest(text, BERLIN) is None


@given(st.text(max_size=30))
def test_no_text_breaks_it(text: str) -> None:
    earliest(text, BERLIN)
    latest(text, BERLIN)


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "9999-12-31 23:59:59"])
def test_the_ends_of_the_calendar_are_times(text: str) -> None:
    for zone in (ZoneInfo("Asia/Tashkent"), ZoneInfo("America/Havana")):
        assert earliest(text, zone) is not None
        assert latest(text, zone) is not None
