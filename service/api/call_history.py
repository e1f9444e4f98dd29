"""The dialect of document 001: the call history (contract 4).

    GET /call-history?page&per_page&sort&filter[...]       a page, as Laravel answers it

Failures are those of message-voice. Served under `/` and under `/api/v1`; links in an answer keep the prefix of the
request. It needs scope `read`; a token limited to mailboxes sees the calls in which their extensions take part.
"""

import asyncio
from dataclasses import dataclass
from functools import partial

import orjson
from aiohttp import web

from service.api.cache import Bodies
from service.api.edge import Edge, Edges
from service.api.gate import Gate
from service.api.paging import PageUrls, paged
from service.api.params import ListParams, ListSpec, query_of, read_list
from service.api.records import call_history
from service.api.wire import rendered
from service.call import Call, CallStatus, CallType
from service.model import Principal, Scope, View
from service.store import Store, call_pages
from service.store.query import Page

SPEC = ListSpec(
    sorts=("id", "datetime", "src", "dst", "external_number", "duration", "conversation", "type", "status"),
    texts=("src", "dst", "external_number"),
    integers={"duration": None, "conversation": None, "type": tuple(CallType), "status": tuple(CallStatus)},
)


@dataclass(frozen=True)
class CallHistory:
    """The handler of the call history. `bodies` keeps what was answered."""

    store: Store
    gate: Gate
    edges: Edges
    bodies: Bodies

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The route of this dialect under a prefix."""
        return [web.get(f"{prefix}/call-history", partial(self.gate.needs, Scope.READ)(self.index))]

    async def index(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /call-history`: a page of calls."""
        base_url = self.edges.base_url(request)
        key = (principal.view, request.raw_path, base_url, self.edges.signer.era)

        async def render() -> bytes:
            params = read_list(request.query.items(), SPEC, self.edges.timezone)
            urls = PageUrls.of(f"{base_url}/call-history", request.query.items())
            edge = self.edges.thorough(base_url)
            query = query_of(params)
            write = partial(written, params=params, urls=urls, edge=edge, view=principal.view)
            if self.edges.recordings.nowhere:
                return await self.store.read(lambda conn: write(call_pages.page(conn, principal.view, query)))
            page = await self.store.read(lambda conn: call_pages.page(conn, principal.view, query))
            return await asyncio.to_thread(
                write, page
            )  # looking for recordings may take long: not on the store's thread

        return rendered(await self.bodies.get(key, render))


def written(page: Page[Call], params: ListParams, urls: PageUrls, edge: Edge, view: View) -> bytes:
    """A page as it is answered."""
    data = [call_history(call, edge, view) for call in page.rows]
    return orjson.dumps(paged(data, page=params.page, per_page=params.per_page, total=page.total, urls=urls))
