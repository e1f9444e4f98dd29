"""Parts of the daemon put together for tests: a spool, a store, and the ingest between them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service.audio import SUFFIXES, describe
from service.health import Health
from service.ingest import Ingest
from service.metrics import Metrics
from service.model import Counts, Folder, Known, Mailbox, Message, Record
from service.scanning import scans
from service.simulator.disk import run
from service.simulator.spool import Left, SpoolWriter
from service.simulator.tone import voice
from service.spool import MailboxScan, Rejects, Scanner
from service.store import Store, mailboxes
from tests.store.shelf import live

BOX = Mailbox("default", "100")
NEXT = Mailbox("default", "101")
OTHER = Mailbox("other", "100")
PATIENCE_S = 60.0


class Counting(Scanner):
    """A scanner that counts how often it looked at each mailbox, and may be told to do something in between."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, describe, SUFFIXES, Rejects())
        self.scans: Counter[Mailbox] = Counter()
        self.before_scan: Callable[[], object] = lambda: None
        self.after_scan: Callable[[], object] = lambda: None

    def scan(self, mailbox: Mailbox, known: Sequence[Known]) -> MailboxScan:
        self.scans[mailbox] += 1
        self.before_scan()
        found = super().scan(mailbox, known)
        self.after_scan()
        return found


@dataclass
class Parts:
    """A spool with its writer, the store, the ingest, and everything that was committed."""

    root: Path
    store: Store
    scanner: Counting
    ingest: Ingest
    health: Health
    metrics: Metrics
    writer: SpoolWriter
    records: list[Record] = field(default_factory=list)
    pulse: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, records: Sequence[Record]) -> None:
        self.records += records
        self.pulse.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a commit after which this holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.pulse.clear()
                await self.pulse.wait()

    async def told(self, record_type: str, times: int = 1) -> None:
        """Wait until so many records of a type were committed."""
        await self.until(lambda: self.types().count(record_type) >= times)

    def types(self) -> list[str]:
        return [record.type for record in self.records]

    def leave(self, mailbox: Mailbox = BOX, *, msg_id: str | None = None, seconds: float = 0.1) -> Left:
        """Let a caller leave a message."""
        steps = self.writer.leave_steps(
            mailbox, '"Jane" <15551234567>', {"wav": voice(seconds, 1)}, duration=0, msg_id=msg_id
        )
        left = run(steps)
        assert left is not None
        return left

    def move(self, left: Left, folder: Folder = Folder.OLD) -> None:
        assert run(self.writer.move_steps(left.mailbox, left.msg_id, folder, left.folder))

    async def live(self) -> list[Message]:
        return await self.store.read(live)

    async def badges(self) -> dict[Mailbox, Counts]:
        return await self.store.read(mailboxes.counts)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The ingest at work."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.ingest.run())
            try:
                yield
            finally:
                task.cancel()


def outside(number: str) -> str | None:
    """Three digits are an extension here."""
    return number if len(number) > 3 else None


@asynccontextmanager
async def parts(folder: Path, *, every_s: float = 1000) -> AsyncIterator[Parts]:
    """All of them, on a spool and a database in this folder that may be there already."""
    root = folder / "spool"
    root.mkdir(exist_ok=True)
    async with Store.open(folder / "voicemaild.db", pbx="pbx1") as store:
        scanner, health, metrics = Counting(root), Health(), Metrics()
        ingest = Ingest(store, scanner, outside, health=health, metrics=metrics, scans=scans, every_s=every_s)
        made = Parts(root, store, scanner, ingest, health, metrics, SpoolWriter(root))
        store.on_commit(made.note)
        yield made


@contextmanager
def link_in_place_of(path: Path) -> Iterator[None]:
    """For as long as the block runs a directory is reached over a link, which nobody follows."""
    aside = path.with_name(f"{path.name} aside")
    path.rename(aside)
    path.symlink_to(aside.name)
    try:
        yield
    finally:
        path.unlink()
        aside.rename(path)
