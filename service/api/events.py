"""The websocket, and the same records for those who poll (contract 8).

    GET /ws?mailboxes=100@default,101@default&since=SEQ    upgraded; token in `Authorization` or as a subprotocol
    GET /events?since=SEQ&limit=N                          {"events": [...], "seq": n}: go on with since=n

What the contract leaves open: `subscribe` without `mailboxes` means the boxes that the connection was opened with, and
those it names may be any the token may see. `subscribed` tells `mailboxes` (null: all), `events`, and as in `hello` the
`seq` and `unread` that hold from now on. `/events` has records of every kind; without `since` it has none, but tells
where to begin; for a position that is no longer kept, or not reached yet, its events are a `reset` and a `hello`.
`limit` is 1 to 1000, by default 100. Where very much is of others there may be no events, though `seq` goes on.

A call is told to those who may see all mailboxes, and to those of a mailbox whose extension takes part. Beside
`call.new` and `call.updated` there is `call.deleted`: it turned out to be part of another call, which tells the rest.
A connection hears of calls from the `seq` of its `subscribed` on; what came before that, `/events` has.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from aiohttp import WSCloseCode, WSMessage, WSMsgType, hdrs, web
from aiohttp.abc import AbstractStreamWriter

from service.api import frames
from service.api.audience import Connection, Interest
from service.api.auth import bearer
from service.api.edge import Edges
from service.api.gate import Gate
from service.api.hub import CLOSE_S, Hub
from service.api.replay import Page, Replay
from service.api.sieve import MOST_BYTES
from service.api.wire import RefusedError, json_response, sentence
from service.errors import InvalidInputError, NotFoundError, UnavailableError
from service.model import Mailbox, Principal, Scope

log = logging.getLogger(__name__)

SUBPROTOCOL = "voicemaild.v1"
TOKEN_PREFIX = "bearer."  # noqa: S105 -- what stands before one
HEARTBEAT_S = 20.0
"""After so long a silence a client is asked for a sign of life, which it owes within half of it: 30 s in all."""
ROOM = 2 * MOST_BYTES
"""What aiohttp's reader takes of a message at most; the sieve lets less through."""
PAGE = 50
LIMIT, MOST = 100, 1000

_POSITION = re.compile(r"\d{1,18}\Z", re.ASCII)


