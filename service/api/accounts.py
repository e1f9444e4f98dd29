"""The dialect of document 003: voicemails of an account, also those that are uploaded (contract 6).

    GET    /accounts/{id|me}/voicemails           a bare array, newest first
    GET    /accounts/{id|me}/voicemails/{uuid}    one
    POST   /accounts/{id|me}/voicemails           a slot: 201 with its upload_url
    DELETE /accounts/{id|me}/voicemails/{uuid}    200; the audio goes with it, on the PBX as well
    POST   /accounts/uploads/{secret}             the upload itself, multipart field `file`; needs no token
    PUT    /accounts/uploads/{secret}             the same, as the raw body

The same under `/api`. The token as Bearer or in `x-api-key`; reading needs scope `read`, changing `write`. `me` is the
token's one mailbox. Failures: {"message"}, and with 422 `errors` by field. What the contract leaves open: an upload
that somebody else is filling at this moment is 409, as is a mailbox with 100 uploads open; where the uploads of a
mailbox would take more than `[limits] uploads_mib_per_mailbox`, slot and upload are 422 `file`; at most 1,000 messages
are listed, the newest. A voicemail of the PBX has the content type and size it was recorded with; its `get_url` plays
anywhere.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web

from service.api.auth import bearer
from service.api.edge import Edge, Edges
from service.api.form import MOST_BESIDE, boundary_of, field
from service.api.gate import Gate, PrincipalHandler
from service.api.records import displayable
from service.api.voicemail_changes import Deletes
from service.api.wire import Failure, InvalidParametersError, RefusedError, Route, json_response, sentence
from service.errors import InvalidInputError, NotFoundError
from service.model import Mailbox, Message, Principal, Scope, View
from service.sip import address_of
from service.store import Store, mailboxes, messages, newest
from service.store import uploads as slots
from service.store.uploads import Slot
from service.uploads import LARGEST, QuotaError, TooLargeError, Uploads, check_content_type, check_sip_from

API = "/api"
PREFIX = "/accounts"
ME = "me"
MOST_LISTED = 1000
CHUNK = 64 * 1024


@dataclass(frozen=True)
class Accounts:
    """The handlers of this dialect. `pbx_name` is the host in the SIP addresses of who called through the PBX."""

    store: Store
    uploads: Uploads
    pbx: Deletes
    gate: Gate
    edges: Edges
    pbx_name: str

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """All routes of this dialect under a prefix."""
        path = f"{prefix}{PREFIX}/{{id}}/voicemails"
        upload = f"{prefix}{PREFIX}/uploads/{{secret}}"
        return [
            web.get(path, self._needs(Scope.READ, self.index)),
            web.post(path, self._needs(Scope.WRITE, self.ask)),
            web.get(f"{path}/{{uuid}}", self._needs(Scope.READ, self.show)),
            web.delete(f"{path}/{{uuid}}", self._needs(Scope.WRITE, self.delete)),
            web.post(upload, self.upload),
            web.put(upload, self.upload),
        ]

    def _needs(self, scope: Scope, handler: PrincipalHandler) -> Route:
        """The handler, behind the gate, which also takes a token in `x-api-key`."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            key = request.headers.get("x-api-key", "").strip()
            if key and bearer(request.headers.get(hdrs.AUTHORIZATION, "")) is None:
                return await handler(request, self.gate.admit(key, scope))
            return await handler(request, self.gate.authorize(request, scope))

        return guarded

    async def index(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /accounts/{id|me}/voicemails`."""
        reference, edge = _reference(request, principal), self.edges.of(request)
        resource = partial(voicemail, edge=edge, pbx_name=self.pbx_name)

        def read(conn: sqlite3.Connection) -> bytes:
            mailbox = _mailbox(conn, reference, principal.view)
            found = newest.page(conn, principal.view, limit=MOST_LISTED, offset=0, mailbox=mailbox).rows
            told = [resource(message) for message in found]
            told += [waiting(slot) for slot in self.uploads.open_slots(conn, mailbox)]
            return orjson.dumps(sorted(told, key=_created, reverse=True))

        return web.Response(body=await self.store.read(read), content_type="application/json")

    async def show(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /accounts/{id|me}/voicemails/{uuid}`."""
        found = await self._find(request, principal)
        if isinstance(found, Slot):
            return json_response(waiting(found))
        return json_response(voicemail(found, self.edges.of(request), self.pbx_name))

    async def ask(self, request: web.Request, principal: Principal) -> web.Response:
        """`POST /accounts/{id|me}/voicemails`: make a slot."""
        reference = _reference(request, principal)
        mailbox = await self.store.read(lambda conn: _mailbox(conn, reference, principal.view))
        sip_from, content_type = await _wanted(request)
        try:
            asked = await self.uploads.ask(mailbox, sip_from, content_type)
        except QuotaError as error:
            raise InvalidParametersError({"file": [sentence(error)]}) from error
        prefix = API if request.path.startswith(f"{API}/") else ""
        url = f"{self.edges.of(request).base_url}{prefix}{PREFIX}/uploads/{asked.secret}"
        slot = asked.slot
        answer = {
            "id": slot.uuid,
            "sip_from": slot.sip_from,
            "upload_url": url,
            "download_url": None,
            "max_upload_size": LARGEST,
            "content_type": slot.content_type,
            "created_at": _time(slot.created),
            "uploaded_at": None,
        }
        return json_response(answer, HTTPStatus.CREATED)

    async def delete(self, request: web.Request, principal: Principal) -> web.Response:
        """`DELETE /accounts/{id|me}/voicemails/{uuid}`."""
        found = await self._find(request, principal)
        if isinstance(found, Slot):
            await self.uploads.forget(principal.view, found.uuid)
        else:
            await self.pbx.delete([found])
        return json_response({"message": "Deleted."})

    async def upload(self, request: web.Request) -> web.Response:
        """`POST|PUT /accounts/uploads/{secret}`: fill the slot."""
        secret = request.match_info["secret"]
        await self.uploads.slot(secret)
        if (request.content_length or 0) > LARGEST + MOST_BESIDE:
            raise _too_large()
        try:
            message = await self.uploads.fill(secret, _content(request))
        except TooLargeError as error:
            raise _too_large() from error
        except (InvalidInputError, QuotaError) as error:
            raise InvalidParametersError({"file": [sentence(error)]}) from error
        return json_response(voicemail(message, self.edges.of(request), self.pbx_name))

    async def _find(self, request: web.Request, principal: Principal) -> Message | Slot:
        """The voicemail or slot a path names. Raises NotFoundError where it is not in that mailbox."""
        reference, uuid, now = _reference(request, principal), request.match_info["uuid"], self.uploads.now

        def read(conn: sqlite3.Connection) -> Message | Slot:
            only = frozenset({_mailbox(conn, reference, principal.view)})
            try:
                return messages.by_uuid(conn, only, uuid)
            except NotFoundError:
                return slots.by_uuid(conn, only, uuid, now)

        return await self.store.read(read)


def voicemail(message: Message, edge: Edge, pbx_name: str) -> dict[str, Any]:
    """A voicemail of document 003, field by field."""
    audio = message.audio
    created = message.envelope.origtime
    return {
        "id": message.uuid,
        "sip_from": message.sip_from or address_of(displayable(message.envelope.caller_id_number), pbx_name),
        "get_url": None if audio is None else edge.signed(f"/message-voice/{message.uuid}/audio", message.uuid),
        "file_size": None if audio is None else audio.file.size,
        "content_type": None if audio is None else audio.content_type,
        "created_at": _time(created),
        "uploaded_at": _time(created if message.uploaded is None else message.uploaded),
    }


def waiting(slot: Slot) -> dict[str, Any]:
    """A slot that was not filled yet, as a voicemail."""
    return {
        "id": slot.uuid,
        "sip_from": slot.sip_from,
        "get_url": None,
        "file_size": None,
        "content_type": slot.content_type,
        "created_at": _time(slot.created),
        "uploaded_at": None,
    }


def _created(resource: dict[str, Any]) -> str:
    return str(resource["created_at"])


def _time(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _reference(request: web.Request, principal: Principal) -> str:
    """The mailbox reference of the path. Raises RefusedError for a `me` that is nobody or several."""
    reference = request.match_info["id"]
    if reference != ME:
        return reference
    if principal.view is None or len(principal.view) != 1:
        raise RefusedError(HTTPStatus.FORBIDDEN, "`me` is for a token of one mailbox; name the mailbox instead.")
    return str(next(iter(principal.view)))


def _mailbox(conn: sqlite3.Connection, reference: str, view: View) -> Mailbox:
    """The mailbox a path names, if it is known or the view names it. Raises NotFoundError."""
    mailbox = mailboxes.referred(conn, reference)
    if mailbox not in view if view is not None else not mailboxes.is_known(conn, mailbox):
        raise NotFoundError("there is no such account")
    return mailbox


async def _wanted(request: web.Request) -> tuple[str, str]:
    """`sip_from` and `content_type` of a body. Raises InvalidParametersError with all that is wrong."""
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        body = None
    fields = body if isinstance(body, dict) else {}
    found = {
        name: wrong
        for name, check in (("sip_from", check_sip_from), ("content_type", check_content_type))
        if (wrong := _wrong(name, fields.get(name), check))
    }
    if found:
        raise InvalidParametersError(found)
    return fields["sip_from"], fields["content_type"]


def _wrong(name: str, value: object, check: Callable[[str], None]) -> list[str]:
    if not isinstance(value, str) or not value:
        return [f"The {name} is required, as text."]
    try:
        check(value)
    except InvalidInputError as error:
        return [sentence(error)]
    return []


async def _content(request: web.Request) -> AsyncIterator[bytes]:
    """The bytes of the file: the body, or the field `file` of a form, piece by piece. Raises InvalidInputError."""
    boundary = boundary_of(request.headers.get(hdrs.CONTENT_TYPE, ""))
    body = request.content.iter_chunked(CHUNK)
    async for piece in body if boundary is None else field(body, boundary, "file"):
        yield piece


def _too_large() -> RefusedError:
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A voicemail has at most {LARGEST} bytes.")


def envelope(failure: Failure) -> Mapping[str, Any]:
    """The envelope of a failure."""
    body: dict[str, Any] = {"message": failure.message}
    return body | {"errors": failure.errors} if failure.errors else body
