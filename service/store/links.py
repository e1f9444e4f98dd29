"""Voicemails and the calls they were left in.

A message knows its call by `uniqueid`, the uniqueid of the channel that left it. Either the PBX told it (`told`), or it
is concluded: the message's channel ran `VoiceMail` in that call, for its mailbox, at its time. `message.call_id` marks
what was concluded. Where two calls fit a message, or two messages a leg, and time does not decide, nothing is.
What is concluded follows from the messages and legs of a channel alone, so that it does not matter which came first.
"""

import re
import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import orjson

from service.call import Left
from service.cdr import judge
from service.cdr.uniqueid import channel_start
from service.model import Mailbox
from service.store import call_news, call_rows, journal, messages
from service.store.call_writes import Draft
from service.store.transaction import Transaction

DAY_S = 86400
"""So old at most is a message of which MessageWaiting tells; and so long a VoiceMail leg lasts at most."""
_THESE = "IN (SELECT value FROM json_each(?))"


class _Message(NamedTuple):
    id: int
    extension: str
    context: str
    msg_id: str
    origtime: int
    callerchan: str
    uniqueid: str
    call_id: int | None

    @property
    def concluded(self) -> bool:
        """Whether its uniqueid, if any, is our own conclusion."""
        return self.uniqueid == "" or self.call_id is not None


class _Leg(NamedTuple):
    channel: str
    call_id: int
    uniqueid: str
    lastdata: str
    start: int
    end: int

    def fits(self, message: _Message) -> bool:
        """Whether this leg may have left the message: by channel, mailbox and time."""
        return (
            message.callerchan in (self.channel, _bare(self.channel))
            and self.start - 1 <= message.origtime <= self.end + 1
            and (message.extension, message.context) in judge.mailboxes(self.lastdata)
        )

    def spans(self, message: _Message) -> bool:
        """Whether the message was begun while this leg lasted, to the second."""
        return self.start <= message.origtime <= self.end


_Link = tuple[str, int | None]
"""The uniqueid and the call of a message, as far as they follow."""


def settle_calls(tx: Transaction, drafts: Iterable[Draft], *, quiet: bool) -> dict[int, tuple[Left, ...]]:
    """Link the messages that were left in these calls, which have been written just now.

    Gives the calls, these or others, whose voicemails are other ones now. `quiet` writes no records of messages.
    """
    legs = [leg for draft in drafts for leg in draft.legs if leg.lastapp == "VoiceMail"]
    names, calls = list[str](), list[int]()
    if tx.conn.execute("SELECT 1 FROM message WHERE uniqueid <> '' LIMIT 1").fetchone() is not None:
        asked = orjson.dumps([name for draft in drafts for name in draft.names])
        query = f"SELECT DISTINCT uniqueid FROM message WHERE uniqueid <> '' AND uniqueid {_THESE}"
        names = [name for (name,) in tx.conn.execute(query, (asked,))]
    if legs:
        asked = orjson.dumps([draft.id for draft in drafts])
        query = f"SELECT DISTINCT call_id FROM message WHERE call_id IS NOT NULL AND call_id {_THESE}"
        calls = [call_id for (call_id,) in tx.conn.execute(query, (asked,))]
    if not names and not legs:
        return {}
    times = [second for leg in legs for second in (leg.start, leg.end)]
    return _settle(tx, {leg.channel for leg in legs}, times, _Also(names, calls), quiet=quiet)


def link_messages(tx: Transaction, mailbox_id: int, msg_ids: Sequence[str]) -> None:
    """Link these messages of a mailbox, which are new or were read anew, with the calls they were left in."""
    if tx.conn.execute("SELECT 1 FROM leg LIMIT 1").fetchone() is None:
        return
    rows = tx.conn.execute(
        f"SELECT callerchan, origtime, uniqueid FROM message WHERE mailbox_id = ? AND msg_id {_THESE}"
        " AND (uniqueid <> '' OR EXISTS (SELECT 1 FROM leg"
        " WHERE lastapp = 'VoiceMail' AND channel IN (callerchan, callerchan || ';1', callerchan || ';2')))",
        (mailbox_id, orjson.dumps(msg_ids)),
    ).fetchall()
    if rows:
        names = {name for _, _, name in rows if name}
        left = _settle(tx, {row[0] for row in rows}, [row[1] for row in rows], _Also(names), quiet=False)
        call_news.tell_links(tx, left)


