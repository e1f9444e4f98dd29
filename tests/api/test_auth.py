"""Tokens in memory, bearer headers, and how often a token may come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.auth import Rates, Tokens, bearer
from service.model import Principal, Scope
from service.store.tokens import digest

ANN = Principal("ann", Scope.READ, None)


def test_a_token_is_known_by_its_digest() -> None:
    tokens = Tokens({digest("vmd_secret"): ANN})
    assert tokens.principal("vmd_secret") == ANN
    assert tokens.principal("vmd_other") is None


def test_a_token_that_was_replaced_opens_nothing_any_more() -> None:
    tokens = Tokens({digest("vmd_secret"): ANN})
    tokens.replace({digest("vmd_new"): ANN})
    assert tokens.principal("vmd_secret") is None
    assert tokens.principal("vmd_new") == ANN


@given(st.text(st.characters()))
def test_no_text_breaks_the_door(text: str) -> None:
    assert Tokens({digest("vmd_secret"): ANN}).principal(text) in (None, ANN)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
    ],
)
def test_the_token_of_a_header(header: str, token: str | None) -> None:
    assert bearer(header) == token


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_lets_a_burst_through_and_then_its_own_pace() -> None:
    clock = Clock()
    rates = Rates(2, clock=clock)
    assert [rates.wait("ann") for _ in range(7)] == [0, 0, 0, 0, 0, 0, 1]
    assert rates.wait("bob") == 0
    clock.now = 0.5
    assert [rates.wait("ann") for _ in range(2)] == [0, 1]
    clock.now = 1000.0
    assert [rates.wait("ann") for _ in range(7)] == [0, 0, 0, 0, 0, 0, 1]


def test_no_rate_is_no_limit() -> None:
    rates = Rates(0)
    assert not any(rates.wait("ann") for _ in range(1000))
