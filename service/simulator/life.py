"""A small company's afternoon, for the demo: people call, some leave a message, now and then somebody listens to one.

All names are made up, and the numbers are of the range kept for fiction (+1 ... 555 01xx).
"""

import asyncio
import random
from dataclasses import dataclass

from service.model import Folder, Mailbox
from service.simulator.boxes import Box
from service.simulator.calls import Way
from service.simulator.pbx import Simulator

COMPANY = (
    Box(Mailbox("default", "100"), "Alice Example", "alice@example.com"),
    Box(Mailbox("default", "101"), "Bob Example"),
    Box(Mailbox("default", "102"), "Front Desk", "desk@example.com"),
    Box(Mailbox("support", "200"), "Support Line"),
)
"""The mailboxes of the demo."""

_NAMES = ("Jane Doe", "John Roe", "Mary Major", "Richard Miles", "Zoë Müller", "Ana Pérez", "Comma, Inc.", "")
_LINES = ("+12025550100", "+13125550100")
"""The company's own numbers."""
_URGENT = 0.1
"""The share of messages that are."""
_MOST = 12
"""From a folder with more messages than this the older half is deleted: the demo may run for days."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long it is between two things that happen, in seconds, and how long messages and calls are."""

    pause: tuple[float, float] = (2.0, 6.0)
    message: tuple[float, float] = (2.0, 9.0)
    talk: tuple[int, int] = (5, 60)


@dataclass(frozen=True, slots=True)
class _Fate:
    """What may become of a call, and how often. `forked`: it rings on a second phone as well."""

    weight: int
    disposition: str
    cancelled: bool = False
    forked: bool = False


_FATES = (
    _Fate(8, "ANSWERED"),
    _Fate(2, "ANSWERED", forked=True),
    _Fate(2, "NO ANSWER"),
    _Fate(2, "NO ANSWER", cancelled=True),
    _Fate(2, "BUSY"),
    _Fate(1, "CONGESTION"),
    _Fate(1, "FAILED"),
)


async def furnish(
    pbx: Simulator, dice: random.Random, messages: int = 6, pace: Pace = Pace(), *, calls: int = 0, hours: int = 12
) -> None:
    """Leave some messages at once, so that there is something to see, and make calls all over the last hours.

    Returns when all of it has been told.
    """
    for _ in range(messages):
        await _leave(pbx, dice, pace)
    for ago in sorted((dice.randint(1, hours * 3600) for _ in range(calls)), reverse=True):
        _make_call(pbx, dice, pace, ago)
    await pbx.settle()


async def live(pbx: Simulator, dice: random.Random, pace: Pace = Pace()) -> None:
    """Let things happen, one after the other, until it is cancelled."""
    while True:
        await happen(pbx, dice, pace)
        await asyncio.sleep(dice.uniform(*pace.pause))


async def happen(pbx: Simulator, dice: random.Random, pace: Pace = Pace()) -> None:
    """Let one thing happen: mostly a message, else a call, or the owner of a mailbox listens to the oldest one."""
    thing = dice.choices((_leave, _call, _listen), weights=(6, 3, 2))[0]
    await thing(pbx, dice, pace)


async def _leave(pbx: Simulator, dice: random.Random, pace: Pace) -> None:
    mailbox = dice.choice(list(pbx.boxes))
    await _tidy(pbx, mailbox)
    seconds = dice.uniform(*pace.message)
    line = dice.choice(_LINES)
    await pbx.leave(mailbox, _caller(dice), seconds, urgent=dice.random() < _URGENT, rang=15, did=line)


async def _tidy(pbx: Simulator, mailbox: Mailbox) -> None:
    for folder in (Folder.INBOX, Folder.URGENT, Folder.OLD):
        there = pbx.spool.msg_ids(mailbox, folder)
        if len(there) > _MOST:
            await pbx.listen(mailbox, there[0], folder=folder, delete=there[: len(there) // 2])


async def _call(pbx: Simulator, dice: random.Random, pace: Pace) -> None:
    _make_call(pbx, dice, pace)


def _make_call(pbx: Simulator, dice: random.Random, pace: Pace, ago: int = 0) -> None:
    """Let a call end that many seconds ago, of any kind."""
    way = dice.choices(tuple(Way), weights=(5, 3, 2))[0]
    fate = dice.choices(_FATES, weights=[fate.weight for fate in _FATES])[0]
    line = dice.choice(_LINES)
    one, other = dice.sample(list(pbx.boxes.values()), 2)
    owner = f'"{one.fullname}" <{one.mailbox.extension}>'
    caller, destination = {
        Way.INCOMING: (_caller(dice), one.mailbox.extension),
        Way.OUTGOING: (owner, _number(dice)),
        Way.INTERNAL: (owner, other.mailbox.extension),
    }[way]
    pbx.call(
        caller,
        destination,
        disposition=fate.disposition,
        seconds=dice.randint(*pace.talk),
        ringing=dice.randint(1, 15),
        ago=ago,
        way=way,
        forked=[other.mailbox.extension] if fate.forked and way is Way.INCOMING else [],
        cancelled=fate.cancelled,
        did=line if way is Way.INCOMING else "",
        outbound_cnum=line if way is Way.OUTGOING else "",
    )


async def _listen(pbx: Simulator, dice: random.Random, _pace: Pace) -> None:
    mailbox = dice.choice(list(pbx.boxes))
    unread = pbx.spool.msg_ids(mailbox)
    if unread:
        await pbx.listen(mailbox, unread[0])


def _caller(dice: random.Random) -> str:
    name, number = dice.choice(_NAMES), _number(dice)
    return f'"{name}" <{number}>' if name else number


def _number(dice: random.Random) -> str:
    return f"+1{dice.choice((202, 312, 415, 617))}55501{dice.randint(1, 99):02d}"
