"""A client under test, running against a port, and what it told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from service.ami import Ami, Event, Limits, State
from tests.ami.pbx import SECRET

SOON = Limits(first_retry=0.001, retry_min=0.0, retry_max=0.002, refused_min=0.001, refused_max=0.001)
"""Limits for tests: whatever is waited for comes soon."""


@dataclass
class Heard:
    """What the client told, and a way to wait for more of it."""

    events: list[Event] = field(default_factory=list)
    states: list[tuple[State, str]] = field(default_factory=list)
    pulse: asyncio.Event = field(default_factory=asyncio.Event)

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        self.pulse.set()

    def on_state(self, state: State, detail: str) -> None:
        self.states.append((state, detail))
        self.pulse.set()

    def times(self, state: State) -> int:
        return sum(1 for entered, _ in self.states if entered is state)

    @property
    def mailboxes(self) -> list[str]:
        return [event.fields.get("Mailbox") for event in self.events]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.pulse.clear()
                await self.pulse.wait()

    async def connected(self, times: int = 1) -> None:
        await self.until(lambda: self.times(State.CONNECTED) >= times)


def client(
    port: int, heard: Heard, limits: Limits = SOON, *, username: str = "voicemaild", secret: str = SECRET
) -> Ami:
    return Ami(
        host="127.0.0.1",
        port=port,
        username=username,
        secret=secret,
        on_event=heard.on_event,
        on_state=heard.on_state,
        limits=limits,
    )


@asynccontextmanager
async def running(
    port: int, limits: Limits = SOON, *, username: str = "voicemaild", secret: str = SECRET
) -> AsyncIterator[tuple[Ami, Heard]]:
    """A client that runs for the time of the block, and what it told."""
    heard = Heard()
    ami = client(port, heard, limits, username=username, secret=secret)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ami.run())
        try:
            yield ami, heard
        finally:
            task.cancel()
