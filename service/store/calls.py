"""Calls and their legs: recorded as they are told, by whomever and however often, and read again.

What is stored follows from the legs that were told alone: not from their order, their batches, or how often.
"""

import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import orjson

from service.call import Call, Left, Leg
from service.cdr import merge
from service.cdr.judge import in_order
from service.model import Imported, Mailbox, View
from service.store import call_joins, call_news, call_rows, call_writes, journal, links
from service.store.call_joins import Group, Joined
from service.store.call_judged import Judge, Judged
from service.store.call_rows import known_contexts, load, ordered_names, outlying_parties, with_known
from service.store.call_writes import Draft, Writes
from service.store.transaction import Transaction

__all__ = ["adopt_internal", "count_visible", "forget", "load", "record", "rejudge", "visible_condition"]

JUDGED_FOR = "internal_calls"
"""The key in table `meta` of the `[pbx] internal` by which the stored calls were judged."""


def record(
    tx: Transaction,
    legs: Sequence[Leg],
    internal: re.Pattern[str],
    *,
    history: bool = False,
    alone: Sequence[Judged] = (),
) -> int:
    """Put legs where they belong, whether they are known or not; gives how many calls are new or are another now.

    Every such call is told in the journal as `call.new`, `call.updated` or `call.deleted` (it was found to be part of
    another), and to every webhook that wants calls. With `history` none is, and one `calls.imported` stands for all.
    `alone`, where it is given, has what each leg says as a call by itself, as most are.
    """
    if not legs:
        return 0
    joined = call_joins.join(tx.conn, legs)
    writes = Writes(tx)
    judge = Judge(tx.pbx, internal, dict(zip(legs, alone, strict=True)) if alone else {})
    return _keep(tx, writes, _drafts(writes, joined, judge, tx.conn), history=history)


def rejudge(tx: Transaction, internal: re.Pattern[str], after_id: int, limit: int) -> int:
    """Judge the next calls after this id anew, for another `[pbx] internal`; gives the last that was, 0 at the end.

    Nobody is told of them one by one: a `calls.imported` stands for all that changed.
    """
    rows = tx.conn.execute("SELECT id FROM call WHERE id > ? ORDER BY id LIMIT ?", (after_id, limit))
    ids: list[int] = [call_id for (call_id,) in rows]
    if not ids:
        _note(tx.conn, internal)
        return 0
    names = call_rows.stored_names(tx.conn, ids)
    judge, drafts = Judge(tx.pbx, internal), list[Draft]()
    for call in load(tx.conn, ids, legs=True):
        drafts.append(Draft(call.id, [call], names[call.id], call.legs, *judge(call.legs)))
    writes = Writes(tx)
    _keep(tx, writes, drafts, history=True)
    return ids[-1]


def adopt_internal(conn: sqlite3.Connection, internal: re.Pattern[str]) -> bool:
    """Whether the stored calls were judged by this `[pbx] internal`; they are where there are none. Else `rejudge`."""
    row = conn.execute("SELECT value FROM meta WHERE key = ?", (JUDGED_FOR,)).fetchone()
    if row is not None and row[0] == internal.pattern:
        return True
    if conn.execute("SELECT 1 FROM call LIMIT 1").fetchone() is not None:
        return False
    _note(conn, internal)
    return True


def _note(conn: sqlite3.Connection, internal: re.Pattern[str]) -> None:
    conn.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (JUDGED_FOR, internal.pattern),
    )


def forget(tx: Transaction, before: int, limit: int = 500) -> int:
    """Remove at most `limit` of the oldest calls that started before this second, with all that is known of them.

    Gives how many went. Messages that were left in them keep what they know.
    """
    rows = tx.conn.execute("SELECT id FROM call WHERE start < ? ORDER BY start LIMIT ?", (before, limit))
    ids: list[int] = [call_id for (call_id,) in rows]
    names = call_rows.stored_names(tx.conn, ids)
    call_writes.forget(tx, [(call, names[call.id]) for call in load(tx.conn, ids)])
    return len(ids)


def visible_condition(view: View) -> tuple[str, tuple[Any, ...]]:
    """The condition on table `call`, and its parameters, that leaves the calls this view's mailboxes take part in.

    It says in SQL what `Call.takes_part` says. An incoming call comes from no extension, an internal one goes to one.
    """
    if view is None:
        return "1", ()
    return f"call.id IN ({_VISIBLE})", _asked(view)


