"""The parameters of lists, also of one whose filters know only certain values, as a call's do."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.params import ListParams, ListSpec, Period, read_list, read_period
from service.api.wire import InvalidParametersError

UTC = ZoneInfo("UTC")
CALLS = ListSpec(
    sorts=("id", "datetime", "type"),
    texts=("src", "dst"),
    integers={"duration": None, "type": range(1, 4)},
)


def read(*query: tuple[str, str]) -> ListParams:
    return read_list(query, CALLS, UTC)


def errors(*query: tuple[str, str]) -> Mapping[str, object]:
    with pytest.raises(InvalidParametersError) as caught:
        read(*query)
    return caught.value.failure.errors


def test_without_parameters_it_is_the_first_page_of_twenty_by_id() -> None:
    assert read() == ListParams(page=1, per_page=20, sort="id", descending=False, filters={}, since=None, until=None)


def test_everything_that_can_be_asked_for() -> None:
    params = read(
        ("page", "3"),
        ("per_page", "300"),
        ("sort", "-datetime"),
        ("filter[src]", "100"),
        ("filter.dst", "200"),
        ("filter[duration]", "35"),
        ("filter.type", "2"),
        ("filter[from]", "1970-01-01"),
        ("filter[to]", "1970-01-01 00:00:10"),
    )
    filters: dict[str, str | int] = {"src": "100", "dst": "200", "duration": 35, "type": 2}
    assert params == ListParams(3, 300, "datetime", True, filters, 0, 10)
    assert params.offset == 600


def test_of_a_repeated_parameter_the_last_counts_however_it_is_written() -> None:
    assert read(("filter[src]", "1"), ("filter.src", "2")).filters == {"src": "2"}
    assert read(("filter.src", "2"), ("filter[src]", "1")).filters == {"src": "1"}


def test_what_no_list_knows_is_left_alone() -> None:
    assert read(("filter[colour]", "red"), ("q", "x"), ("src", "1"), ("", ""), ("filter[src][]", "1")) == read()


def test_an_empty_parameter_is_none() -> None:
    names = ("page", "per_page", "sort", "filter[src]", "filter[duration]", "filter[from]", "filter[to]")
    assert read(*((name, "") for name in names)) == read()


@pytest.mark.parametrize("value", ["0", "-1", "1.0", "x", "\u0661", "1e3", "0x1", "1" * 300, "9" * 30])
def test_a_page_is_a_whole_number_from_one(value: str) -> None:
    assert list(errors(("page", value))) == ["page"]


@pytest.mark.parametrize("value", ["0", "301", "-5", "many"])
def test_a_page_holds_one_to_three_hundred(value: str) -> None:
    assert list(errors(("per_page", value))) == ["per_page"]


@pytest.mark.parametrize("value", ["name", "--id", "-", "id,src", "ID"])
def test_a_sort_is_a_field_that_is_there(value: str) -> None:
    assert list(errors(("sort", value))) == ["sort"]


def test_a_filter_with_a_list_of_values_takes_no_other() -> None:
    assert list(errors(("filter[type]", "4"))) == ["filter.type"]


def test_an_integer_beyond_all_that_can_be_stored_is_one_that_matches_nothing() -> None:
    assert read(("filter[duration]", "9" * 30)).filters == {"duration": 2**63 - 1}


@pytest.mark.parametrize(
    ("value", "meant"),
    [(" 998901234567", "+998901234567"), ("+998", "+998"), ("998 90", "998 90"), (" alice", " alice"), (" ", " ")],
)
def test_the_plus_of_a_number_may_stand_in_a_query_as_it_is(value: str, meant: str) -> None:
    assert read(("filter[src]", value)).filters == {"src": meant}
    period = [("from", "2026-01-13"), ("to", "2026-01-13"), ("external_number", value)]
    assert read_period(period, UTC).external_number == meant


def test_too_much_is_refused() -> None:
    assert list(errors(("filter[src]", "1" * 257))) == ["filter.src"]
    assert list(errors(*((f"p{number}", "1") for number in range(33)))) == ["query"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["page", "per_page", "sort", "filter[src]", "filter.type", "filter[to]"]), st.text())
    )
)
def test_any_value_is_read_or_refused_by_name(query: list[tuple[str, str]]) -> None:
    wrong: Mapping[str, object] = {}
    params = ListParams()
    try:
        params = read(*query)
    except InvalidParametersError as error:
        wrong = error.failure.errors
    assert set(wrong) <= {"page", "per_page", "sort", "filter.src", "filter.type", "filter.to", "query"}
    assert params.page >= 1
    assert 1 <= params.per_page <= 300
    assert params.sort in CALLS.sorts


def test_a_period_is_from_the_first_to_the_last_second_of_its_days() -> None:
    query = [("from", "2026-01-13"), ("to", "2026-01-13"), ("external_number", "781130590"), ("more", "x")]
    midnight = 1_768_262_400
    assert read_period(query, UTC) == Period(midnight, midnight + 86399, "781130590")
    exact = [("from", "2026-01-13 00:00:07"), ("to", "2026-01-13 00:00:05")]
    assert read_period(exact, UTC) == Period(midnight + 7, midnight + 5, None)


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ([], ["from", "to"]),
        ([("from", " "), ("to", "2026-01-13")], ["from"]),
        ([("from", "2026-01-13"), ("to", "13.01.2026")], ["to"]),
        ([("from", "1"), ("to", "2"), ("external_number", "1" * 257)], ["from", "to", "external_number"]),
    ],
)
def test_all_that_is_wrong_with_a_period_is_told(query: list[tuple[str, str]], wrong: list[str]) -> None:
    with pytest.raises(InvalidParametersError) as caught:
        read_period(query, UTC)
    assert list(caught.value.failure.errors) == wrong
