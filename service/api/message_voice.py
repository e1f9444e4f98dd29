"""The dialect of document 000: message-voice, its unread count and its marks (contract 4).

    GET  /message-voice?page&per_page&sort&filter[...]     a page, as Laravel answers it
    GET  /message-voice/unread-count                       {"status", "code", "result": {"unread_count"}, "message"}
    POST /message-voice/{id}/mark-as-a-read                the same with "result": []
    POST /message-voice/mark-all-as-read

Failures: {"status": "error", "code", "result": [], "message"}, and `errors` by parameter with 422. Served under `/` and
under `/api/v1`; links in an answer keep the prefix of the request. Reading needs scope `read`, marking `write`.
"""

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

import orjson
from aiohttp import web

from service.api.cache import Bodies
from service.api.edge import Edge, Edges
from service.api.gate import Gate
from service.api.laravel import success
from service.api.paging import PageUrls, paged
from service.api.params import ListSpec, query_of, read_list
from service.api.records import message_voice
from service.api.wire import json_response, rendered, sentence
from service.errors import ConflictError, UnavailableError, VoicemaildError
from service.model import Message, Principal, Scope, Status, Summary
from service.store import Store, mailboxes, messages

MOST_ROWS = 1024
AT_ONCE = 20
"""So many rows are written before whatever else waits for the event loop gets its turn."""

SPEC = ListSpec(
    sorts=("id", "datetime", "src", "dst", "external_number", "duration", "status"),
    texts=("src", "dst", "external_number"),
    integers={"duration": None, "status": None},
)


class Marks(Protocol):
    """What marking asks of the PBX."""

    async def mark_read(self, messages: Sequence[Message]) -> int:
        """Mark all of them read; returns how many were done. Raises UnavailableError or ConflictError."""


class Rows:
    """The rows that were written last: of a page that has changed, most have not. At most `MOST_ROWS` are kept.

    So a page is soon written, and by the event loop itself: threads that wait for each other cost more.
    """

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self._written = lru_cache(MOST_ROWS)(self._write)

    async def of(self, messages: Sequence[Summary], base_url: str) -> list[orjson.Fragment]:
        """The messages as JSON, with links that begin with `base_url`."""
        era = self._edges.signer.era
        rows: list[orjson.Fragment] = []
        for first in range(0, len(messages), AT_ONCE):
            if first:
                await asyncio.sleep(0)  # the others' turn
            rows += [self._written(message, base_url, era) for message in messages[first : first + AT_ONCE]]
        return rows

    def _write(self, message: Summary, base_url: str, _era: Hashable) -> orjson.Fragment:
        edge = Edge(self._edges.timezone, base_url, self._edges.signer)
        return orjson.Fragment(orjson.dumps(message_voice(message, edge)))


@dataclass(frozen=True)
class MessageVoice:
    """The handlers of message-voice. `pbx` marks, `bodies` and `rows` keep what was answered."""

    store: Store
    pbx: Marks
    gate: Gate
    edges: Edges
    bodies: Bodies
    rows: Rows

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """All routes of this dialect under a prefix."""
        read, write = partial(self.gate.needs, Scope.READ), partial(self.gate.needs, Scope.WRITE)
        path = f"{prefix}/message-voice"
        return [
            web.get(path, read(self.index)),
            web.get(f"{path}/unread-count", read(self.unread_count)),
            web.post(f"{path}/mark-all-as-read", write(self.mark_all)),
            web.post(f"{path}/{{id:[0-9]{{1,18}}}}/mark-as-a-read", write(self.mark_one)),
        ]

    async def index(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /message-voice`: a page of messages."""
        base_url = self.edges.base_url(request)
        key = (principal.view, request.raw_path, base_url, self.edges.signer.era)

        async def render() -> bytes:
            params = read_list(request.query.items(), SPEC, self.edges.timezone)
            urls = PageUrls.of(f"{base_url}/message-voice", request.query.items())
            query = query_of(params)
            found = await self.store.select(lambda conn: messages.page(conn, principal.view, query))
            data = await self.rows.of(found.rows, base_url)
            return orjson.dumps(paged(data, page=params.page, per_page=params.per_page, total=found.total, urls=urls))

        return rendered(await self.bodies.get(key, render))

    async def unread_count(self, _request: web.Request, principal: Principal) -> web.Response:
        """`GET /message-voice/unread-count`: what a badge shows."""

        async def render() -> bytes:
            count = await self.store.select(lambda conn: mailboxes.unread_count(conn, principal.view))
            return orjson.dumps(success({"unread_count": count}))

        return rendered(await self.bodies.get((principal.view, "unread-count"), render))

    async def mark_one(self, request: web.Request, principal: Principal) -> web.Response:
        """`POST /message-voice/{id}/mark-as-a-read`: answered when the PBX and the store agree."""
        message_id = int(request.match_info["id"])
        message = await self.store.read(lambda conn: messages.by_id(conn, principal.view, message_id))
        if message.status is not Status.READ:
            await self.pbx.mark_read([message])
        return json_response(success([]))

    async def mark_all(self, _request: web.Request, principal: Principal) -> web.Response:
        """`POST /message-voice/mark-all-as-read`; a failure says how many were done before it."""
        waiting = await self.store.read(lambda conn: messages.unread(conn, principal.view))
        if waiting:
            try:
                await self.pbx.mark_read(waiting)
            except (UnavailableError, ConflictError) as error:
                raise await self._partly(error, waiting, principal) from error
        return json_response(success([]))

    async def _partly(
        self, error: UnavailableError | ConflictError, wanted: Sequence[Message], principal: Principal
    ) -> VoicemaildError:
        """The same failure, which also says how many of the wanted messages are read by now."""
        left = await self.store.read(lambda conn: messages.unread(conn, principal.view))
        still = {message.id for message in left}
        done = sum(message.id not in still for message in wanted)
        text = f"{sentence(error)} {done} of {len(wanted)} messages were marked as read."
        return UnavailableError(text, error.retry_after) if isinstance(error, UnavailableError) else ConflictError(text)
