"""What reconcile reads and writes: the only way the state of voicemail changes here."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

import orjson

from service.difference import Difference
from service.model import Found, Known, Mailbox, Message, Status
from service.store import journal, links, mailboxes, messages, read_rows
from service.store.read_rows import Outside
from service.store.transaction import Transaction

_KNOWN = "id, msg_id, given, folder, msgnum, txt_inode, txt_mtime_ns, txt_size, audio_inode"


def known(conn: sqlite3.Connection, mailbox: Mailbox) -> tuple[int, list[Known]]:
    """What a scan of this mailbox need not read again, and the generation this was true in.

    That is what lies in its spool: messages deleted here alone too, but not those whose audio we hold.
    """
    row = conn.execute("SELECT id, generation FROM mailbox WHERE name = ?", (str(mailbox),)).fetchone()
    if row is None:
        return 0, []
    rows = conn.execute(
        f"SELECT {_KNOWN} FROM message WHERE mailbox_id = ? AND deleted_ms IS NULL AND held IS NULL"
        f" UNION ALL SELECT {_KNOWN} FROM message WHERE mailbox_id = ? AND hidden = 1",
        (row[0], row[0]),
    )
    return int(row[1]), list(map(Known._make, rows))


def distrust(tx: Transaction, wanted: Sequence[Message]) -> int:
    """Have the files of these messages read anew at the next scan, whatever their names and inodes say.

    Those that a scan has found elsewhere, or with other audio, since they were read are left out. Gives how many are.
    """
    touched = 0
    for message in wanted:
        if message.audio is None:
            continue
        file = message.audio.file
        cursor = tx.conn.execute(
            "UPDATE message SET audio_inode = 0 WHERE id = ? AND held IS NULL AND (folder, msgnum, audio_inode,"
            " audio_size, audio_mtime_ns) = (?, ?, ?, ?, ?)",
            (
                message.id,
                message.folder.value,
                message.msgnum,
                messages.signed(file.inode),
                file.size,
                file.mtime_ns,
            ),
        )
        if cursor.rowcount:
            touched += 1
            tx.conn.execute(
                "UPDATE mailbox SET generation = generation + 1, looked = '' WHERE name = ?", (str(message.mailbox),)
            )
    return touched


def knows(conn: sqlite3.Connection, mailbox: Mailbox, msg_ids: Sequence[str]) -> tuple[int, bool]:
    """The mailbox's generation, and whether it has, or had, a message of any of these ids."""
    row = conn.execute("SELECT id, generation FROM mailbox WHERE name = ?", (str(mailbox),)).fetchone()
    if row is None:
        return 0, False
    found = conn.execute(
        "SELECT 1 FROM message WHERE mailbox_id = ? AND msg_id IN (SELECT value FROM json_each(?)) LIMIT 1",
        (row[0], orjson.dumps(list(msg_ids))),
    )
    return int(row[1]), found.fetchone() is not None


def apply(
    tx: Transaction,
    mailbox: Mailbox,
    generation: int,
    change: Difference,
    outside: Outside,
    *,
    looked: str = "",
) -> bool:
    """Make the store agree with a scan: messages, records and badge together. False where the scan is out of date.

    It is when somebody else changed the mailbox's messages after `known` gave this generation: then look again.
    `outside` gives a caller's number where that is no extension of this PBX, else None. `looked` is kept with it.
    """
    mailbox_id = mailboxes.ensure(tx, mailbox)
    cursor = tx.conn.execute(
        "UPDATE mailbox SET generation = generation + 1, looked = ? WHERE id = ? AND generation = ?",
        (looked, mailbox_id, generation),
    )
    if cursor.rowcount == 0:
        return False
    for found in change.read:
        _put(tx, mailbox, mailbox_id, found, outside)
    for found in change.relocated:
        _relocate(tx, mailbox, found)
    for row in change.gone:
        _depart(tx, mailbox, row)
    if change.read:
        links.link_messages(tx, mailbox_id, [found.msg_id for found in change.read])
    mailboxes.recount(tx, mailbox, mailbox_id)
    return True


def _put(tx: Transaction, mailbox: Mailbox, mailbox_id: int, found: Found, outside: Outside) -> None:
    """Write a message whose files were read, new or not, with its record.

    A message that had left the spool and is back has its old id and uuid again, and is told as new.
    """
    if found.known is None and _insert(tx, mailbox, mailbox_id, found, outside):
        return
    row = _row_of(tx, mailbox, mailbox_id, found)
    if row is None:  # its uuid is that of a message which has been given a msg_id since
        _insert(tx, mailbox, mailbox_id, found, outside, again=f"/{tx.now_ms}")
        return
    before, deleted = row
    after = _merged(before, found, outside)
    tx.conn.execute(read_rows.UPDATE, (*read_rows.values(after, found), after.id))
    if _is_hidden(tx, after.id):
        return
    if deleted:  # what was kept of it in the trash is nobody's now
        tx.conn.execute("UPDATE message SET deleted_ms = NULL, trash = NULL WHERE id = ?", (after.id,))
        journal.append(tx, "message.new", mailbox, after)
    elif _visible(after) != _visible(before):
        journal.append(tx, "message.updated", mailbox, after)


