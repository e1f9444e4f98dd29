"""Mailboxes and their badges: a row a box, its counts kept in the transaction that changes them."""

import hashlib
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.model import Box, Counts, Folder, Mailbox, Message, Status, View
from service.store import journal
from service.store.transaction import Transaction

NAMESPACE = uuid.UUID("6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11")
"""What uuids of mailboxes and messages are derived in (RFC 9562, version 5), with their identity as the name."""

_NAMESPACE = NAMESPACE.bytes
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""What RFC 9562 makes of the digit that tells the variant."""
_COUNTS = "new, old, saved, urgent"
_BOX = f"context, extension, uuid, phone, customer, {_COUNTS}"


def derived_uuid(name: str) -> str:
    """The version 5 uuid of an identity; as `uuid.uuid5()`, in a tenth of its time."""
    text = hashlib.sha1(_NAMESPACE + name.encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def box_uuid(pbx: str, mailbox: Mailbox) -> str:
    """The uuid of a mailbox, which follows from its identity."""
    return derived_uuid(f"{pbx}/{mailbox.context}/{mailbox.extension}")


def ensure(tx: Transaction, mailbox: Mailbox) -> int:
    """The row id of a mailbox, which is made when it is not known yet."""
    row = tx.conn.execute("SELECT id FROM mailbox WHERE name = ?", (str(mailbox),)).fetchone()
    if row is not None:
        return int(row[0])
    cursor = tx.conn.execute(
        "INSERT INTO mailbox (uuid, name, context, extension) VALUES (?, ?, ?, ?)",
        (box_uuid(tx.pbx, mailbox), str(mailbox), mailbox.context, mailbox.extension),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def names(conn: sqlite3.Connection) -> list[Mailbox]:
    """Every mailbox that is known, in order of context and extension."""
    rows = conn.execute("SELECT context, extension FROM mailbox ORDER BY context, extension")
    return [Mailbox(context, extension) for context, extension in rows]


def list_all(conn: sqlite3.Connection) -> list[Box]:
    """Every mailbox with what is known of it, in order of context and extension."""
    return [_box(row) for row in conn.execute(f"SELECT {_BOX} FROM mailbox ORDER BY context, extension")]


def box(conn: sqlite3.Connection, mailbox: Mailbox) -> Box:
    """What is known of a mailbox. Raises NotFoundError."""
    row = conn.execute(f"SELECT {_BOX} FROM mailbox WHERE name = ?", (str(mailbox),)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no mailbox {mailbox}; `voicemaild mailbox list` shows those there are")
    return _box(row)


def is_known(conn: sqlite3.Connection, mailbox: Mailbox) -> bool:
    """Whether there is, or was, such a box."""
    return conn.execute("SELECT 1 FROM mailbox WHERE name = ?", (str(mailbox),)).fetchone() is not None


def referred(conn: sqlite3.Connection, reference: str) -> Mailbox:
    """The mailbox a URL means: by its uuid, `extension`, or `extension@context` (contract 1); it need not be known.

    A uuid is read in either case (RFC 9562, 4): there are clients that write all of them in capitals.

    Raises NotFoundError where it is none of them.
    """
    row = conn.execute("SELECT context, extension FROM mailbox WHERE uuid = ?", (reference.lower(),)).fetchone()
    if row is not None:
        return Mailbox(row[0], row[1])
    try:
        return Mailbox.parse(reference)
    except InvalidInputError as error:
        raise NotFoundError(f"there is no mailbox {reference[:100]!r}") from error


def _box(row: Sequence[Any]) -> Box:
    return Box(Mailbox(row[0], row[1]), row[2], row[3], row[4], Counts(*row[5:]))


def reconciled(conn: sqlite3.Connection) -> set[Mailbox]:
    """The boxes in which reconcile ever found anything."""
    rows = conn.execute("SELECT context, extension FROM mailbox WHERE generation > 0")
    return {Mailbox(context, extension) for context, extension in rows}


def looked(conn: sqlite3.Connection) -> dict[Mailbox, str]:
    """What the directories of each mailbox were when it last agreed with the spool; "" where that is not known."""
    rows = conn.execute("SELECT context, extension, looked FROM mailbox")
    return {Mailbox(context, extension): then for context, extension, then in rows}


def set_looked(tx: Transaction, mailbox: Mailbox, generation: int, then: str) -> None:
    """Note the directories of a mailbox that was found to agree, unless it was changed since that generation."""
    tx.conn.execute("UPDATE mailbox SET looked = ? WHERE name = ? AND generation = ?", (then, str(mailbox), generation))


def set_fields(tx: Transaction, mailbox: Mailbox, *, phone: str | None = None, customer: str | None = None) -> Box:
    """Set the phone number (E.164, or "") or the customer of a box; None leaves a field as it is.

    Raises NotFoundError for a box that is not known, ConflictError for a number another box has.
    """
    box(tx.conn, mailbox)
    try:
        tx.conn.execute(
            "UPDATE mailbox SET phone = coalesce(?, phone), customer = coalesce(?, customer) WHERE name = ?",
            (phone, customer, str(mailbox)),
        )
    except sqlite3.IntegrityError as error:
        raise ConflictError(f"the phone number {phone} already belongs to another mailbox") from error
    changed = box(tx.conn, mailbox)
    journal.append(tx, "mailbox.updated", mailbox, changed)
    return changed


def change_pin_hash(tx: Transaction, mailbox: Mailbox, pin_hash: str, old: str) -> bool:
    """Keep the hash of another PIN where the `old` hash is kept; False where that is another by now, or none is."""
    changed = tx.conn.execute(
        "UPDATE mailbox SET pin_hash = ? WHERE name = ? AND configured = 0 AND pin_hash = ?",
        (pin_hash, str(mailbox), old),
    )
    return changed.rowcount == 1


def set_pin_hash(tx: Transaction, mailbox: Mailbox, pin_hash: str) -> None:
    """Keep the hash of a PIN, for a box the PBX does not know; it is made when it is not known here either.

    Raises ConflictError for a box of the PBX, which has its own PIN.
    """
    ensure(tx, mailbox)
    cursor = tx.conn.execute(
        "UPDATE mailbox SET pin_hash = ? WHERE name = ? AND configured = 0", (pin_hash, str(mailbox))
    )
    if cursor.rowcount == 0:
        raise ConflictError(f"the PBX has its own PIN for {mailbox}: change it there, by phone or in voicemail.conf")


def counts(conn: sqlite3.Connection, view: View = None) -> dict[Mailbox, Counts]:
    """The badges of the boxes in view that hold a message."""
    condition, parameters = in_view(view, "name")
    rows = conn.execute(
        f"SELECT context, extension, {_COUNTS} FROM mailbox WHERE new + old + saved > 0 {condition}",
        parameters,
    )
    return {Mailbox(row[0], row[1]): Counts(*row[2:]) for row in rows}


def snapshot(conn: sqlite3.Connection) -> tuple[int, dict[Mailbox, Counts]]:
    """The last position of the journal, and the badges of all boxes that hold a message; read within a transaction."""
    return journal.bounds(conn)[1], counts(conn)


def message_count(conn: sqlite3.Connection, view: View) -> int:
    """How many messages the boxes in view hold, read or not."""
    return int(conn.execute(*message_total(view)).fetchone()[0])


def message_total(view: View) -> tuple[str, tuple[bytes, ...]]:
    """The query that gives `message_count`, to stand within another, and its parameters."""
    condition, parameters = in_view(view, "name")
    return f"SELECT coalesce(sum(new + old + saved), 0) FROM mailbox WHERE 1 {condition}", parameters


def unread_count(conn: sqlite3.Connection, view: View) -> int:
    """How many unread messages the boxes in view hold."""
    condition, parameters = in_view(view, "name")
    row = conn.execute(f"SELECT coalesce(sum(new), 0) FROM mailbox WHERE 1 {condition}", parameters).fetchone()
    return int(row[0])


def recount(tx: Transaction, mailbox: Mailbox, mailbox_id: int) -> None:
    """Count the mailbox's messages anew; when the badge changed, keep it and write an `unread` record."""
    before = Counts(*tx.conn.execute(f"SELECT {_COUNTS} FROM mailbox WHERE id = ?", (mailbox_id,)).fetchone())
    rows = tx.conn.execute(
        "SELECT status, folder, count(*) FROM message WHERE mailbox_id = ? AND deleted_ms IS NULL"
        " GROUP BY status, folder",  # the order of the index message_live
        (mailbox_id,),
    )
    after = _counted({(Status(status), Folder(folder)): number for status, folder, number in rows})
    if after == before:
        return
    tx.conn.execute(
        "UPDATE mailbox SET new = ?, old = ?, saved = ?, urgent = ? WHERE id = ?",
        (after.new, after.old, after.saved, after.urgent, mailbox_id),
    )
    journal.append(tx, "unread", mailbox, after, after.new - before.new)


