"""Writes the differences of many mailboxes at once: those that nobody has seen yet with few statements for all of them.

That is what a first start writes. A mailbox that has, or ever had, a message is left to `reconcile.apply`; both ways
give the same rows, and the same records in the same order.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from service.difference import Difference
from service.model import Counts, Mailbox, Message
from service.store import journal, links, mailboxes, read_rows, reconcile
from service.store.read_rows import Outside
from service.store.transaction import Transaction


class Change(NamedTuple):
    """How a mailbox differs from what the store knew of it in `generation`. `looked` is kept with it."""

    mailbox: Mailbox
    generation: int
    difference: Difference
    looked: str = ""


def apply_all(tx: Transaction, changes: Sequence[Change], outside: Outside) -> list[bool]:
    """Make the store agree with scans of different mailboxes, as `reconcile.apply` does with one; gives what it gives.

    `outside` gives a caller's number where that is no extension of this PBX, else None.
    """
    unseen = _unseen(tx.conn, changes)
    filled = bool(unseen) and _fill(tx, unseen, outside)
    done = {change.mailbox for change in unseen} if filled else set()
    return [
        change.mailbox in done
        or reconcile.apply(tx, change.mailbox, change.generation, change.difference, outside, looked=change.looked)
        for change in changes
    ]


def _unseen(conn: sqlite3.Connection, changes: Sequence[Change]) -> list[Change]:
    """Those in whose mailboxes there never was a message, and now are some."""
    new = [change for change in changes if change.generation == 0 and _only_new(change.difference)]
    asked = orjson.dumps([str(change.mailbox) for change in new])
    seen = {
        name
        for (name,) in conn.execute(
            "SELECT name FROM mailbox WHERE name IN (SELECT value FROM json_each(?))"
            " AND (generation <> 0 OR EXISTS (SELECT 1 FROM message WHERE mailbox_id = mailbox.id))",
            (asked,),
        )
    }
    return [change for change in new if str(change.mailbox) not in seen]


def _only_new(change: Difference) -> bool:
    return bool(change.read) and not (change.relocated or change.gone or any(found.known for found in change.read))


def _fill(tx: Transaction, changes: Sequence[Change], outside: Outside) -> bool:
    """Write these mailboxes, messages and records. False, and nothing done, where somebody has a message's uuid."""
    tx.conn.execute("SAVEPOINT fill")
    found = _messages(tx, changes, outside)
    badges = [mailboxes.counted(some) for some in found]
    ids = _boxes(tx, changes, badges)
    rows = [
        read_rows.inserted(message, mailbox_id, one)
        for mailbox_id, change, some in zip(ids, changes, found, strict=True)
        for message, one in zip(some, change.difference.read, strict=True)
    ]
    written = tx.conn.executemany(read_rows.INSERT, rows).rowcount
    if written != len(rows):
        tx.conn.execute("ROLLBACK TO fill")
        tx.conn.execute("RELEASE fill")
        return False
    tx.conn.execute("RELEASE fill")
    news = list[journal.News]()
    for change, some, badge in zip(changes, found, badges, strict=True):
        news += [journal.News("message.new", change.mailbox, message) for message in some]
        news.append(journal.News("unread", change.mailbox, badge, badge.new))
    journal.append_all(tx, news)
    for mailbox_id, some in zip(ids, found, strict=True):
        links.link_messages(tx, mailbox_id, [message.msg_id for message in some])
    return True


def _messages(tx: Transaction, changes: Sequence[Change], outside: Outside) -> list[list[Message]]:
    """The messages of each mailbox, with the ids they are going to have."""
    message_id = read_rows.last_id(tx.conn)
    found = []
    for change in changes:
        read = change.difference.read
        found.append(
            [
                read_rows.message(tx.pbx, change.mailbox, one, outside, message_id=number)
                for number, one in enumerate(read, message_id + 1)
            ]
        )
        message_id += len(read)
    return found


def _boxes(tx: Transaction, changes: Sequence[Change], badges: Sequence[Counts]) -> list[int]:
    """Write the mailboxes, as they are after this; gives their row ids."""
    tx.conn.executemany(
        "INSERT INTO mailbox (uuid, name, context, extension, generation, looked, new, old, saved, urgent)"
        " VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
        " SET (generation, looked, new, old, saved, urgent)"
        " = (excluded.generation, excluded.looked, excluded.new, excluded.old, excluded.saved, excluded.urgent)",
        [
            (
                mailboxes.box_uuid(tx.pbx, box),
                str(box),
                box.context,
                box.extension,
                looked,
                badge.new,
                badge.old,
                badge.saved,
                badge.urgent,
            )
            for (box, _generation, _difference, looked), badge in zip(changes, badges, strict=True)
        ],
    )
    names = [str(change.mailbox) for change in changes]
    ids = dict(
        tx.conn.execute(
            "SELECT name, id FROM mailbox WHERE name IN (SELECT value FROM json_each(?))", (orjson.dumps(names),)
        )
    )
    return [ids[name] for name in names]
