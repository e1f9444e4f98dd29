"""One AMI connection: reads actions, answers them, sends the events its client may hear. All it keeps has a bound."""

import asyncio
import secrets
from datetime import UTC, datetime

from service.simulator.actions import answer
from service.simulator.client import Client, stamp
from service.simulator.events import Peer
from service.simulator.exchange import Exchange
from service.simulator.wire import BANNERS, Action, Event, parse

LONGEST_LINE = 16 * 1024
MOST_LINES = 128
"""Headers of one action; Asterisk takes no more either."""
MOST_UNSENT = 4 * 1024 * 1024
"""Bytes a client may leave unread before it is cut off."""
LOGIN_SECONDS = 30
"""How long a connection may go without logging in (`authtimeout`)."""


class Session:
    """Serves one connection until either side ends it. While `awake` is not set it neither reads nor answers."""

    def __init__(
        self, pbx: Exchange, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, awake: asyncio.Event
    ) -> None:
        self._pbx = pbx
        self._reader = reader
        self._writer = writer
        self._awake = awake
        self._client = Client(
            Peer(
                session=f"0x{secrets.token_hex(6)}",
                local=_address(writer.get_extra_info("sockname")),
                remote=_address(writer.get_extra_info("peername")),
                since=stamp(datetime.now(UTC)),
            )
        )

    async def serve(self) -> None:
        """Talk to the client until it logs off, is cut off, or goes."""
        self._pbx.attach(self._hear)
        try:
            await self._awake.wait()
            self._send(BANNERS[self._pbx.version])
            while await self._turn():
                pass
        except (ConnectionError, TimeoutError):  # gone, sent what has no end, or never logged in
            self.cut()
        finally:
            self._pbx.detach(self._hear)
            self._writer.close()

    def cut(self) -> None:
        """End the connection at once, without a word; what was not sent yet is lost."""
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection once all is sent."""
        self._writer.close()

    async def _turn(self) -> bool:
        """Take one action; gives whether there will be another."""
        async with asyncio.timeout(LOGIN_SECONDS if self._client.user is None else None):
            action = await self._action()
        await self._awake.wait()
        if action is None or self._writer.is_closing():
            return False
        reply = await answer(self._pbx, self._client, action)
        self._send(reply.data)
        if reply.event is not None:
            self._pbx.tell(reply.event)
        if reply.hang_up is None:
            return True
        await asyncio.sleep(reply.hang_up)
        return False

    async def _action(self) -> Action | None:
        """Read lines up to an empty one. None where the client has gone, ConnectionError where there is no end."""
        lines: list[bytes] = []
        while line := await self._line():
            if not line.strip():
                return parse(lines)
            if len(lines) == MOST_LINES:
                raise ConnectionAbortedError("too many lines in one action")
            lines.append(line)
        return None

    async def _line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError as error:  # how asyncio says that a line is longer than the reader's limit
            raise ConnectionAbortedError("a line without end") from error

    def _hear(self, event: Event) -> None:
        if self._awake.is_set() and self._client.hears(event):
            self._send(event.data)

    def _send(self, data: bytes) -> None:
        if self._writer.transport.get_write_buffer_size() > MOST_UNSENT:
            self.cut()
        elif not self._writer.is_closing():
            self._writer.write(data)


def _address(name: tuple[str, int]) -> str:
    """Give a socket's address as security events have it."""
    return f"IPV4/TCP/{name[0]}/{name[1]}"
