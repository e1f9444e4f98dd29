"""Messages newest first, as dialects without filters list them (contract 5 and 6)."""

import sqlite3

from service.errors import NotFoundError
from service.model import Mailbox, Message, View
from service.store import mailboxes, messages
from service.store.query import Page

_FROM = "FROM message JOIN mailbox ON mailbox.id = message.mailbox_id WHERE deleted_ms IS NULL"
_NEWEST = "ORDER BY origtime DESC, message.id DESC"


def page(
    conn: sqlite3.Connection, view: View, *, limit: int, offset: int, mailbox: Mailbox | None = None
) -> Page[Message]:
    """The messages in view, of one mailbox where it is named: `limit` of them from `offset` on, and the exact total."""
    seen = view if mailbox is None else frozenset({mailbox}) & (frozenset({mailbox}) if view is None else view)
    condition, parameters = mailboxes.in_view(seen, "mailbox.name")
    rows = conn.execute(
        f"SELECT message.id {_FROM} {condition} {_NEWEST} LIMIT ? OFFSET ?", (*parameters, limit, offset)
    )
    return Page(_in_order(conn, [row[0] for row in rows]), mailboxes.message_count(conn, seen))


def of_mailbox(conn: sqlite3.Connection, view: View, mailbox: Mailbox) -> Message:
    """The newest message of a mailbox. Raises NotFoundError where it has none, or is not in view."""
    found = page(conn, view, limit=1, offset=0, mailbox=mailbox).rows
    if not found:
        raise NotFoundError("there is no such message")
    return found[0]


def _in_order(conn: sqlite3.Connection, ids: list[int]) -> list[Message]:
    found = {message.id: message for message in messages.by_ids(conn, ids)}
    return [found[message_id] for message_id in ids]
