"""The boxes of document 002, as they are described and as they are answered."""

import pytest

from service.api.slices import LIMIT, MOST
from tests.api.described import assert_described, operation, problems
from tests.api.site import Site

BODY = {"extension": "101", "password": "1234", "enabled": True, "mail_to": "a@example.com", "description": "A b"}


async def test_what_is_answered_is_described(site: Site) -> None:
    await site.leave()
    for method, path, concrete in (
        ("GET", "/v1/voicemail", "/v1/voicemail"),
        ("GET", "/v1/voicemail", "/v1/voicemail?limit=0"),
        ("GET", "/v1/voicemail/{ref}", "/v1/voicemail/100"),
        ("GET", "/v1/voicemail/{ref}", "/v1/voicemail/999"),
        ("POST", "/v1/voicemail", "/v1/voicemail"),
        ("PUT", "/v1/voicemail/{ref}", "/v1/voicemail/100"),
        ("DELETE", "/v1/voicemail/{ref}", "/v1/voicemail/100"),
    ):
        assert_described(method, path, await site.ask(concrete, "admin", method))


def test_the_bounds_of_a_list_are_its_own() -> None:
    told = {one["name"]: one["schema"] for one in operation("GET", "/v1/voicemail")["parameters"]}
    assert (told["limit"]["default"], told["limit"]["maximum"]) == (LIMIT, MOST)


@pytest.mark.parametrize(
    ("change", "right"),
    [
        ({}, True),
        ({"extension": "101@tenant"}, True),
        ({"description": "", "mail_to": ""}, True),
        ({"extension": "-1"}, False),
        ({"password": "123"}, False),
        ({"password": "a1234"}, False),
        ({"mail_to": "a,b@example.com"}, False),
        ({"description": "a,b"}, False),
        ({"description": " a"}, False),
        ({"enabled": 1}, False),
        ({"color": "red"}, False),
    ],
)
def test_a_body_that_is_described_is_one_that_is_taken(change: dict[str, object], right: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    assert (problems("VoicemailBoxWanted", BODY | change) == []) is right


def test_what_is_required_is_required() -> None:
    for name in ("extension", "password", "enabled"):
        assert problems("VoicemailBoxWanted", {key: value for key, value in BODY.items() if key != name}) != []
    assert problems("VoicemailBoxChange", {"password": "1234", "enabled": False}) == []
