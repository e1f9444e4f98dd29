"""A message as the outside sees it: the resource of document 000, and the larger form of the websocket (contract 8)."""

from typing import Any

from service.api.edge import Edge
from service.model import Audio, Message, Status

_STATUS = {
    Status.UNREAD: {"number": 1, "name": "Unread"},
    Status.READ: {"number": 2, "name": "Read"},
}

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


def message_voice(message: Message, edge: Edge) -> dict[str, Any]:
    """`MessageVoiceResource` of document 000, field by field."""
    envelope = message.envelope
    external = message.external_number
    return {
        "id": message.id,
        "date_time": edge.local_time(envelope.origtime),
        "src": displayable(envelope.caller_id_number),
        "dst": message.mailbox.extension,
        "external_number": None if external is None else displayable(external),
        "duration": message.duration,
        "status": _STATUS[message.status],
        "recorded_file_url": None if message.audio is None else edge.audio_url(message.uuid),
    }


def message_event(message: Message, edge: Edge) -> dict[str, Any]:
    """The `message` of a websocket frame and of `/events`: as in `/message-voice`, and what contract 8 adds."""
    return message_voice(message, edge) | {
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
