"""The PBX's side of a Manager connection, played word by word: what a test writes down is what the client meets."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.hurry import Hurry

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "ami"
GREETING = b"Asterisk Call Manager/11.0.0\r\n"
SECRET = "s3cret-of-the-test"
_ACTION_ID = re.compile(rb"ActionID: a\d+\r\n")


def recording(name: str) -> bytes:
    """What a real PBX sent in one session, e.g. `22-leave-voicemail`; byte for byte, greeting first."""
    return (RECORDINGS / f"{name}.txt").read_bytes()


def event(name: str, **fields: str) -> bytes:
    """One event as a PBX sends it."""
    return f"Event: {name}\r\n".encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in fields.items()) + b"\r\n"


def waiting(mailbox: str) -> bytes:
    """A MessageWaiting for a mailbox."""
    return event("MessageWaiting", Privilege="call,all", Mailbox=mailbox, Waiting="1", New="1", Old="0")


@dataclass
class Peer:
    """One connection, seen from the PBX. `received` is every byte, `actions` every whole action so far."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytearray = field(default_factory=bytearray)
    actions: list[dict[str, str]] = field(default_factory=list)

    async def action(self) -> dict[str, str]:
        """Wait for the next action. asyncio.IncompleteReadError once the client is gone."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        self.received += raw
        lines = raw.decode().removesuffix("\r\n\r\n").split("\r\n")
        action = dict(line.split(": ", 1) for line in lines)
        self.actions.append(action)
        return action

    async def expect(self, *names: str) -> dict[str, str]:
        """Wait for an action of one of these names; pings before it are answered; ConnectionError at a Logoff."""
        while True:
            action = await self.action()
            if action["Action"] in names:
                return action
            if action["Action"] == "Logoff":
                raise ConnectionError("the client has logged off")
            assert action["Action"] == "Ping", f"{action} came where {names} was expected"
            self.answer(action, Ping="Pong")

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def answer(self, action: dict[str, str], response: str = "Success", **fields: str) -> None:
        """Answer an action with these fields."""
        lines = {"Response": response, "ActionID": action["ActionID"], **fields}
        self.send(b"".join(f"{key}: {value}\r\n".encode() for key, value in lines.items()) + b"\r\n")

    def answer_recorded(self, action: dict[str, str], raw: bytes) -> None:
        """Answer an action with bytes of a recording, under the ActionID of the action."""
        self.send(_ACTION_ID.sub(f"ActionID: {action['ActionID']}\r\n".encode(), raw))

    async def accept(self, *offered: str) -> None:
        """Greet, accept a login and tell which actions are offered."""
        self.send(GREETING)
        self.answer(await self.action(), Challenge="101682668")
        self.answer(await self.action(), Message="Authentication accepted")
        self.answer(await self.action(), **dict.fromkeys(("Ping", *offered), "As it is. (Priv: <none>)"))

    async def stay(self) -> None:
        """Answer pings until the client logs off or is gone."""
        await self.expect()

    async def fall_silent(self) -> None:
        """Neither read nor write any more, and do not close either."""
        transport = self.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        await asyncio.Event().wait()


Script = Callable[[Peer], Awaitable[None]]
"""What a PBX does in one connection; the connection is closed at its end."""


async def ping(peer: Peer, hurry: Hurry) -> dict[str, str]:
    """The next ping, while nothing happens but that time passes."""
    coming = asyncio.ensure_future(peer.action())
    await hurry.until(coming.done, step=0.5)
    action = coming.result()
    assert action["Action"] == "Ping", f"{action} came where a ping was expected"
    return action


async def plain(peer: Peer) -> None:
    """A PBX that accepts the login and answers pings."""
    await peer.accept()
    await peer.stay()


@dataclass
class Pbx:
    """A listening PBX: each connection plays the next script, the last one again and again. `peers` are all so far."""

    scripts: Sequence[Script]
    port: int = 0
    peers: list[Peer] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        peer = Peer(reader, writer)
        script = self.scripts[min(len(self.peers), len(self.scripts) - 1)]
        self.peers.append(peer)
        try:
            await script(peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 -- the test that owns this PBX has to see it
            self.errors.append(error)
        finally:
            writer.close()


@asynccontextmanager
async def playing(*scripts: Script) -> AsyncIterator[Pbx]:
    """A PBX on a free loopback port for the time of the block; what a script raised is raised at its end."""
    pbx = Pbx(scripts)
    server = await asyncio.start_server(pbx.connected, "127.0.0.1", 0)
    pbx.port = server.sockets[0].getsockname()[1]
    try:
        yield pbx
    finally:
        server.close()
        for task in pbx.tasks:
            task.cancel()
        await asyncio.gather(*pbx.tasks)
    if pbx.errors:
        raise pbx.errors[0]
