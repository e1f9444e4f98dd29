"""The state of a journal record as JSON and back: every field by its own name, so that an old record stays readable."""

from typing import Any

import orjson

from service.model import (
    Audio,
    AudioFile,
    Box,
    Counts,
    Envelope,
    Folder,
    Levels,
    Mailbox,
    Message,
    RecordState,
    Status,
)


def dump(state: RecordState) -> bytes:
    """The state as JSON: each dataclass an object, each enumeration its value."""
    return orjson.dumps(state)


def load(record_type: str, data: bytes) -> RecordState:
    """The state that `dump` wrote for a record of this type."""
    fields = orjson.loads(data)
    if record_type == "unread":
        return Counts(**fields)
    fields["mailbox"] = Mailbox(**fields["mailbox"])
    if record_type == "mailbox.updated":
        return Box(**fields | {"counts": Counts(**fields["counts"])})
    return _message(fields)


def _message(fields: dict[str, Any]) -> Message:
    status = fields["local_status"]
    return Message(
        **fields
        | {
            "folder": Folder(fields["folder"]),
            "envelope": Envelope(**fields["envelope"]),
            "audio": None if fields["audio"] is None else _audio(fields["audio"]),
            "local_status": None if status is None else Status(status),
        }
    )


def _audio(fields: dict[str, Any]) -> Audio:
    levels = fields["levels"]
    return Audio(
        **fields | {"file": AudioFile(**fields["file"]), "levels": None if levels is None else Levels(**levels)}
    )
