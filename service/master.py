"""Follows `[cdr] csv` like a log: the calls it tells of go into the store together with how far it was read.

Rotated, renamed, compressed, copied and truncated, swapped while nobody looked: `service.master_files` finds the way.
To read something twice changes nothing, so in doubt it is read.
"""

import asyncio
import contextlib
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from service.cdr.times import LocalTimes
from service.errors import UnavailableError
from service.master_files import DAMAGE, IrregularError, Known, MovedError, Place, Reading, Sibling, trail
from service.master_rows import Batch, batch
from service.metrics import Metrics
from service.store import Store, Transaction, calls, cdr_files

log = logging.getLogger(__name__)

EVERY_S = 0.5
SETTLE_S = 0.5
"""So long after a file was renamed, whoever had it open to add a line is done."""
COARSE_NS = 1_000_000_000
"""So far the times of files may lag behind the clock."""
MOST_TOLD = 100
NOT_YET = "it is not there yet"
"""So it is on a PBX without calls so far: nobody need act."""
_IMPORT = "voicemaild import-cdr FILE reads a file that was missed"


async def _settled() -> None:
    await asyncio.sleep(SETTLE_S)


class MasterCsv:
    """Follows one file, of a PBX with these `times` and `internal` numbers.

    `problem` says why it cannot be read now; it is "" while it can. `settle` waits until a renamed file is left alone.
    """

    def __init__(
        self,
        store: Store,
        path: Path,
        times: LocalTimes,
        internal: re.Pattern[str],
        metrics: Metrics,
        *,
        settle: Callable[[], Awaitable[None]] = _settled,
    ) -> None:
        self.problem = ""
        self._store = store
        self._path = path
        self._times = times
        self._internal = internal
        self._metrics = metrics
        self._settle = settle
        self._place: Place | None = None  # as the store has it
        self._done = False  # whether all was read of what there was at the last look
        self._known: Known | None = None  # the file at that look; None: it was not there
        self._told: set[tuple[int, str]] = set()

    async def run(self) -> None:
        """Look twice a second, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Read all that is new. What stands in the way of it is told once, and tried again at the next look."""
        try:
            known = await asyncio.to_thread(_known, self._path)
            if self._done and known == self._known:
                return
            self._done = False
            problem, remedy = await self._read_on(known)
        except (MovedError, FileNotFoundError):  # in the middle of a rotation: the next look finds all in its place
            return
        except UnavailableError:  # the store tells of that itself
            return
        except OSError as error:
            problem, remedy = _why(error)
        else:
            self._done = True
        self._tell(problem, remedy)

    async def _read_on(self, known: Known | None) -> tuple[str, str]:
        """Read from the place in the store to the end of the file; gives what is wrong, and what to do about it."""
        place = self._place or await self._begin(known)
        with contextlib.ExitStack() as files:
            found = await asyncio.to_thread(trail, self._path, place, files)
            if found.current is None and found.old is None and not found.between:
                self._known = None
                problem = NOT_YET if place.inode == 0 else "it is not there"
                return problem, "it comes with the first call; else see [cdr] csv, and load cdr_csv.so"
            if found.lost and (found.current is not None or found.between):
                log.warning("calls may be missing, the file read last is gone path=%s remedy=%r", self._path, _IMPORT)
            if found.old is not None:
                await self._finish(found.old)
            for sibling in found.between:
                await self._read_sibling(sibling, place)
            if found.current is not None:
                if found.old is not None or found.between:  # that may have taken long
                    found.current.insist()
                await self._drain(found.current)
                await self._arrive(found.current.place)
            self._known = None if found.current is None else found.current.known
        return "", ""

    async def _begin(self, known: Known | None) -> Place:
        """The place the store has; where it has none, what is there now is history, and what comes will be news."""
        text = await self._store.read(partial(cdr_files.load, path=str(self._path)))
        if text is not None:
            self._place = Place.load(text)
            return self._place
        now_ns = time.time_ns() - COARSE_NS
        inode, size = (0, 0) if known is None else (known.inode, known.size)
        place = Place.beginning(now_ns, inode, size)
        await self._arrive(place)
        if known is not None:
            log.info("calls are filled in from now on path=%s history_bytes=%d", self._path, size)
        return place

    async def _finish(self, old: Reading) -> None:
        """Read the rest of a file that is no longer Master.csv."""
        log.info("file of calls was rotated path=%s now=%s", self._path, old.path.name)
        try:
            await self._drain(old)
            if not old.packed:
                await self._settle()
            await self._drain(old, last=True)
        except DAMAGE as error:
            self._skipped(old.path, error)

    async def _read_sibling(self, sibling: Sibling, place: Place) -> None:
        """Read a file that was Master.csv while nobody looked."""
        log.info("file of calls was missed and is read path=%s", sibling.path)
        try:
            with contextlib.ExitStack() as files:
                reading = await asyncio.to_thread(files.enter_context, sibling.opened())
                reading.begin(place)
                await self._drain(reading, last=True)
        except (PermissionError, *DAMAGE) as error:
            self._skipped(sibling.path, error)

    async def _drain(self, reading: Reading, *, last: bool = False) -> None:
        while (found := await asyncio.to_thread(batch, reading, self._times, last=last)) is not None:
            await self._store.write(partial(_keep, path=str(self._path), found=found, internal=self._internal))
            self._place = found.place
            self._count(reading, found.rejects)

    async def _arrive(self, place: Place) -> None:
        """Keep where the next look begins."""
        if place != self._place:
            await self._store.write(partial(cdr_files.save, path=str(self._path), state=place.dump()))
            self._place = place

    def _count(self, reading: Reading, rejects: Counter[str]) -> None:
        for reason, lines in rejects.items():
            self._metrics.cdr_rejects.labels("csv").inc(lines)
            if (reading.known.inode, reason) not in self._told and len(self._told) < MOST_TOLD:
                self._told.add((reading.known.inode, reason))
                log.warning(
                    "line of calls not understood path=%s offset<%d reason=%r", reading.path, reading.offset, reason
                )

    def _skipped(self, path: Path, error: Exception) -> None:
        log.warning("calls may be missing, a file cannot be read path=%s error=%r remedy=%r", path, str(error), _IMPORT)

    def _tell(self, problem: str, remedy: str) -> None:
        if problem == NOT_YET != self.problem:
            log.info("calls are filled in once there is a file path=%s remedy=%r", self._path, remedy)
        elif problem != self.problem and problem:
            log.warning("calls are not filled in path=%s reason=%r remedy=%r", self._path, problem, remedy)
        elif self.problem and not problem:
            since = "from now on" if self.problem == NOT_YET else "again"
            log.info("calls are filled in %s path=%s", since, self._path)
        self.problem = problem


def _known(path: Path) -> Known | None:
    try:
        return Known.of(os.stat(path))  # noqa: PTH116 -- as `os.fstat`, whose answer it is compared with
    except FileNotFoundError:
        return None


def _why(error: OSError) -> tuple[str, str]:
    if isinstance(error, PermissionError):
        return (
            "it may not be read",
            "`voicemaild check`, run as root, says what it takes; below /home see ProtectHome= of the unit",
        )
    if isinstance(error, IrregularError):
        return str(error), "set [cdr] csv to the Master.csv that cdr_csv.so writes"
    return f"it cannot be read: {error.strerror or error}", "look at the disk, and at [cdr] csv"


def _keep(tx: Transaction, path: str, found: Batch, internal: re.Pattern[str]) -> None:
    """The calls and the place, or neither."""
    if found.legs:
        calls.record(tx, found.legs, internal, history=found.history)
    cdr_files.save(tx, path, found.place.dump())
