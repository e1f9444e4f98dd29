"""Who listens to the websocket, and to what: connections, and the groups of those that hear the same.

No word goes out from here; who is told what is the hub's.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from aiohttp import web

from service.api import frames
from service.api.edge import Edge
from service.call import Call
from service.model import Mailbox, Principal, Record, View

MOST_OWED = 256
"""Frames that are kept for one who does not keep up, all of them shared with others; with more he begins anew."""


@dataclass(frozen=True, slots=True)
class Interest:
    """What a connection hears of, and how links are written for it. `named`: it asked for just these mailboxes."""

    mailboxes: View
    named: bool
    events: frozenset[str]
    edge: Edge


@dataclass(slots=True)
class Backlog:
    """What is owed to a connection that does not keep up.

    `outbox` is on its way. After it comes what is `owed`, in the order of the journal: of each mailbox's badge the
    newest alone, by mailbox, and anything else by position; or, where that became too much (`missed`), a new beginning.
    """

    moved: float  # loop time at which its buffer last became smaller
    size: int = 0  # of its buffer, in bytes, when it was last looked at
    outbox: deque[bytes] = field(default_factory=deque)
    owed: dict[Mailbox | int, bytes] = field(default_factory=dict)
    missed: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def owe(self, record: Record, frame: bytes) -> None:
        """Take note of a record that could not be sent."""
        badge = record.mailbox if frames.kind(record) == "unread" else None
        key = record.seq if badge is None else badge
        self.owed.pop(key, None)
        self.missed = self.missed or len(self.owed) == MOST_OWED
        if self.missed:
            self.owed.clear()
        else:
            self.owed[key] = frame

    def refill(self, anew: Callable[[], Iterable[bytes]]) -> None:
        """Put what is owed into the outbox; `anew` gives what makes up for all that was missed."""
        self.outbox.extend(anew() if self.missed else self.owed.values())
        self.missed = False
        self.owed.clear()


@dataclass(eq=False, slots=True)
class Connection:
    """An open websocket: who is there and with which token, what it was opened for, and what it hears of now.

    The rest is the hub's.
    """

    ws: web.WebSocketResponse
    transport: asyncio.Transport
    token: str = field(repr=False)
    principal: Principal
    origin: Interest
    interest: Interest
    backlog: Backlog | None = None

    @property
    def open(self) -> bool:
        """Whether a frame may still be written."""
        return not self.ws.closed and not self.transport.is_closing()

    async def read_up(self) -> None:
        """Wait until the client has read what it was sent, or is cut off: one who does not read is not listened to."""
        while self.backlog is not None:
            await self.backlog.over.wait()


@dataclass(eq=False, slots=True)
class Group:
    """The connections of one interest; `total` is the unread sum over its boxes as of what was sent last.

    Those that keep up are `live`, by their transports, for these are all that is looked at when something goes out.
    """

    interest: Interest
    total: int
    live: dict[asyncio.Transport, Connection] = field(default_factory=dict)
    slow: set[Connection] = field(default_factory=set)


class Audience:
    """The groups there are, found by who is in them and by whom a record concerns. An empty group is forgotten."""

    def __init__(self) -> None:
        self._groups: dict[Interest, Group] = {}
        self._of_all_boxes: set[Group] = set()
        self._of_box: dict[Mailbox, set[Group]] = {}
        self._boxes: dict[str, set[Mailbox]] = {}  # those of _of_box, by extension

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def group(self, interest: Interest, total: Callable[[View], int]) -> Group:
        """Give the group of this interest; `total` counts the unread messages of its boxes where it is a new one."""
        group = self._groups.get(interest)
        if group is None:
            group = self._groups[interest] = Group(interest, total(interest.mailboxes))
            if interest.mailboxes is None:
                self._of_all_boxes.add(group)
            for mailbox in interest.mailboxes or ():
                self._of_box.setdefault(mailbox, set()).add(group)
                self._boxes.setdefault(mailbox.extension, set()).add(mailbox)
        return group

    def of(self, connection: Connection) -> Group:
        """Give the group a connection is in. It must be in one."""
        return self._groups[connection.interest]

    def concerned(self, record: Record) -> Iterable[Group]:
        """Give every group that may hear of this: the rule is `service.model.sight`, asked of all of them at once."""
        if record.mailbox is not None:
            return (*self._of_all_boxes, *self._of_box.get(record.mailbox, ()))
        return self._of_all_boxes.union(*map(self._of_box.__getitem__, self._taking_part(record)))

    def _taking_part(self, record: Record) -> Iterator[Mailbox]:
        """Those boxes somebody asked for whose extensions take part in a call."""
        call = record.state
        if isinstance(call, Call):
            for extension in call.extensions & self._boxes.keys():
                for mailbox in self._boxes[extension]:
                    if call.takes_part(mailbox.context, mailbox.extension):
                        yield mailbox

    def leave(self, connection: Connection) -> None:
        """Take a connection out of its group, if it is in one, and forget what it is owed."""
        if connection.backlog is not None:
            connection.backlog.over.set()
            connection.backlog = None
        group = self._groups.get(connection.interest)
        if group is None:
            return
        group.live.pop(connection.transport, None)
        group.slow.discard(connection)
        if not group.live and not group.slow:
            self._forget(group)

    def _forget(self, group: Group) -> None:
        del self._groups[group.interest]
        self._of_all_boxes.discard(group)
        for mailbox in group.interest.mailboxes or ():
            groups = self._of_box[mailbox]
            groups.discard(group)
            if not groups:
                del self._of_box[mailbox]
                self._boxes[mailbox.extension].discard(mailbox)
                if not self._boxes[mailbox.extension]:
                    del self._boxes[mailbox.extension]
