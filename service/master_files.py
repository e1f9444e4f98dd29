"""The files that are or were Master.csv: which of them a position belongs to, and their content from there on.

A file is known by its content, not by its name or inode: its first bytes, and those before the position, are the same
in the file itself, in the same file under another name, in a copy, and in what a compressed one holds. Asterisk only
ever adds to it, a line of at most 1 KiB at a time (`cdr_csv.c`). Everything here blocks: not for the event loop.
"""

import bz2
import contextlib
import gzip
import hashlib
import lzma
import os
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Self, cast

import orjson

SAMPLE = 1024
CHUNK = 64 << 10
MOST_SIBLINGS = 1000
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
"""What reading a compressed file may raise beside OSError, and BadGzipFile, which is one."""
_STAMP = r"[.-]\d[\d._:T-]*"
_PACKED = re.compile(r"\.(gz|bz2|xz)")


class MovedError(OSError):
    """A file was renamed between two looks at it: look again."""


class IrregularError(OSError):
    """This is no plain file; reading it might wait for ever."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far Master.csv was read: `offset` bytes of the file of these samples.

    `since_ns`: a sibling changed later may hold lines that were not read yet. What ends up to `history` was there
    before anybody followed the file.
    """

    inode: int
    offset: int
    head: str
    tail: str
    since_ns: int
    history: int = 0

    @classmethod
    def beginning(cls, since_ns: int, inode: int = 0, history: int = 0) -> Self:
        """Before the first line of a file; of inode 0 where there is none yet."""
        return cls(inode, 0, "", "", since_ns, history)

    def dump(self) -> str:
        """As text, for the store."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def load(cls, text: str) -> Self:
        """Read what `dump` gave."""
        return cls(**orjson.loads(text))


@dataclass(frozen=True, slots=True)
class Known:
    """Which file a path names, and how it is: where this is the same, there is nothing new in it."""

    inode: int
    size: int
    mtime_ns: int
    device: int

    @classmethod
    def of(cls, info: os.stat_result) -> Self:
        """From what the system tells of a file."""
        return cls(info.st_ino, info.st_size, info.st_mtime_ns, info.st_dev)


@dataclass(slots=True)
class Reading:
    """An open file, and how far it was read.

    `start` is what it began with when it was opened. `packed`: it is compressed, so that nobody adds to it any more.
    """

    path: Path
    stream: IO[bytes]
    known: Known
    start: bytes
    packed: bool = False
    offset: int = 0
    history: int = 0
    since_ns: int = 0
    waiting: bytes = b""
    _head: bytes = b""
    _tail: bytes = b""

    def at(self, place: Place) -> bool:
        """Go to this place, where it is one in this file; else stay at the beginning."""
        size = min(SAMPLE, place.offset)
        self.stream.seek(0)
        self._head = self.stream.read(size)
        if _digest(self._head) == place.head:
            self.stream.seek(place.offset - size)
            self._tail = self.stream.read(size)
            if len(self._tail) == size and _digest(self._tail) == place.tail:
                self.offset, self.history, self.since_ns = place.offset, place.history, place.since_ns
                return True
        self.stream.seek(0)
        self._head = self._tail = b""
        return False

    def begin(self, place: Place) -> None:
        """Stay at the beginning, coming from that place; what was history there is history here too."""
        self.since_ns = place.since_ns
        if place.offset == 0 and place.inode == self.known.inode:
            self.history = place.history

    def insist(self) -> None:
        """Raise MovedError where it begins with something else than `start` by now: it may have been truncated."""
        if os.pread(self.stream.fileno(), SAMPLE, 0) != self.start:
            raise MovedError(f"{self.path.name} begins with something else")

    def fill(self) -> bytes:
        """What follows the offset, at most `CHUNK` bytes; while that is history, history alone."""
        missing = CHUNK - len(self.waiting)
        if missing > 0:
            self.waiting += self.stream.read(missing)
        return self.waiting[: self.history - self.offset] if self.offset < self.history else self.waiting

    def consume(self, size: int) -> None:
        """So many bytes of those are done with."""
        done, self.waiting = self.waiting[:size], self.waiting[size:]
        self._head = (self._head + done)[:SAMPLE] if len(self._head) < SAMPLE else self._head
        self._tail = (self._tail + done[-SAMPLE:])[-SAMPLE:]
        self.offset += size

    @property
    def place(self) -> Place:
        """How far it was read, to be kept."""
        since_ns = max(self.since_ns, self.known.mtime_ns)
        return Place(self.known.inode, self.offset, _digest(self._head), _digest(self._tail), since_ns, self.history)


def _digest(sample: bytes) -> str:
    return hashlib.sha256(sample).hexdigest() if sample else ""


@dataclass(frozen=True, slots=True)
class Sibling:
    """A file beside Master.csv that may have been it. `rotated`: its name is one that rotation gives."""

    path: Path
    known: Known
    packed: bool
    rotated: bool

    @contextlib.contextmanager
    def opened(self) -> Iterator[Reading]:
        """Open it; MovedError where the name is another file's by now."""
        with reading(self.path, os.O_NOFOLLOW) as found:
            if found.known.inode != self.known.inode:
                raise MovedError(f"{self.path.name} was renamed")
            yield found


