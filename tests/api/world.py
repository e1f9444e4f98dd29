"""A small PBX's worth of websocket: a real store, the feed, and a real server on a free port; plus clients for it."""

import asyncio
import base64
import contextlib
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from service.api.auth import Rates, Tokens
from service.api.edge import Edges
from service.api.events import Events
from service.api.gate import Gate
from service.api.hub import Hub
from service.api.laravel import envelope
from service.api.links import Signer
from service.api.replay import Replay
from service.api.wire import Envelopes, failures_as
from service.call import Call
from service.feed import Feed
from service.metrics import Metrics
from service.model import Counts, Envelope, Folder, Mailbox, Message, Principal, Scope, View
from service.store import Store, journal, mailboxes
from service.store.tokens import digest
from service.store.transaction import Transaction

TOKENS: dict[str, View] = {
    "all": None,
    "limited": frozenset({Mailbox.parse("100"), Mailbox.parse("101")}),
    "other": frozenset({Mailbox.parse("200")}),
}
Frame = dict[str, Any]


def box(name: str) -> Mailbox:
    return Mailbox.parse(name)


def principals(**views: View) -> dict[bytes, Principal]:
    """What lets these tokens in; a token's secret is its name."""
    return {digest(name): Principal(name, Scope.READ, view) for name, view in views.items()}


def message(mailbox: Mailbox, number: int, *, folder: Folder = Folder.INBOX, caller: str = "Ann") -> Message:
    said = Envelope(f"1700000000-{number:08d}", 1700000000 + number, 7, caller, "5551234")
    return Message(number, f"uuid-{number}", "pbx1", mailbox, said.msg_id, folder, 0, said, None, None)


