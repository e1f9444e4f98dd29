from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.cdr import times
from service.cdr.times import LocalTimes
from service.errors import InvalidInputError

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
TASHKENT = ZoneInfo("Asia/Tashkent")
ZONES = (BERLIN, NEW_YORK, LORD_HOWE, TASHKENT, ZoneInfo("UTC"), timezone(timedelta(hours=5, minutes=45)))
BACK = int(datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp())
"""When Berlin's clocks go back from 3:00 to 2:00."""
HOUR = 3600


def wall(epoch: int, zone: object = BERLIN) -> str:
    """What the PBX writes at that second."""
    return datetime.fromtimestamp(epoch, zone).strftime("%Y-%m-%d %H:%M:%S")  # type: ignore[arg-type] # a zone


def told(
    start: int, answer: int | None, end: int, *, made: int | None = None, zone: object = BERLIN
) -> list[int | None]:
    """What is read of a leg of these times, whose channel was `made` then."""
    uniqueid = "" if made is None else f"pbx-{made}.7"
    answered = "" if answer is None else wall(answer, zone)
    billsec = 0 if answer is None else end - answer
    reader = LocalTimes(zone)  # type: ignore[arg-type] # a zone
    return [*reader.read(uniqueid, wall(start, zone), answered, wall(end, zone), end - start, billsec)]


def test_a_time_is_read_in_the_pbxs_zone() -> None:
    read = LocalTimes(TASHKENT).read("", "2026-11-21 02:50:47", "2026-11-21 02:50:48", "2026-11-21 02:50:52", 5, 4)
    assert read == (1795211447, 1795211448, 1795211452)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_the_same_wall_clock_in_summer_and_winter_is_another_second(zone: ZoneInfo) -> None:
    reader = LocalTimes(zone)
    summer, _, _ = reader.read("", "2026-07-01 12:00:00", "", "2026-07-01 12:00:00", 0, 0)
    winter, _, _ = reader.read("", "2026-12-01 12:00:00", "", "2026-12-01 12:00:00", 0, 0)
    assert (winter - summer) % 86400 == HOUR


@pytest.mark.parametrize("shift", [-HOUR, 0])
def test_in_the_hour_that_comes_twice_the_channels_name_says_which_one_is_meant(shift: int) -> None:
    start = BACK + shift + 600
    assert wall(start) == "2026-10-25 02:10:00"
    assert told(start, start + 5, start + 60, made=start - 2) == [start, start + 5, start + 60]
    assert told(start, None, start + 60, made=start + 1) == [start, None, start + 60]


def test_without_a_channels_name_the_first_of_the_two_hours_is_taken() -> None:
    start = BACK + 600
    assert told(start, start + 5, start + 60) == [start - HOUR, start + 5 - HOUR, start + 60 - HOUR]


@pytest.mark.parametrize("made", [None, BACK - 1800])
def test_an_end_that_comes_once_says_which_start_is_meant(made: int | None) -> None:
    start, end = BACK + 3000, BACK + HOUR + 600
    assert told(start, start + 300, end, made=made) == [start, start + 300, end]
    start = BACK - 3000
    assert told(start, start + 3300, end, made=made and BACK - HOUR) == [start, start + 3300, end]


def test_a_call_over_the_change_begins_in_the_first_and_ends_in_the_second_hour() -> None:
    start, answer, end = BACK - 600, BACK - 300, BACK + 2400
    assert [wall(second)[11:] for second in (start, answer, end)] == ["02:50:00", "02:55:00", "02:40:00"]
    assert told(start, answer, end, made=start) == [start, answer, end]
    assert told(start, answer, end) == [start, answer, end]


@pytest.mark.parametrize(("begun", "lasted"), [(-1200, 60), (-1200, 1800), (600, 60)])
def test_in_the_hour_that_comes_twice_an_end_comes_after_its_start_though_no_duration_is_told(
    begun: int, lasted: int
) -> None:
    start = BACK + begun
    read = LocalTimes(BERLIN).read(f"{start}.7", wall(start), "", wall(start + lasted), None, None)
    assert read == (start, None, start + lasted)


def test_a_leg_that_begins_long_after_its_channel_is_not_read_before_it() -> None:
    made = BACK + 1200
    start = made + 2100  # the other reading of it, before the channel was made, is nearer
    assert told(start, start + 100, start + 200, made=made) == [start, start + 100, start + 200]


def test_a_clock_that_is_put_back_half_an_hour_is_read_rightly() -> None:
    back = int(datetime(2026, 4, 4, 15, tzinfo=UTC).timestamp())
    assert wall(back - 1, LORD_HOWE)[11:] == "01:59:59"
    assert wall(back, LORD_HOWE)[11:] == "01:30:00"
    for start in (back - 1200, back + 600, back - 2400, back + 1800):
        assert told(start, start + 1, start + 60, made=start, zone=LORD_HOWE) == [start, start + 1, start + 60]


def test_an_hour_that_comes_twice_in_part_is_not_remembered_as_one_that_does_not() -> None:
    back = int(datetime(2026, 4, 4, 15, tzinfo=UTC).timestamp())
    reader = LocalTimes(LORD_HOWE)
    for start in (back - 3000, back + 600, back - 3000):
        text = wall(start, LORD_HOWE)
        assert text.startswith("2026-04-05 01:")
        assert reader.read(f"{start}.1", text, "", text, 0, 0) == (start, None, start)


