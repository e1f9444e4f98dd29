"""Every benchmark, or those that are named: each figure beside a limit that was measured in the same run.

    python -m bench [--full] [NAME ...]      names: ami audio idle http badge startup calls history websocket

Prints a table `figure | limit | ratio | goal`, where a figure that misses its goal says so, and keeps it with what
machine it was as `bench-results.json`. `--full` makes the largest spool as large as the goals mean it. Each benchmark
is a process of its own, one after the other. Exits with 1 where one of them did not come to its end.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench.table import Row, show
from service import __version__

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench-results.json"
LONGEST_S = 3600
OURS = ("ami", "audio", "idle", "http", "badge", "startup", "calls", "history")
PLAIN = ("websocket",)
"""Benchmarks that print their rows as text."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, each figure beside its limit.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(OURS + PLAIN)}; by default all")
    parser.add_argument("--full", action="store_true", help="the largest spool as large as the goals mean it")
    asked = parser.parse_args()
    names = asked.names or OURS + PLAIN
    unknown = set(names) - set(OURS + PLAIN)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    failed = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        measured, ended = run(name, full=asked.full)
        rows += measured
        failed += [] if ended else [name]
    show(rows)
    RESULTS.write_text(json.dumps({**machine(), "rows": [asdict(row) for row in rows], "failed": failed}, indent=1))
    print(f"kept as {RESULTS.name}", file=sys.stderr)
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def run(name: str, *, full: bool) -> tuple[list[Row], bool]:
    """The rows of one benchmark, and whether it came to its end."""
    command = [sys.executable, "-m", f"bench.{name}"]
    if name in OURS:
        command += ["--json", *(["--full"] if full else [])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False, timeout=LONGEST_S)
    lines = done.stdout.splitlines()
    if name in PLAIN:
        found = [row for row in map(Row.read, lines) if row is not None]
    else:
        found = [Row(**json.loads(line)) for line in lines]
    return found, done.returncode == 0


def machine() -> dict[str, object]:
    """When, what and where this was measured."""
    return {
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "version": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
    }


if __name__ == "__main__":
    main()