def _row_of(tx: Transaction, mailbox: Mailbox, mailbox_id: int, found: Found) -> tuple[Message, bool] | None:
    """The row of a message, and whether it had left the spool; None where there is none.

    A message that is given a msg_id which the mailbox has had before is that one again, and no longer the nameless one.
    """
    if found.known is None or found.known.msg_id != found.msg_id:
        row = messages.row(tx.conn, "mailbox_id = ? AND msg_id = ?", mailbox_id, found.msg_id)
        if row is not None and found.known is not None:
            _depart(tx, mailbox, found.known)
        if row is not None or found.known is None:
            return row
    return messages.row(tx.conn, "message.id = ?", found.known.id)


def _merged(before: Message, found: Found, outside: Outside) -> Message:
    """The message as it is now: levels stay where the audio is the same, a local status while the folder is.

    Of what we held the PBX tells the status again: its lamp is lit, or not.
    """
    assert found.envelope is not None
    audio = found.audio
    if audio is not None and before.audio is not None and messages.same_sound(audio, before.audio):
        audio = replace(audio, levels=before.audio.levels)
    number = found.envelope.caller_id_number
    return replace(
        before,
        msg_id=found.msg_id,
        folder=found.folder,
        msgnum=found.msgnum,
        envelope=found.envelope,
        external_number=before.external_number if number == before.envelope.caller_id_number else outside(number),
        audio=audio,
        held=None,
        local_status=before.local_status if before.held is None and found.folder is before.folder else None,
    )


def _visible(message: Message) -> Message:
    """The message without what nobody outside sees: its number, its file's inode and time, its channel."""
    audio = message.audio
    if audio is not None:
        audio = replace(audio, file=replace(audio.file, inode=0, mtime_ns=0))
    return replace(message, msgnum=0, audio=audio, envelope=replace(message.envelope, callerchan=""))


def _insert(
    tx: Transaction, mailbox: Mailbox, mailbox_id: int, found: Found, outside: Outside, *, again: str = ""
) -> bool:
    """Write a message that nobody knew. False, and nothing done, where the mailbox has had one of that identity.

    `again` makes its uuid another than the one of that identity.
    """
    message = read_rows.message(tx.pbx, mailbox, found, outside, message_id=read_rows.last_id(tx.conn) + 1, again=again)
    cursor = tx.conn.execute(read_rows.INSERT, read_rows.inserted(message, mailbox_id, found))
    if cursor.rowcount == 0:
        return False
    journal.append(tx, "message.new", mailbox, message)
    return True


def _relocate(tx: Transaction, mailbox: Mailbox, found: Found) -> None:
    """Note where a message lies now. In another folder it is told, and a status kept here alone gives way."""
    assert found.known is not None
    row, folder, msgnum = found.known, found.folder, found.msgnum
    if folder == row.folder:
        tx.conn.execute("UPDATE message SET msgnum = ? WHERE id = ?", (msgnum, row.id))
        return
    status = Status.UNREAD if folder.unread else Status.READ
    tx.conn.execute(
        "UPDATE message SET msgnum = ?, folder = ?, local_status = NULL, status = ? WHERE id = ?",
        (msgnum, folder.value, status.value, row.id),
    )
    if not _is_hidden(tx, row.id):
        journal.append(tx, "message.updated", mailbox, messages.by_id(tx.conn, None, row.id))


def _is_hidden(tx: Transaction, message_id: int) -> bool:
    """Whether it was deleted here alone: then nobody hears of what becomes of it in the spool."""
    return tx.conn.execute("SELECT 1 FROM message WHERE id = ? AND hidden = 1", (message_id,)).fetchone() is not None


def _depart(tx: Transaction, mailbox: Mailbox, row: Known) -> None:
    """Note that a message is in the spool no longer; its row stays as a tombstone."""
    if _is_hidden(tx, row.id):
        tx.conn.execute("UPDATE message SET hidden = 0 WHERE id = ?", (row.id,))
        return
    message = messages.by_id(tx.conn, None, row.id)
    tx.conn.execute("UPDATE message SET deleted_ms = ? WHERE id = ?", (tx.now_ms, row.id))
    journal.append(tx, "message.deleted", mailbox, message)
