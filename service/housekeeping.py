"""What has to be done from time to time: prune the journal, see whether the store can be written, feed the watchdog."""

import asyncio
import logging
import time
from functools import partial

from service.errors import UnavailableError
from service.health import Health, Part, StoreState
from service.sdnotify import Notifier
from service.store import Store, journal, mailboxes

log = logging.getLogger(__name__)

DAY_MS = 24 * 3600 * 1000
PRUNE_EVERY_S = 600.0
PRUNE_AT_ONCE = 1000
STORE_EVERY_S = 1.0
ALIVE_WITHIN_S = 5.0


async def prune_journal(store: Store, days: int) -> None:
    """Drop journal records older than so many days (0: never), a little at a time; until cancelled."""
    while True:
        before_ms = time.time_ns() // 1_000_000 - days * DAY_MS
        try:
            while days and await store.write(partial(journal.prune, before_ms=before_ms, limit=PRUNE_AT_ONCE)):
                pass
        except UnavailableError as error:
            log.warning("journal not pruned error=%r", str(error))
        await asyncio.sleep(PRUNE_EVERY_S)


async def watch_store(store: Store, health: Health) -> None:
    """Tell on the board whether the store can be written, and while it can't, try; until cancelled."""
    while True:
        if store.failure:
            health.store = Part(StoreState.FAILING, f"the database cannot be written: {store.failure}")
            try:
                await store.write(lambda tx: mailboxes.probe(tx.conn))
            except UnavailableError as error:
                log.debug("store still failing error=%r", str(error))
        else:
            health.store = Part(StoreState.OK, "the database can be written")
        await asyncio.sleep(STORE_EVERY_S)


async def feed_watchdog(notifier: Notifier, interval_s: float, store: Store) -> None:
    """Give systemd its sign of life, as long as the event loop turns and the database answers; until cancelled.

    A PBX that is away is no reason to be restarted.
    """
    while True:
        try:
            async with asyncio.timeout(ALIVE_WITHIN_S):
                await store.read(journal.bounds)
            notifier.alive()
        except (TimeoutError, UnavailableError) as error:
            log.error("the store does not answer, systemd is not told we are alive error=%r", str(error))
        await asyncio.sleep(interval_s)
