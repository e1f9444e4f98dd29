"""A house with two tenants who have the same extension, `100`, and everything a daemon knows of each of them.

Whatever is known of one of them is unlike anything known of the other, so that it shows where it does not belong.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from service.model import Mailbox, Scope
from service.settings import Secret, Settings, Webhook
from service.simulator.boxes import Box
from service.simulator.exchange import Delays
from service.simulator.pbx import Simulator
from service.store import mailboxes
from service.store.commands import changing
from tests.house import Frame, House, Socket, living, new_token, settings_for, visiting
from tests.ports import free_port

SOON = Delays(mwi=0.001, cdr=0.001, boot=0.001)


@dataclass(frozen=True)
class Tenant:
    """Whose context it is, who calls there, and all that is said of its box."""

    context: str
    caller: str
    caller_name: str
    owner: str
    email: str
    phone: str
    customer: str
    pin: str
    seconds: int

    @property
    def box(self) -> Mailbox:
        return Mailbox(self.context, "100")

    @property
    def name(self) -> str:
        return str(self.box)

    @property
    def caller_id(self) -> str:
        return f'"{self.caller_name}" <{self.caller}>'

    def of_pbx(self) -> Box:
        """Its box as voicemail.conf has it."""
        return Box(self.box, self.owner, self.email, pin=self.pin)


MINE = Tenant(
    *("default", "+998901110011", "Mina Mine", "Owner Mine", "mine@example.com"),
    *("+998711110011", "customer-mine", "2718012718", 2),
)
THEIRS = Tenant(
    *("other", "+998907770077", "Theo Theirs", "Owner Theirs", "theirs@example.org"),
    *("+998717770077", "customer-theirs", "3141073141", 3),
)
NOBODY = Mailbox("nowhere", "100")
"""A mailbox there is not."""


@dataclass(frozen=True)
class Things:
    """What a tenant has, each as an address names it: what a path may hold, and what no other's answer may."""

    box: str
    box_uuid: str
    message: str
    message_id: int
    deleted: str
    slot: str
    secret: str
    call_id: int
    phone: str
    pin: str
    caller: str
    texts: frozenset[str] = field(default=frozenset(), repr=False)
    sound: bytes = field(default=b"", repr=False)


@dataclass
class Hook:
    """An endpoint of ours that a webhook delivers to; it keeps what it was told."""

    port: int
    bodies: list[Any] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(orjson.loads(await request.read()))
        return web.Response(text="ok")


