"""Who may follow a link to audio: whoever has it, while it is signed by us and not at its end; else a token."""

from http import HTTPStatus

from aiohttp import hdrs, web

from service.api.gate import CHALLENGE, Gate
from service.api.links import Signer
from service.api.wire import RefusedError
from service.model import Scope, View


def is_signed(request: web.Request) -> bool:
    """Whether the link says that it is signed."""
    return bool(request.query.get("signature"))


def view_of(request: web.Request, subject: str | None, gate: Gate, signer: Signer) -> View:
    """What may be read: all, where the link is signed for this subject, else what the token may see.

    `subject` is None where what the link names does not exist. Raises RefusedError.
    """
    expires, signature = request.query.get("expires", ""), request.query.get("signature", "")
    if signature and subject is not None and signer.valid(subject, expires, signature):
        return None
    if signature and hdrs.AUTHORIZATION not in request.headers:
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "This link has ended, or is not one of ours.", CHALLENGE)
    return gate.authorize(request, Scope.READ).view
