"""Lets in who may come in: the token of a request, its scope, and its rate (contract 10)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from service.api.auth import Rates, Tokens, bearer
from service.api.wire import RefusedError, Route
from service.model import Principal, Scope

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="voicemaild"'}
"""What stands on every 401 (RFC 9110, 15.5.2)."""

_INCLUDED = {scope: frozenset(other for other in Scope if scope.includes(other)) for scope in Scope}

PrincipalHandler = Callable[[web.Request, Principal], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Gate:
    """Asks every request that needs a token for it."""

    tokens: Tokens
    rates: Rates

    def needs(self, scope: Scope, handler: PrincipalHandler) -> Route:
        """The handler, behind the gate: it gets who is asking, and is not called for who may not."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            return await handler(request, self.authorize(request, scope))

        return guarded

    def authorize(self, request: web.Request, scope: Scope) -> Principal:
        """Who sends this request. Raises RefusedError: 401 no or a wrong token, 403 a missing scope, 429 too often."""
        token = bearer(request.headers.get("Authorization", ""))
        if token is None:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "A bearer token is needed.", CHALLENGE)
        return self.admit(token, scope)

    def admit(self, token: str, scope: Scope) -> Principal:
        """Who has this token; for tokens that come another way than in `Authorization`. Raises as `authorize` does."""
        principal = self.tokens.principal(token)
        if principal is None:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "The token is unknown, revoked or expired.", CHALLENGE)
        wait = self.rates.wait(principal.name)
        if wait:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS, "Too many requests with this token.", {"Retry-After": str(wait)}
            )
        if scope not in _INCLUDED[principal.scope]:
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                f"This needs a token of scope {scope.value}, and this one has {principal.scope.value}.",
            )
        return principal