@contextlib.asynccontextmanager
async def hooked() -> AsyncIterator[Hook]:
    hook = Hook(free_port())
    app = web.Application()
    app.router.add_post("/hook", hook.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", hook.port).start()
        yield hook
    finally:
        await runner.cleanup()


@dataclass
class Street:
    """The PBX of both tenants, the daemon beside it, and who sees everything; `tokens` by their scope and boxes."""

    pbx: Simulator
    house: House
    hook: Hook
    tokens: Mapping[tuple[Scope, tuple[Mailbox, ...]], str]

    @property
    def settings(self) -> Settings:
        return self.house.settings

    def token(self, scope: Scope, *boxes: Mailbox) -> str:
        """The token of this scope that is limited to these boxes, if any are named."""
        return self.tokens[scope, boxes]

    async def leave(self, tenant: Tenant) -> None:
        """Somebody calls, leaves a message, and calls again and talks; until all of it is known."""
        async with self.house.ws() as (socket, _hello):
            await socket.ws.send_json({"type": "subscribe", "events": ["message", "call"]})
            left = await self.pbx.leave(tenant.name, tenant.caller_id, tenant.seconds)
            assert left is not None
            await socket.until(lambda frame: frame["type"] == "message.new")
            self.pbx.call(tenant.caller_id, "100", seconds=tenant.seconds, context=tenant.context)
            await talked(socket)

    def count_from(self, number: int) -> None:
        """Number messages and calls from here on, so that what comes has numbers that are found in any answer."""
        with changing(self.settings.store.path, self.settings.pbx.name) as tx:
            tx.conn.execute("UPDATE sqlite_sequence SET seq = ? WHERE name IN ('message', 'call')", (number,))

    async def make(self, tenant: Tenant) -> Things:
        """Give a tenant one of everything: a message, a deleted one, a slot, calls, a phone number."""
        if tenant is THEIRS:
            self.count_from(880_088_000)
        for _ in range(2):
            await self.leave(tenant)
        token = self.token(Scope.WRITE, tenant.box)
        async with visiting(self.settings, token) as own:
            await quiet(own, calls=4)
            deleted, kept = [row["id"] for row in (await own.get("/v1/voicemail/message"))["data"]]
            async with own.http.delete(f"{own.url}/v1/voicemail/message/{deleted}") as answer:
                assert answer.status == 200, await answer.text()
            slot = await post(own, "/accounts/me/voicemails", {"sip_from": "sip:a@b", "content_type": "audio/wav"})
            message = next(row for row in await own.messages() if kept in row["recorded_file_url"])
            call = (await own.get("/call-history?sort=-id"))["data"][0]
            async with own.http.get(message["recorded_file_url"]) as answer:
                sound = await answer.read()
        with changing(self.settings.store.path, self.settings.pbx.name) as tx:
            mailboxes.set_fields(tx, tenant.box, phone=tenant.phone, customer=tenant.customer)
            box_uuid = mailboxes.box(tx.conn, tenant.box).uuid
        return Things(
            box=tenant.name,
            box_uuid=box_uuid,
            message=kept,
            message_id=message["id"],
            deleted=deleted,
            slot=slot["id"],
            secret=slot["upload_url"].rpartition("/")[2],
            call_id=call["id"],
            phone=tenant.phone,
            pin=tenant.pin,
            caller=tenant.caller,
            texts=frozenset(
                (
                    *(tenant.name, tenant.caller, tenant.caller_name, tenant.owner, tenant.email, tenant.phone),
                    *(tenant.customer, tenant.pin, box_uuid, kept, deleted, slot["id"], call["call_id"]),
                    *(str(message["id"]), str(call["id"])) * (tenant is THEIRS),
                    *(box_uuid.replace("-", "")[:24], kept.replace("-", "")[:24], tenant.caller.lstrip("+")),
                )
            ),
            sound=sound,
        )


@contextlib.asynccontextmanager
async def street(path: Path) -> AsyncIterator[Street]:
    """Both tenants' boxes on one PBX, and a daemon that may do all a daemon may; nothing has happened yet."""
    (path / "etc").mkdir()
    boxes = [MINE.of_pbx(), THEIRS.of_pbx()]
    recordings = path / "monitor"
    simulator = Simulator(path / "spool", boxes=boxes, delays=SOON, etc=path / "etc", recordings=recordings)
    async with hooked() as hook, simulator as pbx:
        webhook = Webhook(
            name="crm",
            url=f"http://127.0.0.1:{hook.port}/hook",
            allow_private=True,
            secret=Secret("whsec_" + "Zm9v" * 8),
        )
        plain = settings_for(
            path,
            pbx,
            pbx={"provision": True, "config": str(path / "etc")},
            cdr={"recordings": str(recordings)},
        )
        settings = replace(plain, webhook=(webhook,))
        tokens = {
            (scope, limit): new_token(settings, f"{scope.value}-{where}", scope, frozenset(limit) or None)
            for scope in Scope
            for where, limit in enumerate(((), (MINE.box,), (THEIRS.box,)))
        }
        async with living(settings) as house:
            await house.until_ready()
            await boxes_known(house, len(boxes))
            yield Street(pbx, house, hook, tokens)


async def quiet(house: House, calls: int) -> None:
    """Until nothing more comes of what happened: every call is told, and delivered, and every message is measured."""
    async with asyncio.timeout(60):
        while not (await calls_told(house, calls) and await messages_measured(house)):
            await asyncio.sleep(0.01)  # there is no word for it


async def calls_told(house: House, count: int) -> bool:
    rows = (await house.get("/call-history?per_page=300"))["data"]
    return len(rows) == count and all(one["status"] == "synced" for row in rows for one in row["integration"])


async def messages_measured(house: House) -> bool:
    events = (await house.get("/events?since=0&limit=1000"))["events"]
    latest = {event["message"]["uuid"]: event["message"]["audio"] for event in events if "message" in event}
    return all(audio["peak_dbfs"] is not None for audio in latest.values())


async def boxes_known(house: House, count: int) -> None:
    """Until the daemon, whose state is new, was told the boxes of its PBX."""
    async with asyncio.timeout(60):
        while (await house.get("/v1/voicemail"))["total"] < count:
            await asyncio.sleep(0.01)  # it asks after its login, and nobody is told that it did


async def talked(socket: Socket) -> Frame:
    """Until an answered call is told."""
    return await socket.until(
        lambda frame: frame["type"] == "call.new" and frame["call"]["status"]["name"] == "Answered"
    )


async def post(house: House, path: str, body: Any) -> Any:
    async with house.http.post(house.url + path, json=body) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.json()
