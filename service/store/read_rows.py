"""A message whose files a scan has read, as the row it is written as."""

import sqlite3
from collections.abc import Callable
from typing import Any

from service.model import Found, Mailbox, Message
from service.store import mailboxes, messages

Outside = Callable[[str], str | None]
"""Gives a caller's number where that is no extension of this PBX, else None."""

_WRITTEN = (
    "msg_id, given, folder, msgnum, txt_inode, txt_mtime_ns, txt_size, origtime, txt_duration, src, caller_id_name,"
    " external_number, callerchan, urgent, category, local_status, status, duration, suffix, audio_size,"
    " audio_mtime_ns, audio_inode, audio_head, content_type, duration_ms, sample_rate, channels, truncated, measured"
)
_MARKS = ", ".join("?" * (_WRITTEN.count(",") + 1))
INSERT = (
    f"INSERT INTO message (id, uuid, mailbox_id, dst, {_WRITTEN}) VALUES (?, ?, ?, ?, {_MARKS}) ON CONFLICT DO NOTHING"
)
"""Writes what `inserted` gives, unless the mailbox has had a message of that identity, or somebody has its uuid."""
UPDATE = f"UPDATE message SET ({_WRITTEN}) = ({_MARKS}), held = NULL WHERE id = ?"
"""Writes what `values` gives, and the id."""


def last_id(conn: sqlite3.Connection) -> int:
    """The last id that a message was ever given; 0 before the first."""
    row = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'").fetchone()
    return 0 if row is None else int(row[0])


def message(pbx: str, mailbox: Mailbox, found: Found, outside: Outside, *, message_id: int, again: str = "") -> Message:
    """The message that was found, which nobody knew. `again` makes its uuid another than the one of its identity."""
    assert found.envelope is not None
    return Message(
        id=message_id,
        uuid=mailboxes.derived_uuid(f"{pbx}/{mailbox.context}/{mailbox.extension}/{found.msg_id}{again}"),
        pbx=pbx,
        mailbox=mailbox,
        msg_id=found.msg_id,
        folder=found.folder,
        msgnum=found.msgnum,
        envelope=found.envelope,
        external_number=outside(found.envelope.caller_id_number),
        audio=found.audio,
    )


def inserted(message: Message, mailbox_id: int, found: Found) -> tuple[Any, ...]:
    """What INSERT takes of a new message."""
    return message.id, message.uuid, mailbox_id, message.mailbox.extension, *values(message, found)


def values(message: Message, found: Found) -> tuple[Any, ...]:
    """What UPDATE takes of a message, before its id, and INSERT as well."""
    envelope, audio = message.envelope, message.audio
    txt_inode, mtime_ns, size = found.stamp
    if audio is None:
        sound: tuple[Any, ...] = (None,) * 10 + (1,)
    else:
        file = audio.file
        inode = messages.signed(file.inode)
        sound = (file.suffix, file.size, file.mtime_ns, inode, file.head, audio.content_type, audio.duration_ms)
        sound += (audio.sample_rate, audio.channels, audio.truncated, audio.levels is not None)
    return (
        message.msg_id,
        envelope.msg_id != "",
        message.folder.value,
        message.msgnum,
        messages.signed(txt_inode),
        mtime_ns,
        size,
        envelope.origtime,
        envelope.duration,
        envelope.caller_id_number,
        envelope.caller_id_name,
        message.external_number,
        envelope.callerchan,
        envelope.urgent,
        envelope.category,
        message.local_status,
        message.status.value,
        message.duration,
        *sound,
    )
