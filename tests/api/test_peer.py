from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp import web

from service.api.peer import address_of

PROXY = ip_network("127.0.0.1/32")
INNER = ip_network("10.0.0.0/8")


@asynccontextmanager
async def asking(*trusted: object) -> AsyncIterator[str]:
    """A server that says where its requests come from."""

    async def tell(request: web.Request) -> web.Response:
        return web.Response(text=address_of(request, trusted))  # type: ignore[arg-type] # networks of both kinds

    app = web.Application()
    app.add_routes([web.get("/", tell)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("trusted", "forwarded", "expected"),
    [
        ((), "192.0.2.1", "127.0.0.1"),
        ((PROXY,), None, "127.0.0.1"),
        ((PROXY,), "192.0.2.1", "192.0.2.1"),
        ((PROXY,), "192.0.2.1, 198.51.100.7", "198.51.100.7"),
        ((PROXY, INNER), "192.0.2.1, 10.1.2.3", "192.0.2.1"),
        ((PROXY,), "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ((PROXY,), "::ffff:192.0.2.1", "192.0.2.1"),
        ((PROXY,), "somewhere", "unknown"),
    ],
)
async def test_a_request_comes_from_the_last_hop_that_is_no_proxy_of_ours(
    trusted: tuple[object, ...], forwarded: str | None, expected: str
) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    async with asking(*trusted) as url, aiohttp.ClientSession() as client, client.get(url, headers=headers) as answer:
        assert await answer.text() == expected
