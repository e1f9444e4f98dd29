"""Reading on from a position: from memory where the feed still has it, else from the journal (contract 8, `since`)."""

from dataclasses import dataclass, field
from functools import partial

from service.feed import Feed
from service.model import Record, View
from service.store import Store, journal

MOST_LOOKS = 20
"""Looks into the journal for one page, where all it has is of others."""
MOST_TOTALS = 256
"""Places where pages ended whose totals are remembered: who goes on from there has nothing counted anew."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records in order, each with its unread total of then. Whatever the view may see up to `position` is in here."""

    records: list[tuple[Record, int]]
    position: int


@dataclass(frozen=True)
class Replay:
    """Reads on for the websocket and for `/events`; never beyond what is published, so that nothing comes twice."""

    feed: Feed
    store: Store
    _totals: dict[tuple[View, int], int] = field(default_factory=dict, repr=False, compare=False)

    async def after(self, view: View, since: int, limit: int) -> Page | None:
        """Give at most `limit` records after `since`; None for a position no longer kept, or not reached yet.

        A page without records need not be the last: a reader asks again from its position, until that is the feed's.
        """
        if since > self.feed.seq:
            return None
        recent = self.feed.recent(view, since)
        if recent is not None:
            entries = recent[:limit]
            return Page(entries, entries[-1][0].seq if len(recent) > limit else self.feed.seq)
        for _ in range(MOST_LOOKS):
            page = await self._look(view, since, limit)
            if page is None or page.records or page.position == self.feed.seq:
                break
            since = page.position
        return page

    async def _look(self, view: View, since: int, limit: int) -> Page | None:
        """Give what the journal has."""
        read = partial(journal.replay, view=view, since=since, limit=limit, total=self._totals.get((view, since)))
        (first, _last), found = await self.store.read(lambda conn: (journal.bounds(conn), read(conn)))
        if since < first - 1:
            return None
        self._totals[view, found.position] = found.total
        if len(self._totals) > MOST_TOTALS:
            del self._totals[next(iter(self._totals))]
        reached = min(found.position, self.feed.seq)
        return Page([entry for entry in found.records if entry[0].seq <= reached], reached)
