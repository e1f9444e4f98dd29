"""Reading on from a position: from memory where the feed still has it, else from the journal (contract 8, `since`)."""

from dataclasses import dataclass

from service.feed import Feed
from service.model import Record, View
from service.store import Store, journal


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

    async def after(self, view: View, since: int, limit: int) -> Page | None:
        """Give at most `limit` records after `since`; None for a position no longer kept, or not reached yet."""
        if since > self.feed.seq:
            return None
        recent = self.feed.recent(view, since)
        if recent is not None:
            page = recent[:limit]
            return Page(page, page[-1][0].seq if len(recent) > limit else self.feed.seq)
        (first, last), found = await self.store.read(
            lambda conn: (journal.bounds(conn), journal.replay(conn, view, since, limit))
        )
        if since < first - 1:
            return None
        known = max(last, found[-1][0].seq) if found else last
        reached = min(found[-1][0].seq if len(found) == limit else known, self.feed.seq)
        return Page([entry for entry in found if entry[0].seq <= reached], reached)
