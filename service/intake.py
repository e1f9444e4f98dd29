"""Calls that AMI tells of, on their way into the store: parsed as they come, written many at a time.

AMI tells each CDR once and never again, so what was taken waits here until it is committed, also while the disk is
full. What comes when there is no more room is lost, unless `[cdr] csv` has it.
"""

import asyncio
import contextlib
import logging
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from service.call import Leg
from service.cdr.event import leg_of_event
from service.cdr.times import LocalTimes
from service.errors import InvalidInputError, UnavailableError
from service.metrics import Metrics
from service.model import Mailbox
from service.store import Store, Transaction, calls, links

log = logging.getLogger(__name__)

MOST_WAITING = 50_000
AT_ONCE = 500
RETRY_S = 0.5
LEAVER_AFTER_S = 0.5
"""By then the message of which AMI has just told was looked at."""
MOST_LEAVERS = 500
SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Leaver:
    """AMI said that this channel left something in this mailbox, or listened there."""

    mailbox: Mailbox
    channel: str
    uniqueid: str


class Intake:
    """Takes what AMI tells of calls. `run` writes it; taking may begin before that."""

    def __init__(self, store: Store, times: LocalTimes, internal: re.Pattern[str], metrics: Metrics) -> None:
        self._store = store
        self._times = times
        self._internal = internal
        self._metrics = metrics
        self._legs: deque[Leg] = deque()
        self._leavers: deque[Leaver] = deque()
        self._leavers_expected = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_trouble = False

    def leg(self, get: Callable[[str], str]) -> None:
        """Take a `Cdr` event; `get` gives its fields, "" for one it lacks."""
        try:
            leg = leg_of_event(get, self._times)
        except InvalidInputError as error:
            self._metrics.cdr_rejects.labels("event").inc()
            log.warning("CDR not understood source=ami field=%s", error.field or "-")
            return
        if len(self._legs) >= MOST_WAITING:
            self._metrics.cdr_lost.inc()
            return
        self._legs.append(leg)
        self._rouse()

    def leaver(self, leaver: Leaver) -> None:
        """Take note of who left a message. What the CDR tells of it is enough, where this is too much."""
        if self._leavers_expected < MOST_LEAVERS:
            self._leavers_expected += 1
            asyncio.get_running_loop().call_later(LEAVER_AFTER_S, self._expected, leaver)

    def _expected(self, leaver: Leaver) -> None:
        self._leavers.append(leaver)
        self._rouse()

    async def run(self) -> None:
        """Write what was taken, as soon as it can be, until cancelled."""
        while True:
            while not (self._legs or self._leavers):
                self._idle.set()
                self._wake.clear()
                await self._wake.wait()
            try:
                await self._write()
            except UnavailableError as error:
                if not self._in_trouble:  # say it once, not at every try
                    log.error("calls wait for the store waiting=%d error=%r", len(self._legs), str(error))
                self._in_trouble = True
                await asyncio.sleep(RETRY_S)
            else:
                self._in_trouble = False

    async def settle(self) -> None:
        """Wait until all that was taken is written, for a second at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self._idle.wait()
        if self._legs:
            log.error("calls lost, they could not be written calls=%d", len(self._legs))

    def _rouse(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def _write(self) -> None:
        """Write some of what waits; it is forgotten only when it is committed."""
        legs = [self._legs[place] for place in range(min(AT_ONCE, len(self._legs)))]
        leavers = list(self._leavers)
        await self._store.write(partial(_record, legs=legs, leavers=leavers, internal=self._internal))
        for _leg in legs:
            self._legs.popleft()
        for _leaver in leavers:
            self._leavers.popleft()
            self._leavers_expected -= 1


def _record(tx: Transaction, legs: Sequence[Leg], leavers: Sequence[Leaver], internal: re.Pattern[str]) -> None:
    for leaver in leavers:
        links.told(tx, leaver.mailbox, leaver.channel, leaver.uniqueid)
    if legs:
        calls.record(tx, legs, internal)
