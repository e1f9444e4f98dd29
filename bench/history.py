"""Reads of a long call history: every documented filter, sort and range, deep pages, and statistics.

    python -m bench.history [--full]      --full has a million calls instead of 100,000

Each is asked by eight connections at once, with a parameter that is never the same twice, so that no answer that was
kept fits. The limit of all is the newest page of 20.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from bench import cdrmaker, process, table
from bench.statistic import percentile

CALLS, CALLS_FULL = 100_000, 1_000_000
CONNECTIONS = 8
EACH = 25
NEWEST = "newest page"
DEEP = "a page {pages:,} deep"


def asked(calls: int) -> dict[str, str]:
    """What is asked for, by name: path and query. The ranges end where the calls do."""
    end = cdrmaker.FIRST_START + calls * cdrmaker.EVERY_S
    day, month = (_wall(end - days * 86400) for days in (1, 30))
    src, outside = "101", "15550000017"
    pages = calls // 50
    queries = {
        NEWEST: "sort=-id",
        **{f"sort={way}{name}": f"sort={way}{name}" for way in ("-", "") for name in _SORTS},
        "filter src": f"filter[src]={src}&sort=-id",
        "filter dst": f"filter[dst]={src}&sort=-datetime",
        "filter src and dst": f"filter[src]={outside}&filter[dst]={src}",
        "filter external_number": f"filter[external_number]={outside}",
        "filter duration": "filter[duration]=12&sort=-id",
        "filter conversation 0": "filter[conversation]=0&sort=-id",
        "filter type": "filter[type]=2&sort=-id",
        "filter status": "filter[status]=1&sort=-datetime",
        "filter type and status": "filter[type]=1&filter[status]=2&sort=-id",
        "a day": f"filter[from]={day}&sort=-id",
        "30 days": f"filter[from]={month}&sort=-id",
        "30 days by duration": f"filter[from]={month}&sort=-duration",
        "30 days of a status": f"filter[from]={month}&filter[status]=3&sort=id",
        "30 days of a src": f"filter[from]={month}&filter[src]={src}&sort=-id",
        DEEP.format(pages=pages): f"sort=-id&page={pages}",
    }
    found = {name: f"/call-history?per_page=20&{query}" for name, query in queries.items()}
    whole = f"from={_wall(cdrmaker.FIRST_START)[:10]}&to={_wall(end)[:10]}"
    found["calls-count of all"] = f"/statistic/calls-count?{whole}"
    found["calls-by-hour of all"] = f"/statistic/calls-by-hour?{whole}"
    return found


_SORTS = ("id", "datetime", "src", "dst", "external_number", "duration", "conversation", "type", "status")


def _wall(epoch: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(epoch))


async def latencies(port: int, token: str, paths: dict[str, str]) -> dict[str, list[float]]:
    """Milliseconds of each answer."""
    base, headers = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(base, headers=headers, connector=connector) as session:
        return {name: await _asked(session, path) for name, path in paths.items()}


async def _asked(session: aiohttp.ClientSession, path: str) -> list[float]:
    took: list[float] = []

    async def ask(connection: int) -> None:
        for turn in range(EACH):
            began = time.perf_counter()
            async with session.get(f"{path}&n={connection * EACH + turn}") as answer:
                await answer.read()
                answer.raise_for_status()
            took.append((time.perf_counter() - began) * 1e3)

    async with asyncio.TaskGroup() as group:
        for connection in range(CONNECTIONS):
            group.create_task(ask(connection))
    return took


def figures() -> Iterator[table.Row]:
    calls = CALLS_FULL if "--full" in sys.argv else CALLS
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "spool").mkdir()
        cdrmaker.write_csv(root / "Master.csv", calls)
        with process.daemon(root / "home", root / "spool") as daemon:
            daemon.until("ready", "degraded", "starting")
            token = daemon.token  # which the daemon takes over while the calls are imported
            config = root / "home" / "voicemaild.toml"
            command = [sys.executable, "-m", "service", "import-cdr", "--config", str(config), str(root / "Master.csv")]
            subprocess.run(command, check=True, env=process.ENVIRONMENT, capture_output=True)
            took = asyncio.run(latencies(daemon.port, token, asked(calls)))
    newest = percentile(took[NEWEST], 50)
    for name, values in took.items():
        p50, p99 = percentile(values, 50), percentile(values, 99)
        if name.startswith("a page"):
            yield table.Row.measured(
                f"{name}: {p50:.1f} ms", p50, "<= 50 ms", f"{NEWEST} {newest:.1f} ms", p50 / newest
            )
        else:
            yield table.Row.compared(
                f"{name}: p50 {p50:.1f}, p99 {p99:.1f} ms (goal 40)", f"{NEWEST} {newest:.1f} ms", p50 / newest, "<= 20"
            )


if __name__ == "__main__":
    table.tell(figures)
