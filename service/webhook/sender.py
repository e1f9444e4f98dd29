"""One endpoint's HTTP: sends a signed body and tells what became of it. It does not know what the body is about."""

import asyncio
import contextlib
import os
import socket
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

from service.settings import Webhook
from service.webhook import answer, event
from service.webhook.address import Lookup, RefusedAddressError, Resolver, guarded_socket
from service.webhook.answer import Answer

PARALLEL = 4
"""Requests that one endpoint has to bear at once."""
IDLE_S = 1.0
"""So long a connection is kept for the next delivery; soon enough before a server ends it on its side."""
REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may take: seconds until it is connected, seconds in all, bytes of the answer that are read."""

    connect_s: float = 5.0
    total_s: float = 10.0
    answer_bytes: int = 64 * 1024


class Sender:
    """Sends to one endpoint, while its block runs. No redirects, cookies, proxies, credentials of the environment.

    `tls` says whose certificates are trusted, None: those the system trusts.
    """

    def __init__(
        self,
        webhook: Webhook,
        *,
        limits: Limits | None = None,
        lookup: Lookup = socket.getaddrinfo,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = webhook.url
        self._secret = webhook.secret.get_secret_value()
        self._public = not webhook.allow_private
        self._limits = limits or Limits()
        self._lookup = lookup
        self._tls = tls
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        resolver = Resolver(public=self._public, lookup=self._lookup)
        self._stack.push_async_callback(resolver.close)  # a connector closes none that it was given
        connector = aiohttp.TCPConnector(
            resolver=resolver,
            ssl=self._tls or True,
            use_dns_cache=False,  # what a name resolves to is looked at for every connection
            socket_factory=guarded_socket if self._public else None,
            limit=PARALLEL,
            keepalive_timeout=IDLE_S,
        )
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # an answer is shown to a person or not at all; nothing of it may grow
                timeout=aiohttp.ClientTimeout(connect=self._limits.connect_s),
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def send(self, event_id: str, content: bytes, now: float) -> Answer:
        """Send a body, signed as of now (epoch seconds); gives what became of it, whatever happens."""
        if self._public and not self._url.lower().startswith("https:"):
            return answer.unreachable("http is for addresses with allow_private = true")
        headers = event.headers(self._secret, event_id, content, now)
        try:
            async with asyncio.timeout(self._limits.total_s):
                async with self._session.post(
                    self._url, data=content, headers=headers, allow_redirects=False
                ) as response:
                    return await self._read(response, now)
        except TimeoutError as error:
            connecting = isinstance(error, aiohttp.ConnectionTimeoutError)
            limit = self._limits.connect_s if connecting else self._limits.total_s
            return answer.unreachable(f"no {'connection' if connecting else 'answer'} within {limit:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return answer.unreachable(_words(error))

    async def _read(self, response: aiohttp.ClientResponse, now: float) -> Answer:
        """What the answer says; its status is enough, where the rest does not come."""
        if response.status in REDIRECTS:
            return answer.redirected(response.status, response.headers.get("location", ""), self._url)
        body = bytearray()
        if response.status >= REDIRECTS.stop:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError):
                async with asyncio.timeout(self._limits.total_s / 2):
                    await self._begin(response.content, body)
        return answer.read(response.status, bytes(body), retry_after=response.headers.get("retry-after", ""), now=now)

    async def _begin(self, content: aiohttp.StreamReader, found: bytearray) -> None:
        """Read no more than may be read."""
        while len(found) < self._limits.answer_bytes:
            piece = await content.read(self._limits.answer_bytes - len(found))
            if not piece:
                return
            found += piece


def _words(error: Exception) -> str:
    """Why no answer came, in words that hold nothing of the URL but its host."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            words = f"its certificate is not accepted: {_about_certificate(error.certificate_error)}"
        case aiohttp.ClientConnectorError(os_error=RefusedAddressError()):
            words = str(error.os_error)
        case aiohttp.ClientConnectorDNSError():
            words = f"{error.host} cannot be resolved: {_reason(error.os_error)}"
        case aiohttp.ClientConnectorError():
            words = f"cannot connect to {error.host} port {error.port}: {_reason(error.os_error)}"
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            words = "the connection was closed without an answer"
        case aiohttp.InvalidURL():
            words = "its url is none"
        case aiohttp.ClientResponseError():
            words = "what it answered is not HTTP"
        case _:
            words = f"no answer: {type(error).__name__}"
    return words


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__


def _about_certificate(error: Exception) -> str:
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else type(error).__name__
