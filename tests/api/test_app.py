"""The whole, as it is put together: every route behind the gate, or known to be open."""

from pathlib import Path

import pytest
from aiohttp import web

from service.api.app import build
from service.api.auth import Tokens
from service.api.hub import Hub
from service.api.links import Signer
from service.errors import UnavailableError
from service.feed import Feed
from service.health import Health
from service.metrics import Metrics
from service.model import Message, Scope
from service.settings import Settings
from service.store import Store
from service.store import tokens as token_rows
from tests.api.site import KEY, Site
from tests.api.test_message_voice import FailingPbx

PAGES = {"/", "/app.js", "/style.css", "/icon.svg", "/docs", "/docs.js", "/openapi.json"}
OPEN = PAGES | {"/healthz", "/readyz", "/metrics"}
OTHERWISE = ("/mvno/", "/accounts/uploads/", "/api/accounts/uploads/")
"""What is let in by a PIN, or by a secret in its path: nothing of this kind is there, or it is wrong."""
IN_PATHS = {"id": "1", "ref": "100", "phone": "+1", "pin": "0", "secret": "x"} | {
    "uuid": "6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11"
}


@pytest.fixture
async def app(tmp_path: Path) -> web.Application:
    async def look_again(_message: Message) -> None: ...

    async with Store.open(tmp_path / "store.db", pbx="pbx1") as store:
        feed, metrics, tokens = Feed(0, {}), Metrics(), Tokens()
        return build(
            Settings(),
            store=store,
            feed=feed,
            hub=Hub(feed, "pbx1", metrics, tokens),
            pbx=FailingPbx(UnavailableError("it is down")),
            look_again=look_again,
            health=Health(),
            metrics=metrics,
            tokens=tokens,
            signer=Signer(KEY),
        )


async def test_every_route_needs_a_token_unless_it_is_known_to_be_open(app: web.Application, site: Site) -> None:
    asked = 0
    for route in app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if path in OPEN:
            continue
        refused = (404, 422) if path.startswith(OTHERWISE) else (401,)
        assert (await site.ask(path.format(**IN_PATHS), None, route.method)).status in refused, path
        asked += 1
    assert asked >= 14


async def test_the_dialect_of_document_000_is_served_under_both_prefixes(app: web.Application) -> None:
    paths = {route.resource.canonical for route in app.router.routes() if route.resource is not None}
    for path in paths:
        if path.startswith("/message-voice"):
            assert f"/api/v1{path}" in paths


async def test_tokens_of_the_store_open_it(site: Site) -> None:
    secret = await site.store.write(lambda tx: token_rows.create(tx.conn, "crm", Scope.READ, None, now=0))
    assert (await site.ask("/message-voice", secret)).status == 401
    rows = await site.store.read(token_rows.list_all)
    site.tokens.replace({row.digest: row.principal for row in rows})
    assert (await site.ask("/message-voice", secret)).status == 200
