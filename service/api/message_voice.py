"""The dialect of document 000: message-voice, its unread count and its marks (contract 4).

    GET  /message-voice?page&per_page&sort&filter[...]     a page, as Laravel answers it
    GET  /message-voice/unread-count                       {"status", "code", "result": {"unread_count"}, "message"}
    POST /message-voice/{id}/mark-as-a-read                the same with "result": []
    POST /message-voice/mark-all-as-read

Failures: {"status": "error", "code", "result": [], "message"}, and `errors` by parameter with 422. Served under `/` and
under `/api/v1`; links in an answer keep the prefix of the request. Reading needs scope `read`, marking `write`.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import orjson
from aiohttp import web

from service.api.cache import Bodies
from service.api.edge import Edge, Edges
from service.api.gate import Gate
from service.api.laravel import success
from service.api.paging import PageUrls, paged
from service.api.params import ListParams, ListSpec, read_list
from service.api.records import message_voice
from service.api.wire import json_response, rendered, sentence
from service.errors import ConflictError, UnavailableError, VoicemaildError
from service.model import Message, Principal, Scope, Status
from service.store import Store, mailboxes, messages
from service.store.query import Query

SPEC = ListSpec(
    sorts=("id", "datetime", "src", "dst", "external_number", "duration", "status"),
    texts=("src", "dst", "external_number"),
    integers={"duration": None, "status": None},
)


class Marks(Protocol):
    """What marking asks of the PBX."""

    async def mark_read(self, messages: Sequence[Message]) -> int:
        """Mark all of them read; returns how many were done. Raises UnavailableError or ConflictError."""


@dataclass(frozen=True)
class MessageVoice:
    """The handlers of message-voice. `pbx` marks, `bodies` keeps what was answered."""

    store: Store
    pbx: Marks
    gate: Gate
    edges: Edges
    bodies: Bodies

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
            edge = Edge(self.edges.timezone, base_url, self.edges.signer)
            return await self.store.read(lambda conn: _page(conn, principal, params, urls, edge))

        return rendered(await self.bodies.get(key, render))

    async def unread_count(self, _request: web.Request, principal: Principal) -> web.Response:
        """`GET /message-voice/unread-count`: what a badge shows."""

        async def render() -> bytes:
            count = await self.store.read(lambda conn: mailboxes.unread_count(conn, principal.view))
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


def _page(conn: sqlite3.Connection, principal: Principal, params: ListParams, urls: PageUrls, edge: Edge) -> bytes:
    """Read and write a page: on the store's thread, so that the event loop only hands the bytes on."""
    query = Query(
        filters=params.filters,
        since=params.since,
        until=params.until,
        sort=params.sort,
        descending=params.descending,
        limit=params.per_page,
        offset=params.offset,
    )
    found = messages.page(conn, principal.view, query)
    data = [message_voice(message, edge) for message in found.rows]
    return orjson.dumps(paged(data, page=params.page, per_page=params.per_page, total=found.total, urls=urls))
