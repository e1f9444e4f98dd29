"""Files of calls as history: read whole, a part at a time, each leg judged as far as it can be by itself.

That takes as long as writing it does. So a large history is read by a process of its own, ahead of who writes it.
"""

import contextlib
import gc
import io
import multiprocessing
import os
import re
import signal
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from service.call import Leg
from service.cdr.master_csv import split
from service.cdr.times import LocalTimes
from service.errors import ConflictError
from service.master_files import DAMAGE, unpacked
from service.master_rows import TORN, legs_of
from service.store.call_judged import Judged, judged

BLOCK = 256 << 10
AT_ONCE = 5000
"""So many legs make a part: fewer take longer to write, and more would keep others waiting longer."""
LARGE = 8 << 20
"""From so many bytes on another process pays."""
COLLECT_AFTER = 500_000
"""So many objects may wait to be looked at: ten times as many as a part makes."""
ENDED = "the process that reads the files was ended, as for want of memory"
END_S = 10
"""So long it may take that process to end by itself."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some legs, and what each says as a call by itself; the rows read since the part before, and how much was read.

    `rejects` counts by reason the rows that gave no leg; `place` is in bytes of all files.
    """

    legs: Sequence[Leg]
    alone: Sequence[Judged]
    rows: int
    rejects: Counter[str]
    place: int

    def __reduce__(self) -> tuple[Any, ...]:
        """Hand it over to another process with its legs as plain tuples, in half the time."""
        return _part, (list(map(tuple, self.legs)), self.alone, self.rows, self.rejects, self.place)


def _part(legs: Iterable[tuple[Any, ...]], *rest: Any) -> Part:
    return Part(list(map(Leg._make, legs)), *rest)


@dataclass(frozen=True, slots=True)
class History:
    """Master.csv and what it was rotated to, of a PBX in `zone` whose extensions `internal` finds."""

    files: Sequence[Path]
    pbx: str
    internal: re.Pattern[str]
    zone: tzinfo

    def size(self) -> int:
        """Bytes of all files. Raises ConflictError where one cannot be read."""
        return sum(map(_size, self.files))

    def read(self) -> Generator[Part, None, None]:
        """Read all files, in this process or another. Raises ConflictError."""
        return ahead(self) if self.large() else self.parts()

    def large(self) -> bool:
        """Whether it takes so long that another process is worth it, and there is a processor for it."""
        return self.size() >= LARGE and len(os.sched_getaffinity(0)) > 1

    def parts(self) -> Generator[Part, None, None]:
        """The same in this process."""
        reading = _Reading(LocalTimes(self.zone))
        before = 0
        for file in self.files:
            for legs, place in reading.legs(file):
                alone = [judged(self.pbx, (leg,), self.internal) for leg in legs]
                yield Part(legs, alone, *reading.counted(), before + place)
            before += _size(file)


@contextlib.contextmanager
def rarely_collected() -> Iterator[None]:
    """Have Python look for garbage in circles seldom: a fifth of the time went there, and these rows make none."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def ahead(history: History) -> Generator[Part, None, None]:
    """The parts that another process reads, which is one part ahead at most."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(history, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while (found := _received(ours)) is not None:
            yield found
    finally:
        ours.close()  # which ends the process, too
        process.join(END_S)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()


def _received(ours: Connection) -> Part | None:
    try:
        found = ours.recv()
    except (EOFError, OSError) as error:  # in the middle of a part it is OSError
        raise ConflictError(f"{ENDED}: run this again, what was read changes nothing") from error
    if isinstance(found, ConflictError):
        raise found
    assert found is None or isinstance(found, Part)
    return found


def _send(history: History, theirs: Connection) -> None:
    """What the other process does: read all, as far as anybody wants to have it; None stands at the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is interrupted closes the pipe
    with rarely_collected(), contextlib.suppress(BrokenPipeError):
        try:
            for part in history.parts():
                theirs.send(part)
            theirs.send(None)
        except ConflictError as error:
            theirs.send(error)


@dataclass(slots=True)
class _Reading:
    """What was read, and not yet `counted`: `rows` with those that were not understood."""

    times: LocalTimes
    rows: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    understood: bool = False

    def legs(self, file: Path) -> Iterator[tuple[list[Leg], int]]:
        """The legs of a file, some at a time, and how many of its bytes are read by then. Raises ConflictError."""
        any_rows = self.understood = False
        try:
            with file.open("rb") as raw:
                for some, place in self._legs(raw):
                    any_rows |= self.rows > 0
                    yield some, place
        except (OSError, *DAMAGE) as error:
            raise _unreadable(file, error) from error
        if any_rows and not self.understood:
            raise ConflictError(f"{file} is no Master.csv: none of its lines tells of a call")

    def counted(self) -> tuple[int, Counter[str]]:
        """The rows, and what was not understood, since it was asked last."""
        found = self.rows, +self.rejects
        self.rows, self.rejects = 0, Counter()
        return found

    def _legs(self, raw: io.BufferedReader) -> Iterator[tuple[list[Leg], int]]:
        stream = unpacked(raw, raw.peek(6)[:6])
        waiting, place = b"", 0
        legs: list[Leg] = []
        while block := stream.read(BLOCK):
            waiting += block
            waiting = waiting[self._take(waiting, legs, last=False) :]
            place = place + len(block) if stream is raw else raw.tell()
            while len(legs) >= AT_ONCE:
                yield legs[:AT_ONCE], place
                del legs[:AT_ONCE]
        self._take(waiting, legs, last=True)
        yield legs, place

    def _take(self, data: bytes, legs: list[Leg], *, last: bool) -> int:
        records, consumed, torn = split(data, last=last)
        found, rejects = legs_of(records, self.times)
        rejects[TORN] += torn
        self.rows += len(records) + torn
        self.rejects += rejects
        self.understood |= bool(found)
        legs += found
        return consumed


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ConflictError:
    reason = (isinstance(error, OSError) and error.strerror) or f"it is damaged: {error}"
    return ConflictError(f"{file} cannot be read: {reason}")
