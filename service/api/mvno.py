"""The dialect of document 004: voicemail of a mobile number, by its PIN and without a token (contract 7).

    GET  /mvno/voicemail/{PHONENUMBER}/{PINCODE}?box=NEW|OLD|SAVED    counts and the messages of that box
    GET  /mvno/voicemail/{PHONENUMBER}/{PINCODE}/pin                  {"success": true}
    POST /mvno/voicemail/{PHONENUMBER}/{PINCODE}/pin  {"pin": "..."}  {"success": true}, and the PBX has the new one

Failures: {"code", "message": id|pin|number|access_denied|internal_error, "description"}. What the contract leaves open:
a PIN that is no PIN is 422 before anything else is looked at; a box the PBX cannot be asked about is 500; another
`box` than these three is 422 `box`. `_id` and `voiceAccount` are the first 24 digits of the message's and the mailbox's
uuid. A number is found in any usual spelling. At most 1,000 messages are listed, the newest.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

import orjson
from aiohttp import web

from service.api.peer import address_of
from service.api.records import displayable
from service.api.wire import Failure, RefusedError, json_response, sentence
from service.errors import ConflictError, InvalidInputError, UnavailableError
from service.model import Mailbox, Message, Status
from service.phones import e164, shown
from service.pins import PIN, LockedError, Pins, WrongPinError
from service.store import Store, inbox, mailboxes
from service.store.inbox import Owned, Shelf

PREFIX = "/mvno"
ID_DIGITS = 24
_SLUGS = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.FORBIDDEN: "access_denied",
    HTTPStatus.TOO_MANY_REQUESTS: "too_many_requests",
}


class SetPin(Protocol):
    """Sets a PIN on the PBX."""

    async def __call__(self, mailbox: Mailbox, pin: str, *, old: str) -> None:
        """Give a box another PIN. Raises WrongPinError where it does not have the old one, and VoicemaildError."""


@dataclass(frozen=True)
class Mvno:
    """The handlers of this dialect.

    `set_pin` sets a PIN on the PBX, None where that is not allowed (`provision`). `country` is that of numbers without
    a country code, `trusted` are proxies of our own.
    """

    store: Store
    pins: Pins
    set_pin: SetPin | None
    country: str
    trusted: Sequence[IPv4Network | IPv6Network]

    def routes(self) -> list[web.RouteDef]:
        """All routes of this dialect."""
        path = f"{PREFIX}/voicemail/{{phone}}/{{pin}}"
        return [
            web.get(path, self.index),
            web.get(f"{path}/pin", self.check),
            web.post(f"{path}/pin", self.change),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """`GET /mvno/voicemail/{phone}/{pin}`: the counts, and the messages of one box."""
        shelf = _shelf(request.query.get("box") or Shelf.NEW)
        owned = await self._enter(request)
        render = _Renderer(owned, shelf, self.country)
        return web.Response(body=await self.store.read(render), content_type="application/json")

    async def check(self, request: web.Request) -> web.Response:
        """`GET .../pin`: whether the PIN is right."""
        await self._enter(request)
        return json_response({"success": True})

    async def change(self, request: web.Request) -> web.Response:
        """`POST .../pin`: set another PIN on the PBX."""
        owned = await self._enter(request)
        pin = await _new_pin(request)
        if self.set_pin is None:
            raise RefusedError(
                HTTPStatus.FORBIDDEN, "PINs are not changed from here: see [pbx] provision.", slug="access_denied"
            )
        try:
            if owned.pin_is_of_pbx:
                await self.set_pin(owned.box.mailbox, pin, old=request.match_info["pin"])
            else:
                await self._keep(owned, pin)
        except WrongPinError as error:  # it was right a moment ago
            raise _wrong() from error
        except (ConflictError, UnavailableError) as error:
            raise _internal(error) from error
        return json_response({"success": True})

    async def _keep(self, owned: Owned, pin: str) -> None:
        """Keep a hash of the PIN of a box the PBX does not know, if the one that was right is kept still."""
        pin_hash, mailbox = await self.pins.hash_of(pin), owned.box.mailbox
        if not await self.store.write(lambda tx: mailboxes.change_pin_hash(tx, mailbox, pin_hash, owned.pin_hash)):
            raise WrongPinError(f"{mailbox} has another PIN by now")

    async def _enter(self, request: web.Request) -> Owned:
        """Whose number and PIN the path holds. Raises RefusedError."""
        pin = request.match_info["pin"]
        if PIN.match(pin) is None:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "Pin code is invalid", slug="pin")
        owned = await self._owned(request.match_info["phone"])
        if owned.disabled:
            raise RefusedError(HTTPStatus.FORBIDDEN, "Voicemail not enabled for this number", slug="number")
        try:
            await self.pins.check(owned, address_of(request, self.trusted), pin)
        except LockedError as error:
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "Login via pin disabled due to multiple failed logins",
                {"Retry-After": str(error.retry_after)},
                slug="pin",
            ) from error
        except WrongPinError as error:
            raise _wrong() from error
        except UnavailableError as error:  # why is not for whoever has not shown the PIN: it names hosts and files
            words = "The PIN cannot be checked at this moment."
            raise RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, words, slug="internal_error") from error
        return owned

    async def _owned(self, text: str) -> Owned:
        try:
            phone = e164(text, self.country)
        except InvalidInputError:
            phone = ""
        owned = await self.store.read(lambda conn: inbox.by_phone(conn, phone)) if phone else None
        if owned is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "Not found", slug="id")
        return owned


@dataclass(frozen=True)
class _Renderer:
    """Reads and writes the answer, on the store's thread."""

    owned: Owned
    shelf: Shelf
    country: str

    def __call__(self, conn: sqlite3.Connection) -> bytes:
        owned = inbox.by_phone(conn, self.owned.box.phone) or self.owned
        counts = owned.box.counts
        listed = inbox.listed(conn, owned.box.mailbox, self.shelf)
        return orjson.dumps(
            {
                "newCount": counts.new,
                "oldCount": counts.old,
                "savedCount": counts.saved,
                "voicemails": [voicemail(message, owned, self.country) for message in listed],
            }
        )


