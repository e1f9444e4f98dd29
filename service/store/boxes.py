"""The PBX's boxes as it last told them, and those that were taken out of its configuration and are kept here.

A mailbox may also be known by its messages alone; that is a box here only as long as the PBX has not told its own.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.errors import NotFoundError
from service.model import Mailbox, View
from service.store import mailboxes
from service.store.transaction import Transaction
from service.voicemail_conf import BoxLine

_TOLD = "boxes_told"
_COLUMNS = "context, extension, uuid, configured, disabled, fullname, email, keeps"
_IS_BOX = (
    "(configured = 1 OR disabled IS NOT NULL OR NOT EXISTS (SELECT 1 FROM meta WHERE key = 'boxes_told'))"  # see _TOLD
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the PBX tells of a box. `keeps` is false where messages are mailed and deleted (`delete=yes`)."""

    mailbox: Mailbox
    fullname: str
    email: str
    keeps: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A box. `configured`: the PBX has it; `disabled` is the line it had before it was taken out there, without PIN."""

    mailbox: Mailbox
    uuid: str
    configured: bool
    disabled: BoxLine | None
    fullname: str
    email: str
    keeps: bool


def page(conn: sqlite3.Connection, view: View, *, limit: int, offset: int) -> tuple[list[Box], int]:
    """The boxes in view by context and extension, `limit` of them from `offset` on, and how many there are."""
    condition, parameters = mailboxes.in_view(view, "name")
    where = f"WHERE {_IS_BOX} {condition}"
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM mailbox {where} ORDER BY context, extension LIMIT ? OFFSET ?",
        (*parameters, limit, offset),
    )
    total = conn.execute(f"SELECT count(*) FROM mailbox {where}", parameters).fetchone()[0]
    return [_box(row) for row in rows], int(total)


def find(conn: sqlite3.Connection, view: View, mailbox: Mailbox) -> Box:
    """A box. Raises NotFoundError where it is none, or is not in view."""
    condition, parameters = mailboxes.in_view(view, "name")
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM mailbox WHERE name = ? AND {_IS_BOX} {condition}", (str(mailbox), *parameters)
    ).fetchone()
    if row is None:
        raise NotFoundError(f"there is no mailbox {mailbox}")
    return _box(row)


def disabled_alike(conn: sqlite3.Connection, mailbox: Mailbox) -> Mailbox | None:
    """A disabled box of this name, in whatever case: names are the same to the PBX in any."""
    row = conn.execute(
        "SELECT context, extension FROM mailbox WHERE disabled IS NOT NULL AND lower(name) = ?", (str(mailbox).lower(),)
    ).fetchone()
    return None if row is None else Mailbox(row[0], row[1])


def as_told(conn: sqlite3.Connection) -> dict[Mailbox, Told]:
    """The boxes the PBX has, as it last told them."""
    rows = conn.execute(
        "SELECT context, extension, fullname, email, keeps FROM mailbox WHERE configured = 1 AND disabled IS NULL"
    )
    told = (Told(Mailbox(row[0], row[1]), row[2], row[3], bool(row[4])) for row in rows)
    return {box.mailbox: box for box in told}


def ever_told(conn: sqlite3.Connection) -> bool:
    """Whether the PBX has ever told its boxes."""
    return conn.execute("SELECT 1 FROM meta WHERE key = ?", (_TOLD,)).fetchone() is not None


def is_missing(conn: sqlite3.Connection, mailbox: Mailbox) -> bool:
    """Whether the PBX told which boxes it has, and this mailbox is none of them: removed, or taken out."""
    row = conn.execute(
        "SELECT 1 FROM mailbox JOIN meta ON key = ? WHERE name = ? AND configured = 0", (_TOLD, str(mailbox))
    ).fetchone()
    return row is not None


def not_configured(conn: sqlite3.Connection, after: Mailbox | None, limit: int) -> list[Mailbox]:
    """Mailboxes that hold messages and are none of the PBX's boxes so far: at most so many, in order after that one."""
    rows = conn.execute(
        "SELECT context, extension FROM mailbox WHERE configured = 0 AND disabled IS NULL AND new + old + saved > 0"
        " AND (context, extension) > (?, ?) ORDER BY context, extension LIMIT ?",
        ("" if after is None else after.context, "" if after is None else after.extension, limit),
    )
    return [Mailbox(context, extension) for context, extension in rows]


def tell(tx: Transaction, told: Iterable[Told], gone: Iterable[Mailbox] = ()) -> None:
    """Keep what the PBX tells of these boxes, and that it has none of `gone`; from now on boxes are what it tells.

    A box that it has is not disabled: somebody has put it back there.
    """
    for box in told:
        tx.conn.execute(
            "UPDATE mailbox SET configured = 1, disabled = NULL, fullname = ?, email = ?, keeps = ? WHERE id = ?",
            (box.fullname, box.email, int(box.keeps), mailboxes.ensure(tx, box.mailbox)),
        )
    for mailbox in gone:
        tx.conn.execute("UPDATE mailbox SET configured = 0 WHERE name = ?", (str(mailbox),))
    tx.conn.execute("INSERT INTO meta VALUES (?, '1') ON CONFLICT (key) DO NOTHING", (_TOLD,))


def disable(tx: Transaction, mailbox: Mailbox, line: BoxLine) -> None:
    """Keep a box that is not, or will not be, in the PBX's configuration; its PIN is not kept."""
    kept = {"fullname": line.fullname, "email": line.email, "pager": line.pager, "options": line.options}
    tx.conn.execute(
        "UPDATE mailbox SET configured = 0, disabled = ?, fullname = ?, email = ?, keeps = ? WHERE id = ?",
        (
            orjson.dumps(kept).decode(),
            line.fullname.strip(),
            line.email.strip(),
            int(line.keeps),
            mailboxes.ensure(tx, mailbox),
        ),
    )


def forget(tx: Transaction, mailbox: Mailbox) -> None:
    """It is no box any more; its messages stay."""
    tx.conn.execute("UPDATE mailbox SET configured = 0, disabled = NULL WHERE name = ?", (str(mailbox),))


def _box(row: Sequence[Any]) -> Box:
    context, extension, uuid, is_configured, disabled, fullname, email, keeps = row
    line = None if disabled is None else BoxLine(pin="", **orjson.loads(disabled))
    return Box(Mailbox(context, extension), uuid, bool(is_configured), line, fullname, email, bool(keeps))
