"""Everybody on the websocket: what changed goes to all who may see it, and nobody waits for one who does not read.

Connections that hear the same stand in one group: a record is put into words and bytes once a group, and written
straight to each member's transport. There is no queue and no task a connection. One whose write buffer fills up is set
aside: it is owed the newest of each badge and so much else, or, if more comes before it reads again, a new beginning.
"""

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Iterable, Sequence

from aiohttp import WSCloseCode

from service.api import frames
from service.api.audience import Audience, Backlog, Connection, Group, Interest
from service.api.auth import Tokens
from service.api.edge import Edge
from service.call import Call
from service.feed import Feed
from service.metrics import Metrics
from service.model import Counts, Record, View

log = logging.getLogger(__name__)

SEND_BUFFER = 64 * 1024
"""Bytes the kernel may hold for a connection. Left alone it takes 2.5 MiB: thousands of badges that are long untrue."""
BUFFER_LIMIT = 64 * 1024
"""Bytes that may wait in a connection's buffer, in front of the kernel's ..."""
BUFFER_BUDGET = 96 * 1024 * 1024
"""... and about how many in those of all: when there are many, and none of them reads, each may have less."""
PATIENCE_S = 30.0
TICK_S = 0.25
RECHECK_S = 2.0
CLOSE_S = 1.0
TOKEN_GONE = 4401  # a close code of our own: the token was revoked, changed or has expired

Reading = tuple[Edge, View]
"""What decides how a message or a call reads: how links are written and, where it names a voicemail, for whom."""


