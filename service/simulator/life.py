"""A small company's afternoon, for the demo: people call, some leave a message, now and then somebody listens to one.

All names are made up, and the numbers are of the range kept for fiction (+1 ... 555 01xx).
"""

import asyncio
import random
from dataclasses import dataclass

from service.model import Folder, Mailbox
from service.simulator.boxes import Box
from service.simulator.pbx import Simulator

COMPANY = (
    Box(Mailbox("default", "100"), "Alice Example", "alice@example.com"),
    Box(Mailbox("default", "101"), "Bob Example"),
    Box(Mailbox("default", "102"), "Front Desk", "desk@example.com"),
    Box(Mailbox("support", "200"), "Support Line"),
)
"""The mailboxes of the demo."""

_NAMES = ("Jane Doe", "John Roe", "Mary Major", "Richard Miles", "Zoë Müller", "Ana Pérez", "Comma, Inc.", "")
_URGENT = 0.1
"""The share of messages that are."""
_MOST = 12
"""From a folder with more messages than this the older half is deleted: the demo may run for days."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long it is between two things that happen, in seconds, and how long messages are."""

    pause: tuple[float, float] = (2.0, 6.0)
    message: tuple[float, float] = (2.0, 9.0)


async def furnish(pbx: Simulator, dice: random.Random, messages: int = 6, pace: Pace = Pace()) -> None:
    """Leave some messages at once, so that there is something to see."""
    for _ in range(messages):
        await _leave(pbx, dice, pace)


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
    await pbx.leave(mailbox, _caller(dice), seconds, urgent=dice.random() < _URGENT, rang=15)


async def _tidy(pbx: Simulator, mailbox: Mailbox) -> None:
    for folder in (Folder.INBOX, Folder.URGENT, Folder.OLD):
        there = pbx.spool.msg_ids(mailbox, folder)
        if len(there) > _MOST:
            await pbx.listen(mailbox, there[0], folder=folder, delete=there[: len(there) // 2])


async def _call(pbx: Simulator, dice: random.Random, _pace: Pace) -> None:
    disposition = dice.choices(("ANSWERED", "NO ANSWER", "BUSY"), weights=(6, 2, 1))[0]
    destination = dice.choice(list(pbx.boxes)).extension
    pbx.call(_caller(dice), destination, disposition=disposition, seconds=dice.randint(5, 240))


async def _listen(pbx: Simulator, dice: random.Random, _pace: Pace) -> None:
    mailbox = dice.choice(list(pbx.boxes))
    unread = pbx.spool.msg_ids(mailbox)
    if unread:
        await pbx.listen(mailbox, unread[0])


def _caller(dice: random.Random) -> str:
    name, number = dice.choice(_NAMES), f"+1{dice.choice((202, 312, 415, 617))}55501{dice.randint(0, 99):02d}"
    return f'"{name}" <{number}>' if name else number