def voicemail(message: Message, owned: Owned, country: str) -> dict[str, Any]:
    """One of `voicemails[]` of document 004, field by field."""
    envelope, box = message.envelope, owned.box
    received = datetime.fromtimestamp(envelope.origtime, UTC)
    return {
        "_id": _id(message.uuid),
        "voiceAccount": _id(box.uuid),
        "customer": box.customer or None,
        "from": displayable(shown(envelope.caller_id_number, country)),
        "fromName": displayable(envelope.caller_id_name),
        "to": box.phone,
        "callId": message.uniqueid or None,
        "date": received.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "length": message.duration,
        "box": "SAVED" if message.folder.saved else "INBOX",
        "played": message.status is Status.READ,
    }


def _id(uuid: str) -> str:
    return uuid.replace("-", "")[:ID_DIGITS]


def _shelf(text: str) -> Shelf:
    try:
        return Shelf(text.upper())
    except ValueError:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "The box must be NEW, OLD or SAVED.", slug="box") from None


async def _new_pin(request: web.Request) -> str:
    """The `pin` of the body."""
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        body = None
    pin = body.get("pin") if isinstance(body, dict) else None
    if not isinstance(pin, str) or PIN.match(pin) is None:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, 'The body must be {"pin": "4 to 10 digits"}.', slug="pin")
    return pin


def _wrong() -> RefusedError:
    return RefusedError(HTTPStatus.NOT_FOUND, "Not found", slug="pin")


def _internal(error: Exception) -> RefusedError:
    return RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, sentence(error), slug="internal_error")


def envelope(failure: Failure) -> Mapping[str, Any]:
    """The envelope of a failure."""
    slug = failure.slug or _SLUGS.get(HTTPStatus(failure.status), "internal_error")
    return {"code": int(failure.status), "message": slug, "description": failure.message}
