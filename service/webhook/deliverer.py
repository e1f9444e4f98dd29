"""All webhooks of the configuration: a task for each, so that none waits for another."""

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence

from service.feed import Feed
from service.metrics import Metrics
from service.model import Record
from service.settings import Webhook
from service.store import Store, webhooks
from service.store.webhooks import Wanted
from service.webhook.address import Lookup
from service.webhook.endpoint import Endpoint, Render
from service.webhook.schedule import SECOND_MS, Jitter
from service.webhook.sender import Limits, Sender

Clock = Callable[[], float]
"""Gives the time in epoch seconds."""


async def prepare(store: Store, configured: Sequence[Webhook], *, clock: Clock = time.time) -> None:
    """Tell the store which webhooks there are, before anything is written that they are to be told of.

    A webhook that is new, or back, is told what comes from now on.
    """
    wanted = [Wanted(one.name, "call" in one.events, "message" in one.events) for one in configured]
    now_ms = int(clock() * SECOND_MS)
    await store.write(lambda tx: webhooks.configure(tx, wanted, now_ms))


class Deliverer:
    """Delivers to all webhooks, which `prepare` was told of, while `run` runs.

    `render` gives a record's call or message as the websocket has it. `clock`, `jitter`, `limits` and `lookup` (of
    names) are the world's own, unless somebody says otherwise.
    """

    def __init__(
        self,
        store: Store,
        feed: Feed,
        configured: Sequence[Webhook],
        render: Render,
        metrics: Metrics,
        *,
        clock: Clock = time.time,
        jitter: Jitter = random.uniform,
        limits: Limits | None = None,
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        self._feed = feed
        self._endpoints = tuple(
            Endpoint(
                store,
                webhook,
                Sender(webhook, limits=limits, lookup=lookup),
                render,
                metrics,
                clock=clock,
                jitter=jitter,
            )
            for webhook in configured
        )

    def wake(self) -> None:
        """Have every webhook look what there is to do."""
        for endpoint in self._endpoints:
            endpoint.wake()

    async def run(self) -> None:
        """Deliver until cancelled; returns at once where there is no webhook."""
        leave = self._feed.subscribe(self._notice)
        try:
            async with asyncio.TaskGroup() as group:
                for endpoint in self._endpoints:
                    group.create_task(endpoint.run(), name=f"webhook-{endpoint.name}")
        finally:
            leave()

    def _notice(self, records: Sequence[Record]) -> None:
        for endpoint in self._endpoints:
            endpoint.notice(records)
