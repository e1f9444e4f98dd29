"""The description of document 002's messages, held against what the dialect takes and what it knows itself."""

import pytest

from service.api.operation import FAILURES, PLAIN
from service.api.slices import LIMIT, MOST
from service.api.voicemail_message_operations import VOICEMAIL_MESSAGES
from service.api.voicemail_messages import DONE, PATH, envelope
from service.api.wire import Failure
from service.errors import InvalidInputError
from service.model import Mailbox
from tests.api.described import DOCUMENT, operation, problems, servers_of, validator


def test_it_has_no_other_prefix() -> None:
    for one in VOICEMAIL_MESSAGES:
        assert one.path.startswith(PATH)
        assert servers_of(DOCUMENT["paths"][one.path]) == [""]


def test_the_bounds_of_the_list_are_those_that_are_taken() -> None:
    parameters = {one["name"]: one["schema"] for one in operation("get", PATH)["parameters"]}
    assert (parameters["limit"]["default"], parameters["limit"]["maximum"]) == (LIMIT, MOST)
    assert list(parameters) == ["limit", "offset", "extension"]


@pytest.mark.parametrize(
    "mailbox", ["101", "101@default", "a.b-c_d+e@tenant", "", "a b", "101@", "@x", "a@b@c", "..", "x" * 81]
)
def test_an_extension_that_fits_its_schema_is_taken(mailbox: str) -> None:
    schema = next(one["schema"] for one in operation("get", PATH)["parameters"] if one["name"] == "extension")
    fits = validator(schema).is_valid(mailbox)
    try:
        Mailbox.parse(mailbox)
    except InvalidInputError:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize("code", [404, 422])
def test_failures_are_written_as_the_dialect_writes_them(code: int) -> None:
    failed = FAILURES[code]
    written = PLAIN.written(code, failed.message, failed.errors)
    assert written == envelope(Failure(code, failed.message, {}, failed.errors))
    assert problems("Told", written) == problems("Told", DONE) == []


def test_an_outline_that_is_none_does_not_fit_its_schema() -> None:
    assert problems("Outline", {"peaks": [0, 0.5, 1], "duration": 1.5}) == []
    assert problems("Outline", {"peaks": [1.5], "duration": 1.5})
    assert problems("Outline", {"peaks": [0.1] * 801, "duration": 1.5})
