"""Messages and calls as the outside sees them: the resources of documents 000 and 001, and what the websocket adds."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from service.api.edge import Edge
from service.call import Call, CallStatus, CallType, Integration
from service.model import Audio, Mailbox, Message, Status, Summary, View

_STATUS: Mapping[int, dict[str, Any]] = {
    Status.UNREAD: {"number": 1, "name": "Unread"},
    Status.READ: {"number": 2, "name": "Read"},
}

_CALL_TYPE = {
    CallType.INCOMING: {"number": 1, "name": "Incoming"},
    CallType.OUTGOING: {"number": 2, "name": "Outgoing"},
    CallType.INTERNAL: {"number": 3, "name": "Internal"},
}
_CALL_STATUS = {
    CallStatus.ANSWERED: {"number": 1, "name": "Answered"},
    CallStatus.NOT_ANSWERED: {"number": 2, "name": "Not answered"},
    CallStatus.BUSY: {"number": 3, "name": "Busy"},
    CallStatus.FAILED: {"number": 4, "name": "Failed"},
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_CONTROLS = dict.fromkeys(
    (
        *range(0x20),
        *range(0x7F, 0xA0),
        0x061C,
        0x200E,
        0x200F,
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
)
"""C0 and C1 controls and the marks that turn the direction of writing: a caller chooses his own name."""


def displayable(text: str) -> str:
    """The text without what changes how its surroundings are shown; halves of characters become U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_CONTROLS).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def message_voice(message: Summary, edge: Edge) -> dict[str, Any]:
    """`MessageVoiceResource` of document 000, field by field."""
    external = message.external_number
    return {
        "id": message.id,
        "date_time": edge.local_time(message.origtime),
        "src": displayable(message.src),
        "dst": message.extension,
        "external_number": None if external is None else displayable(external),
        "duration": message.duration,
        "status": _STATUS[message.status],
        "recorded_file_url": edge.audio_url(message.uuid) if message.audible else None,
    }


def message_event(message: Message, edge: Edge) -> dict[str, Any]:
    """The `message` of a websocket frame and of `/events`: as in `/message-voice`, and what contract 8 adds."""
    return message_voice(message.summary, edge) | {
        "uuid": message.uuid,
        "mailbox": str(message.mailbox),
        "folder": message.folder.value,
        "caller_id_name": displayable(message.envelope.caller_id_name),
        "urgent": message.envelope.urgent,
        "audio": None if message.audio is None else _audio(message.audio),
    }


def _audio(audio: Audio) -> dict[str, Any]:
    levels = audio.levels
    return {
        "content_type": audio.content_type,
        "file_size": audio.file.size,
        "sample_rate": audio.sample_rate,
        "channels": audio.channels,
        "peak_dbfs": None if levels is None else levels.peak_dbfs,
        "rms_dbfs": None if levels is None else levels.rms_dbfs,
        "silence": None if levels is None else levels.silence,
    }


def call_history(call: Call, edge: Edge, view: View) -> dict[str, Any]:
    """`CallHistoryIndexResource` of document 001, field by field, and what contract 4 adds; looks for the recording.

    `voicemail_id` is the id, in `/message-voice`, of the first message left in it that is in view.
    """
    external = call.external_number
    return {
        "id": call.id,
        "call_id": call.uuid,
        "date_time": edge.local_time(call.start),
        "src": displayable(call.src),
        "dst": displayable(call.dst),
        "external_number": None if external is None else displayable(external),
        "duration": call.duration,
        "conversation": call.conversation,
        "type": _CALL_TYPE[call.type],
        "status": _CALL_STATUS[call.status],
        "recorded_file_url": edge.recording_url(call),
        "integration": [_integration(one, call.id) for one in call.integration],
        "voicemail_id": next((left.id for left in call.voicemails if _in_view(left.mailbox, view)), None),
    }


def call_event(call: Call, edge: Edge, view: View) -> dict[str, Any]:
    """The `call` of a websocket frame, of `/events` and of a webhook: as in `/call-history`."""
    return call_history(call, edge, view)


def _in_view(mailbox: str, view: View) -> bool:
    return view is None or Mailbox.parse(mailbox) in view


def _integration(one: Integration, call_id: int) -> dict[str, Any]:
    error = one.error_message
    return {
        "id": one.id,
        "call_history_id": call_id,
        "integration_type": one.name,
        "status": one.status.value,
        "error_message": None if error is None else displayable(error),
        "created_at": _utc(one.created_us),
        "updated_at": _utc(one.updated_us),
    }


def _utc(epoch_us: int) -> str:
    """Epoch microseconds as Laravel writes a time: `2026-01-13T12:55:02.000000Z`."""
    return (_EPOCH + timedelta(microseconds=epoch_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
