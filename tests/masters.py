"""Master.csv for tests: lines as cdr_csv writes them, what becomes of the file, and a daemon's part that follows it."""

import asyncio
import bz2
import gzip
import lzma
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from service.cdr.times import LocalTimes
from service.master import MasterCsv
from service.metrics import Metrics
from service.model import Record
from service.store import Store

INTERNAL = re.compile(r"^\d{2,6}$")
TIMES = LocalTimes(UTC)
EPOCH = 1_795_200_000  # 2026-11-20 18:40:00 UTC
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def line(number: int, *, clid: str = "", userfield: str = "", epoch: int = EPOCH) -> bytes:
    """The line of one of many calls, no two of them alike; each takes three seconds in the minute it starts in."""
    start = epoch + 60 * number
    texts = (
        "",
        "15551234567",
        "200",
        "from-trunk",
        clid,
        f"PJSIP/trunk-{number:08x}",
        f"PJSIP/200-{number:08x}",
        "Dial",
    )
    day, hour, minute = 20 + (number + 1120) // 1440, (number + 1120) // 60 % 24, (number + 40) % 60
    wall = [f'"2026-11-{day:02} {hour:02}:{minute:02}:{second:02}"' for second in (0, 1, 3)]
    quoted = [quote(text) for text in (*texts, "PJSIP/200,15")]
    names = [quote(f"{start}.{number}"), quote(userfield), '""', quote(f"{start}.{number}"), str(number)]
    return ",".join([*quoted, *wall, "3", "2", '"ANSWERED"', '"DOCUMENTATION"', *names]).encode() + b"\n"


def quote(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def lines(*numbers: int) -> bytes:
    return b"".join(map(line, numbers))


def rename(path: Path, to: str = "Master.csv.1") -> Path:
    """Rotate as logrotate does by default: the next call makes a new file."""
    return path.rename(path.with_name(to))


def copy_and_truncate(path: Path, to: str = "Master.csv.1") -> Path:
    """Rotate as logrotate does where it is told `copytruncate`."""
    copy = shutil.copyfile(path, path.with_name(to))
    os.truncate(path, 0)
    return copy


def shift(path: Path, rotate: Callable[[Path], Path] = rename) -> None:
    """Rotate, and number those that were rotated before anew."""
    for number in range(99, 0, -1):
        for old in [*path.parent.glob(f"{path.name}.{number}"), *path.parent.glob(f"{path.name}.{number}.*")]:
            packed = old.suffix if old.suffix.strip(".") in PACKERS else ""
            old.rename(path.with_name(f"{path.name}.{number + 1}{packed}"))
    rotate(path)


def pack(path: Path, suffix: str = "gz") -> None:
    """Compress a file as logrotate does: under another name, with its times, and the plain one goes."""
    status = path.stat()
    packed = path.with_name(f"{path.name}.{suffix}")
    packed.write_bytes(PACKERS[suffix](path.read_bytes()))
    os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.unlink()


async def nothing_more() -> None:
    """Nobody has a renamed file open."""
    await asyncio.sleep(0)


@dataclass
class Desk:
    """A store, what was committed in it, and what follows the file; `again` is another start of the daemon."""

    store: Store
    path: Path
    settle: Callable[[], Awaitable[None]] = nothing_more
    metrics: Metrics = field(default_factory=Metrics)
    records: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store.on_commit(self.note)
        self.master = self.new()

    def note(self, records: Sequence[Record]) -> None:
        self.records += records

    def new(self) -> MasterCsv:
        return MasterCsv(self.store, self.path, TIMES, INTERNAL, self.metrics, settle=self.settle)

    def restart(self) -> None:
        self.master = self.new()

    async def look(self) -> None:
        await self.master.look()

    def append(self, *numbers: int) -> None:
        with self.path.open("ab") as file:
            file.write(lines(*numbers))

    async def numbers(self) -> list[int]:
        """The calls that are in the history, each as often as it is there."""
        rows = await self.store.read(lambda conn: conn.execute("SELECT uniqueid FROM leg").fetchall())
        return sorted(int(name.partition(".")[2]) for (name,) in rows)

    def news(self) -> list[str]:
        return [record.type for record in self.records]

    def rejects(self) -> float:
        return self.metrics.registry.get_sample_value("voicemaild_cdr_rejects_total", {"reason": "csv"}) or 0


@asynccontextmanager
async def desk(folder: Path, settle: Callable[[], Awaitable[None]] = nothing_more) -> AsyncIterator[Desk]:
    """One beside a Master.csv that is not there yet, and a database that may be."""
    (folder / "cdr-csv").mkdir(exist_ok=True)
    async with Store.open(folder / "voicemaild.db", pbx="pbx1") as store:
        yield Desk(store, folder / "cdr-csv" / "Master.csv", settle)
