"""The daemon as a process of its own, as systemd starts it: its configuration, its port, its end, its use of memory."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from service.model import Scope
from service.store import tokens
from service.store.commands import changing

HOST = "127.0.0.1"
LONGEST_START_S = 600.0
LONGEST_STOP_S = 30.0
POLL_S = 0.003
PBX = "bench"
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("VOICEMAILD_") and name != "PYTHONDONTWRITEBYTECODE"
}
"""An installed program has its bytecode; the first start makes it where this one has not."""


@dataclass(frozen=True)
class Ami:
    """Where a daemon finds its PBX."""

    port: int
    username: str
    secret: str


@dataclass
class Daemon:
    """A running daemon. `began` is `time.perf_counter()` from just before it was started."""

    process: subprocess.Popen[bytes]
    port: int
    began: float
    _token: str = ""
    _database: Path = field(default_factory=Path)

    @property
    def token(self) -> str:
        """The secret of a token that may do everything; made when it is first asked for."""
        if not self._token:
            with changing(self._database, PBX) as tx:
                self._token = tokens.create(tx.conn, f"bench{time.time_ns()}", Scope.ADMIN, None, now=int(time.time()))
        return self._token

    def until(self, *statuses: str) -> float:
        """Wait until `/readyz` says one of these; gives the seconds since the start. Raises TimeoutError."""
        while time.perf_counter() - self.began < LONGEST_START_S:
            if self.process.poll() is not None:
                raise RuntimeError(f"the daemon ended with {self.process.returncode}")
            if self._status() in statuses:
                return time.perf_counter() - self.began
            time.sleep(POLL_S)
        raise TimeoutError("the daemon does not become ready")

    def until_serving(self) -> float:
        """Wait until `/readyz` answers 200: the first scan is done. Gives the seconds since the start."""
        return self.until("ready", "degraded")

    def _status(self) -> str:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            status: str = json.loads(connection.getresponse().read())["status"]
        except (OSError, http.client.HTTPException):
            return ""
        else:
            return status
        finally:
            connection.close()

    def stop(self) -> float:
        """End it with SIGTERM; gives the seconds that took."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LONGEST_STOP_S)
        return time.perf_counter() - began


@contextlib.contextmanager
def daemon(home: Path, spool: Path, ami: Ami | None = None, *, write_back: bool = True) -> Iterator[Daemon]:
    """Run `voicemaild run` with its store and its log in `home`; it is ended after the block, if it still runs."""
    home.mkdir(parents=True, exist_ok=True)
    port, database, config = free_port(), home / "voicemaild.db", home / "voicemaild.toml"
    config.write_text(
        f'[pbx]\nname = "{PBX}"\nwrite_back = {str(write_back).lower()}\n'
        f'[spool]\npath = "{spool}"\n[store]\npath = "{database}"\n[http]\nport = {port}\n'
        + ("[ami]\nenabled = false\n" if ami is None else _ami_section(ami))
    )
    command = [sys.executable, "-m", "service", "run", "--config", str(config)]
    with (home / "log").open("ab") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        yield Daemon(process, port, began, _database=database)
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LONGEST_STOP_S)
            process.kill()
        process.wait()


def _ami_section(ami: Ami) -> str:
    return f'[ami]\nport = {ami.port}\nusername = "{ami.username}"\nsecret = "{ami.secret}"\n'


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as tried:
        tried.bind((HOST, 0))
        return int(tried.getsockname()[1])


def rss_mib(pid: int) -> float:
    """How much memory a process has resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def cpu_s(pid: int) -> float:
    """How much CPU time a process has used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
