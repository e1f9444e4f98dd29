"""What a batch of changes of calls writes: gathered row by row, and written table by table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.call import Call, Leg, Party, Verdict
from service.store.call_counts import Counted, Tally
from service.store.call_joins import LEG
from service.store.transaction import Transaction

_LEG_MARKS = ", ".join("?" * len(Leg._fields))
_LEG = f"INSERT INTO leg (call_id, {LEG}) VALUES (?, {_LEG_MARKS})"
_LEG_AGAIN = f"UPDATE leg SET ({LEG}) = ({_LEG_MARKS}) WHERE id = ?"
_CALL = (
    "uuid, key, start, end, src, dst, external_number, duration, conversation, type, status, recording, names, parties"
)
_CALL_MARKS = ", ".join("?" * (_CALL.count(",") + 1))
_NEW = f"INSERT INTO call ({_CALL}, id) VALUES ({_CALL_MARKS}, ?)"
_AGAIN = f"UPDATE call SET ({_CALL}) = ({_CALL_MARKS}) WHERE id = ?"


@dataclass(slots=True)
class Draft:
    """A call as it is to be: what leads to it, its legs in order, and what they say.

    `befores` are the calls of the store that it was, the one whose row it keeps first; none where it is new.
    """

    id: int
    befores: Sequence[Call]
    names: Sequence[str]
    legs: Sequence[Leg]
    key: str
    uuid: str
    verdict: Verdict
    parties: Sequence[Party]


class Writes:
    """Rows that wait to be written by `flush`. Calls get their ids beforehand: nobody else writes now."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        last = tx.conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'call'").fetchone()
        self._last_call = 0 if last is None else int(last[0])
        self._new: list[tuple[Any, ...]] = []
        self._again: list[tuple[Any, ...]] = []
        self._absorbed: list[tuple[int, int]] = []
        self._legs: list[tuple[Any, ...]] = []
        self._legs_again: list[tuple[Any, ...]] = []
        self._names: list[tuple[str, int]] = []
        self._names_again: list[tuple[int, str]] = []
        self._no_parties: list[tuple[str, int]] = []
        self._parties: list[tuple[str, int]] = []
        self._tally = Tally()

    def next_call(self) -> int:
        """The id of the next call; no id is given twice, also when its call is gone."""
        self._last_call += 1
        return self._last_call

    def put(self, draft: Draft) -> None:
        """A call's row, new or not; its legs and names come beside."""
        call_id, verdict = draft.id, draft.verdict
        row = _row(draft)
        counted = Counted(call_id, verdict[0], row[9], row[10], row[7], row[8], row[6])
        if draft.befores:
            self._again.append(row)
            self._replace(draft, counted)
        else:
            self._new.append(row)
            self._tally.come(counted)
            self._parties += [(party.extension, call_id) for party in draft.parties]

    def legs(self, call_id: int, legs: Iterable[Leg]) -> None:
        """Legs that have no row yet."""
        self._legs += [(call_id, *leg) for leg in legs]

    def legs_again(self, legs: Iterable[tuple[int, Leg]]) -> None:
        """Rows of legs of which more is known."""
        self._legs_again += [(*leg, leg_id) for leg_id, leg in legs]

    def names(self, call_id: int, names: Iterable[str]) -> None:
        """Names and spans that lead to this call from now on, and led to none."""
        self._names += [(name, call_id) for name in names]

    def names_again(self, call_id: int, names: Iterable[str]) -> None:
        """Names and spans that lead to this call from now on, and led to another."""
        self._names_again += [(call_id, name) for name in names]

    def flush(self) -> None:
        """Write everything, in an order in which nothing refers to what is not there."""
        many = self._tx.conn.executemany
        for statement, rows in (
            (_NEW, self._new),
            (_AGAIN, self._again),
            ("UPDATE leg SET call_id = ? WHERE call_id = ?", self._absorbed),
            ("UPDATE message SET call_id = ? WHERE call_id = ?", self._absorbed),
            ("DELETE FROM call WHERE id = ?", [(gone,) for _, gone in self._absorbed]),
            (_LEG, self._legs),
            (_LEG_AGAIN, self._legs_again),
            ("INSERT INTO call_channel (uniqueid, call_id) VALUES (?, ?)", self._names),
            ("UPDATE call_channel SET call_id = ? WHERE uniqueid = ?", self._names_again),
            ("DELETE FROM party WHERE extension = ? AND call_id = ?", self._no_parties),
            ("INSERT INTO party (extension, call_id) VALUES (?, ?)", self._parties),
        ):
            if rows:
                many(statement, rows)
        self._tally.flush(self._tx.conn)

    def _replace(self, draft: Draft, counted: Counted) -> None:
        """What stood for the calls that this one was goes; those it was besides are no more."""
        call_id = draft.id
        extensions = {party.extension for party in draft.parties}
        before = {party.extension for party in draft.befores[0].parties}
        self._no_parties += [(extension, call_id) for extension in before - extensions]
        self._parties += [(extension, call_id) for extension in extensions - before]
        was = [_counted(call) for call in draft.befores]
        if was != [counted]:
            for one in was:
                self._tally.gone(one)
            self._tally.come(counted)
        for gone in draft.befores[1:]:
            self._absorbed.append((call_id, gone.id))
            self._no_parties += [(party.extension, gone.id) for party in gone.parties]


def forget(tx: Transaction, gone: Sequence[tuple[Call, Sequence[str]]]) -> None:
    """Remove calls, each with its names, and all that hangs on them; messages keep what they know."""
    tally, ids = Tally(), [(call.id,) for call, _ in gone]
    for call, _names in gone:
        tally.gone(_counted(call))
    many = tx.conn.executemany
    many("UPDATE message SET call_id = NULL WHERE call_id = ?", ids)
    many("DELETE FROM call_channel WHERE uniqueid = ?", [(name,) for _, names in gone for name in names])
    parties = [(party.extension, call.id) for call, _ in gone for party in call.parties]
    many("DELETE FROM party WHERE extension = ? AND call_id = ?", parties)
    many("DELETE FROM call WHERE id = ?", ids)
    tally.flush(tx.conn)


def _row(draft: Draft) -> tuple[Any, ...]:
    start, end, src, dst, external_number, duration, conversation, kind, status, recording = draft.verdict
    parties = [(party.extension, party.contexts) for party in draft.parties]
    return (
        draft.uuid,
        draft.key,
        start,
        end,
        src,
        dst,
        external_number,
        duration,
        conversation,
        int(kind),
        int(status),
        recording,
        orjson.dumps(draft.names).decode(),
        orjson.dumps(parties).decode(),
        draft.id,
    )


def _counted(call: Call) -> Counted:
    return Counted(
        call.id,
        call.start,
        int(call.type),
        int(call.status),
        call.duration,
        call.conversation,
        call.external_number,
    )
