"""The answers that several requests share, each got from the service."""

import functools
from http import HTTPStatus
from pathlib import Path

import pytest

from service.api.auth import Rates
from service.api.laravel import envelope
from service.api.operation import FAILURES, LARAVEL
from service.api.operations import OPERATIONS
from service.api.wire import Failure
from service.errors import ConflictError, UnavailableError
from service.settings import Limits
from tests.api.described import DOCUMENT, assert_described, operations, problems
from tests.api.site import Site, running
from tests.api.test_message_voice import FailingPbx

USED = sorted({(operation.dialect.name, code) for operation in OPERATIONS for code in operation.failures})
DIALECTS = {operation.dialect.name: operation.dialect for operation in OPERATIONS}


@pytest.mark.parametrize(("dialect", "code"), USED)
def test_every_shared_failure_has_a_valid_example_and_is_shared(dialect: str, code: int) -> None:
    assert code == HTTPStatus(code)
    name = f"{dialect}{FAILURES[code].name}"
    [content] = DOCUMENT["components"]["responses"][name]["content"].values()
    assert content["schema"] == {"$ref": f"#/components/schemas/{DIALECTS[dialect].model.__name__}"}
    assert problems(DIALECTS[dialect].model.__name__, content["example"]) == []
    reference = {"$ref": f"#/components/responses/{name}"}
    assert [path for _, path, operation in operations() if operation["responses"].get(str(code)) == reference]


def test_no_component_is_left_over_and_no_failure() -> None:
    assert len(DOCUMENT["components"]["responses"]) == len(USED)
    assert {code for _, code in USED} == set(FAILURES)


@pytest.mark.parametrize("code", [401, 422])
def test_the_examples_of_documents_000_and_001_are_in_their_envelope(code: int) -> None:
    failed = FAILURES[code]
    written = LARAVEL.written(code, failed.message, failed.errors)
    assert written == envelope(Failure(code, failed.message, {}, failed.errors))


@pytest.mark.parametrize(
    ("error", "code"), [(UnavailableError("the PBX cannot be reached"), 503), (ConflictError("it stays"), 409)]
)
async def test_a_pbx_in_trouble(tmp_path: Path, error: UnavailableError | ConflictError, code: int) -> None:
    pbx = FailingPbx(error)
    async with running(tmp_path, pbx=pbx) as site:
        pbx.site = site
        message = await site.leave()
        answer = await site.ask(f"/message-voice/{message.id}/mark-as-a-read", "writer", "POST")
        assert answer.status == code
        assert_described("POST", "/message-voice/{id}/mark-as-a-read", answer)


async def test_a_token_that_asks_too_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.app.Rates", functools.partial(Rates, clock=lambda: 0.0))  # all within a moment
    async with running(tmp_path, limits=Limits(requests_per_second=1)) as site:
        answers = [await site.ask("/message-voice/unread-count") for _ in range(9)]
        assert answers[-1].status == 429
        assert_described("GET", "/message-voice/unread-count", answers[-1])


async def test_a_websocket_that_is_none_or_of_a_strange_page(site: Site) -> None:
    for code, headers in ((426, {}), (403, {"Origin": "https://elsewhere.example"})):
        answer = await site.ask("/ws", headers=headers)
        assert answer.status == code
        assert_described("GET", "/ws", answer)
    answer = await site.ask("/ws", headers={"Sec-WebSocket-Protocol": "voicemaild.v2"})
    assert answer.status == 400
    assert_described("GET", "/ws", answer)