class Hub:
    """All open websockets of the daemon. Belongs to the event loop; `run` has to run while it is in use.

    A connection may have `buffer_limit` bytes unsent; it is cut off when it takes none of them for `patience` seconds.
    `tick` is how often slow ones are looked at, `recheck` how often it is seen whether `tokens` still has theirs; both
    in seconds.
    """

    def __init__(
        self,
        feed: Feed,
        pbx: str,
        metrics: Metrics,
        tokens: Tokens,
        *,
        buffer_limit: int = BUFFER_LIMIT,
        patience: float = PATIENCE_S,
        tick: float = TICK_S,
        recheck: float = RECHECK_S,
    ) -> None:
        self.patience = patience
        self.closing = False
        self._feed = feed
        self._buffer_limit = self._limit = buffer_limit
        self._pbx = pbx
        self._metrics = metrics
        self._tokens = tokens
        self._tick = tick
        self._recheck = recheck
        self._connections: set[Connection] = set()
        self._audience = Audience()
        self._last_hello: tuple[int, Interest | None, list[bytes]] = (-1, None, [])
        feed.subscribe(self._publish)

    def enter(self, connection: Connection) -> None:
        """Know the connection, until it leaves. It gets nothing before `greet` or `go_live`."""
        connection.transport.set_write_buffer_limits(high=self._limit)
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._connections.add(connection)
        self._recount()

    def leave(self, connection: Connection) -> None:
        """Know nothing of the connection any more; whatever it has not sent by then is given a second."""
        self._audience.leave(connection)
        self._connections.discard(connection)
        self._recount()
        _abort_soon(connection)

    def greet(self, connection: Connection, *, reset: bool = False) -> None:
        """Send hello, after a reset where positions are lost; from then on the connection hears of what changes."""
        first = [frames.encode(frames.RESET)] if reset else []
        self._group(connection)
        self._set_aside(connection, [*first, *self.greeting(connection.interest)])

    def go_live(self, connection: Connection) -> None:
        """From now on the connection hears of what changes; it has been told all up to the feed's position."""
        self._group(connection).live[connection.transport] = connection

    def hello(self, interest: Interest) -> frames.Json:
        """Where the journal is, and the badges as of then."""
        return frames.hello(self._pbx, self._feed.seq, self._badges(interest))

    def greeting(self, interest: Interest) -> list[bytes]:
        """Hello as bytes, in pieces; the same list for all of one interest who come at once."""
        seq, known, pieces = self._last_hello
        if seq != self._feed.seq or known != interest:
            pieces = frames.pieces(self.hello(interest))
            self._last_hello = (self._feed.seq, interest, pieces)
        return pieces

    def answer(self, connection: Connection, content: frames.Json) -> None:
        """Send what the client asked for. The caller sees to it that the client has read all before: `read_up`."""
        if not connection.open:
            return
        connection.transport.write(frames.encode(content))
        if connection.transport.get_write_buffer_size() >= self._limit:
            self._set_aside(connection)

    def subscribe(self, connection: Connection, interest: Interest) -> None:
        """Have the connection hear of this instead, and tell it so."""
        if not connection.open:
            return
        self._audience.leave(connection)
        connection.interest = interest
        self.go_live(connection)
        badges = self._badges(interest)
        self.answer(connection, frames.subscribed(self._feed.seq, interest.mailboxes, interest.events, badges))

    async def run(self) -> None:
        """Look after slow connections and lost tokens, until cancelled."""
        loop = asyncio.get_running_loop()
        checked = loop.time()
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(self._tick)
                now = loop.time()
                for connection in [slow for group in self._audience for slow in group.slow]:
                    self._look_after(connection, now)
                if now - checked < self._recheck:
                    continue
                checked = now
                for connection in self._without_token():
                    log.info("websocket closed, its token is gone token=%s", connection.principal.name)
                    tasks.create_task(self._close(connection, TOKEN_GONE, "the token is no longer valid"))

    async def close(self) -> None:
        """Close every connection with 1001, in at most two seconds, whether somebody reads or not."""
        self.closing = True
        connections = tuple(self._connections)
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(self._close(connection, WSCloseCode.GOING_AWAY, "the service stops"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while any(one.transport.get_write_buffer_size() for one in connections):  # noqa: ASYNC110 -- see below
                    # that a buffer is empty a transport tells its protocol alone, which is aiohttp's
                    await asyncio.sleep(TICK_S / 10)

    def _badges(self, interest: Interest) -> frames.Json:
        """As of now: of boxes that hold a message, and of the named ones in any case."""
        boxes = interest.mailboxes
        named = dict.fromkeys(boxes or (), Counts()) if interest.named else {}
        return frames.state(self._feed.total(boxes), named | self._feed.counts(boxes))

    def _group(self, connection: Connection) -> Group:
        group = self._audience.group(connection.interest, self._feed.total)
        connection.interest = group.interest  # one object for all, not one each
        return group

    def _recount(self) -> None:
        number = len(self._connections)
        self._metrics.ws_connections.set(number)
        self._limit = min(self._buffer_limit, BUFFER_BUDGET // max(number, 1))

    # -- what goes out

    def _publish(self, records: Sequence[Record]) -> None:
        told: dict[Group, list[tuple[Record, bytes]]] = {}
        for record in records:
            kind = frames.kind(record)
            if kind not in frames.EVENTS:
                continue
            same: dict[Reading, bytes] = {}
            for group in self._audience.concerned(record):
                group.total += record.delta
                if kind in group.interest.events:
                    told.setdefault(group, []).append((record, self._frame(record, group, same)))
        for group, entries in told.items():
            self._send(group, entries)

    @staticmethod
    def _frame(record: Record, group: Group, same: dict[Reading, bytes]) -> bytes:
        """The record in bytes, once for all who read the same of it: of a badge everybody has a total of his own."""
        edge, boxes = group.interest.edge, group.interest.mailboxes
        if isinstance(record.state, Counts):
            return frames.encode(frames.event(record, group.total, edge, boxes))
        reading = (edge, boxes if isinstance(record.state, Call) and record.state.voicemails else None)
        frame = same.get(reading)
        if frame is None:
            frame = same[reading] = frames.encode(frames.event(record, group.total, edge, boxes))
        return frame

    def _send(self, group: Group, entries: Sequence[tuple[Record, bytes]]) -> None:
        position = 0
        for batch in frames.batches(frame for _, frame in entries):
            data = batch[0] if len(batch) == 1 else b"".join(batch)
            for transport in self._write(group.live, data):
                self._set_aside(group.live[transport])
            for connection in group.slow:
                for entry in entries[position : position + len(batch)]:
                    assert connection.backlog is not None
                    connection.backlog.owe(*entry)
            position += len(batch)

    def _write(self, transports: Iterable[asyncio.Transport], data: bytes) -> list[asyncio.Transport]:
        """Write to all; gives those that have too much unsent, and were left out."""
        limit, late = self._limit, []
        for transport in transports:
            if transport.get_write_buffer_size() < limit:
                transport.write(data)
            else:
                late.append(transport)
        return late

    # -- those who do not keep up

    def _set_aside(self, connection: Connection, outbox: Iterable[bytes] = ()) -> None:
        """Owe the connection this, and what comes meanwhile; where it reads, that is over at once."""
        group = self._audience.of(connection)
        group.live.pop(connection.transport, None)
        group.slow.add(connection)
        now = asyncio.get_running_loop().time()
        connection.backlog = Backlog(now, outbox=deque(outbox))
        self._look_after(connection, now)

    def _look_after(self, connection: Connection, now: float) -> None:
        """Send what a slow connection can take; when nothing is left, it is a live one again."""
        backlog, group = connection.backlog, self._audience.of(connection)
        assert backlog is not None
        if not connection.open:
            self._audience.leave(connection)  # its handler ends, and leaves
            return
        size = connection.transport.get_write_buffer_size()
        if size < backlog.size:
            backlog.moved = now
        while self._pump(connection, backlog) == 0 and (backlog.missed or backlog.owed):
            backlog.refill(lambda: [frames.encode(frames.RESET), *self.greeting(group.interest)])
        backlog.size = connection.transport.get_write_buffer_size()
        if backlog.size == 0 and not backlog.outbox:
            group.slow.discard(connection)
            group.live[connection.transport] = connection
            connection.backlog = None
            backlog.over.set()
        elif now - backlog.moved >= self.patience:
            self.cut(connection)

    def _pump(self, connection: Connection, backlog: Backlog) -> int:
        """Write as much of the outbox as the connection takes; gives the bytes that wait, unsent or unwritten."""
        transport = connection.transport
        while backlog.outbox and transport.get_write_buffer_size() < self._limit:
            transport.write(backlog.outbox.popleft())
        return transport.get_write_buffer_size() + len(backlog.outbox)

    def cut(self, connection: Connection) -> None:
        """End a connection that nobody reads, at once."""
        log.info("websocket cut, nobody reads it token=%s", connection.principal.name)
        self._metrics.ws_cut.inc()
        connection.transport.abort()
        self._audience.leave(connection)

    # -- those who may not stay

    def _without_token(self) -> list[Connection]:
        return [
            connection
            for connection in self._connections
            if not connection.ws.closed and self._tokens.principal(connection.token) != connection.principal
        ]

    async def _close(self, connection: Connection, code: int, reason: str) -> None:
        self._audience.leave(connection)  # a close frame is the last
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await connection.ws.close(code=code, message=reason.encode(), drain=False)
        _abort_soon(connection)


def _abort_soon(connection: Connection) -> None:
    """What was written last goes out if anybody reads; a peer that is gone must not keep its socket for minutes."""
    asyncio.get_running_loop().call_later(CLOSE_S, connection.transport.abort)
