"""The boxes of document 002, described for the OpenAPI document: part of the table of `service.api.operations`."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from service.api.operation import ADMIN, PLAIN, Answer, Body, Operation, Parameter
from service.api.schemas import Model, Told, Total
from service.api.slices import LIMIT, MOST

Pin = Annotated[str, Field(pattern=r"^[0-9]{4,10}$", description="The PIN: handed to the PBX, not kept here.")]
Name = Annotated[
    str, Field(max_length=79, pattern=r"^([^\x00-\x20,|\\<>\[\]]([^\x00-\x1f,|\\<>\[\]]*[^\x00-\x20,|\\<>\[\]])?)?$")
]
Email = Annotated[str, Field(max_length=79, pattern=r"^([^@,|;<>\s]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)?$")]
_BOX_NAME = "[0-9A-Za-z][0-9A-Za-z_.+-]{0,78}"


class VoicemailBox(Model):
    """A mailbox of the PBX."""

    id: str
    """A uuid."""
    extension: str
    password: Literal["********"]
    """Never answered."""
    mail_to: str
    """Where messages are mailed, or ""."""
    local_after_email: bool
    """Whether they stay after that; false is Asterisk's `delete=yes`."""
    enabled: bool
    """False: kept here, and taken out of the PBX's configuration."""
    description: str
    """The full name."""


class VoicemailBoxes(Model):
    """Part of a list: `limit` of the `total`, from `offset` on."""

    data: list[VoicemailBox]
    limit: Annotated[int, Field(ge=1, le=MOST)]
    offset: Total
    total: Total


class VoicemailBoxMade(Model):
    """The mailbox as it was made."""

    data: VoicemailBox
    message: Literal["successfully"]


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is left out stays as it is: there is no default to tell."""
    for described in schema["properties"].values():
        described.pop("default", None)


class VoicemailBoxChange(Model):
    """What a mailbox is to be; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, json_schema_extra=_without_defaults)

    password: Pin
    enabled: bool
    mail_to: Email = ""
    local_after_email: bool = True
    description: Name = ""


class VoicemailBoxWanted(VoicemailBoxChange):
    """A new mailbox."""

    extension: Annotated[str, Field(pattern=f"^{_BOX_NAME}(@{_BOX_NAME})?$")]
    """`101`, or `101@context` for one of another context than `default`."""


_PATH = "/v1/voicemail"
_REF = Parameter("ref", "A mailbox: its uuid, `extension` or `extension@context`.", {"type": "string"}, "path")
_BOX = {
    "id": "6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11",
    "extension": "101",
    "password": "********",
    "mail_to": "tech@example.com",
    "local_after_email": True,
    "enabled": True,
    "description": "For Tech",
}
_WANTED = {"password": "246810", "enabled": True, "mail_to": "tech@example.com", "description": "For Tech"}
_DONE = {200: Answer("The PBX has it.", Told, {"message": "successfully"})}
_CHANGED = (
    "The box is changed in the PBX's voicemail.conf, and answered when the PBX shows it. 403 without `[pbx] provision`;"
    " 409 where the PBX's own writer would damage that file (with the line that stands in the way), where the PBX has"
    " the box from elsewhere (realtime), or where the change did not take."
)
_FAILURES = (401, 403, 404, 409, 422, 429, 503)

VOICEMAIL_BOXES = (
    Operation(
        method="get",
        path=_PATH,
        name="listVoicemailBoxes",
        tag="voicemail",
        summary="Part of the list of the PBX's mailboxes, by context and extension",
        description="Mailboxes that are made on the PBX itself appear within a minute.",
        parameters=(
            Parameter(
                "limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT}
            ),
            Parameter(
                "offset",
                "How many to pass over.",
                {"type": "integer", "minimum": 0, "maximum": 10**18 - 1, "default": 0},
            ),
        ),
        security=ADMIN,
        answers={
            200: Answer("So many of them.", VoicemailBoxes, {"data": [_BOX], "limit": 10, "offset": 0, "total": 1})
        },
        failures=(401, 403, 422, 429, 503),
        dialect=PLAIN,
    ),
    Operation(
        method="post",
        path=_PATH,
        name="createVoicemailBox",
        tag="voicemail",
        summary="Make a mailbox",
        description=_CHANGED,
        body=Body("The mailbox.", {"application/json": VoicemailBoxWanted}, {"extension": "101", **_WANTED}),
        security=ADMIN,
        answers={
            200: Answer("The PBX has it.", VoicemailBoxMade, {"data": _BOX, "message": "successfully"}),
        },
        failures=(401, 403, 409, 413, 422, 429, 503),
        dialect=PLAIN,
    ),
    Operation(
        method="get",
        path=f"{_PATH}/{{ref}}",
        name="getVoicemailBox",
        tag="voicemail",
        summary="A mailbox",
        parameters=(_REF,),
        security=ADMIN,
        answers={200: Answer("The mailbox.", VoicemailBox, _BOX)},
        failures=(401, 403, 404, 429, 503),
        dialect=PLAIN,
    ),
    Operation(
        method="put",
        path=f"{_PATH}/{{ref}}",
        name="changeVoicemailBox",
        tag="voicemail",
        summary="Change a mailbox, take it out of the PBX's configuration, or put it back",
        description=f"{_CHANGED} What the body does not name stays as it is.",
        parameters=(_REF,),
        body=Body("What it is to be.", {"application/json": VoicemailBoxChange}, _WANTED),
        security=ADMIN,
        answers=_DONE,
        failures=(*_FAILURES, 413),
        dialect=PLAIN,
    ),
    Operation(
        method="delete",
        path=f"{_PATH}/{{ref}}",
        name="removeVoicemailBox",
        tag="voicemail",
        summary="Remove a mailbox",
        description=(
            f"{_CHANGED} Its messages and greetings stay in the spool, where Asterisk leaves them, and its messages in"
            " the lists of messages: delete those first where they are not to be kept."
        ),
        parameters=(_REF,),
        security=ADMIN,
        answers=_DONE,
        failures=(401, 403, 404, 409, 429, 503),
        dialect=PLAIN,
    ),
)
