"""The words in which requests and answers are described for the OpenAPI document, and the answers that many share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from service.model import Scope

Security = Sequence[tuple[str, Sequence[str]]]
"""Ways in, of which one is enough: the name of a security scheme, and the token's scopes that it takes."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter, and the JSON schema of its value; those in a path are required, all others may be left out."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: Literal["query", "path", "header"] = "query"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: JSON of a model, with an example of it; or of other content types; or without content."""

    description: str
    model: type[BaseModel] | None = None
    example: Any = None
    content_types: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """A request. `failures` are those of FAILURES it may be answered with; `aliased`: it is under the prefixes, too."""

    method: Literal["get", "head", "post"]
    path: str
    name: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: Sequence[Parameter] = ()
    security: Security = ()
    failures: Sequence[int] = ()
    aliased: bool = False


class FailedAnswer(NamedTuple):
    """An answer that several requests can have: its name among the document's components, and what it is."""

    name: str
    description: str
    example: Mapping[str, Any]
    headers: Mapping[str, str]


READ: Security = (("bearer", (Scope.READ,)),)
WRITE: Security = (("bearer", (Scope.WRITE,)),)
WEBSOCKET: Security = (*READ, ("subprotocol", (Scope.READ,)))
AUDIO: Security = (*READ, ("link", ()))


def _failed(code: int, message: str, errors: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    body = {"status": "error", "code": code, "result": [], "message": message}
    return body | {"errors": errors} if errors else body


_RETRY = {"Retry-After": "After how many seconds to try again."}
FAILURES = {
    400: FailedAnswer(
        "BadRequest", "This is no valid request.", _failed(400, "The Host header is missing or odd."), {}
    ),
    401: FailedAnswer(
        "Unauthorized",
        "No token, or one that is unknown, revoked or expired; or a signed link that has ended.",
        _failed(401, "A bearer token is needed."),
        {"WWW-Authenticate": "That a bearer token is wanted."},
    ),
    403: FailedAnswer(
        "Forbidden",
        "The token's scope is not enough; or, for a websocket, the web page may not open it.",
        _failed(403, "This needs a token of scope write, and this one has read."),
        {},
    ),
    404: FailedAnswer(
        "NotFound",
        "No such thing, or it belongs to a mailbox that the token may not see.",
        _failed(404, "There is no such message."),
        {},
    ),
    409: FailedAnswer(
        "Conflict",
        "The state of the PBX stands in the way; a person must look.",
        _failed(409, "The PBX did not move the message."),
        {},
    ),
    416: FailedAnswer(
        "RangeNotSatisfiable",
        "The audio has none of the bytes that were asked for.",
        _failed(416, "There are not so many bytes."),
        {"Content-Range": "How many bytes there are: `bytes */SIZE`."},
    ),
    422: FailedAnswer(
        "Invalid",
        "A parameter is wrong; `errors` says which, and what is allowed.",
        _failed(422, "The given data was invalid.", {"per_page": ["The per_page must be between 1 and 300."]}),
        {},
    ),
    426: FailedAnswer(
        "UpgradeRequired",
        "The request does not ask for a websocket.",
        _failed(426, "This is a websocket."),
        {"Upgrade": "`websocket`"},
    ),
    429: FailedAnswer(
        "TooManyRequests",
        "The token has used up its rate, see `[limits]`.",
        _failed(429, "Too many requests with this token."),
        _RETRY,
    ),
    501: FailedAnswer(
        "NotConverted",
        "The audio was recorded in another format, and is not converted.",
        _failed(501, "This message was recorded as gsm and is not converted: ask for format=original."),
        {},
    ),
    503: FailedAnswer(
        "Unavailable",
        "The PBX or the database cannot be reached now, and nothing was changed; or there are too many connections.",
        _failed(503, "The PBX cannot be reached."),
        _RETRY,
    ),
}
