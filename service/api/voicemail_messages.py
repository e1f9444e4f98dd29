"""The dialect of document 002 for messages (contract 5).

    GET    /v1/voicemail/message?limit&offset&extension    {"data": [...], "limit", "offset", "total"}, newest first
    GET    /v1/voicemail/message/{id}                      one message
    GET    /v1/voicemail/message/{id}/download             its audio: by a signed link, or with a token
    GET    /v1/voicemail/message/{id}/peaks                {"peaks": [0..1, at most 800], "duration": seconds}
    PUT    /v1/voicemail/message/{id}/read, .../unread     {"message": "successfully"}
    DELETE /v1/voicemail/message/{id}                      the same; gone from the PBX too
    POST   /v1/voicemail/message/{id}/restore              the same: undoes a deletion

`{id}` is a message's uuid, or a mailbox's uuid, `extension` or `extension@context`, which means its newest message; for
a restoration it is the message's uuid. Reading needs scope `read`, changing `write`. Failures: {"message": "..."}. What
the contract leaves open: `extension` is a mailbox, `101` that of context default; one that is unknown has no messages.
`caller_id_name` is the number where the caller shows no name, as in the document's own examples.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from aiohttp import web

from service.api.edge import Edge, Edges
from service.api.gate import Gate
from service.api.records import displayable
from service.api.signed import is_signed
from service.api.slices import read_slice
from service.api.sounds import Sounds
from service.api.voicemail_changes import Messages
from service.api.wire import Failure, json_response
from service.errors import NotFoundError
from service.model import Mailbox, Message, Principal, Scope, Status, View
from service.store import Store, held, mailboxes, messages, newest

PREFIX = "/v1/voicemail"
PATH = f"{PREFIX}/message"
DONE = {"message": "successfully"}


@dataclass(frozen=True)
class VoicemailMessages:
    """The handlers of this dialect. `pbx` changes messages, `sounds` sends what they sound like."""

    store: Store
    pbx: Messages
    sounds: Sounds
    gate: Gate
    edges: Edges

    def routes(self) -> list[web.RouteDef]:
        """All routes of this dialect."""
        read, write = partial(self.gate.needs, Scope.READ), partial(self.gate.needs, Scope.WRITE)
        one = f"{PATH}/{{id}}"
        return [
            web.get(PATH, read(self.index)),
            web.get(one, read(self.show)),
            web.delete(one, write(self.delete)),
            web.get(f"{one}/download", self.download),
            web.get(f"{one}/peaks", read(self.peaks)),
            web.put(f"{one}/read", write(self.mark_read)),
            web.put(f"{one}/unread", write(self.mark_unread)),
            web.post(f"{one}/restore", write(self.restore)),
        ]

    async def index(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /v1/voicemail/message`: newest first."""
        part, edge = read_slice(request.query), self.edges.of(request)
        mailbox = _mailbox(request.query.get("extension", ""))

        def read(conn: sqlite3.Connection) -> dict[str, Any]:
            found = newest.page(conn, principal.view, limit=part.limit, offset=part.offset, mailbox=mailbox)
            return part.answer([resource(message, edge) for message in found.rows], found.total)

        return json_response(await self.store.read(read))

    async def show(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /v1/voicemail/message/{id}`."""
        message = await self._find(request, principal.view)
        return json_response(resource(message, self.edges.of(request)))

    async def download(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/voicemail/message/{id}/download`."""
        if is_signed(request):
            return await self.sounds.play(request, request.match_info["id"].lower())  # what the link is signed for
        principal = self.gate.authorize(request, Scope.READ)
        message = await self._find(request, principal.view)
        return await self.sounds.play(request, message.uuid)

    async def peaks(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /v1/voicemail/message/{id}/peaks`: what a player draws."""
        message = await self._find(request, principal.view)
        found = await self.sounds.peaks(message.uuid, principal.view)
        return json_response({"peaks": found.values, "duration": found.duration})

    async def mark_read(self, request: web.Request, principal: Principal) -> web.Response:
        """`PUT .../read`: answered when the PBX and the store agree."""
        message = await self._find(request, principal.view)
        if message.status is not Status.READ:
            await self.pbx.mark_read([message])
        return json_response(DONE)

    async def mark_unread(self, request: web.Request, principal: Principal) -> web.Response:
        """`PUT .../unread`: the same the other way round."""
        message = await self._find(request, principal.view)
        if message.status is not Status.UNREAD:
            await self.pbx.mark_unread([message])
        return json_response(DONE)

    async def delete(self, request: web.Request, principal: Principal) -> web.Response:
        """`DELETE /v1/voicemail/message/{id}`: answered when it has left the spool."""
        await self.pbx.delete([await self._find(request, principal.view)])
        return json_response(DONE)

    async def restore(self, request: web.Request, principal: Principal) -> web.Response:
        """`POST .../restore`: undoes a deletion; of a message that is there it changes nothing."""
        uuid, view = request.match_info["id"], principal.view

        def look(conn: sqlite3.Connection) -> Message | None:
            try:
                return held.deleted(conn, view, uuid)
            except NotFoundError:
                messages.by_uuid(conn, view, uuid)
                return None

        message = await self.store.read(look)
        if message is not None:
            await self.pbx.restore(message)
        return json_response(DONE)

    async def _find(self, request: web.Request, view: View) -> Message:
        """The message a path names. Raises NotFoundError."""
        reference = request.match_info["id"]

        def read(conn: sqlite3.Connection) -> Message:
            try:
                return messages.by_uuid(conn, view, reference)
            except NotFoundError:
                return newest.of_mailbox(conn, view, mailboxes.referred(conn, reference))

        return await self.store.read(read)


def resource(message: Message, edge: Edge) -> dict[str, Any]:
    """A message of document 002, field by field."""
    envelope = message.envelope
    number = displayable(envelope.caller_id_number)
    return {
        "id": message.uuid,
        "created_at": datetime.fromtimestamp(envelope.origtime, edge.timezone).isoformat(),
        "caller_id_name": displayable(envelope.caller_id_name) or number,
        "caller_id_number": number,
        "duration": message.duration,
        "extension": message.mailbox.extension,
        "download_url": None if message.audio is None else edge.signed(f"{PATH}/{message.uuid}/download", message.uuid),
    }


def _mailbox(reference: str) -> Mailbox | None:
    return Mailbox.parse(reference) if reference else None


def envelope(failure: Failure) -> Mapping[str, Any]:
    """The envelope of a failure: one message, which says of every parameter what is wrong with it."""
    wrong = (problem for problems in failure.errors.values() for problem in problems)
    return {"message": " ".join(wrong) or failure.message}
