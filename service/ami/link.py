"""One connection to the PBX: panoramisk's classes with their weaknesses mended (panoramisk 1.4; read from its source).

What is mended: it reconnects on its own and can't be stopped while it waits to; it sends actions again after a
reconnect; an exception in a callback drops the connection; a refused login raises nothing; a login and a ping wait for
ever; the secret stands in a log line when a write fails; its parser raises on odd messages, splits UTF-8
at a read's end and keeps an unfinished message of any size.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

from service.ami.message import Event, Response, Stream, check_fields
from service.errors import UnavailableError

EVENT_MASK = "call,cdr"
"""The least classes of events that hold MessageWaiting (call) and Cdr (cdr); FullyBooted and Shutdown need `system`."""

_log = logging.getLogger(__name__)


class RefusedError(UnavailableError):
    """The PBX does not accept the login; its text is the PBX's own word on why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the talk with the PBX; times in seconds, sizes in bytes.

    `login` is for connecting, greeting and login together. A connection is dead after `ping_misses` unanswered pings in
    a row: with these values at most 14 s after the last answer. The first try after a loss comes within `first_retry`,
    those after it at random between `retry_min` and a bound that doubles up to `retry_max`; a connection that held for
    `stable_after` starts that anew. A refused login waits `refused_min`, doubling to `refused_max`. A line may be as
    long as one of a configuration file that is told by `GetConfig`, a message as long as that file may be. `listing` is
    for a list that is handed out as it comes, `max_list` for the entries of one that is not. `reload` is for what is
    asked while the PBX may be reading its boxes anew, which takes it 20 s with 20,000 of them.
    """

    login: float = 10.0
    action: float = 10.0
    listing: float = 60.0
    reload: float = 60.0
    max_actions: int = 64
    max_list: int = 20_000
    ping_interval: float = 5.0
    ping_timeout: float = 4.0
    ping_misses: int = 2
    first_retry: float = 1.0
    retry_min: float = 0.5
    retry_max: float = 30.0
    stable_after: float = 10.0
    refused_min: float = 30.0
    refused_max: float = 300.0
    max_line: int = 8 * 1024 + 512
    max_message: int = 24 * 1024 * 1024

    def within(self, *, listing: bool, patient: bool) -> float:
        """How long an answer may take, in seconds."""
        return self.reload if patient else self.listing if listing else self.action

    def retry_range(self, attempt: int) -> tuple[float, float]:
        """Between which delays to draw the wait before a new connection, after `attempt` tries that failed."""
        if attempt == 0:
            return 0.0, self.first_retry
        return self.retry_min, max(self.retry_min, min(self.retry_max, 2.0 ** min(attempt, 16)))

    def refused_wait(self, refusals: int) -> float:
        """How long to wait after a refused login, when `refusals` others in a row came before it."""
        return min(self.refused_max, self.refused_min * 2.0 ** min(refusals, 16))


@dataclass(slots=True)
class Counters:
    """What happened since the start. `skipped`: events nobody asked for; `malformed`: what was no message at all."""

    handled: int = 0
    skipped: int = 0
    malformed: int = 0
    reconnects: int = 0
    refusals: int = 0
    timeouts: int = 0


class _Action(Action):  # type: ignore[misc] # panoramisk ships no types
    """An action on its way: numbering, framing and future are panoramisk's, what completes it is not."""

    def __init__(self, fields: Mapping[str, str], max_list: int, each: Callable[[Event], None] | None = None) -> None:
        super().__init__(fields)
        self.max_list = max_list
        self.each = each
        self.opened: Response | None = None

    def add_message(self, message: Event | Response) -> bool:
        """Take an answer or an entry of a list; whether the action is complete with it."""
        listing = message.fields.get("EventList").lower()
        if isinstance(message, Response):
            if message.ok and listing == "start":
                self.opened = message
                return False
            return self._finish(message)
        if self.opened is None:
            return False
        if listing == "complete":
            return self._finish(replace(self.opened, events=tuple(self.responses)))
        if listing == "cancelled" or len(self.responses) >= self.max_list:
            return self._finish(replace(self.opened, ok=False, message="The list was cut short"))
        (self.responses.append if self.each is None else self.each)(message)
        return False

    def _finish(self, response: Response) -> bool:
        if not self.future.done():
            self.future.set_result(response)
        return True


