"""The messages of document 002, described for the OpenAPI document: part of the table of `service.api.operations`."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from service.api.audio_operations import audio
from service.api.operation import PLAIN, READ, WRITE, Answer, Operation, Parameter
from service.api.schemas import Model, Told, Total
from service.api.slices import LIMIT, MOST
from service.audio.peaks import MOST as MOST_PEAKS


class VoicemailMessage(Model):
    """A voicemail."""

    id: str
    """A uuid."""
    created_at: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}[+-]\d{2}:\d{2}$")]
    """RFC 3339, with the offset of the PBX's timezone."""
    caller_id_name: str
    """The number where the caller shows no name."""
    caller_id_number: str
    duration: Total
    """Whole seconds."""
    extension: str
    download_url: str | None
    """Signed, good for an hour, needs no token; null when no audio is left."""


class VoicemailMessages(Model):
    """Part of a list: `limit` of the `total`, from `offset` on."""

    data: list[VoicemailMessage]
    limit: Annotated[int, Field(ge=1, le=MOST)]
    offset: Total
    total: Total


class Outline(Model):
    """How far each of a few hundred slices of a recording swings, of full scale, and its length in seconds."""

    peaks: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(max_length=MOST_PEAKS)]
    duration: Annotated[float, Field(ge=0)]


_NAME = r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,79}"
_MAILBOX = {"type": "string", "pattern": f"^{_NAME}(@{_NAME})?$"}
_PATH = "/v1/voicemail/message"
_ID = Parameter(
    "id",
    "A message's uuid; or a mailbox, as its uuid, `extension` or `extension@context`, for its newest message.",
    {"type": "string"},
    "path",
)
_UUID = Parameter("id", "A message's uuid.", {"type": "string"}, "path")
_EXAMPLE = {
    "id": "6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11",
    "created_at": "2026-01-13T17:30:00+05:00",
    "caller_id_name": "Jane Doe",
    "caller_id_number": "998901234567",
    "duration": 7,
    "extension": "101",
    "download_url": f"http://127.0.0.1:8089{_PATH}/6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11/download?expires=1768311060"
    "&signature=...",
}
_DONE = {200: Answer("It is done.", Told, {"message": "successfully"})}
_CHANGE_FAILURES = (401, 403, 404, 409, 429, 503)


def _change(
    method: Literal["put", "post", "delete"], path: str, name: str, summary: str, description: str
) -> Operation:
    return Operation(
        method=method,
        path=f"{_PATH}/{{id}}{path}",
        name=name,
        tag="voicemail",
        summary=summary,
        description=description,
        parameters=(_ID,),
        security=WRITE,
        answers=_DONE,
        failures=_CHANGE_FAILURES,
        dialect=PLAIN,
    )


VOICEMAIL_MESSAGES = (
    Operation(
        method="get",
        path=_PATH,
        name="listVoicemailMessages",
        tag="voicemail",
        summary="Part of the list of messages, newest first",
        parameters=(
            Parameter(
                "limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT}
            ),
            Parameter(
                "offset",
                "How many to pass over.",
                {"type": "integer", "minimum": 0, "maximum": 10**18 - 1, "default": 0},
            ),
            Parameter("extension", "Of this mailbox alone: `101` or `101@default`.", _MAILBOX),
        ),
        security=READ,
        answers={
            200: Answer(
                "So many of them.", VoicemailMessages, {"data": [_EXAMPLE], "limit": 10, "offset": 0, "total": 1}
            )
        },
        failures=(401, 422, 429, 503),
        dialect=PLAIN,
    ),
    Operation(
        method="get",
        path=f"{_PATH}/{{id}}",
        name="getVoicemailMessage",
        tag="voicemail",
        summary="A message",
        parameters=(_ID,),
        security=READ,
        answers={200: Answer("The message.", VoicemailMessage, _EXAMPLE)},
        failures=(401, 404, 429, 503),
        dialect=PLAIN,
    ),
    _change(
        "delete",
        "",
        "deleteVoicemailMessage",
        "Delete a message",
        "Answered when it has left the PBX. It can be restored as long as `[retention] trash_days` say.",
    ),
    *audio(
        f"{_PATH}/{{id}}/download",
        _ID,
        "voicemail",
        "VoicemailAudio",
        "A message's audio",
        dialect=PLAIN,
        aliased=False,
    ),
    Operation(
        method="get",
        path=f"{_PATH}/{{id}}/peaks",
        name="getVoicemailPeaks",
        tag="voicemail",
        summary="The outline of a message's audio, for players that draw one",
        parameters=(_ID,),
        security=READ,
        answers={200: Answer("The outline.", Outline, {"peaks": [0.0, 0.3125, 0.8, 0.1], "duration": 7.02})},
        failures=(401, 404, 410, 422, 429, 501, 503),
        dialect=PLAIN,
    ),
    _change(
        "put",
        "/read",
        "readVoicemailMessage",
        "Mark a message as read",
        "Answered when the PBX has moved it. One that is read already stays so.",
    ),
    _change(
        "put",
        "/unread",
        "unreadVoicemailMessage",
        "Mark a message as unread",
        "Answered when the PBX has moved it. One that is unread already stays so.",
    ),
    replace(
        _change(
            "post",
            "/restore",
            "restoreVoicemailMessage",
            "Undo a deletion",
            "Of a message that was not deleted it changes nothing. What had left the PBX is kept here from then on.",
        ),
        parameters=(_UUID,),
    ),
)
