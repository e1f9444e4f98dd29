"""Calls into the store: from AMI's bytes, and from years of Master.csv.

    python -m bench.calls [--full]      --full imports a million rows instead of 100,000

The limit of both is what Python's own sqlite3 can write: `executemany`, 500 at a time, of the very rows that ours put
into the tables of calls, legs and the journal, without any index beside the primary keys. For the import the limit
also reads the file with the csv module.
"""

import contextlib
import csv
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC
from functools import partial
from pathlib import Path

from bench import cdrmaker, process, statistic, table
from service.ami.client import EVENTS
from service.ami.message import Event, Stream
from service.call import Leg
from service.cdr.event import leg_of_event
from service.cdr.times import LocalTimes
from service.store import calls, schema
from service.store.commands import turns

EVENTS_TOLD = 20_000
ROWS, ROWS_FULL = 100_000, 1_000_000
BATCH = 500
PIECE = 256 * 1024
"""Bytes that asyncio reads at once."""
ROUNDS = 5
INTERNAL = re.compile(r"^\d{2,6}$")
COPIED = ("call", "leg", "journal")

Rows = dict[str, list[tuple[object, ...]]]


def told(stream: bytes, database: Path) -> float:
    """Seconds in which the bytes of AMI become durable calls, legs and journal, on one connection as in the daemon."""
    wire, times = Stream(EVENTS), LocalTimes(UTC)
    wire.feed(b"Asterisk Call Manager/11.0.0\r\n")
    legs, told = list[Leg](), 0
    with turns(database, process.PBX) as turn:
        began = time.perf_counter()
        for start in range(0, len(stream), PIECE):
            events = wire.feed(stream[start : start + PIECE])
            legs += [leg_of_event(one.fields.get, times) for one in events if isinstance(one, Event)]
            while len(legs) >= BATCH:
                told += BATCH
                turn(partial(calls.record, legs=legs[:BATCH], internal=INTERNAL))
                del legs[:BATCH]
        took = time.perf_counter() - began
    assert told == EVENTS_TOLD
    return took


def rows_of(database: Path) -> Rows:
    """What stands in the tables that the limit writes."""
    with contextlib.closing(sqlite3.connect(database)) as conn:
        return {name: conn.execute(f"SELECT * FROM {name}").fetchall() for name in COPIED}


def bare(rows: Rows, database: Path) -> float:
    """Seconds in which sqlite3 writes the same rows."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = FULL")
        for name, found in rows.items():
            if found:
                columns = ", ".join(f"c{place}" for place in range(1, len(found[0])))
                conn.execute(f"CREATE TABLE {name} (c0 INTEGER PRIMARY KEY, {columns})")
        began = time.perf_counter()
        longest = max(map(len, rows.values()))
        for start in range(0, longest, BATCH):
            conn.execute("BEGIN IMMEDIATE")
            for name, found in rows.items():
                part = found[start : start + BATCH]
                if part:
                    marks = ", ".join("?" * len(part[0]))
                    conn.executemany(f"INSERT INTO {name} VALUES ({marks})", part)
            conn.execute("COMMIT")
        return time.perf_counter() - began


def intake(root: Path) -> Iterator[table.Row]:
    stream = b"".join(map(cdrmaker.event, cdrmaker.lines(EVENTS_TOLD)))
    ours, limit, rows = [], [], Rows()
    for turn in range(ROUNDS):
        database = root / f"told{turn}.db"
        ours.append(EVENTS_TOLD / told(stream, database))
        rows = rows or rows_of(database)
        limit.append(EVENTS_TOLD / bare(rows, root / f"bare{turn}.db"))
    rates = {"ours": ours, "limit": limit}
    yield table.Row.compared(
        f"Cdr events to durable calls: {statistics.median(ours) / 1e3:.1f} k/s",
        f"executemany({BATCH}) of the same rows {statistics.median(limit) / 1e3:.1f} k/s",
        statistic.ratio(rates, "ours", "limit"),
        ">= 0.5",
    )


def imported(home: Path, master: Path) -> tuple[float, float]:
    """Seconds of `voicemaild import-cdr` as a process of its own, and the most MiB it had with those it started."""
    home.mkdir(exist_ok=True)
    config = home / "voicemaild.toml"
    config.write_text(f'[pbx]\nname = "{process.PBX}"\n[store]\npath = "{home / "voicemaild.db"}"\n')
    command = [sys.executable, "-m", "service", "import-cdr", "--config", str(config), str(master)]
    peak = 0.0
    began = time.perf_counter()
    with subprocess.Popen(command, env=process.ENVIRONMENT, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None:
            with contextlib.suppress(OSError, ProcessLookupError):
                peak = max(peak, process.rss_mib(running.pid) + sum(map(process.rss_mib, children(running.pid))))
            time.sleep(0.02)
    assert running.returncode == 0
    return time.perf_counter() - began, peak


def children(pid: int) -> list[int]:
    """The processes that this one has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def read_and_bare(rows: Rows, master: Path, database: Path) -> float:
    """Seconds in which the csv module reads the file and sqlite3 writes the rows."""
    began = time.perf_counter()
    with master.open(newline="") as file:
        read = sum(1 for _row in csv.reader(file))
    assert read
    return time.perf_counter() - began + bare(rows, database)


def history(root: Path, number: int) -> Iterator[table.Row]:
    master = root / "Master.csv"
    cdrmaker.write_csv(master, number)
    took, peak_mib = imported(root / "imported", master)
    rows = rows_of(root / "imported" / "voicemaild.db")
    assert len(rows["leg"]) == number, len(rows["leg"])
    limit = read_and_bare(rows, master, root / "bare-import.db")
    yield table.Row.compared(
        f"import-cdr of {number:,} rows: {number / took / 1e3:.1f} k/s, at most {peak_mib:.0f} MiB",
        f"csv and executemany({BATCH}) {number / limit / 1e3:.1f} k/s",
        limit / took,
        ">= 0.4",
    )
    again, _peak = imported(root / "imported", master)
    yield table.Row.measured(f"the same file imported again: {number / again / 1e3:.1f} k/s", again, table.NONE)


def figures() -> Iterator[table.Row]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        schema.connect(root / "warm.db").close()
        yield from intake(root)
        yield from history(root, ROWS_FULL if "--full" in sys.argv else ROWS)


if __name__ == "__main__":
    table.tell(figures)
