"""The daemon beside a PBX where nothing happens: memory, CPU, how soon it is ready, how soon it stops."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import process, spoolmaker, table
from service.simulator.pbx import Simulator

ROUNDS = 5
SETTLE_S = 3.0
WATCH_S = 10.0
MAILBOXES, EACH = 20, 5
BARE = "import sys, aiohttp.web; print(flush=True); sys.stdin.read()"


def bare() -> tuple[float, float]:
    """MiB and seconds of a Python process that has imported `aiohttp.web` and nothing else."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdout.readline()
        took = time.perf_counter() - began
        memory = process.rss_mib(running.pid)
        running.stdin.close()
    return memory, took


def start_and_stop(home: Path, spool: Path) -> tuple[float, float]:
    """Seconds from the start of a daemon without a PBX until it is ready, and from SIGTERM to its end."""
    with process.daemon(home, spool) as daemon:
        return daemon.until_serving(), daemon.stop()


def watched(home: Path, spool: Path, ami: process.Ami) -> tuple[float, float]:
    """MiB and percent of a core of a daemon that is connected to its PBX, and idle."""
    with process.daemon(home, spool, ami) as daemon:
        daemon.until("ready")
        time.sleep(SETTLE_S)
        pid = daemon.process.pid
        before, began = process.cpu_s(pid), time.perf_counter()
        time.sleep(WATCH_S)
        share = (process.cpu_s(pid) - before) / (time.perf_counter() - began) * 100
        return process.rss_mib(pid), share


async def beside_a_pbx(home: Path, spool: Path) -> tuple[float, float]:
    """The same, with the PBX it needs."""
    async with Simulator(spool) as pbx:
        return await asyncio.to_thread(watched, home, spool, process.Ami(pbx.port, pbx.user, pbx.secret))


def figures() -> Iterator[table.Row]:
    bares, starts = [], []
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        spool = root / "spool"
        spoolmaker.make(spool, MAILBOXES, EACH)
        for turn in range(ROUNDS):
            bares.append(bare())
            starts.append(start_and_stop(root / f"home{turn}", spool))
        memory, share = asyncio.run(beside_a_pbx(root / "home", spool))
    limit, importing = (statistics.median(values) for values in zip(*bares, strict=True))
    ready, stop = (statistics.median(values) for values in zip(*starts, strict=True))
    yield table.Row.compared(
        f"idle daemon, memory {memory:.1f} MiB", f"import aiohttp.web {limit:.1f} MiB", memory / limit, "<= 1.5"
    )
    yield table.Row.measured(f"idle daemon, share of a core {share:.2f} %", share, "<= 1 %")
    yield table.Row.measured(
        f"start to ready, {MAILBOXES * EACH} messages {ready:.2f} s",
        ready,
        "<= 1 s",
        f"import aiohttp.web {importing:.2f} s",
        ready / importing,
    )
    yield table.Row.measured(f"stop {stop:.2f} s", stop, table.NONE)


if __name__ == "__main__":
    table.tell(figures)
