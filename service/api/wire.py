"""What all dialects share on the wire: JSON answers, failures as status codes, and the middleware that shapes them.

A dialect brings its own envelope; which status a failure has is the same for all (contract 10).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from service.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    VoicemaildError,
)

JSON = "application/json"
_NO_ERRORS: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is none: `message` is for the caller, `errors` are by parameter and come with 422 alone.

    `slug` is the word by which a dialect tells its own failures apart, "" where it is none of them.
    """

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    slug: str = ""


class RefusedError(Exception):
    """A request that HTTP itself, its token or a limit stands against."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None, slug: str = "") -> None:
        super().__init__(message)
        self.failure = Failure(status, message, headers or {}, slug=slug)


class InvalidParametersError(RefusedError):
    """Parameters that are wrong; `errors` says of each, by its name, what."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__(HTTPStatus.UNPROCESSABLE_ENTITY, "The given data was invalid.")
        self.failure = Failure(self.failure.status, self.failure.message, {}, errors)


Envelope = Callable[[Failure], Mapping[str, Any]]
"""How a dialect writes a failure."""


@dataclass(frozen=True)
class Envelopes:
    """Which dialect's envelope a failure under a path gets, whether or not there is such a path: by its beginning."""

    default: Envelope
    by_prefix: Mapping[str, Envelope] = field(default_factory=dict)

    def of(self, path: str) -> Envelope:
        """The envelope of this path."""
        for prefix, envelope in self.by_prefix.items():
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
                return envelope
        return self.default


def failure_of(error: RefusedError | VoicemaildError | web.HTTPException) -> Failure:
    """The status, headers and words of an expected failure. Raises the error again where it is our own mistake."""
    match error:
        case RefusedError():
            return error.failure
        case web.HTTPException():
            allow = error.headers.get("Allow")
            return Failure(error.status, f"{error.reason}.", {"Allow": allow} if allow else {})
        case InvalidInputError():
            errors = {error.field: [sentence(error)]} if error.field else _NO_ERRORS
            return Failure(HTTPStatus.UNPROCESSABLE_ENTITY, sentence(error), {}, errors)
        case NotFoundError():
            return Failure(HTTPStatus.NOT_FOUND, sentence(error))
        case ConflictError():
            return Failure(HTTPStatus.CONFLICT, sentence(error))
        case UnavailableError():
            wait = {"Retry-After": str(error.retry_after)}
            return Failure(HTTPStatus.SERVICE_UNAVAILABLE, sentence(error), wait)
    raise error


def sentence(error: Exception) -> str:
    """What an error says, with the capital and the stop of a sentence."""
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def failures_as(envelopes: Envelopes) -> Middleware:
    """The middleware that answers every expected failure as the dialect of its path writes it."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (RefusedError, VoicemaildError, web.HTTPException) as error:
            failure = failure_of(error)
        except ConnectionError:
            if request.transport is not None:
                raise
            failure = Failure(HTTPStatus.BAD_REQUEST, "The client went away.")  # nobody hears it, but it is counted
        return json_response(envelopes.of(request.path)(failure), failure.status, failure.headers)

    return middleware


def json_response(
    content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=orjson.dumps(content), status=status, headers=headers, content_type=JSON)


def rendered(body: bytes) -> web.Response:
    """Answer with JSON that has been written already."""
    return web.Response(body=body, content_type=JSON)


Route = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""A handler as aiohttp takes it."""