class Link(Manager):  # type: ignore[misc] # panoramisk ships no types
    """A connection from its opening to its end; it is not used again after that.

    `lost` is done, with the reason in words, once it ended; `heard` is when the PBX last sent anything, `patient` how
    many answers may take long. `bug` is the exception that `on_event` raised, if that was the reason: it belongs to
    whoever runs the link.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        limits: Limits,
        wanted: frozenset[str],
        on_event: Callable[[Event], None],
        counters: Counters,
    ) -> None:
        host, port = address
        super().__init__(host=host, port=port, encoding="utf-8", log=_log, protocol_factory=self._protocol)
        self.loop = asyncio.get_running_loop()
        self.stream = Stream(wanted, max_line=limits.max_line, max_message=limits.max_message)
        self.lost: asyncio.Future[str] = self.loop.create_future()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.greeted: asyncio.Future[None] = self.loop.create_future()
        self.bug: Exception | None = None
        self.heard = self.loop.time()
        self.patient = 0
        self._limits = limits
        self._wanted = wanted
        self._on_event = on_event
        self._counters = counters

    def _protocol(self) -> "_Protocol":
        return _Protocol(self)

    @property
    def outstanding(self) -> int:
        """How many actions wait for their answer."""
        return len(self.protocol.responses)

    async def open(self) -> None:
        """Connect, and wait for the greeting. UnavailableError where nobody, or no PBX, answers."""
        host, port = self.config["host"], self.config["port"]
        try:
            _, self.protocol = await self.loop.create_connection(self.config["protocol_factory"], host, port)
        except (OSError, UnicodeError) as error:
            raise UnavailableError(f"no connection to {host}:{port}: {_reason(error)}") from error
        await asyncio.wait((self.greeted, self.lost), return_when=asyncio.FIRST_COMPLETED)
        if self.lost.done():
            raise UnavailableError(self.lost.result())

    async def login(self, username: str, secret: str) -> None:
        """Log in, by challenge and MD5 where the PBX offers it: then the secret isn't sent. RefusedError if refused."""
        challenge = await self.request("Challenge", {"AuthType": "MD5"})
        nonce = challenge.fields.get("Challenge")
        proof = {"Secret": secret}
        if challenge.ok and nonce:
            digest = hashlib.md5((nonce + secret).encode(), usedforsecurity=False)
            proof = {"AuthType": "MD5", "Key": digest.hexdigest()}
        answer = await self.request("Login", {"Username": username, "Events": EVENT_MASK, **proof})
        if not answer.ok:
            raise RefusedError(answer.message or "no reason given")

    async def request(
        self,
        name: str,
        fields: Mapping[str, str],
        *,
        within: float | None = None,
        each: Callable[[Event], None] | None = None,
        patient: bool = False,
    ) -> Response:
        """Send an action and wait for its whole answer. UnavailableError if none comes `within` seconds or at all.

        `each` gets every entry of a list as it comes, must not raise, and none is kept for the answer then. `patient`:
        the PBX may be reloading, and answers nothing meanwhile.
        """
        check_fields(fields)
        if self.lost.done():
            raise UnavailableError(self.lost.result())
        action = _Action({"Action": name, **fields}, self._limits.max_list, each)
        limit = self._limits.within(listing=each is not None, patient=patient) if within is None else within
        self.patient += patient
        try:
            async with asyncio.timeout(limit):
                return cast("Response", await self.send_action(action))
        except TimeoutError:
            self._counters.timeouts += 1
            raise UnavailableError(f"the PBX did not answer {name} within {limit:g} s") from None
        finally:
            self.patient -= patient
            self.protocol.responses.pop(action.id, None)

    async def leave(self) -> None:
        """End the connection for good, with a Logoff if the PBX still takes one; nothing is left behind."""
        if self.protocol is None:
            return
        if not self.lost.done():
            self.protocol.send(_Action({"Action": "Logoff"}, 0)).cancel()
            self._end("the connection was ended from this side")
        self.protocol.close()
        await asyncio.wait((self.closed,), timeout=1)

    def received(self, data: bytes) -> None:
        """Take bytes from the PBX: hand out events, answer actions. What a bug of ours raises is kept in `bug`."""
        stream, counters = self.stream, self._counters
        self.heard = self.loop.time()
        skipped, malformed = stream.skipped, stream.malformed
        try:
            for message in stream.feed(data, tagged=self.outstanding > 0):
                self._route(message)
        except Exception as bug:  # noqa: BLE001 -- asyncio would only log it; run() has to end with it
            self.bug = bug
            self.lose("handling an event failed")
        counters.skipped += stream.skipped - skipped
        counters.malformed += stream.malformed - malformed
        if stream.greeting and not self.greeted.done():
            self.greeted.set_result(None)
        if stream.broken:
            self.lose(stream.broken)

    def _route(self, message: Event | Response) -> None:
        waiting = self.protocol.responses
        action = waiting.get(message.fields.get("ActionID")) if waiting else None
        if action is not None:
            if isinstance(message, Response) and message.ok and action["Action"] == "Login":
                self.authenticated = True
            if action.add_message(message):
                waiting.pop(action.id, None)
        elif isinstance(message, Event):
            self.dispatch(message)

    def dispatch(self, event: Event) -> None:
        """Hand out an event, if somebody wants it and the login is accepted."""
        if self.authenticated and event.name in self._wanted and self.bug is None:
            self._counters.handled += 1
            self._on_event(event)
        else:
            self._counters.skipped += 1

    def lose(self, reason: str) -> None:
        """Give the connection up, for a reason in words."""
        if not self.lost.done():
            self._end(reason)
            self.protocol.transport.abort()

    def _end(self, reason: str) -> None:
        self.lost.set_result(reason)
        for action in self.protocol.responses.values():
            if not action.future.done():
                action.future.set_exception(UnavailableError(f"the PBX's answer did not come: {reason}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, and why; a new connection is not made from here."""
        self.lose("the PBX closed the connection" if exc is None else f"the connection broke: {exc}")
        self.closed.set_result(None)


def _reason(error: OSError | UnicodeError) -> str:
    """Say why no connection came about; asyncio puts words of its own in place of the system's."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    return str(error)


class _Protocol(AMIProtocol):  # type: ignore[misc] # panoramisk ships no types
    """Bytes to and from the socket; everything else is the link's."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.factory = self._link
        self._link.protocol = self

    def send(self, data: _Action, as_list: bool | None = None) -> "asyncio.Future[Response]":  # noqa: ARG002, FBT001 -- panoramisk's
        self.responses[data.id] = data
        self.transport.write(str(data).encode())
        return cast("asyncio.Future[Response]", data.future)

    def data_received(self, data: bytes) -> None:
        self._link.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.connection_lost(exc)

    def close(self) -> None:
        """Close when what was written is out; at once where the PBX takes nothing any more."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()
