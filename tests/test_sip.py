"""SIP addresses: those of RFC 3261 are ones, and nothing that could do harm elsewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInputError
from service.sip import LONGEST, address_of, caller_of, check_address

OF_THE_RFC = {
    "sip:alice@atlanta.com": "alice",
    "sip:alice:secretword@atlanta.com;transport=tcp": "alice",
    "sips:alice@atlanta.com?subject=project%20x&priority=urgent": "alice",
    "sip:+1-212-555-1212:1234@gateway.com;user=phone": "+12125551212",
    "sips:1212@gateway.com": "1212",
    "sip:alice@192.0.2.4": "alice",
    "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com": "",
    "sip:alice;day=tuesday@atlanta.com": "alice;day=tuesday",
    "sip:%61lice@atlanta.com;transport=TCP": "alice",
    "sip:carol@chicago.com;newparam=5;security=off": "carol",
    "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com": "",
    "sip:+358-555-1234567;postd=pp22@foo.com;user=phone": "+3585551234567",
    "sip:bob@[2001:db8::9:1]:5060": "bob",
    "sip:%2B998901234567@example.uz": "+998901234567",
    "sip:(998)90.123-45-67@example.uz": "998901234567",
    "SIP:100@pbx": "100",
    "sip:*97@pbx1": "*97",
    "sip:j%40s0n@example.com": "j@s0n",
}
"""Its examples (19.1.3 and others) and a few like them, with the caller each shows."""

WRONG = [
    "",
    "alice@atlanta.com",
    "sip:",
    "sip:@atlanta.com",
    "sip:alice@",
    "sip:alice@@atlanta.com",
    "tel:+15551234567",
    "https://atlanta.com",
    "mailto:alice@atlanta.com",
    '"Alice" <sip:alice@atlanta.com>',
    "<sip:alice@atlanta.com>",
    "sip:alice@atlanta.com\n",
    "sip:alice@atlanta.com\r\nX: y",
    "sip:al ice@atlanta.com",
    "sip:alice\0@atlanta.com",
    "sip:alice:\x07@atlanta.com",
    "sip:alice@atlanta.com?subject=\x1b[2J",
    "sip:alice@atlanta.com;<script>",
    "sip:<img src=x>@atlanta.com",
    "sip:alice:p\u202ew@atlanta.com",
    "sip:älice@atlanta.com",
    "sip:alice@atlänta.com",
    "sip:alice@atl_anta.com",
    "sip:alice@-atlanta.com",
    "sip:alice@atlanta-.com",
    "sip:alice@atlanta..com",
    "sip:alice@.com",
    "sip:alice@1.2.3.400",
    "sip:alice@[::1",
    "sip:alice@[12345::]",
    "sip:alice@[::1]x",
    "sip:alice@atlanta.com:",
    "sip:alice@atlanta.com:99999",
    "sip:alice%zz@atlanta.com",
    "sip:alice%4@atlanta.com",
    "sip:alice@atlanta.com;",
    "sip:alice@atlanta.com?",
    "sip:alice@atlanta.com?to",
    f"sip:{'a' * LONGEST}@b",
]


@pytest.mark.parametrize(("address", "caller"), OF_THE_RFC.items())
def test_what_the_standard_calls_an_address_is_one_and_shows_its_caller(address: str, caller: str) -> None:
    check_address(address, "sip_from")
    assert caller_of(address) == caller


@pytest.mark.parametrize("text", WRONG)
def test_what_is_none_is_refused_by_the_fields_name(text: str) -> None:
    with pytest.raises(InvalidInputError, match="the sip_from must be a SIP address") as caught:
        check_address(text, "sip_from")
    assert caught.value.field == "sip_from"


@given(st.text())
def test_no_text_breaks_it_and_what_passes_is_visible_ascii(text: str) -> None:
    address = f"sip:{text}"
    try:
        check_address(address, "x")
    except InvalidInputError:
        return
    assert address.isascii()
    assert address.isprintable()
    assert " " not in address
    assert caller_of(address).isprintable()


@pytest.mark.parametrize(
    "text", ["sip:" + "a:" * 120, "sip:" + "%61" * 80, "sip:a@b" + ";a" * 120, "sip:a@b?" + "a=&" * 80]
)
def test_the_longest_texts_are_refused_without_trying_every_way_to_read_them(text: str) -> None:
    with pytest.raises(InvalidInputError):
        check_address(f"{text[: LONGEST - 1]}\n", "x")


def test_escapes_that_hide_what_cannot_be_shown_show_nobody() -> None:
    assert caller_of("sip:%0d%0aX@atlanta.com") == ""


@pytest.mark.parametrize(
    ("caller", "address"),
    [
        ("998901234567", "sip:998901234567@pbx1"),
        ("+998901234567", "sip:+998901234567@pbx1"),
        ("", "sip:anonymous@pbx1"),
        ("Only Name", "sip:Only%20Name@pbx1"),
        ("a@b <c>", "sip:a%40b%20%3Cc%3E@pbx1"),
        ("Zoë", "sip:Zo%C3%AB@pbx1"),
    ],
)
def test_callers_of_the_pbx_have_addresses_too(caller: str, address: str) -> None:
    assert address_of(caller, "pbx1") == address
    check_address(address, "x")


@given(st.text(max_size=20))
def test_every_caller_has_an_address(caller: str) -> None:
    address = address_of(caller.encode("utf-8", "replace").decode(), "pbx1")
    if len(address) <= LONGEST:
        check_address(address, "x")
