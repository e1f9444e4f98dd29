"""The whole daemon for tests, through its public doors: a process or a task of it, and a client of its API."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

from service import daemon
from service.config_schema import checked
from service.model import Mailbox, Scope, View
from service.settings import Settings
from service.simulator.pbx import Simulator
from service.store import connect, tokens
from tests.ports import free_port

PATIENCE_S = 60.0
Frame = dict[str, Any]


def settings_for(
    state: Path, beside: Simulator | None, spool: Path | None = None, **sections: dict[str, Any]
) -> Settings:
    """A configuration for the daemon in `state` and `beside` this PBX; `sections` add to it or override it."""
    ami: dict[str, Any] = {"enabled": False}
    if beside is not None:
        ami = {"host": beside.host, "port": beside.port, "username": beside.user, "secret": beside.secret}
    given: dict[str, dict[str, Any]] = {
        "ami": ami,
        "spool": {"path": str(spool or state / "spool")},
        "store": {"path": str(state / "state" / "voicemaild.db")},
        "http": {"port": free_port()},
    }
    return checked({name: given.get(name, {}) | sections.get(name, {}) for name in {*given, *sections}})


def new_token(settings: Settings, name: str = "test", scope: Scope = Scope.ADMIN, view: View = None) -> str:
    """A token, made as the command makes it: beside the daemon, in its database."""
    conn = connect(settings.store.path)
    try:
        return tokens.create(conn, name, scope, view, now=int(time.time()))
    finally:
        conn.close()


@dataclass
class Socket:
    """A websocket, and all it was told."""

    ws: aiohttp.ClientWebSocketResponse
    told: list[Frame]

    async def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        """The first frame from now on that is wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame: Frame = await self.ws.receive_json()
                self.told.append(frame)
                if wanted(frame):
                    return frame

    async def badge(self, total: int) -> Frame:
        """Until a badge says so many unread messages in all."""
        return await self.until(lambda frame: frame["type"] == "unread" and frame["total"] == total)


@dataclass
class House:
    """A running daemon's API, as one token sees it."""

    url: str
    http: aiohttp.ClientSession
    settings: Settings

    async def get(self, path: str, status: int = 200) -> Any:
        async with self.http.get(self.url + path) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()

    async def post(self, path: str, status: int = 200) -> Any:
        async with self.http.post(self.url + path) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()

    async def unread(self) -> int:
        answer = await self.get("/message-voice/unread-count")
        return int(answer["result"]["unread_count"])

    async def messages(self, query: str = "") -> list[Frame]:
        rows: list[Frame] = (await self.get(f"/message-voice?per_page=300{query}"))["data"]
        return rows

    @contextlib.asynccontextmanager
    async def ws(self, query: str = "") -> AsyncIterator[tuple[Socket, Frame]]:
        """A websocket and its hello."""
        async with self.http.ws_connect(f"{self.url}/ws{query}") as ws:
            opened = Socket(ws, [])
            yield opened, await opened.until(lambda frame: frame["type"] == "hello")

    async def until_ready(
        self, wanted: Callable[[Frame], bool] = lambda told: bool(told["status"] == "ready")
    ) -> Frame:
        """Ask `/readyz` until it says what is wanted, by default that it is ready."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with self.http.get(self.url + "/readyz") as answer:
                    told: Frame = await answer.json()
                if told["status"] == "ready" if wanted is None else wanted(told):
                    return told
                await asyncio.sleep(0.01)  # there is nothing to wait on: this is what a load balancer does, too


@contextlib.asynccontextmanager
async def visiting(settings: Settings, token: str) -> AsyncIterator[House]:
    """A client of a daemon that runs with these settings."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
        yield House(f"http://{settings.http.host}:{settings.http.port}", http, settings)


@contextlib.asynccontextmanager
async def living(settings: Settings, token: str | None = None) -> AsyncIterator[House]:
    """The daemon as a task of this process, and a client of it that is ready."""
    token = token or new_token(settings, f"test-{time.monotonic_ns()}")
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(daemon.run(settings, environ={}, started=started.set_result))
        task.add_done_callback(lambda _task: started.done() or started.cancel())
        with contextlib.suppress(asyncio.CancelledError):
            await started
        if not task.done():
            async with visiting(settings, token) as house:
                await house.until_ready(lambda told: told["status"] in ("ready", "degraded"))
                yield house
            task.cancel()


class Process:
    """The daemon as a process of its own, that can be killed."""

    def __init__(self, settings: Settings, state: Path) -> None:
        self.settings = settings
        self._config = state / "voicemaild.toml"
        self._config.write_text(_toml(settings))
        self._log = state / "voicemaild.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        environ = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(Path(__file__).parents[1])}
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service", "--config", str(self._config), "run"), env=environ, stderr=log
            )

    async def until_logged(self, words: str) -> None:
        """Until its log says so."""
        async with asyncio.timeout(PATIENCE_S):
            while words not in self._log.read_text(errors="replace"):
                await asyncio.sleep(0.01)

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> tuple[int, str]:
        """End it; gives its exit status and what it logged."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            code = await self._process.wait()
        self._process = None
        return code, self._log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._process is not None:
            await self.kill()


def _toml(settings: Settings) -> str:
    ami = settings.ami
    return f"""
[pbx]
name = "{settings.pbx.name}"
write_back = {str(settings.pbx.write_back).lower()}
[ami]
enabled = {str(ami.enabled).lower()}
host = "{ami.host}"
port = {ami.port}
username = "{ami.username}"
secret = "{ami.secret.get_secret_value()}"
[spool]
path = "{settings.spool.path}"
[store]
path = "{settings.store.path}"
[http]
port = {settings.http.port}
"""


def box(name: str) -> Mailbox:
    return Mailbox.parse(name)
