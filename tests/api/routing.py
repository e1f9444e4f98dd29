"""Every route the daemon has: which scope it needs, and how it could be asked for something that is somebody's.

tests/api/test_matrix.py holds it against the router, so a new route fails until it stands here; the canary goes along
it, too. `{t.…}` in a target is something of the tenant who is asked about, `{o.…}` of the one who asks: see
tests.tenants.Things.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from service.model import Scope
from tests.api.site import Answer

PREFIXES = {"/api/v1": ("/message-voice", "/call-history", "/statistic"), "/api": ("/accounts",)}
"""What the routes below these paths are also found under."""
DAY = "from=2020-01-01&to=2030-01-01"
BOX = {"password": "4711", "enabled": True, "description": "Owner"}
SLOT = {"sip_from": "sip:alice@example.com", "content_type": "audio/wav"}


@dataclass(frozen=True)
class Row:
    """A route. It `needs` a scope, None where no token; `lists` are requests that name nobody's thing, `names` do.

    `foreign` is what the latter are answered with where the thing is another's.
    """

    needs: Scope | None
    lists: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    body: Any = None
    foreign: int = 404


READ, WRITE, ADMIN = Scope.READ, Scope.WRITE, Scope.ADMIN
_MESSAGE = ("/v1/voicemail/message/{t.message}", "/v1/voicemail/message/{t.box_uuid}", "/v1/voicemail/message/{t.box}")
_DELETED = "/v1/voicemail/message/{t.deleted}"
_BOX = ("/v1/voicemail/{t.box}", "/v1/voicemail/{t.box_uuid}")
_ACCOUNT = ("/accounts/{t.box}/voicemails", "/accounts/{t.box_uuid}/voicemails")
_VOICEMAIL = tuple(
    f"/accounts/{{{account}}}/voicemails/{{t.{voicemail}}}"
    for account in ("t.box", "t.box_uuid", "o.box")
    for voicemail in ("message", "slot", "deleted")
)
_PHONE = "/mvno/voicemail/{t.phone}/{o.pin}"
_ABOUT_NOTHING = Row(None)


def _below(targets: tuple[str, ...], more: str) -> tuple[str, ...]:
    return tuple(target + more for target in targets)


_TABLE = {
    "GET /": _ABOUT_NOTHING,
    "GET /app.js": _ABOUT_NOTHING,
    "GET /docs": _ABOUT_NOTHING,
    "GET /docs.js": _ABOUT_NOTHING,
    "GET /icon.svg": _ABOUT_NOTHING,
    "GET /style.css": _ABOUT_NOTHING,
    "GET /openapi.json": _ABOUT_NOTHING,
    "GET /healthz": _ABOUT_NOTHING,
    "GET /readyz": _ABOUT_NOTHING,
    "GET /metrics": _ABOUT_NOTHING,
    # documents 000 and 001
    "GET /message-voice": Row(
        READ,
        ("/message-voice?per_page=300", "/message-voice?per_page=1&sort=-src", "/message-voice?filter[dst]=100"),
        ("/message-voice?filter[src]={t.caller}", "/message-voice?filter[external_number]={t.caller}"),
        foreign=200,
    ),
    "GET /message-voice/unread-count": Row(READ, ("/message-voice/unread-count",)),
    "POST /message-voice/mark-all-as-read": Row(WRITE, ("/message-voice/mark-all-as-read",)),
    "POST /message-voice/{id}/mark-as-a-read": Row(WRITE, (), ("/message-voice/{t.message_id}/mark-as-a-read",)),
    "GET /message-voice/{uuid}/audio": Row(
        READ,
        (),
        (
            "/message-voice/{t.message}/audio",
            "/message-voice/{t.message}/audio?format=mp3",
            "/message-voice/{t.deleted}/audio",
        ),
    ),
    "GET /call-history": Row(
        READ,
        ("/call-history?per_page=300", "/call-history?per_page=1&sort=-src", "/call-history?filter[dst]=100"),
        ("/call-history?filter[src]={t.caller}", "/call-history?filter[external_number]={t.caller}"),
        foreign=200,
    ),
    "GET /call-history/{id}/recording": Row(READ, (), ("/call-history/{t.call_id}/recording",)),
    "GET /statistic/calls-count": Row(
        READ,
        (f"/statistic/calls-count?{DAY}",),
        (f"/statistic/calls-count?{DAY}&external_number={{t.caller}}",),
        foreign=200,
    ),
    "GET /statistic/calls-by-hour": Row(
        READ,
        (f"/statistic/calls-by-hour?{DAY}",),
        (f"/statistic/calls-by-hour?{DAY}&external_number={{t.caller}}",),
        foreign=200,
    ),
    # document 002
    "GET /v1/voicemail": Row(ADMIN, ("/v1/voicemail?limit=500", "/v1/voicemail?limit=1&offset=1")),
    "POST /v1/voicemail": Row(ADMIN, (), ("/v1/voicemail",), {**BOX, "extension": "{t.box}"}, foreign=403),
    "GET /v1/voicemail/{ref}": Row(ADMIN, (), _BOX),
    "PUT /v1/voicemail/{ref}": Row(ADMIN, (), _BOX, BOX),
    "DELETE /v1/voicemail/{ref}": Row(ADMIN, (), _BOX),
    "GET /v1/voicemail/message": Row(
        READ,
        ("/v1/voicemail/message?limit=500", "/v1/voicemail/message?limit=1", "/v1/voicemail/message?extension=100"),
        ("/v1/voicemail/message?extension={t.box}",),
        foreign=200,
    ),
    "GET /v1/voicemail/message/{id}": Row(READ, (), (*_MESSAGE, _DELETED)),
    "DELETE /v1/voicemail/message/{id}": Row(WRITE, (), (*_MESSAGE, _DELETED)),
    "GET /v1/voicemail/message/{id}/download": Row(READ, (), _below((*_MESSAGE, _DELETED), "/download")),
    "GET /v1/voicemail/message/{id}/peaks": Row(READ, (), _below((*_MESSAGE, _DELETED), "/peaks")),
    "PUT /v1/voicemail/message/{id}/read": Row(WRITE, (), _below((*_MESSAGE, _DELETED), "/read")),
    "PUT /v1/voicemail/message/{id}/unread": Row(WRITE, (), _below((*_MESSAGE, _DELETED), "/unread")),
    "POST /v1/voicemail/message/{id}/restore": Row(WRITE, (), _below((*_MESSAGE, _DELETED), "/restore")),
    # document 003
    "GET /accounts/{id}/voicemails": Row(READ, ("/accounts/me/voicemails",), _ACCOUNT),
    "POST /accounts/{id}/voicemails": Row(WRITE, (), _ACCOUNT, SLOT),
    "GET /accounts/{id}/voicemails/{uuid}": Row(READ, (), _VOICEMAIL),
    "DELETE /accounts/{id}/voicemails/{uuid}": Row(WRITE, (), _VOICEMAIL),
    "POST /accounts/uploads/{secret}": Row(None, ("/accounts/uploads/a-guess",)),
    "PUT /accounts/uploads/{secret}": Row(None, ("/accounts/uploads/a-guess",)),
    # document 004
    "GET /mvno/voicemail/{phone}/{pin}": Row(None, (), (_PHONE, f"{_PHONE}?box=OLD")),
    "GET /mvno/voicemail/{phone}/{pin}/pin": Row(None, (), (f"{_PHONE}/pin",)),
    "POST /mvno/voicemail/{phone}/{pin}/pin": Row(None, (), (f"{_PHONE}/pin",), {"pin": "4711"}),
    # what changes
    "GET /events": Row(READ, ("/events", "/events?since=0&limit=1000")),
    "GET /ws": Row(READ, ("/ws",), ("/ws?mailboxes={t.box}", "/ws?mailboxes={o.box},{t.box}")),
}


def _aliased() -> Iterator[tuple[tuple[str, str], Row]]:
    for name, row in _TABLE.items():
        method, path = name.split(" ")
        for prefix in ("", *(prefix for prefix, heads in PREFIXES.items() if path.startswith(heads))):
            own = Row(row.needs, _under(prefix, row.lists), _under(prefix, row.names), row.body, row.foreign)
            if not own.lists and not own.names:
                own = Row(row.needs, (prefix + path,))
            for each in (method, "HEAD") if method == "GET" else (method,):
                yield (each, prefix + path), own


def _under(prefix: str, targets: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(prefix + target for target in targets)


ROUTES: dict[tuple[str, str], Row] = dict(_aliased())
"""By method and path."""


def routes(app: web.Application) -> set[tuple[str, str]]:
    """Method and path of every route an application has."""
    return {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}


def filled(template: Any, **things: object) -> Any:
    """A target, or a body, with what it names: in a target as addresses write it."""
    if isinstance(template, dict):
        return {name: filled(value, **things) if "{" in str(value) else value for name, value in template.items()}
    return str(template).format(**things)


async def ask(
    http: aiohttp.ClientSession, method: str, url: str, token: str | None = None, body: Any = None, **headers: str
) -> Answer:
    """Send a request, and give what came back whatever that is."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    async with http.request(method, URL(url.replace("+", "%2B"), encoded=True), headers=headers, json=body) as answer:
        return Answer(answer.status, answer.headers, await answer.read())
