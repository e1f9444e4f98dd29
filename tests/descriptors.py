"""How many files this process has open."""

import asyncio
from pathlib import Path


def open_files() -> int:
    """The descriptors there are now."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def no_more_open_than(before: int) -> bool:
    """Wait until no more are: what was sent to its last byte may be closed a moment after it was received."""
    async with asyncio.timeout(60):
        while open_files() > before:
            await asyncio.sleep(0.01)
    return True
