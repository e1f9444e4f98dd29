"""Messages as a scan finds them, put into a database through reconcile, as ingest does."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from service.difference import Difference
from service.model import Audio, AudioFile, Envelope, Folder, Found, Known, Mailbox, Message, Record
from service.store import connect, journal, mailboxes, messages, reconcile
from service.store.query import Query
from service.store.transaction import Transaction

BOX = Mailbox("default", "100")
NEXT = Mailbox("default", "101")
OTHER = Mailbox("other", "100")
NOW_MS = 1_800_000_000_000


def outside(number: str) -> str | None:
    """Three digits are an extension here."""
    return number if len(number) > 3 else None


def audio(content: int, *, inode: int = 0, duration_ms: int | None = 3500) -> Audio:
    """The audio of a recording; another content is another voice."""
    file = AudioFile("wav", 1000 + content, 5, inode or 500 + content, f"{content:032x}")
    return Audio(file, "audio/wav", duration_ms, 8000, 1)


def found(
    number: int,
    folder: Folder = Folder.INBOX,
    msgnum: int = 0,
    *,
    msg_id: str | None = None,
    origtime: int | None = None,
    name: str = "Jane Doe",
    caller: str = "15551234567",
    sound: Audio | None = None,
    silent: bool = False,
    known: Known | None = None,
    fingerprint: str = "",
    stamp: int | None = None,
) -> Found:
    """A message whose files a scan has read; its number tells it from others."""
    given = f"1795210952-{number:08x}" if msg_id is None else msg_id
    envelope = Envelope(given, 1000 + number if origtime is None else origtime, 9, name, caller, "PJSIP/trunk-0")
    voice = None if silent else sound or audio(number)
    mark = (number if stamp is None else stamp, 1, 300)
    return Found(folder, msgnum, mark, given or fingerprint, known, envelope, voice, fingerprint)


def lies(row: Known, folder: Folder, msgnum: int) -> Found:
    """A known message that only lies elsewhere."""
    return Found(folder, msgnum, row.stamp, row.msg_id, known=row)


def apply(tx: Transaction, mailbox: Mailbox, change: Difference) -> bool:
    """What ingest does with a difference."""
    generation, _known = reconcile.known(tx.conn, mailbox)
    return reconcile.apply(tx, mailbox, generation, change, outside)


def put(tx: Transaction, mailbox: Mailbox, *read: Found) -> list[Message]:
    """Have a scan find these, and give them as the store has them now."""
    assert apply(tx, mailbox, Difference(read=read))
    names = {one.msg_id for one in read}
    return [message for message in live(tx.conn) if message.mailbox == mailbox and message.msg_id in names]


def known(tx: Transaction, mailbox: Mailbox = BOX) -> dict[str, Known]:
    return {row.msg_id: row for row in reconcile.known(tx.conn, mailbox)[1]}


def live(conn: sqlite3.Connection) -> list[Message]:
    """All messages that are there, by id."""
    return messages.by_ids(conn, [row.id for row in messages.page(conn, None, Query(limit=1000)).rows])


def told(tx: Transaction) -> list[Record]:
    """What the journal holds that nobody has looked at, and look at it."""
    records, tx.records = tx.records, []
    return records


def types(tx: Transaction) -> list[str]:
    return [record.type for record in told(tx)]


@contextmanager
def transaction(path: Path) -> Iterator[Transaction]:
    """A real database and one transaction on it, which is not waited for to be durable."""
    with closing(connect(path)) as conn:
        conn.execute("PRAGMA synchronous = OFF")
        conn.execute("BEGIN IMMEDIATE")
        mailboxes.adopt_pbx(conn, "pbx1")
        yield Transaction(conn, "pbx1", NOW_MS)
        conn.execute("COMMIT")


def replayed(conn: sqlite3.Connection) -> list[Record]:
    return [record for record, _total in journal.replay(conn, None, 0, 10_000).records]


def same_but(message: Message, **changes: object) -> Message:
    return replace(message, **changes)  # type: ignore[arg-type] # the test names fields
