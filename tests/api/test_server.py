"""Slow and too many clients, over raw sockets, while time is hurried on; and a handler that breaks."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import aiohttp.http_parser
import pytest
from aiohttp import web

from service.api.server import (
    BODY_RATE,
    DEADLINES,
    SITE,
    ConnectionLimits,
    Deadlines,
    Site,
    check_platform,
    listening,
)
from service.errors import ConfigError
from service.metrics import Metrics
from service.settings import Http, Limits
from tests.api.site import running
from tests.hurry import Hurry

HELLO = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def broken(_request: web.Request) -> web.Response:
    raise ZeroDivisionError


async def read(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


async def large(_request: web.Request) -> web.Response:
    return web.Response(body=bytes(32 * 1024 * 1024))


@contextlib.asynccontextmanager
async def served(
    deadlines: Deadlines = DEADLINES, limits: ConnectionLimits | None = None
) -> AsyncIterator[tuple[int, Metrics]]:
    app, metrics = web.Application(), Metrics()
    app[SITE] = Site(metrics, limits or ConnectionLimits(), {"X-Site": "yes"})
    app.add_routes(
        [
            web.get("/hello", hello),
            web.get("/broken", broken),
            web.get("/broken/{secret}", broken),
            web.get("/large", large),
            web.post("/hello", hello),
            web.post("/read", read),
        ]
    )
    async with listening(app, "127.0.0.1", 0, deadlines) as port:
        yield port, metrics


@contextlib.asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server ends the connection; the test's own time limit is the only other end."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            got += piece
    return got


async def until_cut(reader: asyncio.StreamReader, hurry: Hurry) -> bytes:
    """The same, while nothing happens but that time passes."""
    rest = asyncio.ensure_future(until_closed(reader))
    await hurry.until(rest.done)
    return await rest


def cut(metrics: Metrics, reason: str) -> float | None:
    return metrics.registry.get_sample_value("voicemaild_http_connections_cut_total", {"reason": reason})


@pytest.mark.parametrize("start", [b"", b"GET /hello HTTP/1.1\r\n", b"GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_a_head_that_does_not_come_ends_the_connection(start: bytes) -> None:
    async with served() as (port, metrics), connection(port) as (reader, writer):
        writer.write(start)
        assert await until_cut(reader, Hurry()) == b""
        assert cut(metrics, "head") == 1


async def test_a_head_that_drips_is_cut_although_something_comes_all_the_time() -> None:
    async with served() as (port, metrics), connection(port) as (reader, writer):
        hurry = Hurry()
        closed = asyncio.ensure_future(until_closed(reader))
        writer.write(b"GET /hello HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            while not closed.done():
                writer.write(b"X: y\r\n"[:1])
                await writer.drain()
                await hurry.on(0.5)
        assert await closed == b""
        assert cut(metrics, "head") == 1


async def test_the_second_head_of_a_connection_has_its_own_limit() -> None:
    async with served(Deadlines(keepalive=3600)) as (port, metrics), connection(port) as (reader, writer):
        writer.write(HELLO)
        assert b"200 OK" in await reader.readuntil(b"hello")
        writer.write(b"GET /hel")
        assert await until_cut(reader, Hurry()) == b""
        assert cut(metrics, "head") == 1


async def test_a_connection_that_asks_nothing_more_is_closed_after_its_keep_alive() -> None:
    async with served() as (port, metrics), connection(port) as (reader, writer):
        writer.write(HELLO)
        assert b"200 OK" in await reader.readuntil(b"hello")
        assert await until_cut(reader, Hurry()) == b""
        assert cut(metrics, "head") is None


async def test_requests_within_the_limits_go_on_over_one_connection() -> None:
    limits = Deadlines(head=60, keepalive=60)
    async with served(limits) as (port, _), connection(port) as (reader, writer):
        hurry = Hurry()
        for _ in range(5):
            writer.write(HELLO[:20])
            await writer.drain()
            await hurry.on(20)
            writer.write(HELLO[20:])
            assert b"200 OK" in await reader.readuntil(b"hello")
            await hurry.on(20)


async def test_a_client_that_leaves_its_answer_unread_is_cut() -> None:
    async with served() as (port, metrics):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            await Hurry().until(lambda: cut(metrics, "stalled") == 1, step=0.5)


async def test_a_body_that_never_comes_does_not_hold_back_the_answer() -> None:
    async with served() as (port, _), connection(port) as (reader, writer):
        writer.write(b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1")
        assert b"200 OK" in await reader.readuntil(b"hello")


@pytest.mark.parametrize("head", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_stops_ends_the_connection(head: bytes) -> None:
    async with served() as (port, metrics), connection(port) as (reader, writer):
        writer.write(b"POST /read HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n5\r\nabc")
        assert await until_cut(reader, Hurry()) == b""
        assert cut(metrics, "body") == 1


async def test_a_body_that_drips_is_cut_although_something_comes_all_the_time() -> None:
    async with served() as (port, metrics), connection(port) as (reader, writer):
        hurry = Hurry()
        closed = asyncio.ensure_future(until_closed(reader))
        writer.write(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not closed.done():
                writer.write(b"x")
                await writer.drain()
                await hurry.on(0.5)
        assert await closed == b""
        assert cut(metrics, "body") == 1


async def test_a_body_that_goes_on_is_read_to_its_end_however_long_that_takes() -> None:
    async with served() as (port, _), connection(port) as (reader, writer):
        size = int(5 * DEADLINES.body) * BODY_RATE * 4
        writer.write(f"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        hurry = Hurry()
        for _ in range(size // (4 * BODY_RATE)):
            writer.write(bytes(4 * BODY_RATE))
            await writer.drain()
            await hurry.on(1)
        assert b"200 OK" in await reader.readuntil(str(size).encode())


async def test_a_body_that_came_is_forgotten_with_its_request() -> None:
    limits = Deadlines(head=3600, body=10, keepalive=3600)
    async with served(limits) as (port, metrics), connection(port) as (reader, writer):
        writer.write(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n3")
        hurry = Hurry()
        for _ in range(3):
            await hurry.on(20)
            writer.write(HELLO)
            assert b"200 OK" in await reader.readuntil(b"hello")
        assert cut(metrics, "body") is None


async def test_what_breaks_is_logged_by_its_route_and_not_by_its_path(caplog: pytest.LogCaptureFixture) -> None:
    """A path may hold a secret, or a PIN."""
    async with served() as (port, _), connection(port) as (reader, writer):
        writer.write(b"GET /broken/s3cr3t HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b" 500 " in await until_closed(reader)
    assert "request failed method=GET route=/broken/{secret}" in caplog.text
    assert "s3cr3t" not in caplog.text


async def test_a_whole_site_answers_what_breaks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_self: object) -> bytes:
        raise ZeroDivisionError

    async with running(tmp_path) as site:
        monkeypatch.setattr(type(site.metrics), "render", breaks)
        answer = await site.ask("/metrics", None)
    assert (answer.status, answer.json["message"]) == (500, "An internal error.")
    assert "Server" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_handler_that_breaks_is_a_500_without_a_word_of_why(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as (port, _), connection(port) as (reader, writer):
        writer.write(b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await until_closed(reader)
    assert b" 500 " in answer
    assert b"X-Site: yes" in answer
    assert b"Server:" not in answer
    assert b"Zero" not in answer
    assert "ZeroDivisionError" in caplog.text


async def test_what_is_no_http_is_a_400_and_no_log_entry(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as (port, _), connection(port) as (reader, writer):
        writer.write(b"NONSENSE\r\n\r\n")
        assert b" 400 " in await until_closed(reader)
    assert caplog.text == ""


@pytest.mark.parametrize("limits", [Limits(connections=2), Limits(connections=0, connections_per_address=2)])
async def test_a_connection_too_many_is_told_503_and_one_that_ends_makes_room(tmp_path: Path, limits: Limits) -> None:
    ask = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    async with running(tmp_path, limits=limits) as site, contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            reader, writer = await stack.enter_async_context(connection(site.port))
            writer.write(ask)
            assert b" 200 " in await reader.readuntil(b"}")
        async with connection(site.port) as (refused, asking):
            asking.write(ask)
            answer = await until_closed(refused)
        assert b" 503 " in answer
        assert b"Retry-After: 5" in answer
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await until_closed(reader)
        async with connection(site.port) as (welcome, asking):
            asking.write(ask)
            assert b" 200 " in await welcome.readuntil(b"}")


async def test_our_own_proxy_is_not_limited_as_one_address(tmp_path: Path) -> None:
    proxy = Http(trusted_proxies=(ip_network("127.0.0.1"),))
    limits = Limits(connections=0, connections_per_address=1)
    async with running(tmp_path, http=proxy, limits=limits) as site, contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            reader, writer = await stack.enter_async_context(connection(site.port))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 200 " in await reader.readuntil(b"}")


async def test_connections_far_beyond_the_limit_are_cut_without_a_word() -> None:
    async with (
        served(Deadlines(), ConnectionLimits(connections=1)) as (port, metrics),
        contextlib.AsyncExitStack() as stack,
    ):
        opened = [await stack.enter_async_context(connection(port)) for _ in range(70)]
        assert await until_closed(opened[-1][0]) == b""
        assert metrics.registry.get_sample_value("voicemaild_http_connections_refused_total") == 69


def test_the_python_parser_of_aiohttp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_platform()
    monkeypatch.setattr(aiohttp.http_parser, "HttpRequestParser", aiohttp.http_parser.HttpRequestParserPy)
    with pytest.raises(ConfigError, match="no compiled HTTP parser"):
        check_platform()


async def test_too_many_open_files_are_told_once_a_minute_and_other_troubles_as_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Asyncio reports each connection that waits, a thousand times a second and with a traceback."""
    async with served():
        loop = asyncio.get_running_loop()
        for _ in range(3):
            full = OSError(errno.EMFILE, "Too many open files")
            loop.call_exception_handler({"message": "socket.accept() out", "exception": full, "socket": None})
        loop.call_exception_handler({"message": "something else", "exception": ZeroDivisionError()})
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" ")[0] for line in lines] == ["connections", "something"]
    assert "Too many open files" in lines[0]
    assert asyncio.get_running_loop().get_exception_handler() is None
