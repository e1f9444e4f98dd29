"""Who takes part in a call."""

from dataclasses import replace

import pytest

from service.call import Call, Party
from tests.calls import call, leg, party


def boxes(told: Call) -> list[str]:
    """Those of some mailboxes of two tenants that take part."""
    names = ("100@default", "101@default", "100@sales", "5551234@default")
    return [name for name in names if told.takes_part(*reversed(name.split("@")))]


def test_an_extension_takes_part_as_either_end_or_by_its_phone() -> None:
    assert boxes(call(1, "100", party("100"), party("101"), dst="101")) == ["100@default", "101@default"]
    assert boxes(call(1, "998901234567", party("101"), dst="600")) == ["101@default"]
    assert boxes(call(1, "998901234567", party("600"), dst="600")) == []


@pytest.mark.parametrize(
    ("contexts", "known", "expected"),
    [
        (("default",), ("default", "sales"), ["100@default"]),
        (("sales",), ("default", "sales"), ["100@sales"]),
        (("from-internal",), ("default", "sales"), []),
        (("from-internal",), ("default",), ["100@default"]),
        (("sales", "default"), ("default", "sales"), ["100@default", "100@sales"]),
    ],
)
def test_of_two_tenants_with_one_extension_that_one_takes_part_whose_context_tells_so(
    contexts: tuple[str, ...], known: tuple[str, ...], expected: list[str]
) -> None:
    assert boxes(call(1, "998901234567", party("100", *contexts, known=known), dst="100")) == expected


def test_of_two_tenants_with_one_number_that_looks_like_an_outside_one_the_context_tells_too() -> None:
    known = ("default", "sales")
    told = call(1, "5551234", party("101"), dst="101")
    assert boxes(replace(told, outlying=(party("5551234", "default", known=known),))) == [
        "101@default",
        "5551234@default",
    ]
    assert boxes(replace(told, outlying=(Party("5551234", (), known),))) == ["101@default"]


def test_the_mailbox_of_a_voicemail_takes_part_and_no_other_of_its_extension() -> None:
    told = call(1, "998901234567", party("100", "pstn", known=("default", "sales")), dst="100", left="100@sales")
    assert boxes(told) == ["100@sales"]


def test_an_extension_that_looks_like_an_outside_number_is_known_by_its_number() -> None:
    assert boxes(call(1, "5551234", party("101"), dst="101")) == ["101@default", "5551234@default"]
    assert boxes(call(1, "100", party("100"), dst="5551234")) == ["100@default", "5551234@default"]


def test_whoever_takes_part_is_one_of_its_extensions() -> None:
    told = call(1, "", party("101"), dst="600", left="5551234@default")
    assert told.extensions == {"", "600", "101", "5551234"}


@pytest.mark.parametrize(
    ("dstchannel", "lastapp", "expected"),
    [("", "VoiceMail", (False, True)), ("PJSIP/100-1", "Dial", (True, False)), ("", "voicemail", (False, True))],
)
def test_a_leg_tells_whether_it_rang_somebody_or_ended_in_a_mailbox(
    dstchannel: str, lastapp: str, expected: tuple[bool, bool]
) -> None:
    told = leg(dstchannel=dstchannel, lastapp=lastapp)
    assert (told.dialled, told.voicemail) == expected
