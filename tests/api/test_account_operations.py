"""The description of document 003, held against what the dialect takes and what it knows itself."""

import pytest

from service.api.account_operations import ACCOUNT, ACCOUNTS
from service.api.accounts import MOST_LISTED, envelope
from service.api.operation import FAILURES
from service.api.wire import Failure
from service.uploads import CONTENT_TYPES
from tests.api.described import DOCUMENT, operation, problems, servers_of


def test_all_of_it_is_under_api_and_nowhere_else() -> None:
    for one in ACCOUNTS:
        assert servers_of(DOCUMENT["paths"][one.path]) == ["", "/api"]


def test_the_content_types_are_those_that_are_taken() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name in ("SlotWanted", "AccountSlot"):
        assert schemas[name]["properties"]["content_type"]["enum"] == list(CONTENT_TYPES)
    assert str(MOST_LISTED) in schemas["AccountVoicemails"]["description"]


def test_a_token_may_come_in_two_ways_and_an_upload_needs_none() -> None:
    for one in ACCOUNTS:
        security = operation(one.method, one.path)["security"]
        assert [list(way) for way in security] == ([] if "uploads" in one.path else [["bearer"], ["key"]])


def test_an_upload_is_a_form_or_the_file_itself() -> None:
    path = "/accounts/uploads/{secret}"
    bodies = {method: list(operation(method, path)["requestBody"]["content"]) for method in ("post", "put")}
    assert bodies == {"post": ["multipart/form-data"], "put": ["application/octet-stream"]}


@pytest.mark.parametrize("code", [404, 422])
def test_failures_are_written_as_the_dialect_writes_them(code: int) -> None:
    failed = FAILURES[code]
    written = ACCOUNT.written(code, failed.message, failed.errors)
    assert written == envelope(Failure(code, failed.message, {}, failed.errors))
    assert problems("AccountFailure", written) == []


@pytest.mark.parametrize("sip_from", ["alice", "tel:+1", ""])
def test_a_slot_that_is_wanted_wrongly_does_not_fit_its_schema(sip_from: str) -> None:
    right = {"sip_from": "sip:alice@example.com", "content_type": "audio/wav"}
    assert problems("SlotWanted", right) == []
    assert problems("SlotWanted", right | {"sip_from": sip_from})
    assert problems("SlotWanted", right | {"content_type": "audio/mp3"})
