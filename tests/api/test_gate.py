"""Who may come in: 401 without a good token, 403 without the scope, 429 too often."""

import functools
from pathlib import Path

import pytest

from service.api.auth import Rates
from service.model import Principal, Scope
from service.settings import Limits
from service.store.tokens import digest
from tests.api.site import Site, running

READING = (
    "/message-voice",
    "/message-voice/unread-count",
    "/api/v1/message-voice",
    "/api/v1/message-voice/unread-count",
)
MARKING = (
    "/message-voice/1/mark-as-a-read",
    "/message-voice/mark-all-as-read",
    "/api/v1/message-voice/mark-all-as-read",
)


@pytest.mark.parametrize(
    ("method", "path"), [*(("GET", path) for path in READING), *(("POST", path) for path in MARKING)]
)
async def test_without_a_good_token_it_is_401(site: Site, method: str, path: str) -> None:
    for token in (None, "wrong", "Reader", ""):
        answer = await site.ask(path, token, method)
        assert (answer.status, answer.json["code"]) == (401, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", MARKING)
async def test_marking_with_a_reading_token_is_403(site: Site, path: str) -> None:
    assert (await site.ask(path, "reader", "POST")).status == 403


async def test_a_higher_scope_includes_the_lower(site: Site) -> None:
    site.tokens.replace({digest("root"): Principal("root", Scope.ADMIN, None)})
    assert (await site.ask("/message-voice", "root")).status == 200
    assert (await site.ask("/message-voice/mark-all-as-read", "root", "POST")).status == 200


async def test_a_token_that_is_revoked_is_dead_at_once(site: Site) -> None:
    assert (await site.ask("/message-voice")).status == 200
    site.tokens.replace({})
    assert (await site.ask("/message-voice")).status == 401


async def test_too_many_requests_with_one_token_are_429(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.app.Rates", functools.partial(Rates, clock=lambda: 0.0))  # all within a moment
    async with running(tmp_path, limits=Limits(requests_per_second=1)) as site:
        answers = [await site.ask("/message-voice/unread-count") for _ in range(10)]
        assert [answer.status for answer in answers] == [200] * 3 + [429] * 7
        refused = answers[-1]
        assert (refused.status, refused.headers["Retry-After"], refused.json["code"]) == (429, "1", 429)
        assert (await site.ask("/message-voice/unread-count", "writer")).status == 200