def count_visible(conn: sqlite3.Connection, view: Collection[Mailbox]) -> int:
    """How many calls these mailboxes take part in, in half the time that looking for each of them would take."""
    query = f"SELECT count(DISTINCT call_id) FROM ({_VISIBLE})"
    return int(conn.execute(query, _asked(view)).fetchone()[0])


def _asked(view: Collection[Mailbox]) -> tuple[bytes]:
    return (orjson.dumps(sorted((box.extension, box.context) for box in view)),)


_VISIBLE = """
    WITH allowed (extension, context) AS MATERIALIZED (
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
    ), box (extension, context, sole) AS MATERIALIZED (
        SELECT extension, context, NOT EXISTS (
            SELECT 1 FROM mailbox WHERE mailbox.extension = allowed.extension AND mailbox.context <> allowed.context
        ) FROM allowed
    )
    SELECT party.call_id FROM box CROSS JOIN party ON party.extension = box.extension
        WHERE box.sole OR EXISTS (
            SELECT 1 FROM call AS other, json_each(other.parties) AS told, json_each(told.value, '$[1]') AS seen
            WHERE other.id = party.call_id AND json_extract(told.value, '$[0]') = box.extension
            AND seen.value = box.context
        )
    UNION ALL
    SELECT other.id FROM box CROSS JOIN call AS other ON other.src = box.extension AND other.type = 1
        WHERE NOT EXISTS (SELECT 1 FROM party WHERE party.extension = box.extension AND party.call_id = other.id)
        AND (box.sole OR EXISTS (SELECT 1 FROM leg WHERE leg.call_id = other.id AND leg.dcontext = box.context
            AND box.extension IN (leg.src, leg.dst)))
    UNION ALL
    SELECT other.id FROM box CROSS JOIN call AS other ON other.dst = box.extension AND other.type <> 3
        WHERE NOT EXISTS (SELECT 1 FROM party WHERE party.extension = box.extension AND party.call_id = other.id)
        AND (box.sole OR EXISTS (SELECT 1 FROM leg WHERE leg.call_id = other.id AND leg.dcontext = box.context
            AND box.extension IN (leg.src, leg.dst)))
    UNION ALL
    SELECT call_channel.call_id FROM box CROSS JOIN mailbox USING (extension, context)
        CROSS JOIN message ON message.mailbox_id = mailbox.id AND message.uniqueid <> ''
        CROSS JOIN call_channel ON call_channel.uniqueid = message.uniqueid
    UNION ALL
    SELECT message.call_id FROM box CROSS JOIN mailbox USING (extension, context)
        CROSS JOIN message ON message.mailbox_id = mailbox.id AND message.call_id IS NOT NULL
"""


def _drafts(writes: Writes, joined: Joined, judge: Judge, conn: sqlite3.Connection) -> list[Draft]:
    """The calls that are new or not as they were, with their legs and names noted to be written."""
    drafts, olds = list[Draft](), list[Group]()
    for group in joined.groups:
        if group.calls:
            olds.append(group)
            continue
        told = group.legs
        legs = told if len(told) == 1 else _folded((), told)[0]
        call_id = writes.next_call()
        writes.legs(call_id, legs)
        writes.names(call_id, group.names)
        drafts.append(Draft(call_id, (), group.names, legs, *judge(legs)))
    if olds:
        drafts += _old_drafts(writes, joined.stored, olds, judge, conn)
    return drafts


def _old_drafts(
    writes: Writes, known: Collection[str], groups: Sequence[Group], judge: Judge, conn: sqlite3.Connection
) -> list[Draft]:
    """The same of calls that are stored, under these names among others; none where nothing new was told."""
    rows = call_rows.stored_legs(conn, [call_id for group in groups for call_id in group.calls])
    drafts, changed = list[Draft](), list[Group]()
    for group in groups:
        legs, added, again = _folded([row for one in group.calls for row in rows[one]], group.legs)
        new = [name for name in group.names if name not in known]
        if added or again or new or len(group.calls) > 1:
            call_id = min(group.calls)
            writes.legs(call_id, added)
            writes.legs_again(again)
            writes.names(call_id, new)
            drafts.append(Draft(call_id, (), new, legs, *judge(legs)))
            changed.append(group)
    _remember(conn, writes, drafts, changed)
    return drafts


