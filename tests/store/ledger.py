"""Legs as a source tells them, and what the store makes of them."""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from service.call import Call, Leg
from service.cdr import judge, merge
from service.store import calls
from service.store.call_judged import judged
from service.store.transaction import Transaction

INTERNAL = re.compile(r"^\d{3}$")
START = 1_800_000_000
DAY_S = 86400


def leg(number: int = 1, start: int = 0, end: int = 20, **told: Any) -> Leg:
    """An answered call from outside on a channel of its own that tells its uniqueid alone; times are after START."""
    begun, ended = START + start, START + end
    ring = min(begun + 2, ended)
    answer = ring if told.get("disposition", "ANSWERED") == "ANSWERED" else None
    one = Leg(
        uniqueid=f"{begun}.{number}",
        linkedid="",
        sequence=None,
        channel=f"PJSIP/trunk-{number:08x}",
        dstchannel=f"PJSIP/200-{number:08x}",
        src="15551234567",
        dst="200",
        dcontext="from-trunk",
        clid='"Jane Doe" <15551234567>',
        lastapp="Dial",
        lastdata="PJSIP/200,15",
        accountcode="",
        userfield="",
        did="",
        outbound_cnum="",
        recordingfile="",
        start=begun,
        answer=answer,
        end=ended,
        duration=ended - begun,
        billsec=0 if answer is None else ended - answer,
        disposition="ANSWERED",
        wall=f"{begun}|{answer or ''}|{ended}",
    )
    return one._replace(**told)


def voicemail(number: int = 1, start: int = 20, end: int = 40, *, box: str = "200@default", **told: Any) -> Leg:
    """What follows when nobody answers: the caller is in a mailbox. The uniqueid is that of the channel's first leg."""
    told = {"uniqueid": f"{START}.{number}", "dstchannel": "", "lastapp": "VoiceMail", "lastdata": f"{box},u"} | told
    return leg(number, start, end, **told)


def bare(one: Leg) -> Leg:
    """As a `Master.csv` has it that was written without uniqueids."""
    return one._replace(uniqueid="", linkedid="", sequence=None)


@contextmanager
def undone(tx: Transaction) -> Iterator[None]:
    """Have what the block writes undone, so that the next example finds an empty database."""
    tx.conn.execute("SAVEPOINT example")
    try:
        yield
    finally:
        tx.conn.execute("ROLLBACK TO example")
        tx.conn.execute("RELEASE example")
        tx.records.clear()


def record(tx: Transaction, *legs: Leg, history: bool = False) -> int:
    """History is judged beforehand, leg by leg, as an import does."""
    alone = [judged(tx.pbx, (one,), INTERNAL) for one in legs] if history else ()
    return calls.record(tx, legs, INTERNAL, history=history, alone=alone)


def all_calls(conn: sqlite3.Connection) -> list[Call]:
    """Every call with all that hangs on it, by its id."""
    ids = [call_id for (call_id,) in conn.execute("SELECT id FROM call ORDER BY id")]
    return calls.load(conn, ids, legs=True)


def only(conn: sqlite3.Connection) -> Call:
    (call,) = all_calls(conn)
    return call


def nameless(found: Iterable[Call]) -> list[Call]:
    """Calls without what depends on the order in which they came: the ids of their rows."""
    return sorted((replace(call, id=0, integration=()) for call in found), key=lambda call: (call.uuid, call.start))


def counted(conn: sqlite3.Connection) -> dict[tuple[int, int, int, int], int]:
    """How many calls are kept counted."""
    rows = conn.execute(
        "SELECT unit, bucket, type, status, sum(calls) FROM call_count WHERE line = '' AND unit IN (0, 86400)"
        " GROUP BY unit, bucket, type, status"
    )
    return {(unit, bucket, kind, status): number for unit, bucket, kind, status, number in rows}


def recounted(found: Iterable[Call]) -> dict[tuple[int, int, int, int], int]:
    """How many there are, counted one by one."""
    numbers: Counter[tuple[int, int, int, int]] = Counter()
    for call in found:
        for unit in (0, 86400):
            numbers[unit, call.start // unit if unit else 0, call.type.value, call.status.value] += 1
    return dict(numbers)


def what_they_are(told: Iterable[Leg]) -> list[tuple[Any, ...]]:
    """The simple model: legs that belong together in any way are one call, and are judged."""
    return sorted(_as_one(some) for some in _closed(list(told), _together))


def what_is_stored(conn: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """The same of the calls that are stored."""
    return sorted(
        (
            call.key,
            call.uniqueids,
            _facts(call.legs),
            _verdict(call),
            [(one.extension, one.contexts) for one in call.parties],
        )
        for call in all_calls(conn)
    )


def _as_one(told: list[Leg]) -> tuple[Any, ...]:
    legs = [_merged(some) for some in _closed(told, merge.same)]
    names = {name for one in legs for name in (one.uniqueid, one.linkedid)} - {""}
    parties = [(one.extension, one.contexts) for one in judge.parties(legs, INTERNAL)]
    return merge.key(legs), tuple(sorted(names)), _facts(legs), _verdict(judge.judge(legs, INTERNAL)), parties


def _merged(some: list[Leg]) -> Leg:
    whole = some[0]
    for one in some[1:]:
        whole = merge.merged(whole, one)
    return whole


def _verdict(one: Any) -> tuple[str, ...]:
    names = ("start", "end", "src", "dst", "external_number", "duration", "conversation", "type", "status", "recording")
    return tuple(repr(getattr(one, name)) for name in names)


def _facts(legs: Iterable[Leg]) -> list[tuple[str, ...]]:
    return sorted(tuple(map(repr, one)) for one in legs)


def _together(one: Leg, other: Leg) -> bool:
    names = [{leg.uniqueid, leg.linkedid} - {""} for leg in (one, other)]
    if names[0] & names[1]:
        return True
    if not (one.uniqueid and other.uniqueid) and merge.same(one, other):
        return True
    touch = one.channel == other.channel and one.start <= other.end + 1 and other.start <= one.end + 1
    return not names[0] and not names[1] and touch


def _closed(some: list[Leg], related: Any) -> list[list[Leg]]:
    """Put together what is related, by however many steps."""
    groups: list[list[Leg]] = []
    for one in some:
        apart: list[list[Leg]] = []
        home = [one]
        for group in groups:
            if any(related(one, other) for other in group):
                home += group
            else:
                apart.append(group)
        groups = [*apart, home]
    return groups
