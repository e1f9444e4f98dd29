"""A connection to the PBX that is always being kept: hands out events, answers actions, or says why it can't."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from enum import StrEnum

from service.ami.link import Counters, Limits, Link, RefusedError
from service.ami.message import Event, Response, check_fields, check_text
from service.errors import InvalidInputError, UnavailableError

__all__ = ["Ami", "Counters", "Limits", "Offer", "State"]

EVENTS = frozenset({"MessageWaiting", "Cdr", "FullyBooted", "Shutdown"})
ACTIONS = frozenset(
    {
        "CoreSettings",
        "CoreStatus",
        "GetConfig",
        "ListCommands",
        "MailboxCount",
        "MailboxStatus",
        "Ping",
        "UpdateConfig",
        "VoicemailBoxSummary",
        "VoicemailForward",
        "VoicemailMove",
        "VoicemailRefresh",
        "VoicemailRemove",
        "VoicemailUserStatus",
        "VoicemailUsersList",
    }
)
"""All that may be asked of a PBX: nothing that starts calls or runs commands; of its configuration the boxes alone."""

CONFIG_FILE = "voicemail.conf"
CONFIG_MODULE = "app_voicemail"
_CONFIG_ACTIONS = frozenset({"GetConfig", "UpdateConfig"})
_CONFIG_FIELDS = {
    "filename": CONFIG_FILE,
    "srcfilename": CONFIG_FILE,
    "dstfilename": CONFIG_FILE,
    "reload": CONFIG_MODULE,
}
"""The only values these fields of the actions that read and write configuration files may have."""

_ATTEMPTS_BEFORE_WARNING = 3
_log = logging.getLogger(__name__)


class State(StrEnum):
    """Where the connection stands."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    REFUSED = "refused"


class Offer(StrEnum):
    """Whether an action can be had of this PBX: yes; not with our rights; not at all (too old, module not loaded)."""

    OFFERED = "offered"
    FORBIDDEN = "forbidden"
    UNKNOWN = "unknown"


def _check_config(fields: Mapping[str, str]) -> None:
    """Refuse with InvalidInputError to touch any file of the PBX's but that of its boxes."""
    for key, value in fields.items():
        if _CONFIG_FIELDS.get(key.lower(), value) != value:
            raise InvalidInputError(f"{key} may only be {_CONFIG_FIELDS[key.lower()]}", key)


