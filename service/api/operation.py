"""The words in which requests and answers are described for the OpenAPI document, and the answers that many share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from service.api.schemas import Failure, Told
from service.model import Scope

Security = Sequence[tuple[str, Sequence[str]]]
"""Ways in, of which one is enough: the name of a security scheme, and the token's scopes that it takes."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter, and the JSON schema of its value; those in a path are `required` anyway."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: Literal["query", "path", "header"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: JSON of a model, with an example of it; or of other content types; or without content."""

    description: str
    model: type[BaseModel] | None = None
    example: Any = None
    content_types: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Body:
    """What a request brings: by content type its model, None for one that is not JSON; the example is of the first."""

    description: str
    content: Mapping[str, type[BaseModel] | Mapping[str, Any]]
    example: Any = None


Errors = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a dialect writes its failures: as `model`; `written` makes an example of code, message and errors.

    `name` begins the names of the document's components.
    """

    name: str
    model: type[BaseModel]
    written: Callable[[int, str, Errors], Mapping[str, Any]]


def _laravel(code: int, message: str, errors: Errors) -> Mapping[str, Any]:
    body = {"status": "error", "code": code, "result": [], "message": message}
    return body | {"errors": errors} if errors else body


def _plain(_code: int, message: str, errors: Errors) -> Mapping[str, Any]:
    return {"message": " ".join(problem for problems in errors.values() for problem in problems) or message}


LARAVEL = Dialect("", Failure, _laravel)
"""Documents 000 and 001, and all that is of no document."""
PLAIN = Dialect("Plain", Told, _plain)
"""Document 002."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A request. `failures` are those of FAILURES it may be answered with, written as its `dialect` does.

    `aliased`: it is under the prefix `alias`, too.
    """

    method: Literal["get", "head", "post", "put", "delete"]
    path: str
    name: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: Sequence[Parameter] = ()
    body: Body | None = None
    security: Security = ()
    failures: Sequence[int] = ()
    dialect: Dialect = LARAVEL
    aliased: bool = False
    alias: str = "/api/v1"


@dataclass(frozen=True, slots=True)
class FailedAnswer:
    """An answer that several requests can have: its name among the document's components, and an example's words."""

    name: str
    description: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: Errors = field(default_factory=dict)

    def answer(self, code: int, dialect: Dialect) -> Answer:
        """The answer as this dialect writes it."""
        example = dialect.written(code, self.message, self.errors)
        return Answer(self.description, dialect.model, example, headers=self.headers)


READ: Security = (("bearer", (Scope.READ,)),)
WRITE: Security = (("bearer", (Scope.WRITE,)),)
ADMIN: Security = (("bearer", (Scope.ADMIN,)),)
WEBSOCKET: Security = (*READ, ("subprotocol", (Scope.READ,)))
AUDIO: Security = (*READ, ("link", ()))


_RETRY = {"Retry-After": "After how many seconds to try again."}
FAILURES = {
    400: FailedAnswer("BadRequest", "This is no valid request.", "The Host header is missing or odd."),
    401: FailedAnswer(
        "Unauthorized",
        "No token, or one that is unknown, revoked or expired; or a signed link that has ended.",
        "A bearer token is needed.",
        {"WWW-Authenticate": "That a bearer token is wanted."},
    ),
    403: FailedAnswer(
        "Forbidden",
        "The token's scope is not enough; or, for a websocket, the web page may not open it.",
        "This needs a token of scope write, and this one has read.",
    ),
    404: FailedAnswer(
        "NotFound",
        "No such thing, or it belongs to a mailbox that the token may not see.",
        "There is no such message.",
    ),
    409: FailedAnswer(
        "Conflict",
        "The state of the PBX, or of what was asked for, stands in the way.",
        "The PBX did not move the message.",
    ),
    410: FailedAnswer(
        "Gone",
        "It is known, but its audio is there no more.",
        "The audio of this message is gone.",
    ),
    412: FailedAnswer(
        "PreconditionFailed",
        "The audio is another one than `If-Match` names.",
        "This is another audio by now.",
    ),
    413: FailedAnswer(
        "TooLarge",
        "The body has too many bytes.",
        "A voicemail has at most 3000000 bytes.",
    ),
    416: FailedAnswer(
        "RangeNotSatisfiable",
        "The audio has none of the bytes that were asked for.",
        "There are not so many bytes.",
        {"Content-Range": "How many bytes there are: `bytes */SIZE`."},
    ),
    422: FailedAnswer(
        "Invalid",
        "What was asked for is wrong; `errors`, where the dialect has them, says of each parameter or field what is "
        "allowed. Of audio also: it is damaged or too long, and cannot be converted.",
        "The given data was invalid.",
        errors={"per_page": ["The per_page must be between 1 and 300."]},
    ),
    426: FailedAnswer(
        "UpgradeRequired",
        "The request does not ask for a websocket.",
        "This is a websocket.",
        {"Upgrade": "`websocket`"},
    ),
    429: FailedAnswer(
        "TooManyRequests",
        "The token has used up its rate, see `[limits]`.",
        "Too many requests with this token.",
        _RETRY,
    ),
    500: FailedAnswer(
        "InternalError",
        "The PBX cannot be asked, or did not do it.",
        "The PBX cannot be asked.",
    ),
    501: FailedAnswer(
        "NotConverted",
        "The audio cannot be converted with what is installed: ffmpeg is missing, or has no decoder for it.",
        "This was recorded as g723 and cannot be converted here (there is no decoder for it): ask for format=original.",
    ),
    503: FailedAnswer(
        "Unavailable",
        "The PBX or the database cannot be reached now, and nothing was changed; or there are too many connections; or "
        "audio is still being converted.",
        "The PBX cannot be reached.",
        _RETRY,
    ),
}
