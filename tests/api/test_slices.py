"""`limit` and `offset`, as clients write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.slices import LIMIT, MOST, Slice, read_slice
from service.errors import InvalidInputError


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, Slice(10, 0)),
        ({"limit": "", "offset": ""}, Slice(10, 0)),
        ({"limit": "1"}, Slice(1, 0)),
        ({"limit": "500", "offset": "20"}, Slice(500, 20)),
        ({"offset": "999999999999999999"}, Slice(10, 10**18 - 1)),
        ({"limit": "010"}, Slice(10, 0)),
        ({"extension": "101"}, Slice(10, 0)),
    ],
)
def test_what_is_asked_for_is_read(query: dict[str, str], expected: Slice) -> None:
    assert read_slice(query) == expected


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("limit", "0", "the limit must be between 1 and 500"),
        ("limit", "501", "the limit must be between 1 and 500"),
        ("limit", "-1", "the limit must be a whole number"),
        ("limit", "ten", "the limit must be a whole number"),
        ("limit", "1e2", "the limit must be a whole number"),
        ("limit", " 5", "the limit must be a whole number"),
        ("limit", "\u0665", "the limit must be a whole number"),
        ("limit", "5\n", "the limit must be a whole number"),
        ("offset", "-1", "the offset must be a whole number"),
        ("offset", "1000000000000000000", "the offset must be a whole number"),
    ],
)
def test_what_is_no_such_number_is_named(name: str, value: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason) as caught:
        read_slice({name: value})
    assert caught.value.field == name


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_query_breaks_it(limit: str, offset: str) -> None:
    try:
        part = read_slice({"limit": limit, "offset": offset})
    except InvalidInputError:
        return
    assert 1 <= part.limit <= MOST
    assert 0 <= part.offset < 10**18


def test_the_answer_tells_what_was_asked_for_and_how_many_there_are() -> None:
    answer = read_slice({"offset": "5"}).answer([{"id": "a"}], 6)
    assert answer == {"data": [{"id": "a"}], "limit": LIMIT, "offset": 5, "total": 6}
