"""The answers that several requests share, each got from the service."""

from http import HTTPStatus
from pathlib import Path

import pytest

from service.api.operation import FAILURES
from service.config_schema import Limits
from service.errors import ConflictError, UnavailableError
from tests.api.described import DOCUMENT, assert_described, operations, problems
from tests.api.site import Site, running
from tests.api.test_message_voice import FailingPbx


@pytest.mark.parametrize("code", FAILURES)
def test_every_shared_failure_has_a_true_example_and_is_shared(code: int) -> None:
    example = FAILURES[code].example
    assert example["code"] == code == HTTPStatus(code)
    assert problems("Failure", example) == []
    reference = {"$ref": f"#/components/responses/{FAILURES[code].name}"}
    assert [path for _, path, operation in operations() if operation["responses"].get(str(code)) == reference]


def test_no_component_is_left_over() -> None:
    assert len(DOCUMENT["components"]["responses"]) == len(FAILURES)


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


async def test_a_token_that_asks_too_often(tmp_path: Path) -> None:
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
