"""Document 004, described for the OpenAPI document: part of the table of `service.api.operations`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from service.api.operation import Answer, Body, Dialect, Errors, Operation, Parameter
from service.api.schemas import Model, Total

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
_SLUGS = {403: "pin", 404: "pin", 413: "too_large", 422: "pin"}


class NumberVoicemail(Model):
    """A voicemail of a number."""

    id: Annotated[Id, Field(alias="_id")]
    voiceAccount: Id  # noqa: N815 -- the document's name
    """The mailbox."""
    customer: str | None
    from_: Annotated[str, Field(alias="from")]
    """The caller's number, in E.164 where it allows that."""
    fromName: str  # noqa: N815 -- the document's name
    to: str
    """The number, in E.164."""
    callId: str | None  # noqa: N815 -- the document's name
    """Asterisk's uniqueid of the call it was left in."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$")]
    length: Total
    """Whole seconds."""
    box: Literal["INBOX", "SAVED"]
    played: bool


class NumberVoicemails(Model):
    """How many voicemails a number has, and those of one box, newest first, 1000 at most."""

    newCount: Total  # noqa: N815 -- the document's name
    oldCount: Total  # noqa: N815 -- the document's name
    savedCount: Total  # noqa: N815 -- the document's name
    voicemails: list[NumberVoicemail]


class PinIsRight(Model):
    """It is."""

    success: Literal[True]


class NewPin(Model):
    """Another PIN."""

    pin: Annotated[str, Field(pattern=r"^[0-9]{4,10}$")]


class NumberFailure(Model):
    """Why there is no answer."""

    code: int
    message: str
    """`id`: no such number. `pin`: wrong (404), no PIN (422), or locked for a while (403). `number`: not enabled."""
    description: str
    """For a person."""


def _written(code: int, message: str, _errors: Errors) -> Mapping[str, Any]:
    return {"code": code, "message": _SLUGS.get(code, "internal_error"), "description": message}


MVNO_DIALECT = Dialect("Number", NumberFailure, _written)
_PATH = "/mvno/voicemail/{phone}/{pin}"
_PLACE = (
    Parameter("phone", "A number, in E.164 or any usual spelling.", {"type": "string"}, "path"),
    Parameter("pin", "The PIN of its mailbox.", {"type": "string", "pattern": "^[0-9]{4,10}$"}, "path"),
)
_FAILURES = (403, 404, 422, 500, 503)
_VOICEMAIL = {
    "_id": "6f0ad9d45a6c5f3e9a530d7a",
    "voiceAccount": "9f3c1b527a0e4c1d8b3e2f1f",
    "customer": None,
    "from": "+4599778822",
    "fromName": "Donald Duck",
    "to": "+4571919998",
    "callId": "1704067200.17",
    "date": "2024-01-01T00:00:00.000Z",
    "length": 37,
    "box": "INBOX",
    "played": False,
}
_COUNTED = {"newCount": 1, "oldCount": 0, "savedCount": 10, "voicemails": [_VOICEMAIL]}

MVNO = (
    Operation(
        method="get",
        path=_PATH,
        name="listNumberVoicemails",
        tag="mvno",
        summary="The voicemails of a number",
        description="No token: the number and its PIN let in. Wrong PINs lock for a while.",
        parameters=(
            *_PLACE,
            Parameter("box", "Which of them.", {"type": "string", "enum": ["NEW", "OLD", "SAVED"], "default": "NEW"}),
        ),
        answers={200: Answer("The counts, and the voicemails of one box.", NumberVoicemails, _COUNTED)},
        failures=_FAILURES,
        dialect=MVNO_DIALECT,
    ),
    Operation(
        method="get",
        path=f"{_PATH}/pin",
        name="checkNumberPin",
        tag="mvno",
        summary="Whether a PIN is right",
        parameters=_PLACE,
        answers={200: Answer("It is.", PinIsRight, {"success": True})},
        failures=_FAILURES,
        dialect=MVNO_DIALECT,
    ),
    Operation(
        method="post",
        path=f"{_PATH}/pin",
        name="setNumberPin",
        tag="mvno",
        summary="Set another PIN, on the PBX",
        description="Needs `[pbx] provision`; else 403 `access_denied`. 404 `pin` also where another change was first.",
        parameters=_PLACE,
        body=Body("The new PIN.", {"application/json": NewPin}, {"pin": "246810"}),
        answers={200: Answer("The PBX has it.", PinIsRight, {"success": True})},
        failures=(*_FAILURES, 413),
        dialect=MVNO_DIALECT,
    ),
)
