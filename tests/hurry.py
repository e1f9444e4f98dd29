"""Time limits that come at once: the event loop's clock, which a test moves on.

A limit of the daemon's then runs out when the test says so, and never because the machine was slow: limits can be as
long as they are in use.
"""

import asyncio
from collections.abc import Callable


class Hurry:
    """Moves on the clock of the running loop, which ends with its test. Threads and processes go by their own."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead = 0.0
        loop.time = self.time  # type: ignore[method-assign] # every timer of the loop asks this

    def time(self) -> float:
        """What the loop takes for its time."""
        return self._real() + self._ahead

    async def on(self, seconds: float) -> None:
        """Let so many seconds pass, and whoever waited for them have a turn."""
        self._ahead += seconds
        await asyncio.sleep(0)

    async def until(self, condition: Callable[[], object], step: float = 1.0) -> None:
        """Let a second pass, and another, until this holds; the test's own time limit is the only other end."""
        while not condition():
            await self.on(step)
