"""Ranges and conditions of RFC 9110."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.ranges import Span, another, select, unchanged

TAG = '"abc"'


@given(st.binary(min_size=1, max_size=50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_what_slicing_gives(data: bytes, first: int, last: int) -> None:
    span = select(f"bytes={first}-{last}", None, TAG, len(data))
    if first >= len(data) and last >= first:
        assert span is None
    else:
        assert span is not None
        sent = data[span.start : span.start + span.length]
        assert sent == (data[first : last + 1] if last >= first else data)
        assert span.partial is (last >= first)


@given(st.integers(1, 100), st.integers(0, 200))
def test_the_end_and_the_rest_can_be_asked_for(size: int, count: int) -> None:
    tail, rest = select(f"bytes=-{count}", None, TAG, size), select(f"bytes={count}-", None, TAG, size)
    assert tail == (Span(max(0, size - count), min(count, size), size, partial=True) if count else None)
    assert rest == (Span(count, size - count, size, partial=True) if count < size else None)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=-1-2",
        "bytes=1" + "0" * 30 + "-",
    ],
)
def test_whatever_is_no_single_range_is_answered_with_the_whole(header: str | None) -> None:
    assert select(header, None, TAG, 10) == Span(0, 10, 10, partial=False)


def test_a_range_of_something_that_has_changed_is_answered_with_the_whole() -> None:
    assert select("bytes=2-3", TAG, TAG, 10) == Span(2, 2, 10, partial=True)
    for other in ('"def"', 'W/"abc"', "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert select("bytes=2-3", other, TAG, 10) == Span(0, 10, 10, partial=False)


def test_content_range_counts_from_zero() -> None:
    assert Span(2, 3, 10, partial=True).content_range == "bytes 2-4/10"


@given(st.text(), st.text())
def test_no_header_breaks_it(header: str, condition: str) -> None:
    select(header, condition, TAG, 10)
    unchanged(header, TAG)
    another(header, TAG)


@pytest.mark.parametrize(
    ("condition", "same"),
    [
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", "abc"', True),
        ("*", True),
        ('"x"', False),
        ("abc", False),
        (None, False),
    ],
)
def test_a_tag_that_the_client_has(condition: str | None, *, same: bool) -> None:
    assert unchanged(condition, TAG) is same


@pytest.mark.parametrize(
    ("condition", "other"),
    [
        ('"abc"', False),
        ('"x" , "abc"', False),
        ("*", False),
        (None, False),
        ('"x"', True),
        ('W/"abc"', True),
        ("", True),
    ],
)
def test_a_tag_without_which_nothing_is_wanted(condition: str | None, *, other: bool) -> None:
    assert another(condition, TAG) is other
