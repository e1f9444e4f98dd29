"""Document 003, described for the OpenAPI document: part of the table of `service.api.operations`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from service.api.operation import Answer, Body, Dialect, Errors, Operation, Parameter, Security
from service.api.schemas import Model, Told, Total
from service.model import Scope
from service.sip import LONGEST
from service.uploads import LARGEST

_UTC = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"
_SIP = r"^[sS][iI][pP][sS]?:"


class AccountVoicemail(Model):
    """A voicemail, or a slot that waits for one. Times are UTC."""

    id: str
    """A uuid."""
    sip_from: Annotated[str, Field(pattern=_SIP)]
    """Who left it; of a message that the PBX recorded `sip:<number>@<pbx>`."""
    get_url: str | None
    """Signed, good for an hour, needs no token; null as long as there is no audio."""
    file_size: Total | None
    """In bytes."""
    content_type: str | None
    """`audio/opus` or `audio/wav` of what was uploaded, else what the PBX recorded; null when no audio is left."""
    created_at: Annotated[str, Field(pattern=_UTC)]
    uploaded_at: Annotated[str, Field(pattern=_UTC)] | None


class AccountVoicemails(RootModel[list[AccountVoicemail]]):
    """Voicemails and slots, newest first; of messages the newest 1000 at most."""


class SlotWanted(Model):
    """What a slot is asked for with."""

    sip_from: Annotated[str, Field(max_length=LONGEST, pattern=_SIP)]
    """A SIP address (RFC 3261): who leaves the voicemail."""
    content_type: Literal["audio/opus", "audio/wav"]
    """What will be uploaded: Opus in Ogg, or WAV."""


class AccountSlot(Model):
    """A slot for one voicemail."""

    id: str
    """A uuid: that of the voicemail it becomes."""
    sip_from: str
    upload_url: str
    """Where to send the file, once, within an hour. It needs no token."""
    download_url: None
    max_upload_size: Annotated[int, Field(ge=0)]
    """In bytes."""
    content_type: Literal["audio/opus", "audio/wav"]
    created_at: Annotated[str, Field(pattern=_UTC)]
    uploaded_at: None


class AccountFailure(Model):
    """Why there is no answer."""

    message: str
    """For a person."""
    errors: Annotated[dict[str, list[str]], Field(default_factory=dict)]
    """What is wrong, by field; with code 422 alone."""


def _written(_code: int, message: str, errors: Errors) -> Mapping[str, Any]:
    return {"message": message} | ({"errors": errors} if errors else {})


ACCOUNT = Dialect("Account", AccountFailure, _written)
_READ: Security = (("bearer", (Scope.READ,)), ("key", (Scope.READ,)))
_WRITE: Security = (("bearer", (Scope.WRITE,)), ("key", (Scope.WRITE,)))
_PATH = "/accounts/{id}/voicemails"
_ID = Parameter(
    "id",
    "A mailbox, as its uuid, `extension` or `extension@context`; or `me`, the token's only mailbox.",
    {"type": "string"},
    "path",
)
_UUID = Parameter("uuid", "A voicemail's `id`.", {"type": "string"}, "path")
_SECRET = Parameter("secret", "What the `upload_url` ends with.", {"type": "string"}, "path")
_HOST = "http://127.0.0.1:8089"
_SLOT = {
    "id": "9f3c1b52-7a0e-4c1d-8b3e-2f1f3f4c5d6e",
    "sip_from": "sip:alice@example.com",
    "upload_url": f"{_HOST}/accounts/uploads/...",
    "download_url": None,
    "max_upload_size": LARGEST,
    "content_type": "audio/opus",
    "created_at": "2026-01-13T12:30:00Z",
    "uploaded_at": None,
}
_VOICEMAIL = {
    "id": "9f3c1b52-7a0e-4c1d-8b3e-2f1f3f4c5d6e",
    "sip_from": "sip:alice@example.com",
    "get_url": f"{_HOST}/message-voice/9f3c1b52-7a0e-4c1d-8b3e-2f1f3f4c5d6e/audio?expires=1768311060&signature=...",
    "file_size": 24514,
    "content_type": "audio/opus",
    "created_at": "2026-01-13T12:30:00Z",
    "uploaded_at": "2026-01-13T12:30:08Z",
}
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_FORM = {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}


def _upload(method: Literal["post", "put"], name: str, body: Body) -> Operation:
    return Operation(
        method=method,
        path="/accounts/uploads/{secret}",
        name=name,
        tag="accounts",
        summary="Fill a slot",
        description=(
            "Once; a try that is refused does not use it up. What is sent is looked at, not believed, and becomes an "
            "unread voicemail. 422 `file` also where the mailbox's uploads would take more than they may."
        ),
        parameters=(_SECRET,),
        body=body,
        answers={200: Answer("The voicemail.", AccountVoicemail, _VOICEMAIL)},
        failures=(404, 409, 413, 422, 503),
        dialect=ACCOUNT,
        aliased=True,
        alias="/api",
    )


ACCOUNTS = (
    Operation(
        method="get",
        path=_PATH,
        name="listAccountVoicemails",
        tag="accounts",
        summary="The voicemails of an account",
        parameters=(_ID,),
        security=_READ,
        answers={200: Answer("All of them, and slots that wait.", AccountVoicemails, [_VOICEMAIL])},
        failures=(401, 403, 404, 429, 503),
        dialect=ACCOUNT,
        aliased=True,
        alias="/api",
    ),
    Operation(
        method="post",
        path=_PATH,
        name="createAccountVoicemail",
        tag="accounts",
        summary="Ask for a slot, to upload a voicemail into",
        parameters=(_ID,),
        body=Body(
            "Who leaves a voicemail, and what it will be.",
            {"application/json": SlotWanted},
            {
                "sip_from": "sip:alice@example.com",
                "content_type": "audio/opus",
            },
        ),
        security=_WRITE,
        answers={201: Answer("The slot.", AccountSlot, _SLOT)},
        failures=(401, 403, 404, 409, 413, 422, 429, 503),
        dialect=ACCOUNT,
        aliased=True,
        alias="/api",
    ),
    Operation(
        method="get",
        path=f"{_PATH}/{{uuid}}",
        name="getAccountVoicemail",
        tag="accounts",
        summary="A voicemail",
        parameters=(_ID, _UUID),
        security=_READ,
        answers={200: Answer("The voicemail, or the slot.", AccountVoicemail, _VOICEMAIL)},
        failures=(401, 403, 404, 429, 503),
        dialect=ACCOUNT,
        aliased=True,
        alias="/api",
    ),
    Operation(
        method="delete",
        path=f"{_PATH}/{{uuid}}",
        name="deleteAccountVoicemail",
        tag="accounts",
        summary="Delete a voicemail, or give up a slot",
        description="Its audio goes with it, on the PBX as well when it lies there.",
        parameters=(_ID, _UUID),
        security=_WRITE,
        answers={200: Answer("It is deleted.", Told, {"message": "Deleted."})},
        failures=(401, 403, 404, 409, 429, 503),
        dialect=ACCOUNT,
        aliased=True,
        alias="/api",
    ),
    _upload("post", "uploadVoicemailForm", Body("A form with the file.", {"multipart/form-data": _FORM})),
    _upload("put", "uploadVoicemail", Body("The file: WAV, or Opus in Ogg.", {"application/octet-stream": _FILE})),
)
