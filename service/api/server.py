"""aiohttp's server with what it lacks: time limits on slow clients, a bound on connections, no version in answers.

aiohttp 3.14 has no limit on how long a request's head may take, and none on how long an answer may stay unread. Its
request handler is subclassed for both; everything else of it stays as it is.
"""

import asyncio
import contextlib
import errno
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network
from typing import Any, cast

import aiohttp.http_parser
from aiohttp import StreamReader, web

from service.api.edge import is_within
from service.api.guard import Unrouted, Wrap, route_of
from service.api.sieve import Sieve
from service.errors import ConfigError
from service.metrics import Metrics

_AnyHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

HEAD_S = 10.0
"""From the first byte of a request (or from the connection) to the end of its head."""
STALLED_S = 30.0
"""Until a client that took too little of an answer has to have taken most of it: some 1.6 KiB/s."""
BODY_S = 30.0
"""In every such time a body that is not whole yet has to go on by BODY_RATE bytes a second, or be whole."""
BODY_RATE = 1024
KEEPALIVE_S = 30.0
LINGER_S = 10.0
"""For the body of a request that has been answered."""
SHUTDOWN_S = 3.0
EXHAUSTED_EVERY_S = 60.0
"""Between two log lines about connections that cannot be accepted; asyncio has a thousand a second, with traceback."""
MOST_REFUSED = 64
"""Connections over the limit that are answered with 503; beyond these they are cut without a word."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections at once, in all and from one address that is no proxy of our own; 0 is no limit."""

    connections: int = 0
    per_address: int = 0
    proxies: Sequence[IPv4Network | IPv6Network] = ()


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Time limits in seconds."""

    head: float = HEAD_S
    stalled: float = STALLED_S
    body: float = BODY_S
    keepalive: float = KEEPALIVE_S


DEADLINES = Deadlines()


@dataclass(frozen=True, slots=True)
class Site:
    """What the server needs to know of its application: limits, the headers of every answer, and what wraps it all."""

    metrics: Metrics
    limits: ConnectionLimits = ConnectionLimits()
    headers: Mapping[str, str] = field(default_factory=dict)
    wrap: Wrap = lambda handler: handler


SITE = web.AppKey("SITE", Site)


class GuardedHandler(web.RequestHandler):
    """One connection, from `address`. `refused`: it is one too many, and whatever it asks is answered with 503."""

    __slots__ = ("_body_timer", "_guard", "_head_timer", "_stalled_timer", "address", "refused")

    def __init__(self, guard: "GuardedServer", **kwargs: Any) -> None:
        super().__init__(guard, **kwargs)
        self.refused = False
        self.address = ""
        self._guard = guard
        self._head_timer: asyncio.TimerHandle | None = None
        self._stalled_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock: a connection has to ask for something."""
        super().connection_made(transport)
        self._head_timer = self._loop.call_later(self._guard.deadlines.head, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        """Start the clock with the first part of a head, stop it when one is whole."""
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads:
            self._stop_head_timer()
            self._expect_body()
        elif self._head_timer is None and self._between_requests:
            self._head_timer = self._loop.call_later(self._guard.deadlines.head, self._head_is_late)

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """Hand what comes to a websocket's parser, but for messages that are too long."""
        super().set_parser(cast("Any", Sieve(parser)), data_received_cb)

    def pause_writing(self) -> None:
        """Start the clock: the client leaves too much unread."""
        super().pause_writing()
        if self._stalled_timer is None:
            self._stalled_timer = self._loop.call_later(self._guard.deadlines.stalled, self._stalls)

    def resume_writing(self) -> None:
        """Stop the clock: the client has caught up."""
        super().resume_writing()
        self._stop_stalled_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop all clocks."""
        self._stop_head_timer()
        self._stop_stalled_timer()
        self._stop_body_timer()
        super().connection_lost(exc)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_stalled_timer(self) -> None:
        if self._stalled_timer is not None:
            self._stalled_timer.cancel()
            self._stalled_timer = None

    def _expect_body(self) -> None:
        """Start the clock of a body, if the last request has one that is not whole yet."""
        self._stop_body_timer()
        if self._messages:
            self._look_at_body(self._messages[-1][1], 0)

    def _look_at_body(self, body: StreamReader, least: int) -> None:
        if body.is_eof():
            return
        if body.total_bytes < least and not self._reading_paused:  # else it is us who are slow
            self._cut("body")
            return
        period = self._guard.deadlines.body
        wanted = body.total_bytes + int(period * BODY_RATE)
        self._body_timer = self._loop.call_later(period, self._look_at_body, body, wanted)

    def _stop_body_timer(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    @property
    def _between_requests(self) -> bool:
        return not (self._request_in_progress or self._messages or self._upgraded)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._between_requests:
            self._cut("head")

    def _stalls(self) -> None:
        self._stalled_timer = None
        if not self._upgraded:  # websockets have rules of their own for those who do not read
            self._cut("stalled")

    def _cut(self, reason: str) -> None:
        self._guard.site.metrics.http_cut.labels(reason).inc()
        transport = self.transport
        self.force_close()
        if isinstance(transport, asyncio.Transport):
            transport.abort()  # what it did not read is not waited for

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- aiohttp's signature; its words quote the client's own bytes
    ) -> web.StreamResponse:
        """What aiohttp itself answers: 400 to what is no HTTP; 500 to a bug of ours, which alone is logged."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("request failed method=%s route=%s", request.method, route_of(request), exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        text = {400: "This is no valid HTTP request.", 504: "This took too long."}.get(status, "An internal error.")
        content = {"status": "error", "code": status, "result": [], "message": text}
        return Unrouted.of(content, status, self._guard.site.headers)


class GuardedServer(web.Server):
    """aiohttp's low-level server, which hands every connection to a handler of its own; this one counts them, too."""

    def __init__(self, server: web.Server, site: Site, deadlines: Deadlines) -> None:
        super().__init__(
            cast("_AnyHandler", site.wrap(server.request_handler)),
            request_factory=server.request_factory,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=deadlines.keepalive,
            lingering_time=LINGER_S,
            max_line_size=8190,
            max_field_size=8190,
            max_headers=64,
        )
        self.site = site
        self.deadlines = deadlines
        self._open = 0
        self._refused = 0
        self._by_address: Counter[str] = Counter()

    def __call__(self) -> web.RequestHandler:
        """A handler for a new connection."""
        return GuardedHandler(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection, and refuse one that is too many."""
        super().connection_made(handler, transport)
        assert isinstance(handler, GuardedHandler)
        handler.address = _address(transport)
        handler.refused = self._is_one_too_many(handler.address)
        self._open += 1
        self._by_address[handler.address] += 1
        if handler.refused:
            self._refused += 1
            self.site.metrics.http_refused.inc()
            if self._refused > MOST_REFUSED:
                transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Count it off."""
        super().connection_lost(handler, exc)
        assert isinstance(handler, GuardedHandler)
        self._open -= 1
        self._refused -= handler.refused
        self._by_address[handler.address] -= 1
        if not self._by_address[handler.address]:
            del self._by_address[handler.address]

    def _is_one_too_many(self, address: str) -> bool:
        limits = self.site.limits
        if limits.connections and self._open - self._refused >= limits.connections:
            return True
        if not limits.per_address or is_within(address, limits.proxies):
            return False
        return self._by_address[address] >= limits.per_address


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


class Runner(web.AppRunner):
    """Runs an application on a `GuardedServer`."""

    __slots__ = ("_deadlines", "_site")

    def __init__(self, app: web.Application, deadlines: Deadlines) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        self._site = app[SITE]
        self._deadlines = deadlines

    async def _make_server(self) -> web.Server:
        return GuardedServer(await super()._make_server(), self._site, self._deadlines)


@contextlib.asynccontextmanager
async def listening(app: web.Application, host: str, port: int, deadlines: Deadlines = DEADLINES) -> AsyncIterator[int]:
    """Serve an application that has a `SITE` while the block runs; gives the port, a free one where `port` is 0.

    At the end nothing new is accepted, and what is being answered gets `SHUTDOWN_S` seconds. Raises OSError where
    the address cannot be had, ConfigError on a Python that would be unsafe.
    """
    check_platform()
    runner = Runner(app, deadlines)
    await runner.setup()
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(Exhaustion())
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
        loop.set_exception_handler(before)


class Exhaustion:
    """What the event loop hands its troubles to: says now and then that there are too many open files, else as usual.

    Connections wait then; asyncio tries again every second.
    """

    def __init__(self) -> None:
        self._again = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take note of one."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE) and "socket" in context):
            loop.default_exception_handler(context)
        elif loop.time() >= self._again:
            self._again = loop.time() + EXHAUSTED_EVERY_S
            log.error("connections cannot be accepted, they wait error=%r; raise LimitNOFILE", error.strerror)


def check_platform() -> None:
    """Raise ConfigError where aiohttp runs on its Python parser, or without its asserts: both let bad requests in."""
    problems = []
    if aiohttp.http_parser.HttpRequestParser is aiohttp.http_parser.HttpRequestParserPy:
        problems.append("aiohttp has no compiled HTTP parser here: install its wheel, and unset AIOHTTP_NO_EXTENSIONS")
    if not __debug__:
        problems.append("voicemaild does not run under `python -O`: aiohttp's HTTP parser needs its asserts")
    if problems:
        raise ConfigError(problems)