def counted(messages: Sequence[Message]) -> Counts:
    """The badge of a mailbox that holds these messages and no others."""
    return _counted(Counter((message.status, message.folder) for message in messages))


def _counted(numbers: Mapping[tuple[Status, Folder], int]) -> Counts:
    """The badge of a mailbox that has so many messages of each status in each folder."""
    new = sum(number for (status, _), number in numbers.items() if status is Status.UNREAD)
    saved = sum(number for (status, folder), number in numbers.items() if status is Status.READ and folder.saved)
    urgent = numbers.get((Status.UNREAD, Folder.URGENT), 0)
    return Counts(new, sum(numbers.values()) - new - saved, saved, urgent)


def adopt_pbx(conn: sqlite3.Connection, pbx: str) -> None:
    """Note the PBX's name; a store belongs to one PBX, and keeps its uuids when that is given another name."""
    conn.execute("INSERT INTO meta VALUES ('pbx', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (pbx,))


def probe(conn: sqlite3.Connection) -> None:
    """Write something that matters to nobody: it fails while the store cannot be written."""
    conn.execute("INSERT INTO meta VALUES ('probe', '') ON CONFLICT (key) DO UPDATE SET value = value || ' '")
    conn.execute("UPDATE meta SET value = '' WHERE key = 'probe'")


def adopt_internal(conn: sqlite3.Connection, pattern: str, outside: Callable[[str], str | None]) -> int:
    """Where `[pbx] internal` is another than last time, tell anew which callers are outside; gives how many changed."""
    row = conn.execute("SELECT value FROM meta WHERE key = 'internal'").fetchone()
    if row is not None and row[0] == pattern:
        return 0
    numbers = [number for (number,) in conn.execute("SELECT DISTINCT src FROM message")]
    conn.executemany(
        "UPDATE message SET external_number = ? WHERE src = ?", [(outside(number), number) for number in numbers]
    )
    conn.execute(
        "INSERT INTO meta VALUES ('internal', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (pattern,)
    )
    return len(numbers)


def in_view(view: View, column: str) -> tuple[str, tuple[bytes, ...]]:
    """The condition that keeps a query to the mailboxes somebody may see, and its parameters."""
    if view is None:
        return "", ()
    allowed = orjson.dumps(sorted(str(mailbox) for mailbox in view))
    return f"AND {column} IN (SELECT value FROM json_each(?))", (allowed,)