@dataclass
class World:
    """Everything at hand for a test."""

    path: Path
    store: Store
    feed: Feed
    hub: Hub
    tokens: Tokens
    metrics: Metrics
    runner: web.AppRunner
    port: int
    http: aiohttp.ClientSession
    seen: list[int] = field(default_factory=list)

    async def badge(self, name: str, counts: Counts) -> None:
        """Commit a new badge of a mailbox, as the daemon does."""
        await self.store.write(lambda tx: set_badge(tx, box(name), counts))

    async def message(self, name: str, number: int = 1, record_type: str = "message.new", caller: str = "Ann") -> None:
        """Commit a record of a message."""
        state = message(box(name), number, caller=caller)
        await self.store.write(lambda tx: journal.append(tx, record_type, box(name), state))

    async def call(self, told: Call, record_type: str = "call.new") -> None:
        """Commit a record of a call."""
        await self.store.write(lambda tx: journal.append(tx, record_type, None, told))

    @contextlib.asynccontextmanager
    async def ws(
        self, token: str = "all", query: str = "", **headers: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """An open websocket."""
        all_headers = {"Authorization": f"Bearer {token}"} | headers
        async with self.http.ws_connect(f"{self.url}/ws{query}", headers=all_headers) as ws:
            yield ws

    async def refused(self, query: str = "", **headers: str) -> int:
        """The status of a websocket that is refused."""
        try:
            async with self.http.ws_connect(f"{self.url}/ws{query}", headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status

    async def events(self, query: str = "", token: str = "all") -> Any:
        async with self.http.get(f"{self.url}/events{query}", headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connections(self) -> int:
        return int(self.metrics.registry.get_sample_value("voicemaild_ws_connections") or 0)

    def open_sockets(self) -> int:
        assert self.runner.server is not None
        return len(self.runner.server.connections)

    def cut(self) -> int:
        return int(self.metrics.registry.get_sample_value("voicemaild_ws_cut_total") or 0)


def set_badge(tx: Transaction, mailbox: Mailbox, counts: Counts) -> None:
    """What a change of messages comes to for a badge; the messages themselves do not matter here."""
    mailboxes.ensure(tx, mailbox)
    before = tx.conn.execute("SELECT new FROM mailbox WHERE name = ?", (str(mailbox),)).fetchone()[0]
    tx.conn.execute(
        "UPDATE mailbox SET new = ?, old = ?, saved = ?, urgent = ? WHERE name = ?",
        (counts.new, counts.old, counts.saved, counts.urgent, str(mailbox)),
    )
    journal.append(tx, "unread", mailbox, counts, counts.new - before)


async def follow(feed: Feed, store: Store) -> None:
    """What the daemon does about gaps."""
    while True:
        await feed.gap.wait()
        feed.gap.clear()
        while (page := await store.read(lambda conn: journal.replay(conn, None, feed.seq, 100))).records:
            feed.catch_up([record for record, _ in page.records])


@contextlib.asynccontextmanager
async def world(
    path: Path, *, kept: int = 256, origins: tuple[str, ...] = (), public_url: str = "", **hub_options: float
) -> AsyncIterator[World]:
    """Start all of it, on a database that may be there already."""
    metrics = Metrics()
    tokens = Tokens(principals(**TOKENS))
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store.open(path, pbx="pbx1"))
        (_, last), counts = await store.read(lambda conn: (journal.bounds(conn), mailboxes.counts(conn)))
        feed = Feed(last, counts, kept=kept)
        store.on_commit(feed.publish)
        hub = Hub(feed, "pbx1", metrics, tokens, **{"tick": 0.01, "recheck": 0.02} | hub_options)  # type: ignore[arg-type]
        edges = Edges(UTC, public_url, (), Signer(b"k" * 16))
        events = Events(hub, Replay(feed, store), Gate(tokens, Rates(0)), edges, origins)
        app = web.Application(middlewares=[failures_as(Envelopes(envelope))])
        app.add_routes(events.routes())
        app.on_shutdown.append(events.stop)
        runner = web.AppRunner(app, shutdown_timeout=300)  # it is the hub that ends websockets
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = int(runner.addresses[0][1])
        http = await stack.enter_async_context(aiohttp.ClientSession())
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(hub.run()), group.create_task(follow(feed, store))]
            yield World(path, store, feed, hub, tokens, metrics, runner, port, http)
            for task in tasks:
                task.cancel()


async def receive(ws: aiohttp.ClientWebSocketResponse) -> Frame:
    """The next frame; there has to be one."""
    found: Frame = json.loads(await ws.receive_str(timeout=60))
    return found


async def receive_until(ws: aiohttp.ClientWebSocketResponse, seq: int) -> list[Frame]:
    """All frames up to the one that has this position."""
    found = [await receive(ws)]
    while found[-1].get("seq") != seq:
        found.append(await receive(ws))
    return found


class RawClient:
    """A websocket on a bare socket with a small receive buffer, which reads when told to and else does nothing."""

    def __init__(self, port: int, token: str = "all", query: str = "") -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self._socket.connect(("127.0.0.1", port))
        key = base64.b64encode(b"0" * 16).decode()
        self._socket.sendall(
            f"GET /ws{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self._data = b""
        self._texts: deque[Frame] = deque()
        self.upgraded = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, text: str) -> None:
        """Send a short text frame, masked with zeros."""
        payload = text.encode()
        assert len(payload) < 126
        self._socket.sendall(bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload)

    def say_good_bye(self) -> None:
        """Send an empty close frame."""
        self._socket.sendall(bytes((0x88, 0x80, 0, 0, 0, 0)))

    def send_head(self, size: int) -> None:
        """Announce a text frame of so many bytes, without them."""
        self._socket.sendall(bytes((0x81, 0xFE)) + size.to_bytes(2, "big") + bytes(4))

    async def read(self) -> list[tuple[int, bytes]]:
        """Take what there is, waiting for at least something: opcode and payload of each whole frame.

        Raises ConnectionError where the other side ended it.
        """
        self._socket.setblocking(False)
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 65536), 60)
        if not data:
            raise ConnectionResetError
        self._data += data
        if not self.upgraded and b"\r\n\r\n" in self._data:
            self._data = self._data.partition(b"\r\n\r\n")[2]
            self.upgraded = True
        found, self._data = split(self._data) if self.upgraded else ([], self._data)
        return found

    async def text(self) -> Frame:
        """The next text frame."""
        while not self._texts:
            self._texts.extend(json.loads(payload) for opcode, payload in await self.read() if opcode == 1)
        return self._texts.popleft()


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Take whole frames off the front: opcode and payload of each, fragments put together; and what is left."""
    found: list[tuple[int, bytes]] = []
    parts: list[bytes] = []
    rest = data
    for first, payload, after in frames_in(data):
        parts.append(payload)
        opcode = first & 0x0F
        if first & 0x80:
            found.append((opcode or 1, b"".join(parts)))
            parts = []
            rest = after
    return found, rest


def frames_in(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The first byte and the payload of each whole frame, and what comes after it (RFC 6455, 5.2)."""
    while len(data) >= 2:
        start, size = 2, data[1]
        if size == 126:
            start, size = 4, int.from_bytes(data[2:4], "big")
        if len(data) < start + size:
            return
        first, payload, data = data[0], data[start : start + size], data[start + size :]
        yield first, payload, data


def as_read(state: Message) -> Message:
    """The message after somebody has heard it."""
    return replace(state, folder=Folder.OLD)
