"""A small AMI client for the tests: it shares no code with the one it helps to test.

Read by one coroutine at a time; nothing runs in the background, so what was not waited for is simply not read yet.
Bytes that are not UTF-8 survive as surrogate escapes, both ways.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_STREAM_LIMIT = 1 << 20
_PACKETS_LIMIT = 100_000
_SHOWN = 12
_LIMIT_S = 90.0
"""How long the PBX may take for anything: it costs time only when something is broken."""


class AmiError(Exception):
    """The PBX refused, or did not say what was waited for."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of manager.conf."""

    username: str
    secret: str


@dataclass(frozen=True, slots=True)
class Packet:
    """A response or an event: its lines in their order, names as they came."""

    fields: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, block: bytes) -> Self:
        """Read one block, without its closing empty line."""
        lines = block.decode("utf-8", "surrogateescape").split("\r\n")
        parts = (line.partition(":") for line in lines if line.strip())
        return cls(tuple((name, value.strip()) for name, _, value in parts))

    def all(self, name: str) -> tuple[str, ...]:
        """Give every value of a key that may repeat (`Output`)."""
        return tuple(value for key, value in self.fields if key.lower() == name.lower())

    def get(self, name: str, default: str = "") -> str:
        """Give the first value of a key, whatever its case."""
        return next(iter(self.all(name)), default)

    def __getitem__(self, name: str) -> str:
        values = self.all(name)
        if not values:
            raise KeyError(name)
        return values[0]

    @property
    def event(self) -> str:
        """The event's name, "" for a response."""
        return self.get("Event")

    @property
    def ok(self) -> bool:
        """Whether this is a response that says Success (which Asterisk also says of some failures)."""
        return self.get("Response") == "Success"


class AmiClient:
    """One connection. `packets` holds all that was read so far, `banner` the PBX's greeting."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, banner: str) -> None:
        self.banner = banner
        self.packets: list[Packet] = []
        self._reader = reader
        self._writer = writer
        # OriginateResponse goes to every client, with the ActionID of the one that asked.
        self._ids = (f"{name}-{number}" for name in [secrets.token_hex(4)] for number in itertools.count(1))

    @classmethod
    async def open(cls, port: int, limit: float = _LIMIT_S) -> Self:
        """Connect and read the banner, without login. Raises OSError or AmiError."""
        async with _limit(limit, "a banner"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_STREAM_LIMIT)
            banner = await reader.readline()
        return cls(reader, writer, banner.decode("ascii", "replace").strip())

    @classmethod
    @asynccontextmanager
    async def connect(cls, port: int, account: Account, events: str = "off") -> "AsyncIterator[Self]":
        """Connect and log in; `events` is the mask: `off`, `on`, or classes such as `call,cdr`."""
        client = await cls.open(port)
        try:
            answer = await client.login(account, events)
            if not answer.ok:
                raise AmiError(f"login as {account.username} refused: {answer}")
            yield client
        finally:
            await client.close()

    async def login(self, account: Account, events: str = "off") -> Packet:
        """Log in and give the answer, whatever it is."""
        return await self.action("Login", Username=account.username, Secret=account.secret, Events=events)

    async def action(self, name: str, /, **headers: str | Iterable[str]) -> Packet:
        """Send an action and give its response. A header with several values is sent once for each."""
        action_id, start = await self.send(name, **headers)
        return await self.wait_for(
            lambda packet: packet.get("ActionID") == action_id and bool(packet.get("Response")),
            f"a response to {name}",
            since=start,
        )

    async def listing(self, name: str, /, **headers: str | Iterable[str]) -> tuple[Packet, ...]:
        """Send an action that is answered by a list; give the list's events. Raises AmiError if it is refused."""
        action_id, start = await self.send(name, **headers)

        def done(packet: Packet) -> bool:
            refused = packet.get("Response") == "Error"
            return packet.get("ActionID") == action_id and (refused or packet.get("EventList") == "Complete")

        last = await self.wait_for(done, f"the end of {name}", since=start)
        if not last.event:
            raise AmiError(f"{name} refused: {last}")
        answers = (packet for packet in self.packets[start:] if packet.get("ActionID") == action_id and packet.event)
        return tuple(packet for packet in answers if packet is not last)

    async def wait_for(
        self, wanted: Callable[[Packet], bool], what: str, *, since: int = 0, limit: float = _LIMIT_S
    ) -> Packet:
        """Give the first packet, from number `since` on, that is wanted; raises AmiError when none comes in time."""
        position = since
        async with _limit(limit, what, self._shown()):
            while True:
                for packet in itertools.islice(self.packets, position, None):
                    position += 1
                    if wanted(packet):
                        return packet
                await self._read()

    async def wait_closed(self, limit: float = _LIMIT_S) -> None:
        """Wait until the PBX has closed the connection."""
        async with _limit(limit, "the PBX's closing of the connection"):
            while await self._reader.read(_STREAM_LIMIT):
                pass

    async def close(self) -> None:
        """Hang up, whether or not the PBX still listens."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:  # the PBX was faster
            return

    async def send(self, name: str, /, **headers: str | Iterable[str]) -> tuple[str, int]:
        """Send an action and do not wait; give its ActionID, and how many packets had been read before."""
        action_id, start = next(self._ids), len(self.packets)
        lines = [f"Action: {name}", f"ActionID: {action_id}"]
        for key, value in headers.items():
            lines += [f"{key}: {item}" for item in ([value] if isinstance(value, str) else value)]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape"))
        await self._writer.drain()
        return action_id, start

    async def _read(self) -> None:
        """Read one packet."""
        try:
            block = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise AmiError("the PBX closed the connection") from error
        packet = Packet.parse(block)
        if packet.fields:  # a bare LF in an answer makes an empty one
            self.packets.append(packet)
        if len(self.packets) > _PACKETS_LIMIT:
            raise AmiError(f"more than {_PACKETS_LIMIT} packets on one connection")

    def _shown(self) -> Callable[[], Iterator[Packet]]:
        """Give what tells of the last packets read, when something did not come."""
        return lambda: iter(self.packets[-_SHOWN:])


@asynccontextmanager
async def _limit(seconds: float, what: str, seen: Callable[[], Iterable[Packet]] = tuple) -> "AsyncIterator[None]":
    """Let the block take this long at most; then say what it waited for, and what it saw instead."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        last = "".join(f"\n  {dict(packet.fields)}" for packet in seen())
        raise AmiError(f"{what} did not come within {seconds:g} s; the last seen:{last or ' nothing'}") from error