@dataclass(slots=True)
class Trail:
    """What to read, in this order, to come from a place to the end of Master.csv.

    `old` is the rest of the file of the place, where that is no longer Master.csv; `between` was rotated after it;
    `current` is Master.csv itself, if it is there. `lost`: the file of the place is gone, and perhaps lines with it.
    """

    current: Reading | None
    old: Reading | None = None
    between: list[Sibling] = field(default_factory=list)
    lost: bool = False


def trail(path: Path, place: Place, files: contextlib.ExitStack) -> Trail:
    """Find the way from a place; what was opened is closed with `files`. Raises OSError."""
    current = _current(path, files)
    if place.offset > 0 and current is not None and current.at(place):
        return Trail(current)
    if current is not None:
        current.begin(place)
    siblings = _siblings(path)
    old = _old(siblings, place, files) if place.offset > 0 else None
    since_ns = place.since_ns if old is None else old.known.mtime_ns
    known = [one.known.inode for one in (current, old) if one is not None]
    between = [
        one for one in siblings if one.rotated and one.known.mtime_ns >= since_ns and one.known.inode not in known
    ]
    lost = old is None if place.offset > 0 else place.inode not in (0, *known) and not between
    return Trail(current, old, sorted(between, key=lambda one: one.known.mtime_ns), lost)


def _current(path: Path, files: contextlib.ExitStack) -> Reading | None:
    try:
        return files.enter_context(reading(path))
    except FileNotFoundError:
        return None


def _old(siblings: list[Sibling], place: Place, files: contextlib.ExitStack) -> Reading | None:
    """The file of the place under its new name: itself if it is there, else a copy, the plain ones first."""
    likely = sorted(siblings, key=lambda one: (one.known.inode != place.inode, not one.rotated, one.packed))
    for sibling in likely:
        if not sibling.packed and sibling.known.size < place.offset:
            continue
        with contextlib.ExitStack() as tried, contextlib.suppress(PermissionError, *DAMAGE):
            found = tried.enter_context(sibling.opened())
            if found.at(place):
                files.enter_context(tried.pop_all())
                return found
    return None


def _siblings(path: Path) -> list[Sibling]:
    """The plain files beside it whose names begin like its own, the newest first."""
    real = Path(os.path.realpath(path))
    found = []
    with contextlib.suppress(PermissionError), os.scandir(real.parent) as entries:
        for entry in entries:
            if not entry.name.startswith(real.stem) or entry.name == real.name:
                continue
            with contextlib.suppress(FileNotFoundError):
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(info.st_mode):
                    found.append(_sibling(real, entry.name, info))
    found.sort(key=lambda one: one.known.mtime_ns, reverse=True)
    names = {one.path.name for one in found}
    return [one for one in found[:MOST_SIBLINGS] if not (one.packed and one.path.stem in names)]  # being compressed


def _sibling(real: Path, name: str, info: os.stat_result) -> Sibling:
    packed = _PACKED.fullmatch(Path(name).suffix) is not None
    plain = Path(name).stem if packed else name
    before, after = re.escape(real.stem), re.escape(real.suffix)
    rotated = re.fullmatch(f"{before}({after}{_STAMP}|{_STAMP}{after})", plain) is not None
    return Sibling(real.parent / name, Known.of(info), packed, rotated)


@contextlib.contextmanager
def reading(path: Path, flags: int = 0) -> Iterator[Reading]:
    """Open a plain file, or what a compressed one holds. Raises OSError, IrregularError among them."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | flags)
    with os.fdopen(fd, "rb") as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise IrregularError(f"{path.name} is no plain file")
        start = os.pread(fd, SAMPLE, 0)
        stream = unpacked(file, start[:6])
        yield Reading(path, stream, Known.of(info), start, packed=stream is not file)


def unpacked(file: IO[bytes], start: bytes) -> IO[bytes]:
    """What a file holds that begins like this: itself, or the stream in it that gzip, bzip2 or xz made smaller."""
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if start.startswith(b"\xfd7zXZ\x00") else file