def told(tx: Transaction, mailbox: Mailbox, channel: str, uniqueid: str) -> None:
    """Note what `MessageWaiting` says: this channel left a message in this mailbox just now.

    It is of a message of that channel that was begun after the channel was made, and not more than a day ago.
    """
    since = max(tx.now_ms // 1000 - DAY_S, (channel_start(uniqueid) or 0) - 1)
    rows = tx.conn.execute(
        "SELECT message.id, uniqueid, origtime, call_id FROM message JOIN mailbox ON mailbox.id = message.mailbox_id"
        " WHERE mailbox.name = ? AND callerchan <> '' AND callerchan IN (?, ?) AND origtime >= ?"
        " AND (uniqueid = '' OR call_id IS NOT NULL)",
        (str(mailbox), channel, _bare(channel), since),
    ).fetchall()
    if not rows:
        return
    tx.conn.executemany(
        "UPDATE message SET uniqueid = ?, call_id = NULL WHERE id = ?", [(uniqueid, row[0]) for row in rows]
    )
    changed = [row[0] for row in rows if row[1] != uniqueid]
    also = _Also([uniqueid], [row[3] for row in rows if row[3] is not None], changed)
    left = _settle(tx, {channel}, [row[2] for row in rows], also, quiet=False)
    call_news.tell_links(tx, left)


class _Also(NamedTuple):
    """What has to be looked at beside what is concluded anew.

    The calls of these uniqueids, these calls, and messages whose uniqueid is another already.
    """

    names: Collection[str]
    calls: Collection[int] = ()
    messages: Collection[int] = ()


def _settle(
    tx: Transaction, channels: Collection[str], times: Collection[int], also: _Also, *, quiet: bool
) -> dict[int, tuple[Left, ...]]:
    """Conclude anew who left what on these channels around these times, and what that means for calls and messages."""
    updates = _concluded(tx.conn, channels, times)
    tx.conn.executemany(
        "UPDATE message SET uniqueid = ?, call_id = ? WHERE id = ?", [(*now, one.id) for one, now in updates]
    )
    asked = (orjson.dumps(list(also.names)),)
    calls = {call_id for one, now in updates for call_id in (one.call_id, now[1]) if call_id is not None}
    calls.update(call_id for (call_id,) in tx.conn.execute(_NAMED, asked))
    calls.update(also.calls)
    found = _left(tx.conn, calls)
    dirty = {one.id for one, _ in updates}.union(also.messages)
    dirty |= _set_lines(tx.conn, calls, found, dirty)
    if not quiet and dirty:
        for message in messages.by_ids(tx.conn, sorted(dirty)):
            journal.append(tx, "message.updated", message.mailbox, message)
    return _set_voicemails(tx.conn, calls, found)


_NAMED = f"SELECT call_id FROM call_channel WHERE uniqueid {_THESE}"


def _concluded(
    conn: sqlite3.Connection, channels: Collection[str], times: Collection[int]
) -> list[tuple[_Message, _Link]]:
    """The messages of these channels and times that are to be linked otherwise, and how."""
    if not times:
        return []
    names = {_bare(channel) + half for channel in channels if channel for half in ("", ";1", ";2")}
    asked, first, last = orjson.dumps(list(names)), min(times) - DAY_S, max(times) + DAY_S
    rows = conn.execute(
        "SELECT message.id, extension, context, msg_id, origtime, callerchan, uniqueid, call_id"
        f" FROM message JOIN mailbox ON mailbox.id = mailbox_id WHERE callerchan <> '' AND callerchan {_THESE}"
        " AND origtime BETWEEN ? AND ?",
        (asked, first - DAY_S, last + DAY_S),
    )
    found = [one for one in map(_Message._make, rows) if one.concluded]
    if not found:
        return []
    rows = conn.execute(
        "SELECT channel, call_id, uniqueid, lastdata, start, end FROM leg"
        f" WHERE lastapp = 'VoiceMail' AND channel {_THESE} AND start BETWEEN ? AND ?",
        (asked, first - 2 * DAY_S, last + 2 * DAY_S),
    )
    legs = list(map(_Leg._make, rows))
    now = _conclude(found, legs)
    changed = [(one, now.get(one.id, ("", None))) for one in found if first <= one.origtime <= last]
    return [(one, link) for one, link in changed if link != (one.uniqueid, one.call_id)]


def _conclude(found: Sequence[_Message], legs: Iterable[_Leg]) -> dict[int, _Link]:
    """The links of those of these messages of which they follow, by the message's id."""
    by_channel: dict[str, list[_Leg]] = {}
    for leg in sorted(legs, key=_start):
        by_channel.setdefault(_bare(leg.channel), []).append(leg)
    fitting = {message: _fitting(message, by_channel.get(_bare(message.callerchan), [])) for message in found}
    may_have_left: dict[_Leg, list[_Message]] = {}
    for message, some in fitting.items():
        for leg in some:
            may_have_left.setdefault(leg, []).append(message)
    certain = {leg: _left_in(leg, some) for leg, some in may_have_left.items()}
    now: dict[int, _Link] = {}
    for message, some in fitting.items():
        sure = [leg for leg in some if message in certain[leg]]
        if sure:
            names = {leg.uniqueid for leg in sure}
            now[message.id] = (names.pop() if len(names) == 1 else "", sure[0].call_id)
    return now


def _start(leg: _Leg) -> int:
    return leg.start


def _fitting(message: _Message, legs: Sequence[_Leg]) -> list[_Leg]:
    """The legs, of these in the order of their start, that may have left it; none where those of two calls may."""
    first = bisect_left(legs, message.origtime - DAY_S, key=_start)
    last = bisect_right(legs, message.origtime + 1, key=_start)
    some = [leg for leg in legs[first:last] if leg.fits(message)]
    some = [leg for leg in some if leg.spans(message)] or some
    return some if len({leg.call_id for leg in some}) == 1 else []


def _left_in(leg: _Leg, some: Sequence[_Message]) -> Sequence[_Message]:
    """Which of the messages that a leg may have left it did leave: one, with its copies in other mailboxes, or none."""
    some = [message for message in some if leg.spans(message)] or some
    return some if len({message.msg_id for message in some}) == 1 else []


def _left(conn: sqlite3.Connection, calls: Collection[int]) -> dict[int, list[tuple[int, Left]]]:
    """The messages that were left in each of these calls, by their ids, the first first."""
    asked = orjson.dumps(list(calls))
    what = "message.id, mailbox.name, message.uuid, origtime, msg_id FROM"
    mailbox = "CROSS JOIN mailbox ON mailbox.id = message.mailbox_id"
    rows = conn.execute(
        f"SELECT call.id, {what} call CROSS JOIN json_each(call.names) AS told CROSS JOIN message"
        f" ON message.uniqueid = told.value AND message.uniqueid <> '' {mailbox}"
        f" WHERE call.id {_THESE} AND message.call_id IS NULL"
        f" UNION ALL SELECT message.call_id, {what} message {mailbox}"
        f" WHERE message.call_id IS NOT NULL AND message.call_id {_THESE}"
        " ORDER BY origtime, msg_id, name",
        (asked, asked),
    )
    found: dict[int, list[tuple[int, Left]]] = {}
    for call_id, message_id, name, uuid, _origtime, _msg_id in rows:
        found.setdefault(call_id, []).append((message_id, Left(name, uuid, message_id)))
    return found


def _set_voicemails(
    conn: sqlite3.Connection, calls: Collection[int], found: dict[int, list[tuple[int, Left]]]
) -> dict[int, tuple[Left, ...]]:
    """Keep what was left in these calls; gives those of which it is something else now."""
    changed = {}
    rows = conn.execute(f"SELECT id, voicemails FROM call WHERE id {_THESE}", (orjson.dumps(list(calls)),))
    for call_id, before in rows.fetchall():
        now = tuple(left for _, left in found.get(call_id, ()))
        if now != call_rows.voicemails(before):
            changed[call_id] = now
            conn.execute("UPDATE call SET voicemails = ? WHERE id = ?", (call_rows.voicemails_text(now), call_id))
    return changed


def _set_lines(
    conn: sqlite3.Connection, calls: Collection[int], found: dict[int, list[tuple[int, Left]]], others: Collection[int]
) -> set[int]:
    """Give messages the outside line of the call they were left in, where the PBX told it, else the caller's number.

    These are the messages of these calls, and others that may have left one. Gives those that have another one now.
    """
    lines = dict(
        conn.execute(
            "SELECT call.id, external_number FROM call JOIN leg ON leg.call_id = call.id"
            f" WHERE call.id {_THESE} AND external_number <> '' AND external_number IN (did, outbound_cnum)",
            (orjson.dumps(list(calls)),),
        )
    )
    line_of = {message_id: lines.get(call_id) for call_id, some in found.items() for message_id, _ in some}
    line_of = dict.fromkeys(others) | line_of
    rows = conn.execute(
        f"SELECT id, src, external_number FROM message WHERE id {_THESE}", (orjson.dumps(list(line_of)),)
    ).fetchall()
    outside = _outside(conn)
    changed = set()
    for message_id, src, before in rows:
        now = line_of[message_id] or outside(src, before)
        if now != before:
            changed.add(message_id)
            conn.execute("UPDATE message SET external_number = ? WHERE id = ?", (now, message_id))
    return changed


def _outside(conn: sqlite3.Connection) -> Callable[[str, str | None], str | None]:
    """The rule for callers' numbers, as messages were read by it last."""
    row = conn.execute("SELECT value FROM meta WHERE key = 'internal'").fetchone()
    if row is None:
        return lambda _number, before: before
    internal = re.compile(row[0])

    def outside(number: str, _before: str | None) -> str | None:
        if not any(character.isdigit() for character in number) or internal.search(number):
            return None
        return number

    return outside


def _bare(channel: str) -> str:
    """The name of a channel without the half of a Local channel that it is, as Asterisk's own rewriting leaves it."""
    return channel.partition(";")[0]
