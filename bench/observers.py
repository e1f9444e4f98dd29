"""Two processes that do nothing but wait, and say when it came: inotify itself, and a websocket of the daemon.

    python -m bench.observers inotify ROOT            lines `context/extension/INBOX/msg0000.txt NANOSECONDS`
    python -m bench.observers websocket PORT TOKEN    lines `extension@context/NEW NANOSECONDS`

Both print `ready` first; the time is `time.monotonic_ns()`, which all processes of a machine share.
"""

import asyncio
import ctypes
import json
import os
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

IN_MOVED_TO = 0x80
PONG = bytes((0x8A, 0x80, 0, 0, 0, 0))
PATIENCE_S = 20.0
_EVENT = struct.Struct("iIII")
_PING, _TEXT, _LONG = 0x9, 0x1, 126


class Observer:
    """One of these processes, as seen from the benchmark."""

    def __init__(self, lines: asyncio.StreamReader) -> None:
        self._lines = lines

    async def until(self, what: str) -> int:
        """Wait until this was seen; gives when."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                seen, _, nanoseconds = (await self._lines.readline()).decode().strip().rpartition(" ")
                if seen == what:
                    return int(nanoseconds)


@asynccontextmanager
async def observing(*arguments: str) -> AsyncIterator[Observer]:
    """Run one of these processes for the time of the block."""
    command = (sys.executable, "-m", "bench.observers", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert (await process.stdout.readline()).strip() == b"ready"
        yield Observer(process.stdout)
    finally:
        process.kill()
        await process.wait()


def watch_spool(root: Path) -> None:
    """Print what is renamed into any INBOX there is now."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    inboxes = {}
    for inbox in root.glob("*/*/INBOX"):
        number = libc.inotify_add_watch(fd, os.fsencode(inbox), IN_MOVED_TO)
        if number < 0:
            raise OSError(ctypes.get_errno(), f"no watch on {inbox}")
        inboxes[number] = inbox.relative_to(root)
    print("ready", flush=True)
    while True:
        data = os.read(fd, 1 << 16)
        now = time.monotonic_ns()
        at = 0
        while at < len(data):
            number, _mask, _cookie, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            name = data[at - length : at].rstrip(b"\0").decode()
            print(f"{inboxes[number]}/{name} {now}", flush=True)


def watch_badges(port: int, token: str) -> None:
    """Print every badge that changes."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMA==\r\n"
            b"Authorization: Bearer " + token.encode() + b"\r\n\r\n"
        )
        for payload, now in frames(connection):
            content = json.loads(payload)
            if content["type"] == "hello":
                print("ready", flush=True)
            elif content["type"] == "unread":
                print(f"{content['mailbox']}/{content['new']} {now}", flush=True)


def frames(connection: socket.socket) -> Iterator[tuple[bytes, int]]:
    """The text frames that come, unfragmented ones alone, and when; pings are answered."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(connection)
    data = data.partition(b"\r\n\r\n")[2]
    now = time.monotonic_ns()
    while True:
        while (frame := _cut(data)) is not None:
            first, payload, data = frame
            if first & 0xF == _PING:
                connection.sendall(PONG)
            elif first == 0x80 | _TEXT:
                yield payload, now
        data += _received(connection)
        now = time.monotonic_ns()


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise ConnectionError("the daemon closed the websocket")
    return data


def _cut(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first byte and the payload of a whole frame, and what follows it; None where it is not whole."""
    if len(data) < 4:
        return None
    size, start = data[1], 2
    if size == _LONG:
        size, start = int.from_bytes(data[2:4], "big"), 4
    if len(data) < start + size:
        return None
    return data[0], data[start : start + size], data[start + size :]


if __name__ == "__main__":
    if sys.argv[1] == "inotify":
        watch_spool(Path(sys.argv[2]))
    else:
        watch_badges(int(sys.argv[2]), sys.argv[3])
