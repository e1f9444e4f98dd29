import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInputError
from service.phones import e164, shown


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("+4571919998", ""),
        ("+45 71 91 99 98", ""),
        ("+45 (71) 91-99-98", "UZ"),
        ("004571919998", ""),
        ("4571919998", ""),
        ("71919998", "DK"),
        ("71 91 99 98", "DK"),
        ("+45.71919998", ""),
        ("+45\N{NO-BREAK SPACE}71919998", ""),
    ],
)
def test_a_number_is_found_in_any_usual_spelling(text: str, country: str) -> None:
    assert e164(text, country) == "+4571919998"


@pytest.mark.parametrize(
    "text", ["", "+", "100", "+0123456789", "abc", "+45719199981234567", "+4571 91 99 98x", "1" * 41]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        e164(text)


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("+998901234567", "", "+998901234567"),
        ("901234567", "UZ", "+998901234567"),
        ("901234567", "", "901234567"),
        ("100", "UZ", "100"),
        ("", "UZ", ""),
        ("anonymous", "UZ", "anonymous"),
        ("+1 (202) 555-0143", "", "+12025550143"),
    ],
)
def test_a_number_is_shown_in_e164_where_it_allows_it_and_else_as_it_is(text: str, country: str, expected: str) -> None:
    assert shown(text, country) == expected


@given(st.text(max_size=60), st.sampled_from(["", "UZ", "DK", "US"]))
def test_any_text_is_a_number_or_refused_and_shown_anyhow(text: str, country: str) -> None:
    shown(text, country)
    try:
        number = e164(text, country)
    except InvalidInputError:
        return
    assert number.startswith("+")
    assert number[1:].isdigit()
    assert e164(number) == number
