"""Authenticated requests per second of the daemon, beside aiohttp's hello-world, under the same load client.

    python -m bench.http [--pin]      --pin keeps the servers on the first core and the client on the last one

The newest page is asked for again and again, and as it is after every change: with a parameter that is never the same
twice, so that no answer that was kept fits, and each is read and written anew.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from aiohttp import web

from bench import load, process, spoolmaker, table
from bench.statistic import interleaved, ratio

ROUNDS = 5
MAILBOXES, EACH = 100, 20
PAGE = "/message-voice?sort=-id&per_page=20"
ASKED = {
    "unread-count": ("/message-voice/unread-count", ">= 0.7"),
    "newest page of 20, repeated": (PAGE, ">= 0.7"),
    "newest page of 20, after every change": (PAGE + "&n={n}", ">= 0.19"),
}


def serve_hello(port: int) -> None:
    """Answer every GET with a greeting until killed, as aiohttp's documentation does it."""

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="Hello, world")

    app = web.Application()
    app.add_routes([web.get("/", hello)])
    web.run_app(app, host=load.HOST, port=port, access_log=None, print=None)


@contextlib.contextmanager
def hello_world() -> Iterator[int]:
    """Aiohttp's hello-world as a process; gives its port."""
    port = process.free_port()
    with subprocess.Popen([sys.executable, "-m", "bench.http", "--hello", str(port)]) as running:
        try:
            time.sleep(1.5)
            yield port
        finally:
            running.kill()


def figures() -> Iterator[table.Row]:
    pinned = "--pin" in sys.argv
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        root = Path(directory)
        spoolmaker.make(root / "spool", MAILBOXES, EACH)
        if pinned:
            os.sched_setaffinity(0, cores[:1])  # what is started from here on inherits it
        hello = stack.enter_context(hello_world())
        daemon = stack.enter_context(process.daemon(root / "home", root / "spool"))
        daemon.until_serving()
        token = daemon.token
        time.sleep(15)  # for the levels of all messages, which are measured after the start
        if pinned:
            os.sched_setaffinity(0, cores[-1:])
        ways = {name: partial(load.rate, daemon.port, path, token) for name, (path, _goal) in ASKED.items()}
        rates = interleaved(ways | {"limit": partial(load.rate, hello, "/", token)}, ROUNDS)
    limit = statistics.median(rates["limit"])
    how = f"{load.client()}, {'pinned' if pinned else 'not pinned'}"
    for name, (_path, goal) in ASKED.items():
        yield table.Row.compared(
            f"{name} {statistics.median(rates[name]):.0f}/s",
            f"aiohttp hello-world {limit:.0f}/s ({how})",
            ratio(rates, name, "limit"),
            goal,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--hello"]:
        serve_hello(int(sys.argv[2]))
    else:
        table.tell(figures)
