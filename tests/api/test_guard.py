"""What holds for every request and answer: sane HTTP, security headers, a count. Spoken over raw sockets."""

import asyncio
import contextlib
import re

import pytest

from tests.api.site import Site


async def say(site: Site, request: bytes) -> tuple[int, bytes]:
    """Send these bytes; the status and the head of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    found = re.match(rb"HTTP/\d\.\d (\d{3})", answer)
    return int(found[1]) if found else 0, answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /message-voice HTTP/1.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 505),
        (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: <x>\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (
            b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nG",
            400,
        ),
        (b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /healthz\r\n\r\n", 505),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ],
)
async def test_only_sane_http_is_answered(site: Site, request_: bytes, status: int) -> None:
    answered, answer = await say(site, request_)
    assert answered == status, answer
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nserver:" not in head
    assert b"nosniff" in head
    assert b"content-security-policy: default-src 'self'" in head


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/app.js", 200),
        ("GET", "/message-voice", 401),
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("DELETE", "/message-voice", 405),
        ("GET", "/message-voice/mark-all-as-read", 405),
        ("GET", "/healthz", 200),
        ("GET", "/message-voice/%00/audio", 404),
    ],
)
async def test_every_answer_has_the_security_headers(site: Site, method: str, path: str, status: int) -> None:
    answer = await site.ask(path, None, method)
    assert answer.status == status
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'; media-src 'self';")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
    assert "Server" not in answer.headers
    if status >= 400:
        assert answer.json["code"] == status
        assert ("Allow" in answer.headers) == (status == 405)


async def test_answers_are_counted_by_route_and_code_without_personal_data(site: Site) -> None:
    message = await site.leave("998901234567")
    await site.ask("/message-voice?filter[src]=998901234567")
    await site.ask(f"/message-voice/{message.id}/mark-as-a-read", "reader", "POST")
    await site.ask("/nothing/998901234567")
    text = (await site.ask("/metrics", None)).body.decode()
    assert 'voicemaild_http_requests_total{code="200",route="/message-voice"} 1.0' in text
    assert 'voicemaild_http_requests_total{code="403",route="/message-voice/{id}/mark-as-a-read"} 1.0' in text
    assert 'voicemaild_http_requests_total{code="404",route="unmatched"} 1.0' in text
    assert "998901234567" not in text
    assert message.uuid not in text
