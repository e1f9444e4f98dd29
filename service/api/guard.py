"""What holds for every request and every answer, whatever its dialect: sane HTTP, security headers, a count.

Refused are, beside what aiohttp's parser refuses: HTTP/1.0 (but for health, which simple probes ask for), a request
line with a whole URL in it, a missing or odd `Host`, and a websocket request with a body (CVE-2026-69243).
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from service.api.edge import HOST
from service.api.wire import JSON, Envelopes, Failure, failures_as
from service.metrics import Metrics

if TYPE_CHECKING:
    from prometheus_client import Counter

SIMPLE_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
UNMATCHED = "unmatched"


Wrap = Callable[[Handler], Handler]


class Unrouted(web.Response):
    """An answer given before a route was looked for: aiohttp sends no signal for it that could take `Server` off."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)

    @classmethod
    def of(cls, content: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> "Unrouted":
        """The answer as JSON; the connection ends with it."""
        kept = {hdrs.CACHE_CONTROL: "no-store", **headers}
        response = cls(body=orjson.dumps(content), status=status, content_type=JSON, headers=kept)
        response.force_close()
        return response


def guarding(metrics: Metrics, envelopes: Envelopes, headers: Mapping[str, str]) -> Wrap:
    """Gives what wraps an application: it refuses, shapes failures that nobody shaped, counts by route and code.

    It is no middleware of aiohttp's: with the first of these aiohttp takes a longer way through every request, which
    costs a quarter of its speed.
    """
    shaped = failures_as(envelopes)
    counters: dict[tuple[web.AbstractResource | None, int], Counter] = {}  # bounded by routes and status codes

    def count(resource: web.AbstractResource | None, status: int) -> None:
        key = (resource, status)
        counter = counters.get(key)
        if counter is None:
            counter = counters[key] = metrics.http_requests.labels(_route(resource), status)
        counter.inc()

    def wrap(handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            failure = refusal(request)
            if failure is not None:
                count(None, failure.status)
                content = envelopes.of(request.path)(failure)
                return Unrouted.of(content, failure.status, {**headers, **failure.headers})
            status: int = HTTPStatus.INTERNAL_SERVER_ERROR
            try:
                response = await shaped(request, handler)
                status = response.status
            finally:
                count(request.match_info.route.resource, status)
            return response

        return guarded

    return wrap


def _route(resource: web.AbstractResource | None) -> str:
    return UNMATCHED if resource is None else resource.canonical


def route_of(request: web.BaseRequest) -> str:
    """The pattern that a request's path fits, which holds no secret and no PIN, as the path itself may."""
    found = getattr(request, "match_info", None)  # there is none before a route was looked for
    return UNMATCHED if found is None else _route(found.route.resource)


def refusal(request: web.Request) -> Failure | None:
    """Why this request goes no further; None for nearly all."""
    if getattr(request.protocol, "refused", False):
        wait = {"Retry-After": "5"}
        return Failure(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections.", wait)
    if request.version != HttpVersion11 and not _is_simple(request):
        return Failure(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is needed (in nginx: proxy_http_version 1.1).")
    if not request.raw_path.startswith("/"):
        return Failure(HTTPStatus.BAD_REQUEST, "The request line holds more than a path.")
    if not _may_be_host(request.headers.get(hdrs.HOST, "" if request.version == HttpVersion11 else "localhost")):
        return Failure(HTTPStatus.BAD_REQUEST, "The Host header is missing or odd.")
    if hdrs.UPGRADE in request.headers and _has_body(request):
        return Failure(HTTPStatus.BAD_REQUEST, "A request that asks for an upgrade has no body.")
    return None


@lru_cache(maxsize=1024)
def _may_be_host(host: str) -> bool:
    return HOST.match(host) is not None


def _is_simple(request: web.Request) -> bool:
    old = request.version == HttpVersion10 and request.path in SIMPLE_PATHS
    return old and hdrs.TRANSFER_ENCODING not in request.headers


def _has_body(request: web.Request) -> bool:
    return request.headers.get(hdrs.CONTENT_LENGTH, "0").strip() != "0" or hdrs.TRANSFER_ENCODING in request.headers


def security_headers(public_url: str) -> dict[str, str]:
    """What stands on every answer. The pages may load audio from `public_url` beside their own origin."""
    media = f"'self' {'/'.join(public_url.split('/')[:3])}".rstrip()
    return {
        "Content-Security-Policy": (
            f"default-src 'self'; media-src {media}; object-src 'none'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def heading(headers: Mapping[str, str]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """The signal handler that puts these headers on every answer, and keeps it from caches unless it says otherwise."""
    ours = CIMultiDict(headers)

    async def on_prepare(_request: web.Request, response: web.StreamResponse) -> None:
        own = response.headers
        own.extend(ours)
        own.setdefault(hdrs.CACHE_CONTROL, "no-store")
        own.popall(hdrs.SERVER, None)  # it would tell the versions of Python and aiohttp

    return on_prepare
