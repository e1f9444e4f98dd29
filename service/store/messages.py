"""Messages as the dialects read them, and the two things we know of them that the spool does not tell."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from service.errors import NotFoundError
from service.model import (
    Audio,
    AudioFile,
    Envelope,
    Folder,
    Levels,
    Mailbox,
    Message,
    Status,
    Summary,
    View,
)
from service.store import journal, mailboxes
from service.store.query import Page, Query
from service.store.transaction import Transaction

_COLUMNS = (
    "message.id, message.uuid, mailbox.context, mailbox.extension, msg_id, given, folder, msgnum, origtime,"
    " txt_duration, src, caller_id_name, external_number, callerchan, message.urgent, category, uniqueid, local_status,"
    " suffix, audio_size, audio_mtime_ns, audio_inode, audio_head, content_type, duration_ms, sample_rate, channels,"
    " truncated, measured, peak_dbfs, rms_dbfs, silence, held, sip_from, uploaded"
)
_SUMMARY = (
    "message.id AS id, message.uuid AS uuid, mailbox.extension AS extension, origtime, src, external_number, duration,"
    " status, suffix IS NOT NULL AS audible"
)
_FROM = "FROM message JOIN mailbox ON mailbox.id = message.mailbox_id"
_SORTS = {
    "id": "message.id",
    "datetime": "origtime",
    "src": "src",
    "dst": "dst",
    "external_number": "external_number",
    "duration": "duration",
    "status": "status",
}
FILTERS = ("src", "dst", "external_number", "duration", "status")
SORTS = tuple(_SORTS)


def page(conn: sqlite3.Connection, view: View, query: Query) -> Page[Summary]:
    """The messages in view that match, sorted, `limit` of them from `offset` on, and the exact total.

    All of it is one row of one statement: with every row `sqlite3` lets go of the interpreter's lock, and under load
    has to wait for it again.
    """
    where, parameters = _where(view, query)
    if query.filters or query.since is not None or query.until is not None:
        total, counted = f"SELECT count(*) {_FROM} WHERE {where}", parameters
    else:
        total, counted = mailboxes.message_total(view)  # kept, not counted
    direction = "DESC" if query.descending else "ASC"
    order = f"{_SORTS[query.sort]} {direction}"
    if query.sort != "id":
        order += f", message.id {direction}"
    rows = f"SELECT {_SUMMARY} {_FROM} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"
    number, found = conn.execute(
        f"SELECT ({total}), (SELECT json_group_array(json_array({', '.join(Summary._fields)})) FROM ({rows}))",
        (*counted, *parameters, query.limit, query.offset),
    ).fetchone()
    return Page(list(map(Summary._make, orjson.loads(found))), number)


def _where(view: View, query: Query) -> tuple[str, tuple[Any, ...]]:
    condition, parameters = mailboxes.in_view(view, "mailbox.name")
    terms = [f"deleted_ms IS NULL {condition}"]
    values: list[Any] = list(parameters)
    for name, value in query.filters.items():
        if name not in FILTERS:
            raise KeyError(name)
        terms.append(f"{name} = ?")
        values.append(value)
    if query.since is not None:
        terms.append("origtime >= ?")
        values.append(query.since)
    if query.until is not None:
        terms.append("origtime <= ?")
        values.append(query.until)
    return " AND ".join(terms), tuple(values)


def by_id(conn: sqlite3.Connection, view: View, message_id: int) -> Message:
    """The live message with this id. Raises NotFoundError, also for one that is not in view."""
    return _one(conn, view, "message.id = ?", message_id)


def by_uuid(conn: sqlite3.Connection, view: View, message_uuid: str) -> Message:
    """The live message with this uuid, in either case. Raises NotFoundError, also for one that is not in view."""
    return _one(conn, view, "message.uuid = ?", message_uuid.lower())


def _one(conn: sqlite3.Connection, view: View, term: str, value: object) -> Message:
    found = _select(conn, view, f"{term} AND deleted_ms IS NULL", (value,))
    if not found:
        raise NotFoundError("there is no such message")
    return found[0]


def by_ids(conn: sqlite3.Connection, ids: Sequence[int]) -> list[Message]:
    """The live messages among these ids, whoever they belong to."""
    return _select(
        conn, None, "deleted_ms IS NULL AND message.id IN (SELECT value FROM json_each(?))", (orjson.dumps(ids),)
    )


def unread(conn: sqlite3.Connection, view: View) -> list[Message]:
    """The unread messages in view, by mailbox, and in a folder the highest number first."""
    return _select(
        conn,
        view,
        "deleted_ms IS NULL AND status = 1",
        order="mailbox.context, mailbox.extension, folder, msgnum DESC",
    )


def unmeasured(conn: sqlite3.Connection, limit: int) -> list[Message]:
    """The newest messages whose audio levels nobody has measured yet, at most `limit`."""
    return _select(conn, None, "measured = 0 AND deleted_ms IS NULL", order=f"message.id DESC LIMIT {limit:d}")


def _select(
    conn: sqlite3.Connection, view: View, where: str, parameters: Sequence[object] = (), order: str = "message.id"
) -> list[Message]:
    condition, names = mailboxes.in_view(view, "mailbox.name")
    rows = conn.execute(
        f"SELECT {_COLUMNS} {_FROM} WHERE {where} {condition} ORDER BY {order}",
        (*parameters, *names),
    )
    pbx = pbx_name(conn)
    return [_message(pbx, row) for row in rows]


def pbx_name(conn: sqlite3.Connection) -> str:
    """The name of the PBX this store belongs to."""
    row = conn.execute("SELECT value FROM meta WHERE key = 'pbx'").fetchone()
    return "" if row is None else str(row[0])


def _message(pbx: str, row: Sequence[Any]) -> Message:
    origtime, txt_duration, src, name, external_number, callerchan, urgent, category, uniqueid, local_status = row[8:18]
    given_msg_id = row[4] if row[5] else ""
    return Message(
        id=row[0],
        uuid=row[1],
        pbx=pbx,
        mailbox=Mailbox(row[2], row[3]),
        msg_id=row[4],
        folder=Folder(row[6]),
        msgnum=row[7],
        envelope=Envelope(given_msg_id, origtime, txt_duration, name, src, callerchan, bool(urgent), category),
        external_number=external_number,
        audio=_audio(row[18:32]),
        local_status=None if local_status is None else Status(local_status),
        uniqueid=uniqueid,
        held=row[32],
        sip_from=row[33],
        uploaded=row[34],
    )


def _audio(row: Sequence[Any]) -> Audio | None:
    suffix, size, mtime_ns, inode, head, content_type, duration_ms, rate, channels, truncated = row[:10]
    measured, peak, rms, silence = row[10:]
    if suffix is None:
        return None
    levels = Levels(peak, rms, silence) if measured and silence is not None else None  # else of an older recording
    file = AudioFile(suffix, size, mtime_ns, unsigned(inode), head)
    return Audio(file, content_type, duration_ms, rate, channels, bool(truncated), levels)


def signed(inode: int) -> int:
    """An inode number as SQLite can hold it: some file systems use all 64 bits."""
    return inode if inode < 2**63 else inode - 2**64


def unsigned(inode: int) -> int:
    """The inode number that `signed` made this of."""
    return inode if inode >= 0 else inode + 2**64


def row(conn: sqlite3.Connection, where: str, *parameters: object) -> tuple[Message, bool] | None:
    """A message, also one that is gone, and whether it is gone; None where no row matches `where`."""
    found = conn.execute(f"SELECT {_COLUMNS}, deleted_ms {_FROM} WHERE {where}", parameters).fetchone()
    return None if found is None else (_message(pbx_name(conn), found[:-1]), found[-1] is not None)


def same_sound(one: Audio, other: Audio) -> bool:
    """Whether two files hold the same recording, wherever they lie: by size and digest."""
    return (one.file.suffix, one.file.size, one.file.head) == (other.file.suffix, other.file.size, other.file.head)


def set_local_status(tx: Transaction, message_ids: Sequence[int], status: Status) -> None:
    """Keep a status here alone, for a PBX that cannot be told; a later move by the PBX wins over it.

    Messages that are gone, or have that status already, are left out.
    """
    touched = set()
    for message in by_ids(tx.conn, message_ids):
        if message.status is not status:
            tx.conn.execute(
                "UPDATE message SET local_status = ?, status = ? WHERE id = ?", (status.value, status.value, message.id)
            )
            journal.append(tx, "message.updated", message.mailbox, replace(message, local_status=status))
            touched.add(message.mailbox)
    for mailbox in sorted(touched):
        mailboxes.recount(tx, mailbox, mailboxes.ensure(tx, mailbox))


def set_levels(tx: Transaction, message: Message, levels: Levels | None) -> None:
    """Keep what was measured of the audio that `message` had; nothing where that has changed in the meantime."""
    found = row(tx.conn, "message.id = ?", message.id)
    if found is None or found[1] or message.audio is None:
        return
    now = found[0]
    if now.audio is None or not same_sound(now.audio, message.audio):
        return
    values = (None, None, None) if levels is None else (levels.peak_dbfs, levels.rms_dbfs, levels.silence)
    tx.conn.execute(
        "UPDATE message SET measured = 1, peak_dbfs = ?, rms_dbfs = ?, silence = ? WHERE id = ?", (*values, message.id)
    )
    if levels is not None:
        after = replace(now, audio=replace(now.audio, levels=levels))
        journal.append(tx, "message.updated", now.mailbox, after)
