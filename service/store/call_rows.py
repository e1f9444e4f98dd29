"""Calls as they are stored: read as `Call`, with all that hangs on them, in a few queries for any number of them."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from service.call import Call, CallStatus, CallType, Integration, IntegrationStatus, Left, Leg, Party
from service.cdr import judge
from service.store.call_joins import LEG, is_name
from service.store.messages import pbx_name

_CALL = (
    "id, uuid, key, start, end, src, dst, external_number, duration, conversation, type, status, recording, voicemails,"
    " names, parties"
)
_THESE = "IN (SELECT value FROM json_each(?))"


def load(conn: sqlite3.Connection, ids: Sequence[int], *, legs: bool = False) -> list[Call]:
    """The calls with these ids, in this order; those that are not there are left out. With their legs if asked for.

    All come as one row: with every row `sqlite3` lets go of the interpreter's lock, and may have to wait for it again.
    """
    asked = orjson.dumps(ids)
    query = f"SELECT json_group_array(json_array({_CALL})) FROM call WHERE id {_THESE}"
    rows = orjson.loads(conn.execute(query, (asked,)).fetchone()[0])
    if not rows:
        return []
    pbx, told, extensions = pbx_name(conn), _integration(conn, asked), {row[0]: orjson.loads(row[15]) for row in rows}
    seen = {extension for some in extensions.values() for extension, _ in some}
    known = known_contexts(conn, seen.union(*(row[5:7] for row in rows)))
    parties = {one: _parties(some, known) for one, some in extensions.items()}
    outlying = _outlying(conn, rows, parties, known)
    parts = (
        {one: judge.in_order(leg for _, leg in some) for one, some in stored_legs(conn, ids).items()} if legs else {}
    )
    found = {}
    for row in rows:
        call_id = row[0]
        found[call_id] = Call(
            id=call_id,
            uuid=row[1],
            pbx=pbx,
            key=row[2],
            start=row[3],
            end=row[4],
            src=row[5],
            dst=row[6],
            external_number=row[7],
            duration=row[8],
            conversation=row[9],
            type=CallType(row[10]),
            status=CallStatus(row[11]),
            recording=row[12],
            uniqueids=ordered_names(orjson.loads(row[14])),
            parties=parties[call_id],
            voicemails=voicemails(row[13]),
            integration=told.get(call_id, ()),
            legs=parts.get(call_id, ()),
            outlying=outlying.get(call_id, ()),
        )
    return [found[call_id] for call_id in ids if call_id in found]


def stored_legs(conn: sqlite3.Connection, ids: Collection[int]) -> dict[int, list[tuple[int, Leg]]]:
    """The legs of these calls, each with the id of its row."""
    rows = conn.execute(f"SELECT call_id, id, {LEG} FROM leg WHERE call_id {_THESE}", (orjson.dumps(list(ids)),))
    found: dict[int, list[tuple[int, Leg]]] = {}
    for call_id, leg_id, *row in rows:
        found.setdefault(call_id, []).append((leg_id, Leg._make(row)))
    return found


def stored_names(conn: sqlite3.Connection, ids: Collection[int]) -> dict[int, list[str]]:
    """Every name and span that leads to each of these calls."""
    rows = conn.execute(f"SELECT id, names FROM call WHERE id {_THESE}", (orjson.dumps(list(ids)),))
    return {call_id: orjson.loads(names) for call_id, names in rows}


def ordered_names(names: Collection[str]) -> tuple[str, ...]:
    """The uniqueids among the names and spans of a call."""
    return tuple(names if len(names) == 1 and is_name(*names) else sorted(filter(is_name, names)))


def voicemails(text: str) -> tuple[Left, ...]:
    """What column `voicemails` says."""
    return () if text == "[]" else tuple(Left(*left) for left in orjson.loads(text))


def voicemails_text(left: Iterable[Left]) -> str:
    """What column `voicemails` is to say."""
    return orjson.dumps([(one.mailbox, one.uuid, one.id) for one in left]).decode()


def known_contexts(conn: sqlite3.Connection, extensions: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The contexts of all mailboxes of each of these extensions that has any."""
    rows = conn.execute(
        f"SELECT extension, context FROM mailbox WHERE extension {_THESE} ORDER BY extension, context",
        (orjson.dumps(list(extensions)),),
    )
    found: dict[str, tuple[str, ...]] = {}
    for extension, context in rows:
        found[extension] = (*found.get(extension, ()), context)
    return found


def with_known(parties: Sequence[Party], known: Mapping[str, tuple[str, ...]]) -> tuple[Party, ...]:
    """These parties, each with the contexts of the mailboxes that are known of it."""
    if not known:
        return tuple(parties)
    return tuple(Party(party.extension, party.contexts, known.get(party.extension, ())) for party in parties)


def outlying_parties(
    src: str, dst: str, parties: Sequence[Party], known: Mapping[str, tuple[str, ...]], legs: Iterable[Leg]
) -> Iterator[Party]:
    """`Call.outlying`: `known` has the contexts of all mailboxes of `src` and of `dst`."""
    own = {party.extension for party in parties}
    for number in dict.fromkeys((src, dst)):
        boxes = known.get(number, ())
        if boxes and number not in own:
            contexts = {leg.dcontext for leg in legs if number in (leg.src, leg.dst)} - {""}
            yield Party(number, tuple(sorted(contexts)[: judge.MOST_CONTEXTS]), boxes)


def _parties(told: Iterable[tuple[str, Sequence[str]]], known: Mapping[str, tuple[str, ...]]) -> tuple[Party, ...]:
    return tuple(Party(extension, tuple(contexts), known.get(extension, ())) for extension, contexts in told)


def _outlying(
    conn: sqlite3.Connection,
    rows: Iterable[Sequence[Any]],
    parties: Mapping[int, Sequence[Party]],
    known: Mapping[str, tuple[str, ...]],
) -> dict[int, tuple[Party, ...]]:
    """`Call.outlying` of those of these calls that have any: seldom one does."""
    own = {one: {party.extension for party in some} for one, some in parties.items()}
    some = [row for row in rows if any(number in known and number not in own[row[0]] for number in row[5:7])]
    if not some:
        return {}
    legs = stored_legs(conn, [row[0] for row in some])
    return {
        row[0]: tuple(outlying_parties(row[5], row[6], parties[row[0]], known, [leg for _, leg in legs[row[0]]]))
        for row in some
    }


def _integration(conn: sqlite3.Connection, asked: bytes) -> dict[int, tuple[Integration, ...]]:
    rows = conn.execute(
        "SELECT call_id, id, name, status, error_message, created_us, updated_us FROM integration"
        f" WHERE call_id {_THESE} ORDER BY id",
        (asked,),
    )
    found: dict[int, tuple[Integration, ...]] = {}
    for call_id, integration_id, name, status, *rest in rows:
        one = Integration(integration_id, name, IntegrationStatus(status), *rest)
        found[call_id] = (*found.get(call_id, ()), one)
    return found