def _remember(conn: sqlite3.Connection, writes: Writes, drafts: Sequence[Draft], groups: Sequence[Group]) -> None:
    """Tell the drafts what they were."""
    ids = [call_id for group in groups for call_id in group.calls]
    befores = {call.id: call for call in load(conn, ids, legs=True)}
    names = call_rows.stored_names(conn, ids)
    for draft, group in zip(drafts, groups, strict=True):
        draft.befores = [befores[one] for one in sorted(group.calls)]
        draft.names = sorted({*draft.names, *(name for one in group.calls for name in names[one])})
        for gone in draft.befores[1:]:
            writes.names_again(draft.id, names[gone.id])


def _folded(
    stored: Sequence[tuple[int, Leg]], told: Sequence[Leg]
) -> tuple[Sequence[Leg], list[Leg], list[tuple[int, Leg]]]:
    """All legs in order, those that have no row yet, and the rows of which more is known, by their ids."""
    ids: list[int | None] = [leg_id for leg_id, _ in stored]
    legs = [leg for _, leg in stored]
    places: dict[str, list[int]] = {}
    for place, leg in enumerate(legs):
        places.setdefault(leg.wall, []).append(place)
    changed: set[int] = set()
    for leg in told:
        alike = places.setdefault(leg.wall, [])
        same = next((place for place in alike if merge.same(legs[place], leg)), None)
        if same is None:
            alike.append(len(legs))
            legs.append(leg)
            ids.append(None)
            continue
        more = merge.merged(legs[same], leg)
        if more != legs[same]:
            legs[same] = more
            changed.add(same)
    added = [leg for leg, leg_id in zip(legs, ids, strict=True) if leg_id is None]
    again = [(leg_id, legs[place]) for place, leg_id in enumerate(ids) if leg_id is not None and place in changed]
    return in_order(legs), added, again


def _keep(tx: Transaction, writes: Writes, drafts: Sequence[Draft], *, history: bool) -> int:
    """Write the drafts, link the voicemails left in them, and tell what is another now; gives how many are."""
    for draft in drafts:
        writes.put(draft)
    writes.flush()
    left = links.settle_calls(tx, drafts, quiet=history)
    if history:
        changed = _count_changes(tx, drafts, left)
        if changed:
            journal.append(tx, "calls.imported", None, Imported(changed))
        return changed
    changes = _changes(tx, drafts, left)
    call_news.tell(tx, changes)
    call_news.tell_links(tx, left)
    return len(changes) + len(left)


def _count_changes(tx: Transaction, drafts: Sequence[Draft], left: dict[int, tuple[Left, ...]]) -> int:
    """How many calls are new or another now; what is new need not be looked at."""
    olds = [draft for draft in drafts if draft.befores]
    new = len(drafts) - len(olds)
    for draft in drafts:
        if not draft.befores:
            left.pop(draft.id, None)
    return new + len(_changes(tx, olds, left)) + len(left)


def _changes(tx: Transaction, drafts: Sequence[Draft], left: dict[int, tuple[Left, ...]]) -> list[call_news.News]:
    """What is new or another now, with the type of its record; takes the drafts' own out of `left`."""
    known = known_contexts(tx.conn, {number for draft in drafts for number in _numbers(draft)})
    found = list[call_news.News]()
    for draft in drafts:
        now = _call(tx.pbx, draft, known, left.pop(draft.id, None) if left else None)
        if not draft.befores:
            found.append(("call.new", now))
        elif len(draft.befores) > 1 or _outside(draft.befores[0]) != _outside(now):
            found += [("call.deleted", gone) for gone in draft.befores[1:]]
            found.append(("call.updated", now))
    return found


_outside = attrgetter(*(field.name for field in fields(Call) if field.name not in ("pbx", "integration", "legs")))
"""What anybody outside can see of a call: a leg that changes nothing of this is not told."""


def _numbers(draft: Draft) -> Iterator[str]:
    """All that may be the extension of a mailbox."""
    yield from (draft.verdict.src, draft.verdict.dst)
    yield from (party.extension for party in draft.parties)


def _call(pbx: str, draft: Draft, known: Mapping[str, tuple[str, ...]], voicemails: tuple[Left, ...] | None) -> Call:
    before = draft.befores[0] if draft.befores else None
    if voicemails is None:
        voicemails = before.voicemails if before else ()
    return Call(
        draft.id,
        draft.uuid,
        pbx,
        draft.key,
        *draft.verdict,
        ordered_names(draft.names),
        with_known(draft.parties, known),
        voicemails,
        before.integration if before else (),
        tuple(draft.legs),
        tuple(outlying_parties(draft.verdict.src, draft.verdict.dst, draft.parties, known, draft.legs)),
    )
