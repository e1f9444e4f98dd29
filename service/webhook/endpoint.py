"""One endpoint's task: takes what the journal has for it, tries what is due, and keeps what became of it.

An endpoint that fails again and again is taken to be down: it gets one request at a time, for what it was to be told
before, and only now and then for something new. So it is not flooded; and what it can never take does not keep the rest
from it. Once something arrives that had failed, all that failed is due.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from service.errors import UnavailableError
from service.metrics import Metrics
from service.model import Record
from service.settings import Webhook
from service.store import Store, Transaction, deliveries, journal, webhooks
from service.store.deliveries import Delivery, Outlook
from service.webhook import answer, event, schedule
from service.webhook.answer import Answer, Outcome
from service.webhook.schedule import SECOND_MS, Jitter
from service.webhook.sender import PARALLEL, Sender

log = logging.getLogger(__name__)
T = TypeVar("T")

Render = Callable[[Record], dict[str, Any]]
"""Gives a record's call or message as the websocket has it."""

FOLLOW_S = 3.0
"""So often the store is looked at though nobody said a word: commands write into it beside the daemon."""
_LOOK = "look at the endpoint: it is told all that waits once it answers"
_LET_OUT = "look at the endpoint and, if it is on another machine, at IPAddressAllow= of the unit voicemaild"
AGAIN_S = 1.0
"""So soon it is tried again to write what became of a delivery, where the store could not be written."""
DOWN_AFTER = PARALLEL
"""Tries in a row that have to fail before an endpoint is taken to be down."""


