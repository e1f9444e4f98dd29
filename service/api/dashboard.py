"""The dashboard's files, read once and served from memory: `/` and what it loads, and nothing else (contract 10)."""

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files

from aiohttp import hdrs, web

from service.api.ranges import unchanged
from service.api.wire import Route

FILES = (
    ("/", "index.html", "text/html; charset=utf-8"),
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


def routes() -> list[web.RouteDef]:
    """The routes of all files."""
    return [web.get(path, _handler(name, content_type)) for path, name, content_type in FILES]


def _handler(name: str, content_type: str) -> Route:
    return StaticFile((files("service") / "web" / name).read_bytes(), content_type).serve
