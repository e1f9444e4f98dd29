"""The boxes of a simulated PBX, as the daemon changes them: its voicemail.conf lies in a directory of the test."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.ami import Ami, Limits, State
from service.boxes import Boxes
from service.model import Mailbox
from service.simulator.boxes import HOUSEHOLD, AmiUser, Box
from service.simulator.pbx import Simulator
from service.store import Store
from service.store.boxes import Box as Known
from service.store.boxes import page
from tests.house import PATIENCE_S, House, living, settings_for

CANARY = "73519064"
"""A PIN that no answer, log line or database cell may hold."""
SOON = Limits(first_retry=0.001, retry_min=0.0, retry_max=0.002, refused_min=0.001, refused_max=0.001)


@dataclass
class Office:
    """A PBX, its configuration directory, and our side of it."""

    pbx: Simulator
    etc: Path
    store: Store
    ami: Ami
    boxes: Boxes
    state: Path
    connected: asyncio.Event

    @property
    def conf(self) -> str:
        return (self.etc / "voicemail.conf").read_text()

    def write(self, text: str) -> None:
        """Put another file in the place of voicemail.conf."""
        (self.etc / "voicemail.conf").write_text(text)

    async def written(self, text: str) -> None:
        """The administrator puts another file there, and reloads."""
        self.write(text)
        await self.pbx.reload()
        await self.boxes.refresh()

    async def listed(self) -> dict[str, Known]:
        rows, total = await self.store.read(lambda conn: page(conn, None, limit=500, offset=0))
        assert total == len(rows)
        return {str(box.mailbox): box for box in rows}


def box(name: str) -> Mailbox:
    return Mailbox.parse(name)


@asynccontextmanager
async def office(
    root: Path,
    *,
    boxes: Iterable[Box] = HOUSEHOLD,
    version: int = 22,
    write: str = "all",
    users: Iterable[AmiUser] = (),
    effect_s: float = 60.0,
) -> AsyncIterator[Office]:
    """An office below `root`, whose AMI is connected; the boxes are not known yet."""
    etc, spool, state = (root / name for name in ("etc", "spool", "state"))
    for directory in (etc, spool, state):
        directory.mkdir()
    again = asyncio.Event()
    connected = asyncio.Event()

    def on_state(entered: State, _detail: str) -> None:
        if entered is State.CONNECTED:
            connected.set()
            again.set()

    async with (
        Simulator(spool, boxes=boxes, version=version, write=write, users=users, etc=etc) as pbx,
        Store.open(state / "voicemaild.db", pbx="pbx1") as store,
        asyncio.TaskGroup() as group,
    ):
        ami = Ami(
            host=pbx.host,
            port=pbx.port,
            username=pbx.user,
            secret=pbx.secret,
            on_event=lambda _event: None,
            on_state=on_state,
            limits=SOON,
        )
        task = group.create_task(ami.run())
        async with asyncio.timeout(60):
            await connected.wait()
        made = Boxes(store, ami, etc=etc, spool=spool, state=state, again=again, every_s=1000.0, effect_s=effect_s)
        try:
            yield Office(pbx, etc, store, ami, made, state, connected)
        finally:
            task.cancel()


@asynccontextmanager
async def provisioned(
    root: Path, *, users: Iterable[AmiUser] = (), **keys: object
) -> AsyncIterator[tuple[Simulator, House]]:
    """A simulated PBX and the whole daemon beside it, which may change its boxes and knows them; `keys` of `[pbx]`."""
    etc = root / "etc"
    etc.mkdir()
    async with Simulator(root / "spool", etc=etc, users=users) as pbx:
        settings = settings_for(root, pbx, pbx={"provision": True, "config": str(etc), **keys})
        async with living(settings) as house:
            await house.until_ready()
            async with asyncio.timeout(PATIENCE_S):
                while (await house.get("/v1/voicemail?limit=1"))["total"] != len(pbx.boxes):
                    await asyncio.sleep(0.005)  # nobody is told that the PBX has told its boxes
            yield pbx, house
