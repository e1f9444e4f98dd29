"""A client that knows a vendor's document and nothing else, and the daemon it meets: whole, beside a simulated PBX."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from service.model import Mailbox, Scope
from service.settings import Secret, Webhook
from service.simulator.boxes import Box
from service.simulator.pbx import Simulator
from service.store import mailboxes
from service.store.commands import changing
from tests.house import House, living, new_token, settings_for
from tests.ports import free_port
from tests.tenants import SOON, boxes_known


@dataclass(frozen=True)
class Client:
    """Asks as its document says. Without a `token` it sends none."""

    base_url: str
    http: aiohttp.ClientSession
    token: str | None = None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send a request, its path or whole address as it is written here; gives the status and the JSON."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        url = URL(path if path.startswith("http") else self.base_url + path, encoded=True)
        async with self.http.request(method, url, headers=sent, json=body, data=raw) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str) -> Any:
        """What is answered to a GET that succeeds."""
        status, told = await self.ask("GET", path)
        assert status == 200, told
        return told

    async def sound(self, link: str) -> tuple[int, str, bytes]:
        """What an `<audio>` tag gets, which sends no token: status, content type, content."""
        async with self.http.get(URL(link, encoded=True)) as answer:
            return answer.status, answer.content_type, await answer.read()


@dataclass(frozen=True)
class Place:
    """The PBX, the daemon, a client with a token that may do everything, and one that may only read."""

    pbx: Simulator
    house: House
    client: Client
    reader: Client

    @property
    def stranger(self) -> Client:
        """A client without a token."""
        return Client(self.client.base_url, self.client.http)

    async def left(self, mailbox: str, caller_id: str, seconds: float, **more: Any) -> None:
        """Somebody leaves a message; until it is known."""
        async with self.house.ws() as (socket, _hello):
            assert await self.pbx.leave(mailbox, caller_id, seconds, **more) is not None
            await socket.until(lambda frame: frame["type"] == "message.new")

    async def called(self, *caller_and_destination: str, **more: Any) -> int:
        """Somebody makes a call; until it is known. Gives when it began, in epoch seconds."""
        async with self.house.ws() as (socket, _hello):
            await socket.ws.send_json({"type": "subscribe", "events": ["call"]})
            uniqueid = self.pbx.call(*caller_and_destination, **more)
            await socket.until(lambda frame: frame["type"] == "call.new")
        return int(uniqueid.partition(".")[0])

    def own(self, mailbox: str, phone: str, customer: str = "") -> None:
        """What `mailbox set` does."""
        with changing(self.house.settings.store.path, self.house.settings.pbx.name) as tx:
            mailboxes.set_fields(tx, Mailbox.parse(mailbox), phone=phone, customer=customer)


@contextlib.asynccontextmanager
async def opened(path: Path, boxes: Sequence[Box], webhook: str = "", **pbx_settings: Any) -> AsyncIterator[Place]:
    """A PBX with these boxes and a daemon that may change them; a `webhook` of this name takes what it is told."""
    (path / "etc").mkdir()
    recordings = path / "monitor"
    simulator = Simulator(path / "spool", boxes=boxes, delays=SOON, etc=path / "etc", recordings=recordings)
    async with contextlib.AsyncExitStack() as stack:
        pbx = await stack.enter_async_context(simulator)
        given = {"provision": True, "config": str(path / "etc"), **pbx_settings}
        settings = settings_for(path, pbx, pbx=given, cdr={"recordings": str(recordings)})
        if webhook:
            url = await stack.enter_async_context(taking())
            hook = Webhook(name=webhook, url=url, allow_private=True, secret=Secret(SECRET))
            settings = replace(settings, webhook=(hook,))
        token, reader = (new_token(settings, scope.value, scope) for scope in (Scope.ADMIN, Scope.READ))
        house = await stack.enter_async_context(living(settings, token))
        await house.until_ready()
        await boxes_known(house, len(boxes))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Place(pbx, house, Client(house.url, http, token), Client(house.url, http, reader))


SECRET = "whsec_" + "Zm9vYmFy" * 4


@contextlib.asynccontextmanager
async def taking() -> AsyncIterator[str]:
    """The address of an endpoint that takes everything."""

    async def take(_request: web.Request) -> web.Response:
        return web.Response()

    app, port = web.Application(), free_port()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}/"
    finally:
        await runner.cleanup()
