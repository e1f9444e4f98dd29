"""The dialect of document 002 for boxes: the PBX's own (contract 5).

    GET    /v1/voicemail?limit&offset    {"data": [...], "limit", "offset", "total"}, by context and extension
    GET    /v1/voicemail/{ref}           one box
    POST   /v1/voicemail                 {"data": box, "message": "successfully"}
    PUT    /v1/voicemail/{ref}           {"message": "successfully"}
    DELETE /v1/voicemail/{ref}           the same

`{ref}` is a box's uuid, `extension` or `extension@context`. All of it needs scope `admin`. Failures: {"message"}. What
the contract leaves open: `extension` of a new box may be `extension@context`; in answers it is the extension alone.
`description` is the full name. PUT leaves what it does not name as it is; `id` and `extension` may stand in its body
when they are the box's own. A token that is limited to mailboxes makes no others: 403. `password` is never answered.
"""

import sqlite3
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

import orjson
from aiohttp import web

from service.api.gate import Gate
from service.api.records import displayable
from service.api.slices import read_slice
from service.api.wire import RefusedError, json_response
from service.errors import InvalidInputError, NotFoundError
from service.model import DEFAULT_CONTEXT, Mailbox, Principal, Scope, View
from service.store import Store, boxes, mailboxes
from service.store.boxes import Box
from service.voicemail_conf import Wanted, check_mailbox

PATH = "/v1/voicemail"
DONE = {"message": "successfully"}
HIDDEN = "********"
"""What stands in the place of every password."""
_FIELDS: Mapping[str, type] = {
    "password": str,
    "enabled": bool,
    "mail_to": str,
    "local_after_email": bool,
    "description": str,
}
_KINDS = {str: "a string", bool: "true or false"}


class Provisioning(Protocol):
    """What changing boxes asks of the PBX. All raise InvalidInputError, ConflictError or UnavailableError."""

    def create(self, mailbox: Mailbox, wanted: Wanted) -> Awaitable[None]:
        """Make a box."""

    def change(self, mailbox: Mailbox, wanted: Wanted) -> Awaitable[None]:
        """Change a box. Raises NotFoundError."""

    def remove(self, mailbox: Mailbox) -> Awaitable[None]:
        """Remove a box. Raises NotFoundError."""


@dataclass(frozen=True)
class VoicemailBoxes:
    """The handlers of this dialect. `pbx` changes boxes, None where that is not allowed (`provision`)."""

    store: Store
    pbx: Provisioning | None
    gate: Gate

    def routes(self) -> list[web.RouteDef]:
        """All routes of this dialect; those of messages, below the same path, have to be added before."""
        admin = partial(self.gate.needs, Scope.ADMIN)
        one = f"{PATH}/{{ref}}"
        return [
            web.get(PATH, admin(self.index)),
            web.post(PATH, admin(self.create)),
            web.get(one, admin(self.show)),
            web.put(one, admin(self.change)),
            web.delete(one, admin(self.remove)),
        ]

    async def index(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /v1/voicemail`."""
        part = read_slice(request.query)
        rows, total = await self.store.read(
            lambda conn: boxes.page(conn, principal.view, limit=part.limit, offset=part.offset)
        )
        return json_response(part.answer([resource(box) for box in rows], total))

    async def show(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /v1/voicemail/{ref}`."""
        return json_response(resource(await self._find(request.match_info["ref"], principal.view)))

    async def create(self, request: web.Request, principal: Principal) -> web.Response:
        """`POST /v1/voicemail`: answered when the PBX has the box."""
        pbx, body = self._allowed(), await _body(request)
        mailbox = _new_mailbox(body.pop("extension", None))
        wanted = _wanted(body)
        if not principal.may_see(mailbox):
            raise RefusedError(HTTPStatus.FORBIDDEN, f"This token may not make the mailbox {mailbox}.")
        await pbx.create(mailbox, wanted)
        made = await self.store.read(lambda conn: boxes.find(conn, principal.view, mailbox))
        return json_response({"data": resource(made), **DONE})

    async def change(self, request: web.Request, principal: Principal) -> web.Response:
        """`PUT /v1/voicemail/{ref}`: answered when the PBX has it."""
        pbx, body = self._allowed(), await _body(request)
        box = await self._find(request.match_info["ref"], principal.view)
        _check_same(box, body)
        await pbx.change(box.mailbox, _wanted(body))
        return json_response(DONE)

    async def remove(self, request: web.Request, principal: Principal) -> web.Response:
        """`DELETE /v1/voicemail/{ref}`: the PBX has it no more; its messages stay in the spool, and here."""
        pbx = self._allowed()
        box = await self._find(request.match_info["ref"], principal.view)
        await pbx.remove(box.mailbox)
        return json_response(DONE)

    def _allowed(self) -> Provisioning:
        if self.pbx is None:
            raise RefusedError(
                HTTPStatus.FORBIDDEN, "Boxes are not changed from here: [pbx] provision = true would allow it."
            )
        return self.pbx

    async def _find(self, reference: str, view: View) -> Box:
        """The box a path names. Raises NotFoundError."""

        def read(conn: sqlite3.Connection) -> Box:
            try:
                return boxes.find(conn, view, mailboxes.referred(conn, reference))
            except NotFoundError:
                raise NotFoundError("there is no such mailbox") from None

        return await self.store.read(read)


def resource(box: Box) -> dict[str, Any]:
    """A box of document 002, field by field."""
    return {
        "id": box.uuid,
        "extension": box.mailbox.extension,
        "password": HIDDEN,
        "mail_to": displayable(box.email),
        "local_after_email": box.keeps,
        "enabled": box.disabled is None,
        "description": displayable(box.fullname),
    }


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object that was sent. Raises InvalidInputError."""
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise InvalidInputError("the body must be JSON") from None
    if not isinstance(body, dict):
        raise InvalidInputError("the body must be a JSON object")
    return body


def _new_mailbox(extension: object) -> Mailbox:
    """The mailbox that `extension` names. Raises InvalidInputError."""
    if not isinstance(extension, str):
        raise InvalidInputError("the extension is required, and must be a string", "extension")
    name, at, context = extension.partition("@")
    mailbox = Mailbox(context if at else DEFAULT_CONTEXT, name)
    check_mailbox(mailbox)
    return mailbox


def _check_same(box: Box, body: dict[str, Any]) -> None:
    """Take out of a body what may stand there and cannot be changed. Raises InvalidInputError where it is another."""
    own = {"id": (box.uuid,), "extension": (box.mailbox.extension, str(box.mailbox))}
    for name, values in own.items():
        if name in body and body.pop(name) not in values:
            raise InvalidInputError(f"the {name} of a mailbox cannot be changed", name)


def _wanted(body: Mapping[str, Any]) -> Wanted:
    """What a box is to be. Raises InvalidInputError with all that is wrong."""
    wrong = [f"the {name} is required" for name in ("password", "enabled") if name not in body]
    wrong += [f"{name[:40]!r} is no field of a mailbox" for name in body if name not in _FIELDS]
    wrong += [
        f"the {name} must be {_KINDS[kind]}"
        for name, kind in _FIELDS.items()
        if name in body and not isinstance(body[name], kind)
    ]
    if wrong:
        raise InvalidInputError("; ".join(wrong[:10]))
    wanted = Wanted(
        pin=body["password"],
        enabled=body["enabled"],
        fullname=body.get("description"),
        email=body.get("mail_to"),
        keeps=body.get("local_after_email"),
    )
    wanted.check()
    return wanted