class Ami:
    """The PBX at `host`:`port`, as `username`. Nothing happens before `run()`.

    `on_event` gets every event named in `events`, as it arrives and only once the login is accepted, which is a moment
    before `State.CONNECTED`; `on_state` gets every change of state, with words for a person. At each `State.CONNECTED`
    events may have been missed: reconcile. Both are called on the event loop, must return soon and must not raise:
    what they raise ends `run()`.

    `actions` holds the names of the actions that the PBX said it offers to us when last asked; None before that, and
    where it doesn't say. A PBX that is starting offers fewer: ask `offer()` before believing that one is missing.
    Rights to read can't be asked for: without `read=call,cdr` the events simply don't come.

    Raises InvalidInputError for a user name or a secret that AMI cannot carry.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        username: str,
        secret: str,
        on_event: Callable[[Event], None],
        on_state: Callable[[State, str], None],
        events: frozenset[str] = EVENTS,
        limits: Limits | None = None,
    ) -> None:
        check_fields({"Username": username, "Secret": secret})
        self.address = f"{host}:{port}"
        self.state = State.CONNECTING
        self.detail = "not tried yet"
        self.greeting = ""
        self.actions: frozenset[str] | None = None
        self.counters = Counters()
        self._host, self._port = host, port
        self._username, self._secret = username, secret
        self._on_event, self._on_state = on_event, on_state
        self._events = events
        self._limits = limits if limits is not None else Limits()
        self._link: Link | None = None
        self._logins = 0
        self._attempt = 0
        self._refusals = 0

    async def run(self) -> None:
        """Connect, log in, stay connected and begin anew, until cancelled. Raises only what a callback raised."""
        while True:
            try:
                await self._session()
            except RefusedError as refusal:
                delay = self._refused(refusal)
            except UnavailableError as failure:
                delay = self._failed(failure)
            await asyncio.sleep(delay)

    async def action(
        self,
        name: str,
        fields: Mapping[str, str] | None = None,
        *,
        each: Callable[[Event], None] | None = None,
        patient: bool = False,
    ) -> Response:
        """Ask the PBX for something and give its whole answer; for a list action, with the list's events.

        Where the list may be long `each` is called with every event as it comes, and they are not kept; it must not
        raise. Where the list does not come to its end, it has been called for what came of it. With `patient` the PBX,
        which may be reloading, is given much longer.

        An error the PBX answers is a Response too. Raises InvalidInputError, before anything is sent, for what
        can't be sent safely and for an action not in `ACTIONS`; UnavailableError if there is no connection, too much is
        under way already, no answer came in time or the connection ended before it. What was asked may have happened
        in the last two cases.
        """
        fields = fields or {}
        check_text(name, "the name of an action")
        check_fields(fields)
        if name not in ACTIONS:
            raise InvalidInputError(f"{name[:100]!r} is not an action that may be sent", "Action")
        if name in _CONFIG_ACTIONS:
            _check_config(fields)
        link = self._link
        if link is None:
            reason = "the connection was lost this moment" if self.state is State.CONNECTED else self.detail
            raise UnavailableError(f"the PBX cannot be asked: {reason}")
        if link.outstanding >= self._limits.max_actions:
            raise UnavailableError(f"{link.outstanding} requests to the PBX are under way already", retry_after=1)
        return await link.request(name, fields, each=each, patient=patient)

    async def offer(self, name: str) -> Offer:
        """Ask the PBX whether it offers an action to us. UnavailableError as for `action`.

        An action that is not on the PBX's list is sent without any field, to learn why: it can't run.
        """
        if self.actions is None or name not in self.actions:
            await self._list_actions()
        if self.actions is None or name in self.actions:
            return Offer.OFFERED
        answer = await self.action(name)
        return Offer.FORBIDDEN if "permission denied" in answer.message.lower() else Offer.UNKNOWN

    async def _session(self) -> None:
        """Live through one connection, from its opening to its end, which is always an UnavailableError."""
        link = Link(
            (self._host, self._port),
            limits=self._limits,
            wanted=self._events,
            on_event=self._on_event,
            counters=self.counters,
        )
        try:
            await self._log_in(link)
            await self._serve(link)
        except UnavailableError:
            if link.bug is not None:
                raise link.bug from None
            raise
        finally:
            self._link = None
            await link.leave()

    async def _log_in(self, link: Link) -> None:
        limit = self._limits.login
        try:
            async with asyncio.timeout(limit):
                await link.open()
                await link.login(self._username, self._secret)
        except TimeoutError:
            raise UnavailableError(f"{self.address} did not let us log in within {limit:g} s") from None
        self._logins += 1
        self._refusals = 0
        self.counters.reconnects = self._logins - 1
        self.greeting = link.stream.greeting

    async def _serve(self, link: Link) -> None:
        """Be connected, until it is lost."""
        self._link = link
        await self._list_actions()
        self._enter(State.CONNECTED, f"{self.greeting} at {self.address}, as {self._username}")
        loop = asyncio.get_running_loop()
        since = loop.time()
        try:
            await self._keep_alive(link)
        finally:
            if loop.time() - since >= self._limits.stable_after:
                self._attempt = 0

    async def _keep_alive(self, link: Link) -> None:
        """Ping until the link is lost or the pings no longer come back: then UnavailableError."""
        limits = self._limits
        loop = asyncio.get_running_loop()
        missed = 0
        pause = limits.ping_interval
        while missed < limits.ping_misses:
            await asyncio.wait((link.lost,), timeout=pause)
            if link.lost.done():
                raise UnavailableError(f"{self.address}: {link.lost.result()}")
            asked = loop.time()
            if await self._ping(link) or link.heard > asked or link.patient:
                missed = 0  # it answers, is telling a long list, or may be reloading
            else:
                missed += 1
            pause = max(0.0, limits.ping_interval - (loop.time() - asked))
        raise UnavailableError(f"{self.address} no longer answers: {missed} pings in a row were lost")

    async def _ping(self, link: Link) -> bool:
        try:
            await link.request("Ping", {}, within=self._limits.ping_timeout)
        except UnavailableError:
            return False
        return True

    async def _list_actions(self) -> None:
        answer = await self.action("ListCommands")
        names = frozenset(name for name, _ in answer.fields.pairs) - {"Response", "ActionID", "Message"}
        self.actions = names if answer.ok and names else None

    def _refused(self, refusal: RefusedError) -> float:
        """Note a refused login; give the seconds to wait."""
        self.counters.refusals += 1
        self._enter(
            State.REFUSED,
            f"the PBX at {self.address} refuses user {self._username!r} ({refusal}): compare [ami] username and secret "
            "with the PBX's manager.conf, and its permit= and deny= there; after a change there, `manager reload`",
        )
        self._refusals += 1
        return self._limits.refused_wait(self._refusals - 1)

    def _failed(self, failure: UnavailableError) -> float:
        """Note a connection that ended or didn't come about; give the seconds to wait, at random ("full jitter")."""
        self._enter(State.CONNECTING, str(failure))
        attempt = self._attempt
        self._attempt += 1
        if attempt == _ATTEMPTS_BEFORE_WARNING:
            _log.warning("ami cannot reach the PBX tries=%d pbx=%s detail=%r", attempt, self.address, self.detail)
        return random.uniform(*self._limits.retry_range(attempt))  # noqa: S311 -- spreads the load, guards nothing

    def _enter(self, state: State, detail: str) -> None:
        """Take on a state, and tell of it if that is news."""
        if (state, detail) == (self.state, self.detail):
            return
        self.state, self.detail = state, detail
        level = logging.WARNING if state is State.REFUSED else logging.INFO
        _log.log(level, "ami %s pbx=%s detail=%r", state, self.address, detail)
        self._on_state(state, detail)
