"""Which legs belong to one call: those that share a name, with one another and with calls that are stored.

A leg's names are its uniqueid and its linkedid; table `call_channel` maps each to its call. A leg that was told without
either (by an old `Master.csv`) is known by a span instead, `|channel|start|end`, which stands in that table among the
names from then on: legs of one channel whose spans touch belong together. A leg without uniqueid is the same CDR as one
that has it where their contents are the same. All of this depends on what was told alone, not on its order.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence

import orjson

from service.call import Leg
from service.cdr import merge

SPAN = "|"
"""What a span begins with, and no name that Asterisk makes."""
LONGEST_S = 86400
"""Spans of one channel that began earlier than this before a leg are not looked at: names of channels come again."""
HOUR_S = 3600
_SPAN = re.compile(r"\|.*\|([0-9]+)\|(-?[0-9]+)", re.DOTALL)

LEG = (
    "uniqueid, linkedid, sequence, channel, dstchannel, src, dst, dcontext, clid, lastapp, lastdata, accountcode,"
    " userfield, did, outbound_cnum, recordingfile, start, answer, end, duration, billsec, disposition, wall"
)
"""The columns of `leg` that make a `Leg`, in its order."""


class Group:
    """Legs that were told and belong to one call, their names and spans, and the stored calls these lead to."""

    __slots__ = ("calls", "legs", "names")

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.legs: list[Leg] = []
        self.names: list[str] = []


class Joined:
    """What `join` found: the groups, in the order their first legs were told, and which names are stored for whom."""

    __slots__ = ("_by_call", "_owner", "groups", "stored")

    def __init__(self, stored: dict[str, int]) -> None:
        self.stored = stored
        self.groups: dict[Group, None] = {}
        self._owner: dict[str, Group] = {}
        self._by_call: dict[int, Group] = {}
        for name, call_id in stored.items():
            self.lead(name, call_id)

    def group(self, names: Sequence[str]) -> Group:
        """The one group that all these names are in from now on."""
        owner = self._owner
        group = None
        for name in names:
            other = owner.get(name)
            if other is not None:
                group = other if group is None else self._united(group, other)
        if group is None:
            group = Group()
            self.groups[group] = None
        for name in names:
            if name not in owner:
                owner[name] = group
                group.names.append(name)
        return group

    def lead(self, name: str, call_id: int) -> None:
        """A name leads to a stored call; all names that do are together."""
        group, home = self.group((name,)), self._by_call.get(call_id)
        if home is None:
            self._by_call[call_id] = group
            group.calls.append(call_id)
        else:
            self._united(home, group)

    def _united(self, group: Group, other: Group) -> Group:
        if group is other:
            return group
        for name in other.names:
            self._owner[name] = group
        for call_id in other.calls:
            self._by_call[call_id] = group
        group.names += other.names
        group.legs += other.legs
        group.calls += other.calls
        del self.groups[other]
        return group


def join(conn: sqlite3.Connection, legs: Sequence[Leg]) -> Joined:
    """Sort legs by the calls they belong to."""
    names = [names_of(leg) for leg in legs]
    flat = list({name for some in names for name in some})
    rows = conn.execute(
        "SELECT uniqueid, call_id FROM call_channel WHERE uniqueid IN (SELECT value FROM json_each(?))",
        (orjson.dumps(flat),),
    )
    joined = Joined(dict(rows))
    for some, leg in zip(names, legs, strict=True):
        joined.group(some).legs.append(leg)
    for told, call_id in _stored_same(conn, legs):
        joined.lead(names[told][0], call_id)
    if not all(leg.uniqueid for leg in legs):
        _join_bare(conn, joined, legs, names)
    return joined


def names_of(leg: Leg) -> tuple[str, ...]:
    """What a leg is known by: its names, else its span."""
    if leg.uniqueid or leg.linkedid:
        return merge.channels(leg)
    return (f"{SPAN}{leg.channel}{SPAN}{_place(leg.start)}{SPAN}{leg.end}",)


def is_name(name: str) -> bool:
    """Whether this is a uniqueid or linkedid that was told, and no span."""
    return not name.startswith(SPAN)


def _join_bare(conn: sqlite3.Connection, joined: Joined, legs: Sequence[Leg], names: Sequence[tuple[str, ...]]) -> None:
    """Join the legs that lack a uniqueid with the others of this batch, and with what is stored by its spans."""
    for one, other in _same_among(legs):
        joined.group((names[one][0], names[other][0]))
    spans = [(leg, some[0]) for leg, some in zip(legs, names, strict=True) if not is_name(some[0])]
    for pair in _touching_among(spans):
        joined.group(pair)
    for told, call_id in _touching_stored(conn, spans):
        joined.lead(spans[told][1], call_id)


def _same_among(legs: Sequence[Leg]) -> Iterator[tuple[int, int]]:
    """Pairs of legs, by their places, that are the same CDR although one lacks the uniqueid."""
    alike: dict[str, list[int]] = {}
    for place, leg in enumerate(legs):
        alike.setdefault(leg.wall + leg.channel, []).append(place)
    for places in alike.values():
        bare = [place for place in places if legs[place].uniqueid == ""]
        for one in bare:
            for other in places:
                if one != other and merge.same(legs[one], legs[other]):
                    yield one, other


def _stored_same(conn: sqlite3.Connection, legs: Sequence[Leg]) -> Iterator[tuple[int, int]]:
    """Places of legs, and the calls in which the same CDR is stored, where this or that lacks the uniqueid."""
    bare = [place for place, leg in enumerate(legs) if leg.uniqueid == ""]
    if bare:
        yield from _alike(conn, legs, bare, "")
    first, last = min(leg.start for leg in legs), max(leg.start for leg in legs)
    some = conn.execute(
        "SELECT 1 FROM leg WHERE uniqueid = '' AND start BETWEEN ? AND ? LIMIT 1", (first - HOUR_S, last + HOUR_S)
    )
    if some.fetchone() is not None:
        named = [place for place, leg in enumerate(legs) if leg.uniqueid != ""]
        yield from _alike(conn, legs, named, "AND leg.uniqueid = ''")


def _alike(
    conn: sqlite3.Connection, legs: Sequence[Leg], places: Sequence[int], only: str
) -> Iterator[tuple[int, int]]:
    """The stored legs of the same wall clock, which may be an hour off in the night the clocks are set back."""
    asked = [
        (legs[place].start + shift, legs[place].channel, legs[place].wall, place)
        for place in places
        for shift in (0, -HOUR_S, HOUR_S)
    ]
    rows = conn.execute(
        f"SELECT json_extract(asked.value, '$[3]'), call_id, {LEG} FROM json_each(?) AS asked CROSS JOIN leg"
        " ON leg.start = json_extract(asked.value, '$[0]') AND leg.channel = json_extract(asked.value, '$[1]')"
        f" AND leg.wall = json_extract(asked.value, '$[2]') {only}",
        (orjson.dumps(asked),),
    )
    for place, call_id, *row in rows.fetchall():
        if merge.same(legs[place], Leg(*row)):
            yield place, call_id


def _touching_among(spans: Sequence[tuple[Leg, str]]) -> Iterator[tuple[str, str]]:
    """Pairs of spans of one channel that touch."""
    by_channel: dict[str, list[tuple[Leg, str]]] = {}
    for span in spans:
        by_channel.setdefault(span[0].channel, []).append(span)
    for some in by_channel.values():
        some.sort(key=lambda span: span[0].start)
        reach, last = some[0][0].end, some[0][1]
        for leg, name in some[1:]:
            if leg.start <= reach + 1:
                yield last, name
            reach, last = max(reach, leg.end), name


def _touching_stored(conn: sqlite3.Connection, spans: Sequence[tuple[Leg, str]]) -> Iterator[tuple[int, int]]:
    """Places of spans, and the calls in which one that touches it is stored."""
    if not spans:
        return
    asked = [
        (f"{SPAN}{leg.channel}{SPAN}{_place(leg.start - LONGEST_S)}", f"{SPAN}{leg.channel}{SPAN}{_place(leg.end + 2)}")
        for leg, _name in spans
    ]
    rows = conn.execute(
        "SELECT asked.key, uniqueid, call_id FROM json_each(?) AS asked CROSS JOIN call_channel"
        " ON uniqueid >= json_extract(asked.value, '$[0]') AND uniqueid < json_extract(asked.value, '$[1]')",
        (orjson.dumps(asked),),
    )
    for place, span, call_id in rows.fetchall():
        leg, found = spans[place][0], _SPAN.fullmatch(span)
        if found and leg.start <= int(found[2]) + 1 and int(found[1]) <= leg.end + 1:
            yield place, call_id


def _place(second: int) -> str:
    """A second such that later ones sort behind it."""
    return f"{max(second, 0):011d}"
