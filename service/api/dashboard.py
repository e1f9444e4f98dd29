"""The pages for people, served from memory: the dashboard, `/docs`, what they load, and nothing else (contract 10).

GET /                the dashboard
GET /docs            a page to read the OpenAPI document, and to try it
GET /openapi.json    the document
"""

import asyncio
import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files

from aiohttp import hdrs, web

from service.api.ranges import unchanged
from service.api.wire import JSON, Route

FILES = (
    ("/", "index.html", "text/html; charset=utf-8"),
    ("/docs", "docs.html", "text/html; charset=utf-8"),
    ("/docs.js", "docs.js", "text/javascript; charset=utf-8"),
    ("/app.js", "app.js", "text/javascript; charset=utf-8"),
    ("/style.css", "style.css", "text/css; charset=utf-8"),
    ("/icon.svg", "icon.svg", "image/svg+xml"),
)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent."""

    body: bytes
    content_type: str

    async def serve(self, request: web.Request) -> web.Response:
        """The file, or 304 where the browser has it; it asks each time, so that an update shows at once."""
        etag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'
        headers = {hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: etag}
        if unchanged(request.headers.get(hdrs.IF_NONE_MATCH), etag):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(body=self.body, headers=headers | {hdrs.CONTENT_TYPE: self.content_type})


class Document:
    """The OpenAPI document, made when it is first asked for."""

    def __init__(self) -> None:
        self._file: StaticFile | None = None

    async def serve(self, request: web.Request) -> web.Response:
        """`GET /openapi.json`."""
        if self._file is None:
            self._file = StaticFile(await asyncio.to_thread(_document), JSON)
        return await self._file.serve(request)


def _document() -> bytes:
    from service.api.openapi import rendered  # noqa: PLC0415 -- its models take a while, and memory, to build

    return rendered()


def routes() -> list[web.RouteDef]:
    """The routes of all pages."""
    files = [web.get(path, _handler(name, content_type)) for path, name, content_type in FILES]
    return [*files, web.get("/openapi.json", Document().serve)]


def _handler(name: str, content_type: str) -> Route:
    return StaticFile((files("service") / "web" / name).read_bytes(), content_type).serve
