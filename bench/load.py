"""Requests per second of an HTTP server: by wrk where there is one, else by a small client of our own.

    python -m bench.load PORT PATH TOKEN SECONDS      the small client: prints the number

Either is a process of its own, with eight connections that ask again when they have been answered. `{n}` in a path
becomes a number that no request had before.
"""

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time

HOST = "127.0.0.1"
CONNECTIONS = 8
SECONDS = 2
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_SCRIPT = """
local path, token, n = %r, %r, 0
local headers = {["Authorization"] = "Bearer " .. token, ["Host"] = "127.0.0.1"}
request = function()
  n = n + 1
  return wrk.format("GET", (path:gsub("{n}", tostring(n))), headers)
end
"""


def client() -> str:
    """Which client `rate` uses."""
    return "wrk" if shutil.which("wrk") else "a client of our own"


def rate(port: int, path: str, token: str) -> float:
    """Requests per second. Raises RuntimeError where an answer is not 200."""
    wrk = shutil.which("wrk")
    if wrk is None:
        arguments = (str(port), path, token, str(SECONDS))
        return float(_output([sys.executable, "-m", "bench.load", *arguments]))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT % (path, token))
        script.flush()
        load = ["-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", script.name]
        printed = _output([wrk, *load, f"http://{HOST}:{port}"])
    found = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    if found is None or "Non-2xx" in printed or "Socket errors" in printed:
        raise RuntimeError(printed)
    return float(found[1])


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS + 60).stdout


class Connection(asyncio.Protocol):
    """One connection of the small client."""

    def __init__(self, path: str, token: str, number: int) -> None:
        self.answered = 0
        self._path, self._token, self._number = path, token, number
        self._transport: asyncio.Transport | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        path = self._path.replace("{n}", str(self.answered * CONNECTIONS + self._number))
        request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {self._token}\r\n\r\n"
        assert self._transport is not None
        self._transport.write(request.encode())

    def data_received(self, data: bytes) -> None:
        """Ask again when the answer is whole."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head)
        self._data = b""
        self.answered += 1
        self._ask()


async def _load(port: int, path: str, token: str, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    connections = [
        (await loop.create_connection(lambda number=number: Connection(path, token, number), HOST, port))[1]  # type: ignore[misc] # a default argument binds the number
        for number in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds)
    return sum(connection.answered for connection in connections) / (time.perf_counter() - began)


if __name__ == "__main__":
    print(asyncio.run(_load(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))))
