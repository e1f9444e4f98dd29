"""Start-up on a large spool: the first one, which reads everything, and one where nothing changed meanwhile.

    python -m bench.startup [--full]

The limit is one thread that lists every folder, reads and parses every text and writes the rows, 500 at a time. It
does not look at audio. The daemon's time is from the start of its process until `/readyz` answers 200.

`--full` is the size the goals are meant for. At the smaller size the start of an empty daemon would be most of what is
measured, so that its time, measured in the same run, is taken off.
"""

import contextlib
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import process, spoolmaker, table
from bench.statistic import ratio

MAILBOXES, EACH = 2_000, 10
MAILBOXES_FULL = 10_000
ROUNDS = 3
FIRST_GOAL, RESTART_GOAL = "<= 2", "<= 0.5"
BATCH = 500

Values = tuple[object, ...]


def limit(spool: Path, database: Path, *, audio: bool = False) -> float:
    """Seconds in which one thread reads the spool into a table; with `audio`, also the first 4 KiB of each wav."""
    began = time.perf_counter()
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute(
            "CREATE TABLE message (mailbox TEXT, folder TEXT, name TEXT, msg_id TEXT, origtime INTEGER,"
            " duration INTEGER, callerid TEXT, callerchan TEXT, PRIMARY KEY (mailbox, msg_id))"
        )
        rows: list[Values] = []
        for row in _messages(spool, audio=audio):
            rows.append(row)
            if len(rows) == BATCH:
                _write(conn, rows)
                rows.clear()
        _write(conn, rows)
    return time.perf_counter() - began


def _write(conn: sqlite3.Connection, rows: list[Values]) -> None:
    conn.execute("BEGIN")
    conn.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    conn.execute("COMMIT")


def _messages(spool: Path, *, audio: bool) -> Iterator[Values]:
    for context in os.scandir(spool):
        for box in os.scandir(context):
            for folder in os.scandir(box):
                for entry in os.scandir(folder):
                    if entry.name.endswith(".txt"):
                        yield _message(f"{box.name}@{context.name}", folder.name, entry)
                    elif audio:
                        _head(entry.path)


def _message(mailbox: str, folder: str, entry: os.DirEntry[str]) -> Values:
    with open(entry.path, "rb") as file:  # noqa: PTH123 -- the limit is as fast as can be
        lines = file.read().decode("utf-8", "replace").split("\n")
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    numbers = int(fields["origtime"]), int(fields["duration"])
    return mailbox, folder, entry.name, fields["msg_id"], *numbers, fields["callerid"], fields["callerchan"]


def _head(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123 -- as above
        file.read(4096)


def started(home: Path, spool: Path) -> float:
    """Seconds until a daemon serves."""
    with process.daemon(home, spool) as daemon:
        took = daemon.until_serving()
        daemon.stop()
    return took


def measured(home: Path) -> None:
    """Have all levels count as measured, as they are a while after a first start."""
    with contextlib.closing(sqlite3.connect(home / "voicemaild.db")) as conn, conn:
        conn.execute("UPDATE message SET measured = 1")


def rounds(root: Path, spool: Path) -> dict[str, list[float]]:
    """Measure all of it, a few times."""
    took: dict[str, list[float]] = {name: [] for name in ("limit", "with audio", "first", "restart", "empty")}
    (root / "empty").mkdir()
    for turn in range(ROUNDS):
        home = root / f"home{turn}"
        home.mkdir()
        took["limit"].append(limit(spool, home / "limit.db"))
        took["first"].append(started(home, spool))
        measured(home)
        took["with audio"].append(limit(spool, home / "audio.db", audio=True))
        took["restart"].append(started(home, spool))
        took["empty"].append(started(root / f"nothing{turn}", root / "empty"))
        shutil.rmtree(home)
    return took


def figures() -> Iterator[table.Row]:
    full = "--full" in sys.argv
    mailboxes = MAILBOXES_FULL if full else MAILBOXES
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        spoolmaker.make(root / "spool", mailboxes, EACH)
        took = rounds(root, root / "spool")
    size = f"{mailboxes * EACH} messages in {mailboxes} mailboxes"
    what = "" if full else ", beyond an empty start"
    for name in ("first", "restart"):
        took[f"{name}, judged"] = (
            took[name] if full else [value - empty for value, empty in zip(took[name], took["empty"], strict=True)]
        )
    middle = {name: statistics.median(values) for name, values in took.items()}
    reader = f"scandir, read, parse, executemany {middle['limit']:.2f} s"
    for name, goal in (("first", FIRST_GOAL), ("restart", RESTART_GOAL)):
        judged = f"{name}, judged"
        figure = f"{name} start, {size}{what} {middle[judged]:.2f} s"
        yield table.Row.compared(figure, reader, ratio(took, judged, "limit"), goal)
    yield table.Row.compared(
        f"the same first start {middle['first, judged']:.2f} s",
        f"the limit, and 4 KiB of each wav {middle['with audio']:.2f} s",
        ratio(took, "first, judged", "with audio"),
    )
    yield table.Row.measured(f"start with an empty spool {middle['empty']:.2f} s", middle["empty"], table.NONE)


if __name__ == "__main__":
    table.tell(figures)
