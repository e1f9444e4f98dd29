"""Webhooks at work for tests: a store with calls and messages, real receivers, and a clock that is moved."""

import asyncio
import contextlib
import re
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import time_machine
from aiohttp import web
from standardwebhooks import Webhook as Verifier

from service.call import Call, Integration, Leg
from service.feed import Feed
from service.metrics import Metrics
from service.model import Envelope, Folder, Mailbox, Message, Record
from service.settings import Secret, Webhook
from service.store import Store, calls, deliveries, journal, mailboxes, webhooks
from service.store.deliveries import Outlook
from service.store.transaction import Transaction
from service.store.webhooks import State
from service.webhook import Deliverer, prepare
from service.webhook.sender import Limits

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BOX = Mailbox("default", "100")
INTERNAL = re.compile(r"^\d{2,6}$")
PATIENCE_S = 60.0
QUICK = Limits(connect_s=PATIENCE_S, total_s=PATIENCE_S)
"""Nothing is cut off unless a test wants that."""

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Clock:
    """Epoch seconds, moved by tests alone."""

    now: float = field(default_factory=lambda: float(int(time.time())))

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Hit:
    """One request as it came, when its signature was right at that moment."""

    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def what(self) -> tuple[str, str]:
        return self.body["type"], self.body["data"]["uuid"]


def saying(status: int, text: str = "", **headers: str) -> Answering:
    """An answer."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


async def hanging(_request: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


async def hanging_up(request: web.Request) -> web.StreamResponse:
    """Closes the connection within the head of its answer."""
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    request.transport.close()
    return web.Response(status=500)


async def breaking_off(request: web.Request) -> web.StreamResponse:
    """Answers 200 and closes the connection within the body."""
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(b"tha")
    assert request.transport is not None
    request.transport.close()
    return answer


@dataclass
class Receiver:
    """An endpoint. It gives its `answers` one after the other, and then `usually`."""

    clock: Clock
    url: str = ""
    usually: Answering = field(default_factory=lambda: saying(204))
    answers: deque[Answering] = field(default_factory=deque)
    hits: list[Hit] = field(default_factory=list)
    accepted: list[tuple[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        sent = float(headers["webhook-timestamp"])
        assert sent <= self.clock.now  # time may have been moved while it was on its way
        with time_machine.travel(sent, tick=False):
            Verifier(SECRET).verify(content, headers)
        hit = Hit(headers, orjson.loads(content))
        self.hits.append(hit)
        self._at_once += 1
        self.most_at_once = max(self._at_once, self.most_at_once)
        try:
            answer = await (self.answers.popleft() if self.answers else self.usually)(request)
            if answer.status < 300:
                self.accepted.append(hit.what)
            return answer
        finally:
            self._at_once -= 1

    @property
    def told(self) -> list[tuple[str, str]]:
        """Type and uuid of everything that came, in order; `accepted` is the part that was answered well."""
        return [hit.what for hit in self.hits]

    async def got(self, count: int) -> None:
        """Wait until so many requests came."""
        await until(lambda: len(self.hits) >= count)
        assert len(self.hits) == count


@contextlib.asynccontextmanager
async def receiver(clock: Clock, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """One that listens on a free port of this machine, and ends what hangs with the block."""
    made = Receiver(clock)
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield made
    finally:
        await runner.cleanup()


def endpoint(name: str, url: str, **more: Any) -> Webhook:
    """A `[[webhook]]` on the own network."""
    return replace(Webhook(name=name, url=url, secret=Secret(SECRET), allow_private=True), **more)


async def until(condition: Callable[[], object]) -> None:
    """Wait until this holds. It is of another task, and often of the database: there is nothing else to wait on."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


def leg(number: int, sequence: int = 1, *, seconds: int = 10, disposition: str = "ANSWERED") -> Leg:
    """A leg of a call, which its number tells from others."""
    start = 1_795_000_000 + number
    end = start + seconds
    return Leg(
        uniqueid=f"{start}.{number}",
        linkedid=f"{start}.{number}",
        sequence=sequence,
        channel=f"PJSIP/trunk-{number:08x}",
        dstchannel=f"PJSIP/100-{sequence:08x}",
        src="998901234567",
        dst="100",
        dcontext="default",
        clid="",
        lastapp="Dial",
        lastdata="",
        accountcode="",
        userfield="",
        did="",
        outbound_cnum="",
        recordingfile="",
        start=start,
        answer=start,
        end=end,
        duration=seconds,
        billsec=seconds,
        disposition=disposition,
        wall=f"{start}|{start}|{end}",
    )


