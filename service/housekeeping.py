"""What has to be done from time to time: prune the journal, see whether the store can be written, feed the watchdog."""

import asyncio
import logging
import os
import re
import time
from functools import partial
from pathlib import Path

from service.errors import UnavailableError
from service.health import Health, Part, StoreState
from service.sdnotify import Notifier
from service.store import Store, Transaction, call_lines, calls, journal, mailboxes, webhooks

log = logging.getLogger(__name__)

DAY_MS = 24 * 3600 * 1000
PRUNE_EVERY_S = 600.0
PRUNE_AT_ONCE = 1000
JUDGE_AT_ONCE = 200
PAUSE_S = 1.0
LINES_EVERY_S = 3600.0
STORE_EVERY_S = 1.0
STEADY = 2
ROOM = 1 << 20
"""Bytes free on the disk: enough for what comes within seconds, so that it is not full again at once."""
FULL = "database or disk is full"
"""SQLite's words for that."""
ALIVE_WITHIN_S = 5.0


async def prune_journal(store: Store, days: int) -> None:
    """Drop journal records older than so many days (0: never), a little at a time; until cancelled.

    What a webhook has yet to be told stays: that is a day at most.
    """
    while True:
        before_ms = time.time_ns() // 1_000_000 - days * DAY_MS
        try:
            while days and await store.write(partial(_prune_some, before_ms=before_ms)):
                pass
        except UnavailableError as error:
            log.warning("old events stay in the journal for now error=%r", str(error))
        await asyncio.sleep(PRUNE_EVERY_S)


def _prune_some(tx: Transaction, before_ms: int) -> int:
    return journal.prune(tx, before_ms, PRUNE_AT_ONCE, webhooks.oldest_needed(tx.conn))


async def rejudge_calls(store: Store, internal: re.Pattern[str]) -> None:
    """Where `[pbx] internal` is another than last time, judge all calls by it, a little at a time; then return."""
    after: int | None = None
    while after != 0:
        try:
            if after is None and await store.write(lambda tx: calls.adopt_internal(tx.conn, internal)):
                return
            after = await store.write(
                partial(calls.rejudge, internal=internal, after_id=after or 0, limit=JUDGE_AT_ONCE)
            )
        except UnavailableError as error:
            log.warning("calls are not judged by the new pbx.internal for now error=%r", str(error))
            await asyncio.sleep(PAUSE_S)


async def count_lines(store: Store) -> None:
    """Have the calls of outside lines kept counted that very many calls use, a little at a time; until cancelled."""
    while True:
        try:
            found = await store.read(lambda conn: [*call_lines.unfinished(conn), *call_lines.popular(conn)])
            for number in found:
                while await store.write(partial(call_lines.keep, number=number)):
                    pass
            if found:
                log.info("lines kept counted lines=%d", len(found))
        except UnavailableError as error:
            log.warning("calls of outside lines are not counted ahead for now error=%r", str(error))
        await asyncio.sleep(LINES_EVERY_S)


async def watch_store(store: Store, health: Health) -> None:
    """Tell on the board whether the store can be written, and while it can't, try; until cancelled.

    It can again when so many tries in a row went well: on a nearly full disk a small change finds its place, and the
    next message does not.
    """
    seen, well = 0, STEADY
    while True:
        if store.failures != seen:
            seen, well = store.failures, 0
            _tell_failing(store, health)
        elif well < STEADY:
            well += 1
            if well == STEADY:
                log.info("store can write again path=%s", store.path)
                health.store = Part(StoreState.OK, "the database can be written")
        if well < STEADY and not await _try(store):
            well = 0
        await asyncio.sleep(STORE_EVERY_S)


def _tell_failing(store: Store, health: Health) -> None:
    """On the board each reason there is, in the log the first."""
    if health.store.state is StoreState.OK:
        log.error("store cannot write error=%r path=%s", store.last_failure, store.path)
    health.store = Part(StoreState.FAILING, f"the database cannot be written: {store.last_failure}")


async def _try(store: Store) -> bool:
    """Whether the store can be written and, where the disk was full, has room for more than that."""
    try:
        await store.write(lambda tx: mailboxes.probe(tx.conn))
    except UnavailableError as error:
        log.debug("store still failing error=%r", str(error))
        return False
    return store.last_failure != FULL or await asyncio.to_thread(_has_room, store.path)


def _has_room(database: Path) -> bool:
    disk = os.statvfs(database.parent)
    return disk.f_bavail * disk.f_frsize >= ROOM


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