@dataclass(frozen=True)
class Events:
    """The handlers of the websocket and of `/events`. `origins` are those of other web pages that may open it."""

    hub: Hub
    replay: Replay
    gate: Gate
    edges: Edges
    origins: Sequence[str] = ()

    def routes(self) -> list[web.RouteDef]:
        """All routes of this dialect; it has no prefix."""
        return [
            web.get("/ws", self.websocket),
            web.get("/events", self.gate.needs(Scope.READ, self.events)),
        ]

    async def stop(self, _app: web.Application) -> None:
        """Close all websockets; aiohttp's `on_shutdown`, which waits for them."""
        await self.hub.close()

    async def events(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /events`: what came after a position."""
        limit = _number(request.query, "limit", LIMIT)
        if not 1 <= limit <= MOST:
            raise InvalidInputError(f"The limit must be between 1 and {MOST}", "limit")
        edge = self.edges.thorough(self.edges.base_url(request))
        interest = Interest(principal.view, named=False, events=frozenset(frames.EVENTS), edge=edge)
        feed = self.replay.feed
        since = _number(request.query, "since", feed.seq)
        page = await self.replay.after(principal.view, since, limit)
        if page is None:
            return json_response({"events": [frames.RESET, self.hub.hello(interest)], "seq": feed.seq})
        contents = await asyncio.to_thread(list, _contents(page, interest))  # recordings of calls are looked for
        return json_response({"events": contents, "seq": page.position})

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """`GET /ws`: hello, what came after `since`, then whatever changes, until the client or the service ends it."""
        token, principal = self._admit(request)
        self._check_origin(request)
        interest = self._interest(request, principal)
        since = _number(request.query, "since", -1)
        if self.hub.closing:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "The service stops.", {"Retry-After": "5"})
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), heartbeat=HEARTBEAT_S, compress=False, max_msg_size=ROOM, timeout=CLOSE_S
        )
        if not ws.can_prepare(request):
            raise RefusedError(HTTPStatus.UPGRADE_REQUIRED, "This is a websocket.", {"Upgrade": "websocket"})
        writer = await ws.prepare(request)
        ws.headers.clear()  # they were sent; a connection may stand for days, and there may be thousands
        if request.transport is None:
            return ws
        connection = Connection(ws, request.transport, token, principal, interest, interest)
        self.hub.enter(connection)
        try:
            await self._greet(connection, writer, since)
            await self._listen(connection)
        except ConnectionError:
            log.debug("websocket ended while something was sent token=%s", principal.name)
        except UnavailableError as error:
            log.info("websocket closed, what it asked for cannot be read error=%r token=%s", str(error), principal.name)
            await ws.close(code=WSCloseCode.TRY_AGAIN_LATER, drain=False)
        finally:
            self.hub.leave(connection)
        return ws

    # -- before the upgrade

    def _admit(self, request: web.Request) -> tuple[str, Principal]:
        """The token and whose it is. Browsers cannot set headers here: they offer it beside the subprotocol."""
        offered = [name.strip() for name in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")]
        token = bearer(request.headers.get(hdrs.AUTHORIZATION, ""))
        if token is None and SUBPROTOCOL in offered:
            secrets = [name.removeprefix(TOKEN_PREFIX) for name in offered if name.startswith(TOKEN_PREFIX)]
            token = secrets[0] if secrets else None
        if token is None:
            return "", self.gate.authorize(request, Scope.READ)  # which refuses it
        principal = self.gate.admit(token, Scope.READ)
        if offered != [""] and SUBPROTOCOL not in offered:  # aiohttp would log what is offered instead, tokens and all
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"Offer the subprotocol {SUBPROTOCOL}, or none.")
        return token, principal

    def _check_origin(self, request: web.Request) -> None:
        """A web page says where it is from, and must be ours or allowed; who is no web page says nothing."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return
        allowed = {_origin(url) for url in (*self.origins, self.edges.public_url) if url}
        same = _origin(origin).partition("://")[2] == request.host.lower()
        if not same and _origin(origin) not in allowed:
            raise RefusedError(HTTPStatus.FORBIDDEN, "Pages of this origin may not: see [http] allowed_origins.")

    def _interest(self, request: web.Request, principal: Principal) -> Interest:
        """What a connection hears of that has not subscribed to anything."""
        named = request.query.get("mailboxes")
        boxes = principal.view if named is None else _seen(frames.mailboxes(named), principal)
        return Interest(boxes, named is not None, frames.DEFAULT_EVENTS, self.edges.of(request))

    # -- after it

    async def _greet(self, connection: Connection, writer: AbstractStreamWriter, since: int) -> None:
        """Hello, and what came after `since` (-1: from now on), without a hole or a double before what comes next."""
        interest = connection.interest
        if since < 0:
            self.hub.greet(connection)
            return
        page = await self.replay.after(interest.mailboxes, since, PAGE)
        if page is not None:
            await self._send(connection, writer, self.hub.greeting(interest))
        while page is not None:
            contents = _contents(page, interest)
            if not await self._send(connection, writer, [frames.encode(content) for content in contents]):
                return
            if page.position == self.replay.feed.seq:  # nothing is awaited from here on
                self.hub.go_live(connection)
                return
            page = await self.replay.after(interest.mailboxes, page.position, PAGE)
        self.hub.greet(connection, reset=True)

    async def _send(self, connection: Connection, writer: AbstractStreamWriter, pieces: Iterable[bytes]) -> bool:
        """Write at the client's own pace; False where it ended or does not read."""
        for batch in frames.batches(pieces):
            if not connection.open:
                return False
            connection.transport.write(b"".join(batch))
            try:
                async with asyncio.timeout(self.hub.patience):
                    await writer.drain()
            except TimeoutError:
                self.hub.cut(connection)
                return False
        return True

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.ws:
            await connection.read_up()
            self._obey(connection, message)
            await asyncio.sleep(0)  # a client that floods us takes turns with the others

    def _obey(self, connection: Connection, message: WSMessage) -> None:
        try:
            match frames.parse(message.data) if message.type is WSMsgType.TEXT else None:
                case frames.Ping():
                    self.hub.answer(connection, frames.PONG)
                case frames.Subscription() as asked:
                    self.hub.subscribe(connection, _interest_in(asked, connection))
                case None:
                    self.hub.answer(connection, frames.error("Send text, not binary."))
        except (InvalidInputError, NotFoundError) as error:
            self.hub.answer(connection, frames.error(sentence(error)))


def _contents(page: Page, interest: Interest) -> Iterable[frames.Json]:
    """The records of a page as they go out."""
    for record, total in page.records:
        if frames.kind(record) in interest.events:
            yield frames.event(record, total, interest.edge, interest.mailboxes)


def _interest_in(asked: frames.Subscription, connection: Connection) -> Interest:
    """What holds for a connection that asked for this; what it left out is as it was when the connection was opened."""
    interest = connection.origin
    if asked.mailboxes is not None:
        interest = replace(interest, mailboxes=_seen(asked.mailboxes, connection.principal), named=True)
    return interest if asked.events is None else replace(interest, events=asked.events)


def _seen(boxes: frozenset[Mailbox], principal: Principal) -> frozenset[Mailbox]:
    """These boxes. Raises NotFoundError for one the principal may not see, in the words for one that does not exist."""
    hidden = [mailbox for mailbox in sorted(boxes) if not principal.may_see(mailbox)]
    if hidden:
        raise NotFoundError(f"there is no mailbox {hidden[0]}")
    return boxes


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not _POSITION.match(text):
        raise InvalidInputError(f"The {name} must be a whole number", name)
    return int(text)


def _origin(url: str) -> str:
    """The scheme, host and port of an address, as browsers write them in `Origin` (RFC 6454)."""
    scheme, _, rest = url.lower().partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
