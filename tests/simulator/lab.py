"""The lab whose PBX was recorded, simulated, and a client of its AMI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.model import Mailbox
from service.simulator.boxes import AmiUser, Box
from service.simulator.exchange import Delays
from service.simulator.pbx import Simulator

AT_ONCE = Delays(mwi=0, cdr=0, boot=0)
BOX = Mailbox("default", "100")
LAB = (
    Box(BOX, "Alice Example", "alice@example.com"),
    Box(Mailbox("default", "101"), "Bob NoMail"),
    Box(Mailbox("default", "102"), "Carol Three", "carol@example.com", maxmsg=3),
    Box(Mailbox("default", "103"), "Dave Delete", "dave@example.com", delete=True),
    Box(
        Mailbox("default", "104"),
        "Erin Pager",
        "erin@example.com",
        pager="5551234@pager.example.com",
        attach=False,
        tz="european",
    ),
    Box(Mailbox("default", "105"), "Frank Minsecs", "frank@example.com", minsecs=5),
    Box(Mailbox("default", "106"), "Gina Backup", "", backupdeleted=5),
    Box(Mailbox("default", "107"), "Hugo Review", "", review=True, saycid=True),
    Box(Mailbox("default", "108"), "Ünï Cöde", "uni@example.com"),
    Box(Mailbox("default", "109"), "Lab Scratch"),
    Box(Mailbox("other", "100"), "Other Context", "other@example.com"),
)
ZERO = Box(Mailbox("default", "110"), "Zero Min", "")
"""Was only in the lab of version 16 when this was recorded."""
DAEMON = AmiUser("daemon", "d", frozenset({"call", "cdr"}), frozenset({"call"}))


@dataclass
class Client:
    """A client of AMI that keeps all it reads."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    read: bytes = b""
    asked: int = 0

    async def ask(self, name: str, **headers: str) -> bytes:
        """Send an action and give the message that answers it."""
        self.asked += 1
        lines = {"Action": name, "ActionID": f"a{self.asked}", **headers}
        self.send("".join(f"{key}: {value}\r\n" for key, value in lines.items()) + "\r\n")
        return await self.until(f"ActionID: a{self.asked}\r\n")

    def send(self, text: str) -> None:
        self.writer.write(text.encode("utf-8", "surrogateescape"))

    async def until(self, text: str) -> bytes:
        """Read until a message holds this text, and give that message."""
        while True:
            message = await self.reader.readuntil(b"\r\n\r\n")
            self.read += message
            if text.encode() in message:
                return message

    async def to_the_end(self) -> bytes:
        self.read += await self.reader.read()
        return self.read


@asynccontextmanager
async def connected(pbx: Simulator) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(pbx.host, pbx.port)
    try:
        yield Client(reader, writer, await reader.readuntil(b"\r\n"))
    finally:
        writer.close()


@asynccontextmanager
async def logged_in(pbx: Simulator, **headers: str) -> AsyncIterator[Client]:
    async with connected(pbx) as client:
        await client.ask("Login", **{"Username": "lab", "Secret": "s", **headers})
        yield client


@asynccontextmanager
async def simulator(root: Path, version: int = 22, *, events: bool = True) -> AsyncIterator[Simulator]:
    boxes = LAB if version == 22 else (*LAB[:-1], ZERO, LAB[-1])
    pbx = Simulator(
        root, user="lab", secret="s", users=[DAEMON], boxes=boxes, version=version, events=events, delays=AT_ONCE
    )
    async with asyncio.timeout(60), pbx:
        yield pbx


async def fill(pbx: Simulator, mailbox: str, messages: int) -> list[str]:
    """Leave messages, let it be told, and give their msg_ids."""
    left = [await pbx.leave(mailbox, f"Caller {number}", 1) for number in range(messages)]
    await pbx.settle()
    return [message.msg_id for message in left if message]