class Endpoint:
    """One `[[webhook]]` at work. `clock` gives epoch seconds."""

    def __init__(
        self,
        store: Store,
        webhook: Webhook,
        sender: Sender,
        render: Render,
        metrics: Metrics,
        *,
        clock: Callable[[], float],
        jitter: Jitter,
    ) -> None:
        self.name = webhook.name
        self._store = store
        self._events = frozenset(webhook.events)
        self._sender = sender
        self._render = render
        self._metrics = metrics
        self._clock = clock
        self._jitter = jitter
        self._wake = asyncio.Event()
        self._flying: set[int] = set()
        self._looked = 0  # up to this position the journal has nothing that was not taken
        self._failures = 0  # in a row
        self._probes = 0  # times something new was tried while it was down
        self._probe_ms = 0  # while it is down, nothing new is tried before
        self._noted_down = False  # that it is down was written into the store
        self._held = False  # it was down, and nothing that failed has arrived since
        self._quiet_ms = 0  # it asked to be left alone until then
        self._complained = False  # that something was given up was told already

    def wake(self) -> None:
        """Have it look what there is to do."""
        self._wake.set()

    def notice(self, records: Sequence[Record]) -> None:
        """What was published: it looks at the journal if any of it may be for it."""
        if any(record.type.partition(".")[0] in self._events for record in records):
            self.wake()

    async def run(self) -> None:
        """Deliver until cancelled."""
        name = self.name
        if await self._keep(lambda: self._store.read(lambda conn: webhooks.is_down(conn, name))):
            self._failures, self._held, self._noted_down = DOWN_AFTER, True, True
        async with self._sender, asyncio.TaskGroup() as tries:
            while True:
                self._wake.clear()
                try:
                    until_ms = await self._step(tries)
                except UnavailableError as error:
                    log.warning("webhook waits for the store name=%s error=%r", name, str(error))
                    until_ms = None
                await self._wait(until_ms)

    async def _wait(self, until_ms: int | None) -> None:
        """Wait until somebody wakes it, or that moment, and never for long."""
        seconds = FOLLOW_S if until_ms is None else (until_ms - self._now_ms()) / SECOND_MS
        try:
            async with asyncio.timeout(max(0.0, min(seconds, FOLLOW_S))):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _step(self, tries: asyncio.TaskGroup) -> int | None:
        """Do what can be done now; gives when there may be more to do, None where only an event can bring that."""
        now_ms = self._now_ms()
        if now_ms < self._quiet_ms <= now_ms + schedule.LONGEST_ASKED_MS:
            return self._quiet_ms
        while True:
            flying = set(self._flying)  # of what lands meanwhile the outlook may not know what became of it
            outlook = await self._look(now_ms)
            if not (outlook.news or outlook.amiss):
                break
            await self._store.write(partial(_catch_up, name=self.name, now_ms=now_ms, mend=outlook.amiss))
        for delivery in outlook.due:
            if delivery.seq not in flying and len(self._flying) < self._most():
                self._flying.add(delivery.seq)
                tries.create_task(self._try(delivery), name=f"webhook-{self.name}-{delivery.seq}")
        waits = [outlook.next_ms] if outlook.next_ms is not None else []
        if self._down and self._probe_ms > now_ms:
            waits.append(self._probe_ms)
        return min(waits, default=None)

    async def _look(self, now_ms: int) -> Outlook:
        probing = now_ms < self._probe_ms <= now_ms + schedule.STEPS_MS[-1] * 2
        noted_down = self._noted_down
        outlook = await self._store.read(
            partial(
                deliveries.outlook,
                name=self.name,
                since=self._looked,
                now_ms=now_ms,
                limit=self._most() + len(self._flying),
                tried=self._down and probing,
            )
        )
        self._looked = outlook.position
        if noted_down and self._noted_down and not outlook.down:  # somebody asked for what was given up
            self._failures, self._noted_down = 0, False
            self.wake()
        self._metrics.webhook_pending.labels(self.name).set(outlook.pending)
        return outlook

    async def _try(self, delivery: Delivery) -> None:
        """Send one delivery, and keep what became of it."""
        try:
            read = partial(journal.replay, view=None, since=delivery.seq - 1, limit=1, total=0)
            found = (await self._store.read(read)).records
            if found and found[0][0].seq == delivery.seq:
                said = await self._send(found[0][0])
            else:
                said = Answer(Outcome.FAILED, "the journal no longer has what was to be told")
            await self._note(delivery, said)
        except UnavailableError as error:
            log.warning("webhook cannot read the journal name=%s error=%r", self.name, str(error))
        finally:
            self._flying.discard(delivery.seq)
            self.wake()

    async def _send(self, record: Record) -> Answer:
        content = event.body(record.type, record.time_ms, self._render(record))
        return await self._sender.send(event.identifier(record), content, self._clock())

    async def _note(self, delivery: Delivery, said: Answer) -> None:
        """Decide what an answer means, and write it down."""
        now_ms = self._now_ms()
        if said.outcome is Outcome.POSTPONED:
            await self._postpone(delivery, said, now_ms)
            return
        was_down, self._failures, self._noted_down = self._down, 0, False
        due = self._held and delivery.tries > 0 and said.outcome is Outcome.DELIVERED
        self._held = self._held and not due
        await self._write(_settle, delivery, said=said, now_ms=now_ms, back=was_down, due=due)
        self._count(said.outcome)
        if was_down:
            log.info("webhook answers again name=%s", self.name)
        if said.outcome is Outcome.FAILED:
            self._complain(delivery, said.words)
        else:
            self._complained = False

    async def _postpone(self, delivery: Delivery, said: Answer, now_ms: int) -> None:
        wait_ms = schedule.pause_ms(delivery.tries + 1, self._jitter)
        if said.retry_after_s is not None:
            wait_ms = schedule.asked_ms(said.retry_after_s)
            self._quiet_ms = max(self._quiet_ms, now_ms + wait_ms)
        was_down = self._down
        self._failures += 1
        first, went_down = self._failures == 1, self._down and not was_down
        if self._down and (not was_down or delivery.tries == 0):
            self._probes = self._probes + 1 if was_down else 1
            self._probe_ms = now_ms + schedule.pause_ms(self._probes, self._jitter)
            self._held = True
        next_ms = schedule.next_try(now_ms, delivery.first_ms if delivery.first_ms is not None else now_ms, wait_ms)
        down = self._down
        await self._write(_settle_later, delivery, said=said, now_ms=now_ms, next_ms=next_ms, down=down)
        if down:
            self._noted_down = self._down
        self._count(Outcome.FAILED if next_ms is None else Outcome.POSTPONED)
        if next_ms is None:
            self._complain(delivery, said.words)
        if first:
            log.info("webhook not delivered, tried again name=%s error=%r", self.name, said.words)
        if went_down:
            remedy = _LOOK if said.reached else _LET_OUT
            log.warning("webhook does not answer name=%s error=%r remedy=%r", self.name, said.words, remedy)
        await self._expire(now_ms, said.words)

    async def _expire(self, now_ms: int, why: str) -> None:
        """Give up what nobody could be told for a day."""
        words = answer.one_line(f"not answered for a day: {why}")
        while self._down:
            expire = partial(deliveries.expire, name=self.name, now_ms=now_ms, error=words)
            gone = await self._keep(lambda: self._store.write(expire))  # noqa: B023 -- awaited here
            self._metrics.webhook_deliveries.labels(self.name, Outcome.FAILED.value).inc(gone)
            if gone < deliveries.MOST_AT_ONCE:
                break

    async def _write(self, settle: Callable[..., None], delivery: Delivery, **what: object) -> None:
        """Write down what became of a delivery."""
        await self._keep(lambda: self._store.write(partial(settle, name=self.name, delivery=delivery, **what)))

    async def _keep(self, work: Callable[[], Awaitable[T]]) -> T:
        """Work on the store, however long that cannot be used: what was delivered must not be delivered again."""
        while True:
            try:
                return await work()
            except UnavailableError as error:
                log.warning("webhook waits for the store name=%s error=%r", self.name, str(error))
                await asyncio.sleep(AGAIN_S)

    def _complain(self, delivery: Delivery, words: str) -> None:
        """Log that something was given up: the first aloud, then no more until something arrived."""
        level = logging.DEBUG if self._complained else logging.WARNING
        log.log(level, "webhook delivery given up name=%s seq=%d error=%r", self.name, delivery.seq, words)
        self._complained = True

    def _count(self, outcome: Outcome) -> None:
        self._metrics.webhook_deliveries.labels(self.name, outcome.value).inc()

    @property
    def _down(self) -> bool:
        return self._failures >= DOWN_AFTER

    def _most(self) -> int:
        """How many requests may be made at once now."""
        return 1 if self._down else PARALLEL

    def _now_ms(self) -> int:
        return int(self._clock() * SECOND_MS)


def _catch_up(tx: Transaction, *, name: str, now_ms: int, mend: bool) -> None:
    if mend:
        deliveries.mend(tx, name, now_ms)
    deliveries.take(tx, name, now_ms)


def _settle(
    tx: Transaction, *, name: str, delivery: Delivery, said: Answer, now_ms: int, back: bool, due: bool
) -> None:
    deliveries.take(tx, name, now_ms)  # so that a call which has changed since is not said to be told
    if said.outcome is Outcome.DELIVERED:
        deliveries.delivered(tx, name, delivery.seq, now_ms)
    else:
        deliveries.given_up(tx, name, delivery.seq, now_ms, said.words)
    if back:
        webhooks.came_back(tx, name)
    if due:
        deliveries.hasten(tx, name, now_ms)


def _settle_later(
    tx: Transaction, *, name: str, delivery: Delivery, said: Answer, now_ms: int, next_ms: int | None, down: bool
) -> None:
    deliveries.take(tx, name, now_ms)
    if down:
        webhooks.went_down(tx, name, now_ms)
    if next_ms is None:
        deliveries.given_up(tx, name, delivery.seq, now_ms, said.words)
    else:
        deliveries.postponed(tx, name, delivery, now_ms, next_ms=next_ms, error=said.words)
