"""Follows what other processes write into the store beside the daemon: commands make tokens, import, scan."""

import asyncio
import logging
import time
from functools import partial

from service.api.auth import Tokens
from service.errors import UnavailableError
from service.feed import Feed
from service.store import Store, journal, tokens

log = logging.getLogger(__name__)

EVERY_S = 0.5
AT_ONCE = 500


async def follow(store: Store, feed: Feed, accepted: Tokens, every_s: float = EVERY_S) -> None:
    """Take over tokens and journal records twice a second, and at once where the feed sees a gap; until cancelled."""
    told = ""
    while True:
        feed.gap.clear()
        try:
            await take_over(store, feed, accepted)
        except UnavailableError as error:
            if str(error) != told:
                log.warning("what others write into the database is not seen for now error=%r", str(error))
            told = str(error)
        else:
            told = ""
        try:
            async with asyncio.timeout(every_s):
                await feed.gap.wait()
        except TimeoutError:
            pass


async def take_over(store: Store, feed: Feed, accepted: Tokens) -> None:
    """Accept the tokens that stand in the store, and publish the records that the feed has not seen."""
    rows, (_first, last) = await store.read(lambda conn: (tokens.list_all(conn), journal.bounds(conn)))
    now = int(time.time())
    accepted.replace({token.digest: token.principal for token in rows if not token.expired(now)})
    while last > feed.seq:
        read = partial(journal.replay, view=None, since=feed.seq, limit=AT_ONCE, total=feed.total(None))
        page = await store.read(read)
        if not page.records:
            return
        feed.catch_up([record for record, _total in page.records])
