"""One badge change to 5,000 websockets, beside a loop of `socket.send` over the same sockets (performance.md).

    python -m bench.websocket [CONNECTIONS]

The clients are a process of their own, which reads everything as it comes, but for those that never read. Rounds of
both kinds take turns; medians are compared.
"""

import asyncio
import contextlib
import resource
import select
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC
from pathlib import Path

from aiohttp import web

from service.api import frames
from service.api.auth import Rates, Tokens
from service.api.edge import Edge, Edges
from service.api.events import Events
from service.api.gate import Gate
from service.api.guard import guarding, heading, security_headers
from service.api.hub import Hub
from service.api.laravel import envelope
from service.api.links import Signer
from service.api.replay import Replay
from service.api.server import SITE, Site, listening
from service.api.wire import Envelopes
from service.feed import Feed
from service.metrics import Metrics
from service.model import Counts, Mailbox, Principal, Record, Scope
from service.store import Store
from service.store.tokens import digest

CONNECTIONS = 5000
DEAD = 50
ROUNDS = 21
PAUSE_S = 0.15
ALIVE_S = 8
PONG = bytes((0x8A, 0x80, 0, 0, 0, 0))  # unasked for: what shows the server that we are there (RFC 6455, 5.5.3)
BOX = Mailbox.parse("100")
EDGE = Edges(UTC, "http://127.0.0.1", (), Signer(b"k" * 16))

Row = tuple[str, str, str, str]


def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.argv[1:2] == ["--client"]:
        be_the_clients(*map(int, sys.argv[2:]))
        return
    number = min(int(sys.argv[1]) if len(sys.argv) > 1 else CONNECTIONS, most - 200)
    for row in asyncio.run(measure(number)):
        print(" | ".join(row))


async def measure(number: int) -> list[Row]:
    """Give the rows `figure | limit | ratio | goal`."""
    async with serving() as (feed, port):
        before = rss_kib()
        clients, took = await connected(port, number)
        memory = (rss_kib() - before) / number
        ours, raw = await compared(feed, number)
        dead, _ = await connected(port, 0, DEAD)
        for _ in range(100):  # fill the buffers of those who do not read
            publish(feed, 20)
            await asyncio.sleep(PAUSE_S / 3)
        beside_dead, raw_beside_dead = await compared(feed, number)
        for process in (clients, dead):
            process.kill()
            await process.wait()
    limit = f"raw send {raw * 1e3:.1f} ms"
    with_dead = beside_dead / raw_beside_dead
    return [
        ("figure", "limit", "ratio", "goal"),
        (f"badge to {number} websockets {ours * 1e3:.1f} ms", limit, f"{ours / raw:.2f}", "<= 1.3"),
        (
            f"the same beside {DEAD} that never read {beside_dead * 1e3:.1f} ms",
            f"without them, each by its raw send of {raw_beside_dead * 1e3:.1f} ms",
            f"{with_dead / (ours / raw):.2f}",
            "<= 1.2",
        ),
        (f"memory per websocket {memory:.1f} KiB", "-", "-", "<= 16 KiB"),
        (f"{number} websockets opened in {took:.1f} s", "-", "-", "-"),
    ]


async def compared(feed: Feed, number: int) -> tuple[float, float]:
    """Medians of the time of one publish, and of one loop of `socket.send`, in seconds of this thread.

    Neither waits for anything, so that on an idle machine this is time on the clock; on a busy one it still compares.
    """
    frame = frames.encode(frames.event(badge(feed, 1), 1, EDGE_OF_ALL, None))
    sockets = [socket.socket(fileno=fd) for fd in opened_by_clients(number)]
    times: dict[str, list[float]] = {"ours": [], "raw": []}

    def send_raw() -> None:
        for one in sockets:
            one.send(frame)

    ways: Sequence[tuple[str, Callable[[], None]]] = (("ours", lambda: publish(feed, 1)), ("raw", send_raw))
    try:
        for turn in range(ROUNDS):
            for name, send in ways if turn % 2 else ways[::-1]:
                await asyncio.sleep(PAUSE_S)
                began = time.thread_time()
                send()
                times[name].append(time.thread_time() - began)
    finally:
        for one in sockets:
            one.detach()
    return statistics.median(times["ours"]), statistics.median(times["raw"])


EDGE_OF_ALL = Edge(EDGE.timezone, EDGE.public_url, EDGE.signer)


def badge(feed: Feed, ahead: int) -> Record:
    seq = feed.seq + ahead
    return Record(seq, 0, "unread", "pbx1", BOX, Counts(new=seq), 1)


def publish(feed: Feed, number: int) -> None:
    feed.publish([badge(feed, ahead) for ahead in range(1, number + 1)])


def opened_by_clients(number: int) -> list[int]:
    """The first so many accepted sockets of this process: connected ones, and no others are open here."""
    found = []
    for entry in sorted(int(path.name) for path in Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/self/fd/{entry}").readlink().name.startswith("socket:"):
                one = socket.socket(fileno=entry)
                with contextlib.suppress(OSError):
                    if one.family == socket.AF_INET and one.getpeername():
                        found.append(entry)
                one.detach()
    assert len(found) >= number, (len(found), number)
    return found[:number]


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Feed, int]]:
    """The daemon's own server with nothing but the websocket on it, and the feed behind that."""
    tokens = Tokens({digest("all"): Principal("all", Scope.READ, None)})
    feed = Feed(0, {})
    metrics = Metrics()
    hub = Hub(feed, "pbx1", metrics, tokens)
    with tempfile.TemporaryDirectory() as directory:
        async with Store.open(Path(directory) / "store.db", pbx="pbx1") as store, asyncio.TaskGroup() as group:
            events = Events(hub, Replay(feed, store), Gate(tokens, Rates(0)), EDGE)
            app = web.Application()
            headers = security_headers("")
            app[SITE] = Site(metrics, headers=headers, wrap=guarding(metrics, Envelopes(envelope), headers))
            app.on_response_prepare.append(heading(headers))
            app.add_routes(events.routes())
            app.on_shutdown.append(events.stop)
            running = group.create_task(hub.run())
            async with listening(app, "127.0.0.1", 0) as port:
                yield feed, port
            running.cancel()


async def connected(port: int, reading: int, dead: int = 0) -> tuple[asyncio.subprocess.Process, float]:
    """Start a process of so many clients; returns it when all are connected, and how long that took in seconds."""
    command = (sys.executable, "-m", "bench.websocket", "--client", str(port), str(reading), str(dead))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    return process, float(await process.stdout.readline())


def be_the_clients(port: int, reading: int, dead: int) -> None:
    """Connect, say how long it took, and read until killed."""
    began = time.perf_counter()
    poller = select.epoll()
    clients = [client(port) for _ in range(reading + dead)]
    for one in clients:
        while b"hello" not in one.recv(65536):
            pass
    print(time.perf_counter() - began, flush=True)
    by_number = {one.fileno(): one for one in clients[:reading]}
    for number in by_number:
        poller.register(number, select.EPOLLIN)
    alive = time.monotonic()
    while True:
        for number, _ in poller.poll(1):
            by_number[number].recv(65536)
        if time.monotonic() - alive > ALIVE_S:
            alive = time.monotonic()
            for one in clients:
                one.send(PONG)


def client(port: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    one.connect(("127.0.0.1", port))
    one.sendall(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer all\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMA==\r\n\r\n"
    )
    return one


def rss_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


if __name__ == "__main__":
    main()
