"""What holds for every request and every answer, whatever its dialect: sane HTTP, security headers, a count.

Refused are, beside what aiohttp's parser refuses: HTTP/1.0 (but for health, which simple probes ask for), a request
line with a whole URL in it, a missing or odd `Host`, and a websocket request with a body (CVE-2026-69243).
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service.api.edge import HOST
from service.api.wire import Envelope, Failure, json_response
from service.metrics import Metrics

SIMPLE_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
UNMATCHED = "unmatched"


def guarded(metrics: Metrics, envelope: Envelope) -> Middleware:
    """The outermost middleware: refuses what no handler should see, and counts every answer by route and code."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR
        try:
            failure = refusal(request)
            if failure is None:
                response = await handler(request)
            else:
                response = json_response(envelope(failure), failure.status, failure.headers)
                response.force_close()
            status = response.status
        finally:
            resource = request.match_info.route.resource
            route = UNMATCHED if resource is None else resource.canonical
            metrics.http_requests.labels(route, status).inc()
        return response

    return middleware


def refusal(request: web.Request) -> Failure | None:
    """Why this request goes no further; None for nearly all."""
    if getattr(request.protocol, "refused", False):
        wait = {"Retry-After": "5"}
        return Failure(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections.", wait)
    if request.version != HttpVersion11 and not _is_simple(request):
        return Failure(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is needed (in nginx: proxy_http_version 1.1).")
    if not request.raw_path.startswith("/"):
        return Failure(HTTPStatus.BAD_REQUEST, "The request line holds more than a path.")
    if HOST.match(request.headers.get(hdrs.HOST, "" if request.version == HttpVersion11 else "localhost")) is None:
        return Failure(HTTPStatus.BAD_REQUEST, "The Host header is missing or odd.")
    if hdrs.UPGRADE in request.headers and _has_body(request):
        return Failure(HTTPStatus.BAD_REQUEST, "A request that asks for an upgrade has no body.")
    return None


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

    async def on_prepare(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(headers)
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        response.headers.popall(hdrs.SERVER, None)  # it would tell the versions of Python and aiohttp

    return on_prepare
