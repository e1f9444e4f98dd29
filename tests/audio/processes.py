"""The processes this one has started, as /proc shows them."""

import os
from collections.abc import Callable
from pathlib import Path

Children = Callable[[], list[int]]


def started() -> list[int]:
    """Process ids of our children, zombies among them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if int(status.rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(entry.name))
    return found


def limits(pid: int) -> dict[str, str]:
    """Hard limits of a process by their names in /proc/PID/limits."""
    lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()[1:]
    return {line[:26].strip(): line[47:68].strip() for line in lines}