def test_a_time_that_is_left_out_in_spring_is_read_as_before_the_change() -> None:
    forward = int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp())
    begun, answered, ended = LocalTimes(BERLIN).read(
        "", "2026-03-29 02:30:00", "2026-03-29 02:31:00", "2026-03-29 02:32:00", 120, 60
    )
    assert (begun, answered, ended) == (forward + 1800, forward + 1860, forward + 1920)
    assert told(forward - 60, forward + 60, forward + 600) == [forward - 60, forward + 60, forward + 600]


def test_an_end_that_is_not_told_is_start_and_duration() -> None:
    assert LocalTimes(BERLIN).read("", "2026-11-20 21:00:00", "", "", 90, 0) == (1795204800, None, 1795204890)
    start = BACK + 600
    assert LocalTimes(BERLIN).read(f"{start}.1", wall(start), "", "", 90, 0) == (start, None, start + 90)
    with pytest.raises(InvalidInputError, match="needs an end time, or a duration"):
        LocalTimes(BERLIN).read("", "2026-11-20 21:00:00", "", "", None, None)


def test_an_end_before_the_start_is_no_end() -> None:
    """A PBX whose clock was set in the middle of a call."""
    reader = LocalTimes(BERLIN)
    for _ in range(2):
        read = reader.read("", "2026-11-20 21:00:30", "", "2026-11-20 21:00:00", None, None)
        assert read == (1795204830, None, 1795204830)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-20",
        "2026-11-20T21:00:00",
        "2026-11-20 21:00",
        "2026-11-20 24:00:00",
        "2026-11-20 21:60:00",
        "2026-11-20 21:00:60",
        "2026-11-31 21:00:00",
        "2026-13-01 21:00:00",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59",
        "2026-11-20 21:00:00 ",
        " 2026-11-20 21:00:00",
        "2026-11-20 21:00:00.5",
        "2026-11-20 21:00:00\n",
        "٢٠٢٦-11-20 21:00:00",
        "1795211480",
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_what_is_no_time_is_refused_with_what_is_expected(text: str, known: bool) -> None:  # noqa: FBT001 -- a case
    reader = LocalTimes(BERLIN)
    good = "2026-11-20 21:00:00"
    if known:
        reader.read("", good, good, good, 0, 0)
    with pytest.raises(InvalidInputError, match="start time must be a time as 2026-11-20 21:50:47"):
        reader.read("", text, "", good, 0, 0)
    if text:
        with pytest.raises(InvalidInputError, match="answer time must be"):
            reader.read("", good, text, good, 0, 0)
        with pytest.raises(InvalidInputError, match="end time must be"):
            reader.read("", good, "", text, 0, 0)


def test_a_refusal_names_the_field_and_shows_no_more_than_a_piece_of_what_came() -> None:
    with pytest.raises(InvalidInputError) as caught:
        LocalTimes(BERLIN).read("", "x" * 100_000, "", "2026-11-20 21:00:00", 0, 0)
    assert caught.value.field == "start time"
    assert len(str(caught.value)) < 150


def test_only_so_many_hours_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "MOST_HOURS", 24)
    reader = LocalTimes(BERLIN)
    first = 1795204800
    for hour in range(200):
        text = wall(first + hour * HOUR)
        assert reader.read("", text, text, text, 0, 0)[0] == first + hour * HOUR
        assert len(reader._hours) <= 24


@given(
    zone=st.sampled_from(ZONES),
    start=st.integers(1_700_000_000, 1_900_000_000) | st.integers(BACK - 2 * HOUR, BACK + 2 * HOUR),
    waited=st.integers(0, 900),
    ringing=st.integers(0, 120),
    talk=st.integers(0, 4000) | st.none(),
)
@example(zone=BERLIN, start=BACK - 1, waited=0, ringing=1, talk=HOUR - 2)
@example(zone=BERLIN, start=BACK - 1, waited=0, ringing=0, talk=HOUR)
def test_whatever_the_clocks_did_a_leg_is_read_as_it_was(
    zone: object, start: int, waited: int, ringing: int, talk: int | None
) -> None:
    """Wherever its channel was made up to a quarter of an hour before it."""
    answer = None if talk is None else start + ringing
    end = start + ringing + (talk or 0)
    assert told(start, answer, end, made=start - waited, zone=zone) == [start, answer, end]


@given(st.sampled_from(ZONES), st.text(), st.text("0123456789-: ", max_size=20), st.integers() | st.none())
def test_any_texts_are_read_or_refused(zone: object, uniqueid: str, text: str, number: int | None) -> None:
    good = "2026-10-25 02:30:00"
    for start, answer, end in ((text, "", good), (good, text, good), (good, "", text)):
        try:
            begun, _, ended = LocalTimes(zone).read(uniqueid, start, answer, end, number, number)  # type: ignore[arg-type] # a zone
        except InvalidInputError:
            continue
        assert begun <= ended or (number is not None and number < 0)
