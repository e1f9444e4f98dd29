"""Telling of calls: the record in the journal, and beside it a row for every endpoint that is to hear of it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from service.call import Call, Integration, IntegrationStatus
from service.store import call_rows, journal
from service.store.transaction import Transaction

MOST_LEGS = 256
"""A call of more legs is told without them: a conference has thousands, and each would be told with all before it."""

News = tuple[str, Call]
"""A record's type, and the call as it is then."""


def tell(tx: Transaction, changes: Sequence[News]) -> None:
    """Write the records of calls that are new, another or gone, and have all webhooks that want calls told of them."""
    telling = _Telling(tx)
    news = [(kind, telling.of(call) if kind != "call.deleted" else call) for kind, call in changes]
    journal.append_calls(tx, list(map(_bounded, news)))
    telling.flush()


def tell_links(tx: Transaction, ids: Collection[int]) -> None:
    """Write the records of calls of which nothing but the voicemails changed; a webhook hears of what it knew alone."""
    if not ids:
        return
    telling = _Telling(tx)
    calls = call_rows.load(tx.conn, sorted(ids), legs=True)
    journal.append_calls(tx, [_bounded(("call.updated", telling.of(call, only_known=True))) for call in calls])
    telling.flush()


def _bounded(news: News) -> News:
    kind, call = news
    return news if len(call.legs) <= MOST_LEGS else (kind, replace(call, legs=()))


class _Telling:
    """The rows of table `integration` for a batch of calls; they wait to be written by `flush`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._now_us = tx.now_ms * 1000
        names = tx.conn.execute("SELECT name FROM webhook WHERE calls = 1 AND active = 1 ORDER BY name")
        self._wanted: Sequence[str] = [name for (name,) in names]
        last = tx.conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'integration'").fetchone()
        self._last = 0 if last is None else int(last[0])
        self._new: list[tuple[Any, ...]] = []
        self._again: list[tuple[int, int]] = []

    def of(self, call: Call, *, only_known: bool = False) -> Call:
        """The call with every endpoint that wants calls to be told of it; or those alone that knew of it."""
        if not self._wanted:
            return call
        told = [self._pending(one) if one.name in self._wanted else one for one in call.integration]
        if not only_known:
            known = {one.name for one in told}
            told += [self._first(call.id, name) for name in self._wanted if name not in known]
        return replace(call, integration=tuple(told))

    def flush(self) -> None:
        if self._new:
            self._tx.conn.executemany(
                "INSERT INTO integration (id, call_id, name, status, created_us, updated_us)"
                " VALUES (?, ?, ?, 'pending', ?, ?)",
                self._new,
            )
        if self._again:
            self._tx.conn.executemany(
                "UPDATE integration SET status = 'pending', error_message = NULL, updated_us = ? WHERE id = ?",
                self._again,
            )

    def _first(self, call_id: int, name: str) -> Integration:
        self._last += 1
        self._new.append((self._last, call_id, name, self._now_us, self._now_us))
        return Integration(self._last, name, IntegrationStatus.PENDING, None, self._now_us, self._now_us)

    def _pending(self, one: Integration) -> Integration:
        self._again.append((self._now_us, one.id))
        return Integration(one.id, one.name, IntegrationStatus.PENDING, None, one.created_us, self._now_us)
