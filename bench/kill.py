"""Kills the daemon at random moments while messages arrive and are marked, and counts what that cost.

    python -m bench.kill [N]      N kills, by default 100

Every round starts the daemon, leaves messages, marks others as read, and ends it by SIGKILL, at times before it is
ready; in every other round marks are kept in the store alone (`write_back = false`). At the end each message has to be
in the API, in the store and in the journal once, each mark that was answered has to hold, the badges have to be those
of the list, and SQLite's `integrity_check` has to be content.
"""

import asyncio
import contextlib
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench import process, spoolmaker, table
from service.model import Mailbox
from service.simulator.boxes import Box
from service.simulator.pbx import Simulator

KILLS = 100
SHARE_KILLED_EARLY = 0.2
EARLY_S = (0.2, 1.5)
LIVES_S = (0.0, 1.2)
PAUSE_S = 0.03
BOXES = tuple(Mailbox("default", str(100 + number)) for number in range(5))
MAXMSG = 9999


@dataclass
class Toll:
    """What happened, and what it cost."""

    kills: int = 0
    left: list[str] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    lost: int = 0
    doubled: int = 0
    forgotten: int = 0
    wrong: int = 0
    slowest_s: float = 0.0


class Siege:
    """A PBX whose daemon is killed over and over."""

    def __init__(self, root: Path, kills: int) -> None:
        self.home = root / "home"
        self.spool = root / "spool"
        self.toll = Toll()
        self._kills = kills
        self._dice = random.Random(kills)
        self._audio = {"wav": spoolmaker.wav(1000)}

    async def run(self) -> Toll:
        """All rounds, and the reckoning."""
        async with Simulator(self.spool, boxes=[Box(mailbox, maxmsg=MAXMSG) for mailbox in BOXES]) as pbx:
            ami = process.Ami(pbx.port, pbx.user, pbx.secret)
            for number in range(self._kills):
                await self._round(pbx, ami, kept_here=number % 2 == 1)
            with process.daemon(self.home, self.spool, ami) as daemon:
                self.toll.slowest_s = max(self.toll.slowest_s, await asyncio.to_thread(daemon.until, "ready"))
                await self._reckon(daemon)
                await asyncio.to_thread(daemon.stop)
        self._look_into_the_store()
        return self.toll

    async def _round(self, pbx: Simulator, ami: process.Ami, *, kept_here: bool) -> None:
        with process.daemon(self.home, self.spool, ami, write_back=not kept_here) as daemon:
            over = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._arrive(pbx, over))
                if self._dice.random() < SHARE_KILLED_EARLY:
                    await asyncio.sleep(self._dice.uniform(*EARLY_S))
                else:
                    took = await asyncio.to_thread(daemon.until_serving)
                    self.toll.slowest_s = max(self.toll.slowest_s, took)
                    group.create_task(self._mark(daemon.port, await asyncio.to_thread(lambda: daemon.token)))
                    await asyncio.sleep(self._dice.uniform(*LIVES_S))
                daemon.process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(daemon.process.wait)
                self.toll.kills += 1
                over.set()

    async def _arrive(self, pbx: Simulator, over: asyncio.Event) -> None:
        while not over.is_set():
            left = await pbx.leave(self._dice.choice(BOXES), seconds=1, audio=self._audio)
            assert left is not None
            self.toll.left.append(f"{left.mailbox} {left.msg_id}")
            await asyncio.sleep(PAUSE_S)

    async def _mark(self, port: int, token: str) -> None:
        """Mark the oldest unread messages, one after the other, until nobody answers any more."""
        url = f"http://{process.HOST}:{port}/message-voice"
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
                while True:
                    async with http.get(f"{url}?filter[status]=1&per_page=5") as answer:
                        rows = (await answer.json())["data"] if answer.ok else []
                    for row in rows:
                        async with http.post(f"{url}/{row['id']}/mark-as-a-read") as answer:
                            if answer.ok:
                                self.toll.answered.add(row["id"])
                    await asyncio.sleep(PAUSE_S)

    async def _reckon(self, daemon: process.Daemon) -> None:
        """Compare what the API says with what was left and answered."""
        url = f"http://{process.HOST}:{daemon.port}"
        token = await asyncio.to_thread(lambda: daemon.token)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
            rows: list[dict[str, Any]] = []
            page, last = 1, 1
            while page <= last:
                async with http.get(f"{url}/message-voice?per_page=300&page={page}") as answer:
                    if not answer.ok:  # the token is not followed yet
                        await asyncio.sleep(PAUSE_S)
                        continue
                    told = await answer.json()
                rows += told["data"]
                page, last = page + 1, told["meta"]["last_page"]
            async with http.get(f"{url}/message-voice/unread-count") as answer:
                badge = (await answer.json())["result"]["unread_count"]
        unread = {row["id"] for row in rows if row["status"]["number"] == 1}
        self.toll.forgotten = len(unread & self.toll.answered)
        self.toll.wrong += badge != len(unread)
        self.toll.wrong += len(rows) != len(self.toll.left)

    def _look_into_the_store(self) -> None:
        with contextlib.closing(sqlite3.connect(self.home / "voicemaild.db")) as conn:
            (verdict,) = conn.execute("PRAGMA integrity_check").fetchone()
            kept = Counter(
                f"{name} {msg_id}"
                for name, msg_id in conn.execute(
                    "SELECT name, msg_id FROM message JOIN mailbox ON mailbox.id = mailbox_id WHERE deleted_ms IS NULL"
                )
            )
            told = Counter(
                uuid for (uuid,) in conn.execute("SELECT state ->> 'uuid' FROM journal WHERE type = 'message.new'")
            )
            (deltas,) = conn.execute("SELECT sum(delta) FROM journal").fetchone()
            (badges,) = conn.execute("SELECT sum(new) FROM mailbox").fetchone()
        wanted = set(self.toll.left)
        self.toll.lost = len(wanted - kept.keys())
        self.toll.doubled = len(kept.keys() - wanted) + sum(
            number - 1 for number in (kept + told).values() if number > 1
        )
        self.toll.wrong += (verdict != "ok") + (deltas != badges) + (len(told) != len(wanted))


def figures() -> Iterator[table.Row]:
    kills = next((int(word) for word in sys.argv[1:] if word.isdigit()), KILLS)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        toll = asyncio.run(Siege(Path(directory), kills).run())
    figure = (
        f"{toll.kills} kills in {time.perf_counter() - began:.0f} s: of {len(toll.left)} messages {toll.lost} lost, "
        f"{toll.doubled} doubled; of {len(toll.answered)} answered marks {toll.forgotten} lost; "
        f"{toll.wrong} other faults"
    )
    faults = toll.lost + toll.doubled + toll.forgotten + toll.wrong
    yield table.Row.measured(figure, faults, "<= 0 faults")
    yield table.Row.measured(f"slowest start among them {toll.slowest_s:.1f} s", toll.slowest_s, "<= 10 s")


if __name__ == "__main__":
    table.tell(figures)
