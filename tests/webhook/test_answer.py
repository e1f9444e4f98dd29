from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.webhook.answer import LONGEST_WORDS, Answer, Outcome, one_line, origin, read, redirected, unreachable


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_is_delivered(status: int) -> None:
    assert read(status, b"thanks") == Answer(Outcome.DELIVERED, str(status))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422, 451, 499])
def test_a_4xx_is_given_up_with_what_was_said(status: int) -> None:
    assert read(status, b"no such\nthing") == Answer(Outcome.FAILED, f"{status} no such thing")


@pytest.mark.parametrize("status", [101, 408, 429, 500, 502, 503, 504, 599, 600, 999])
def test_all_else_is_tried_again(status: int) -> None:
    assert read(status, b"later") == Answer(Outcome.POSTPONED, f"{status} later")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("99999999999999999999", 999999999.0),
        (formatdate(1_000_090, usegmt=True), 90.0),
        (formatdate(999_000, usegmt=True), 0.0),
        ("Sun, 06 Nov 1994 08:49:37", 783_111_777.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(status: int, value: str, seconds: float | None) -> None:
    assert read(status, b"", retry_after=value, now=1_000_000).retry_after_s == seconds


@pytest.mark.parametrize("status", [200, 404, 408, 500])
def test_retry_after_counts_only_where_it_belongs(status: int) -> None:
    assert read(status, b"", retry_after="120").retry_after_s is None


@given(st.integers(100, 999), st.binary(max_size=2000), st.text(max_size=40))
def test_whatever_is_answered_becomes_one_short_line_that_shows(status: int, body: bytes, retry_after: str) -> None:
    words = read(status, body, retry_after=retry_after, now=1).words
    assert words.startswith(str(status))
    assert len(words) <= LONGEST_WORDS
    assert words.isprintable()


def test_a_line_has_nothing_that_turns_or_breaks_it() -> None:
    assert one_line("  a\r\n\x1b[31mb\u202e c\x00 ") == "a [31mb c"


def test_a_redirect_is_told_without_what_may_be_secret() -> None:
    said = redirected(301, "https://u:p@other.example:8443/hook/tokentoken?key=1#x", "https://crm.example/hook")
    assert said.outcome is Outcome.POSTPONED
    assert said.words == (
        "redirects are not followed: 301 to https://other.example:8443; correct the url of this webhook"
    )


@pytest.mark.parametrize("location", ["/elsewhere?key=1", "https://crm.example/hook/", "", "http://[", "//:99999"])
def test_a_redirect_to_the_same_host_says_so(location: str) -> None:
    said = redirected(308, location, "https://crm.example/hook")
    assert said.words == "redirects are not followed: 308 to another path there; correct the url of this webhook"


def test_the_origin_of_an_ipv6_address_keeps_its_brackets() -> None:
    assert origin("http://user@[::1]:8080/x?y") == "http://[::1]:8080"


def test_what_did_not_answer_is_tried_again() -> None:
    assert unreachable("no\nanswer") == Answer(Outcome.POSTPONED, "no answer")
    assert not unreachable("no answer").reached
