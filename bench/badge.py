"""From a message's name in the spool to its badge on the websocket: the whole daemon, beside raw inotify.

Both are measured on the same rename, by a process each; the clock starts right before the simulated PBX renames the
text. With AMI up the PBX tells of the mailbox 5 ms later, as a real one does; with AMI down inotify is all there is.
"""

import asyncio
import itertools
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from bench import process, spoolmaker, table
from bench.observers import Observer, observing
from bench.statistic import percentile
from service.model import Mailbox
from service.simulator.boxes import Box
from service.simulator.pbx import Simulator

ROUNDS = 2
"""How often a daemon is started with AMI and one without."""
EACH = 60
"""Messages a round, for mailboxes of either kind."""
FULL = Mailbox("default", "100")
FULL_HOLDS = 1000
FIRST_EMPTY = 1000
EMPTY = 2 * ROUNDS * EACH
PAUSE_S = (0.05, 0.12)
GOALS = {True: ("<= 12 ms", "<= 50 ms"), False: ("<= 15 ms", "<= 80 ms")}

Kind = tuple[bool, bool]
"""Whether AMI is up, and whether the mailbox holds a thousand messages."""


class Run:
    """One spool with its PBX, and what was measured on it: milliseconds for each message."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.spool = root / "spool"
        self.badges: defaultdict[Kind, list[float]] = defaultdict(list)
        self.limits: defaultdict[Kind, list[float]] = defaultdict(list)
        self._audio = {"wav": spoolmaker.wav(1000)}
        spoolmaker.make(self.spool, 1, FULL_HOLDS, first=int(FULL.extension))
        empty = range(FIRST_EMPTY, FIRST_EMPTY + EMPTY)
        for extension in empty:
            (self.spool / "default" / str(extension) / "INBOX").mkdir(parents=True)
        self._empty = (Mailbox("default", str(extension)) for extension in empty)
        self._holds = itertools.count(FULL_HOLDS + 1)
        self._boxes = [Box(Mailbox("default", str(extension))) for extension in empty] + [Box(FULL, maxmsg=9999)]

    async def all(self) -> None:
        """Measure everything."""
        async with Simulator(self.spool, boxes=self._boxes) as pbx:
            for turn in range(ROUNDS):
                for ami in (True, False):
                    await self._with_daemon(pbx, self.root / f"home{turn}{ami}", ami=ami)

    async def _with_daemon(self, pbx: Simulator, home: Path, *, ami: bool) -> None:
        async with AsyncExitStack() as stack:
            inotify = await stack.enter_async_context(observing("inotify", str(self.spool)))
            access = process.Ami(pbx.port, pbx.user, pbx.secret) if ami else None
            daemon = stack.enter_context(process.daemon(home, self.spool, access))
            await asyncio.to_thread(daemon.until, "ready")
            token = await asyncio.to_thread(lambda: daemon.token)
            await asyncio.sleep(2)  # for the daemon to learn of the token, and to measure what it found
            websocket = await stack.enter_async_context(observing("websocket", str(daemon.port), token))
            for _ in range(EACH):
                for full in (False, True):
                    await self._leave(pbx, inotify, websocket, (ami, full))
                    await asyncio.sleep(random.uniform(*PAUSE_S))

    async def _leave(self, pbx: Simulator, inotify: Observer, websocket: Observer, kind: Kind) -> None:
        mailbox, new = (FULL, next(self._holds)) if kind[1] else (next(self._empty), 1)
        left = await pbx.leave(mailbox, seconds=1, audio=self._audio)
        assert left is not None
        name = f"default/{mailbox.extension}/{left.folder}/msg{left.msgnum:04d}.txt"
        limit = await inotify.until(name)
        badge = await websocket.until(f"{mailbox}/{new}")
        self.limits[kind].append((limit - left.named_ns) / 1e6)
        self.badges[kind].append((badge - left.named_ns) / 1e6)


def figures() -> Iterator[table.Row]:
    with tempfile.TemporaryDirectory() as directory:
        run = Run(Path(directory))
        asyncio.run(run.all())
    for kind in sorted(run.badges, reverse=True):
        ami, full = kind
        where = f"{FULL_HOLDS} messages" if full else "an empty mailbox"
        for share, goal in zip((50, 99), GOALS[ami], strict=True):
            badge, limit = percentile(run.badges[kind], share), percentile(run.limits[kind], share)
            figure = f"message to badge, AMI {'up' if ami else 'down'}, {where}, p{share} {badge:.1f} ms"
            yield table.Row.measured(figure, badge, goal, f"raw inotify p{share} {limit:.2f} ms", badge / limit)


if __name__ == "__main__":
    table.tell(figures)
