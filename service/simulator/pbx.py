"""A PBX to run the daemon against where there is no Asterisk: it speaks AMI on loopback and writes a voicemail spool.

    async with Simulator(spool, secret="s3cret") as pbx:
        left = await pbx.leave("100@default", '"Jane Doe" <+12025550143>', seconds=3)
        await pbx.move("100@default", left.msg_id, "Old")

Where a time or an order is not Asterisk's, that is a fault: it is checked against recordings in tests/simulator.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, tzinfo
from pathlib import Path
from types import TracebackType
from typing import Self

from service.simulator.boxes import HOUSEHOLD, AmiUser, Box, classes
from service.simulator.events import fully_booted, shutdown
from service.simulator.exchange import Delays, Exchange
from service.simulator.master_csv import MasterCsv
from service.simulator.session import LONGEST_LINE, Session

HOST = "127.0.0.1"
MOST_CONNECTIONS = 32


class Simulator(Exchange):
    """The PBX of `service.simulator.exchange`, with its AMI port. `spool` is made if it is not there.

    It has one user, `user` with `secret` (default: made up; read it from the attribute), who may `read` and `write` the
    given classes (`all`, or e.g. `call,cdr`), and those in `users`. `port` 0 takes a free one; read it afterwards.
    `version` is 22 or 16, which lacks the actions that change a mailbox. For the rest see Exchange.
    """

    def __init__(
        self,
        spool: Path,
        *,
        port: int = 0,
        user: str = "voicemaild",
        secret: str | None = None,
        read: str = "all",
        write: str = "all",
        users: Iterable[AmiUser] = (),
        boxes: Iterable[Box] = HOUSEHOLD,
        version: int = 22,
        events: bool = True,
        delays: Delays = Delays(),  # noqa: B008 -- frozen
        zone: tzinfo = UTC,
        mapped: bool = True,
        csv: MasterCsv | None = None,
        recordings: Path | None = None,
        etc: Path | None = None,
    ) -> None:
        self.secret = secrets.token_urlsafe(12) if secret is None else secret
        main = AmiUser(user, self.secret, classes(read), classes(write))
        super().__init__(
            spool,
            boxes=boxes,
            users=(main, *users),
            version=version,
            events=events,
            delays=delays,
            zone=zone,
            mapped=mapped,
            csv=csv,
            recordings=recordings,
            etc=etc,
        )
        self.host = HOST
        self.port = port
        self.user = user
        self._root = spool
        self._awake = asyncio.Event()
        self._awake.set()
        self._sessions: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._connections = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Listen. Raises OSError where the port is taken."""
        await asyncio.to_thread(self._root.mkdir, parents=True, exist_ok=True)
        await self._connections.__aenter__()
        await self._listen()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close all connections and stop listening; what was still to be told is dropped.

        An error of the body goes on as it is: the connections are cut, not part of it, so it need not be grouped.
        """
        self.forget()
        self._stop_listening()
        self.drop_connections()
        self.silence(on=False)
        await self._connections.__aexit__(None, None, None)

    @property
    def connections(self) -> int:
        """How many AMI connections there are."""
        return len(self._sessions)

    async def restart(self, down_seconds: float = 0) -> None:
        """Restart the PBX: Shutdown is told, all connections end, and nobody listens for `down_seconds`.

        Returns when it listens again, on the same port, with the counter in `msg_id` back at 0. A while later
        (`delays.boot`) it tells MessageWaiting of every mailbox, with `Waiting: 0`, and then that it has booted.
        """
        self.tell(shutdown())
        self.forget()
        self._stop_listening()
        for session in tuple(self._sessions):
            session.close()
        self.silence(on=False)
        await asyncio.sleep(down_seconds)
        self.spool.restart()
        self.numbers.restart()
        self.booted = False
        self.started = time.time()
        await self._listen()
        await self._tell_waiting(self.boxes, None, delay=self.delays.boot, ready=False)
        self.later(self.delays.boot, self._has_booted)

    def drop_connections(self) -> None:
        """Cut all AMI connections, as a network does: nobody is told."""
        for session in tuple(self._sessions):
            session.cut()

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        """Cut all AMI connections and take no new ones; meanwhile the PBX goes on, and all that AMI tells is lost.

        In the end it listens again, on the same port.
        """
        self._stop_listening()
        self.drop_connections()
        try:
            yield
        finally:
            await self._listen()

    def silence(self, *, on: bool = True) -> None:
        """Keep all connections but neither read nor answer, as a link does that is dead in the middle.

        Events are lost meanwhile; actions are answered once it is over.
        """
        if on:
            self._awake.clear()
        else:
            self._awake.set()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, HOST, self.port, limit=LONGEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._sessions) >= MOST_CONNECTIONS or self._server is None:
            writer.transport.abort()
            return
        session = Session(self, reader, writer, self._awake)
        self._sessions.add(session)
        self._connections.create_task(self._serve(session))

    async def _serve(self, session: Session) -> None:
        try:
            await session.serve()
        finally:
            self._sessions.discard(session)

    def _has_booted(self) -> None:
        self.booted = True
        self.tell(fully_booted())