def ring(tx: Transaction, *numbers: int) -> None:
    """Record a call of one leg for each number."""
    calls.record(tx, [leg(number) for number in numbers], INTERNAL)


def go_on(tx: Transaction, number: int, sequence: int = 2) -> None:
    """Record a later leg of a call."""
    calls.record(tx, [leg(number, sequence, seconds=10 * sequence)], INTERNAL)


def leave(tx: Transaction, number: int, what: str = "new") -> None:
    """Write a record of a message."""
    given = Envelope(f"m{number}", number, 1, "Jane", "15551234567")
    message = Message(number, f"message {number}", tx.pbx, BOX, given.msg_id, Folder.INBOX, 0, given, None, None)
    journal.append(tx, f"message.{what}", BOX, message)


def render(record: Record) -> dict[str, Any]:
    """Enough to tell one from another."""
    assert isinstance(record.state, Call | Message)
    return {"uuid": record.state.uuid, "id": record.state.id, "seq": record.seq}


@dataclass
class World:
    """A store with its feed, and what delivers out of it."""

    store: Store
    feed: Feed
    clock: Clock
    metrics: Metrics
    configured: Sequence[Webhook]
    limits: Limits
    deliverer: Deliverer

    async def happen(self, what: Callable[..., object], *arguments: Any) -> None:
        """Have something written as the daemon writes it."""
        await self.store.write(lambda tx: what(tx, *arguments))

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now += seconds
        self.deliverer.wake()

    async def outlook(self, name: str) -> Outlook:
        now_ms = int(self.clock.now * 1000)
        return await self.store.read(lambda conn: deliveries.outlook(conn, name, 0, now_ms, 1000, tried=False))

    async def state(self, name: str) -> State:
        states = await self.store.read(webhooks.list_all)
        return next(state for state in states if state.name == name)

    async def integration(self, number: int, name: str) -> Integration:
        """What a call says of having been told."""
        (call,) = [call for call in await self.calls() if call.start == leg(number).start]
        return next(one for one in call.integration if one.name == name)

    async def uuid(self, number: int) -> str:
        return next(call.uuid for call in await self.calls() if call.start == leg(number).start)

    async def calls(self) -> Sequence[Call]:
        return await self.store.read(lambda conn: calls.load(conn, list(range(1, 1000)), legs=False))

    async def told(self, number: int, name: str, status: str) -> Integration:
        """Wait until a call says that about an endpoint."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await self.integration(number, name)
                if found.status == status:
                    return found
                await asyncio.sleep(0.002)

    async def settled(self, name: str, *, pending: int, failed: int = 0) -> State:
        """Wait until so many deliveries are left."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                state = await self.state(name)
                if (state.pending, state.failed, state.behind) == (pending, failed, 0):
                    return state
                await asyncio.sleep(0.002)

    @property
    def counted(self) -> int:
        """How many tries have come to their end, and were written down."""
        (family,) = self.metrics.webhook_deliveries.collect()
        return int(sum(sample.value for sample in family.samples if sample.name.endswith("_total")))

    async def down(self, name: str, receiver: Receiver) -> None:
        """Wait until an endpoint is taken to be down, and nothing is on its way to it."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.state(name)).down_ms is None or self.counted != len(receiver.hits):
                await asyncio.sleep(0.002)

    async def tried(self, name: str, tries: int) -> Outlook:
        """Wait until the one delivery there is was tried so often and waits; gives what is to come."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                outlook = await self.outlook(name)
                if not outlook.due and await self.store.read(lambda conn: count(conn, name)) == tries:
                    return outlook
                await asyncio.sleep(0.002)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver while the block runs."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.deliverer.run())
            try:
                yield
            finally:
                task.cancel()


def count(conn: Any, name: str) -> int:
    """How often the deliveries of a webhook were tried, all together."""
    (tries,) = conn.execute("SELECT coalesce(sum(tries), 0) FROM delivery WHERE webhook = ?", (name,)).fetchone()
    return int(tries)


@contextlib.asynccontextmanager
async def world(
    folder: Path, clock: Clock, *configured: Webhook, limits: Limits = QUICK, **more: Any
) -> AsyncIterator[World]:
    """A daemon's part of it, on a database in this folder that may be there already; it does not deliver yet."""
    async with Store.open(folder / "voicemaild.db", pbx="pbx1") as store:
        feed = Feed(*await store.read(mailboxes.snapshot))
        store.on_commit(feed.publish)
        await prepare(store, configured, clock=clock)
        metrics = Metrics()
        deliverer = Deliverer(
            store, feed, configured, render, metrics, clock=clock, jitter=lambda _low, _high: 1.0, limits=limits, **more
        )
        yield World(store, feed, clock, metrics, configured, limits, deliverer)
