"""reconcile(mailbox): the only way voicemail state changes here, and everything that calls for it.

A hint (inotify, AMI, a timer, our own commands) only says "look again". Looking is idempotent, so lost, late, doubled
and forged hints need no code of their own.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from service.difference import difference
from service.errors import UnavailableError
from service.health import Health, Part, SpoolState
from service.ingest_look import Look, Remembered, tell_first, unsettled
from service.metrics import Metrics
from service.model import Known, Mailbox, Message
from service.spool import MailboxScan, Scanner
from service.spool.listing import Listings
from service.spool.scan import empty
from service.store import Store, Transaction, fill, mailboxes, reconcile
from service.store.fill import Change
from service.store.read_rows import Outside

log = logging.getLogger(__name__)

LOOKERS = 2
CHUNK = 128
MOST_REMEMBERED = 32
MOST_DIRTY = 20_000
FIRST_RETRY_S = 0.005
LAST_RETRY_S = 1.0
IN_TROUBLE = 1000  # stands for so many attempts that the last delay holds
COMMAND_TIMEOUT_S = 5.0
EVERYTHING_EVERY_S = 30.0
EVERYTHING_WHEN_POLLING_S = 10.0
AFTER_A_FAILURE_S = 1.0

WORTH_A_PROCESS = 1000
"""So many new mailboxes are read by a process of their own."""

Progress = Callable[[int, int], None]
Scans = Callable[[Scanner, Sequence[Mailbox]], AsyncGenerator[Sequence[tuple[Mailbox, MailboxScan | UnavailableError]]]]
"""What gives, for mailboxes of which nothing is known, what they hold; some at a time. It may end early."""


def outside_number(internal: re.Pattern[str]) -> Outside:
    """The rule for `external_number`: the caller's number, unless he shows none or it is an extension of this PBX."""

    def outside(number: str) -> str | None:
        if not any(map(str.isdigit, number)) or internal.search(number):
            return None
        return number

    return outside


class Ingest:
    """Keeps the store in agreement with the spool. `run` does the work; hints may come before it starts."""

    def __init__(
        self,
        store: Store,
        scanner: Scanner,
        outside: Outside,
        *,
        health: Health,
        metrics: Metrics,
        scans: Scans,
        every_s: float = EVERYTHING_EVERY_S,
    ) -> None:
        self.polling_reason = ""  # why inotify does not work, and the spool is polled; "" while it does
        self.first_scan = asyncio.Event()  # is set when everything was looked at once
        self._store = store
        self._scanner = scanner
        self._scans = scans
        self._outside = outside
        self._health = health
        self._metrics = metrics
        self._every_s = every_s
        self._dirty: dict[Mailbox, int] = {}  # with how often it was looked at in vain
        self._retries: dict[Mailbox, asyncio.TimerHandle] = {}
        self._troubles: dict[Mailbox, str] = {}  # why these could not be looked at the last time
        self._trouble = ""  # why not everything could be looked at the last time
        self._wake = asyncio.Event()
        self._everything = asyncio.Event()
        self._busy: dict[Mailbox, _Turn] = {}
        self._remembered: dict[Mailbox, Remembered] = {}  # of the last to be looked at, the last at the end

    # --- hints

    def hint(self, mailbox: Mailbox) -> None:
        """This mailbox may have changed: look again, soon."""
        if len(self._dirty) >= MOST_DIRTY:
            self._everything.set()
            return
        self._dirty.setdefault(mailbox, 0)
        self._wake.set()

    def hint_later(self, mailbox: Mailbox, delay_s: float) -> None:
        """Look again after a while."""
        asyncio.get_running_loop().call_later(delay_s, self.hint, mailbox)

    def look_everywhere(self) -> None:
        """Events may have been missed: look at every mailbox, soon."""
        self._everything.set()

    # --- the work

    async def run(self) -> None:
        """Look at what was hinted, and at everything from time to time, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(LOOKERS):
                group.create_task(self._look_at_hints(), name=f"ingest-{number}")
            group.create_task(self._look_everywhere_regularly(), name="ingest-everything")

    async def _look_at_hints(self) -> None:
        while True:
            while not self._dirty:
                self._wake.clear()
                await self._wake.wait()
            mailbox = next(iter(self._dirty))
            attempts = self._dirty.pop(mailbox)
            try:
                settled = await self._look(mailbox)
                self._troubles.pop(mailbox, None)
            except UnavailableError as error:
                self._complain(mailbox, str(error))
                settled, attempts = False, IN_TROUBLE
            if not settled:
                self._retry(mailbox, attempts + 1)

    def _complain(self, mailbox: Mailbox, trouble: str) -> None:
        """Say it once, not at every try nor at every hint; that the store cannot be written, others say."""
        if self._store.failure:
            return
        if self._troubles.get(mailbox) == trouble:
            return
        if len(self._troubles) >= MOST_DIRTY:
            self._troubles.clear()
        self._troubles[mailbox] = trouble
        log.warning("mailbox cannot be reconciled mailbox=%s error=%r", mailbox, trouble)

    def _retry(self, mailbox: Mailbox, attempts: int) -> None:
        """Look again after a while; once, however many asked for it."""
        loop = asyncio.get_running_loop()
        at = loop.time() + min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(attempts - 1, 10))
        waiting = self._retries.get(mailbox)
        if waiting is not None:
            if waiting.when() <= at:
                return
            waiting.cancel()
        self._retries[mailbox] = loop.call_at(at, self._hint_again, mailbox, attempts)

    def _hint_again(self, mailbox: Mailbox, attempts: int) -> None:
        del self._retries[mailbox]
        self.hint(mailbox)
        if mailbox in self._dirty:
            self._dirty[mailbox] = attempts

    async def _look_everywhere_regularly(self) -> None:
        while True:
            pause = await self._look_everywhere_once()
            try:
                async with asyncio.timeout(pause):
                    await self._everything.wait()
            except TimeoutError:
                pass
            self._everything.clear()

    async def _look_everywhere_once(self) -> float:
        """Gives for how long that will do."""
        try:
            _count, again = await self.everything()
        except UnavailableError as error:
            if str(error) != self._trouble:  # say it once, not at every try
                log.warning("spool cannot be reconciled error=%r", str(error))
            self._trouble = str(error)
            await asyncio.sleep(LAST_RETRY_S)  # whoever hints meanwhile does not make it better
            return AFTER_A_FAILURE_S
        self._trouble = ""
        for mailbox in again:
            self._retry(mailbox, 1)
        return EVERYTHING_WHEN_POLLING_S if self.polling_reason else self._every_s

    async def everything(self, progress: Progress | None = None) -> tuple[int, list[Mailbox]]:
        """Reconcile every mailbox of the spool and of the store; gives how many, and those to look at again.

        Raises UnavailableError where the spool or the store cannot be used, or where the spool holds no mailbox at all
        while the store knows messages: then it is most likely not mounted, and nothing is taken for gone.
        """
        in_store, looked = await self._store.read(lambda conn: (mailboxes.counts(conn), mailboxes.looked(conn)))
        try:
            in_spool = await asyncio.to_thread(self._scanner.mailboxes)
            if in_store and not in_spool:
                raise empty(self._scanner.root)
        except UnavailableError as error:
            self._health.spool = Part(SpoolState.MISSING, str(error))
            raise
        if not self.first_scan.is_set():
            self._health.spool = Part(SpoolState.SCANNING, f"the first scan of {len(in_spool)} mailboxes is under way")
        unchanged = await asyncio.to_thread(self._scanner.unchanged, looked)
        todo = sorted({*in_spool, *in_store}.difference(unchanged))
        again = await self._look_at_all(todo, len(unchanged), progress or (lambda _done, _all: None))
        self.first_scan.set()
        self._health.first_scan_done = True
        if self.polling_reason:
            self._health.spool = Part(SpoolState.POLLING, self.polling_reason)
        else:
            self._health.spool = Part(SpoolState.OK, f"following {len(in_spool)} mailboxes")
        return len(unchanged) + len(todo), again

    async def _look_at_all(self, todo: Sequence[Mailbox], done: int, progress: Progress) -> list[Mailbox]:
        """Look at all of them, a chunk at a time; gives those to look at again."""
        again, total = list[Mailbox](), done + len(todo)
        progress(done, total)
        if len(todo) >= WORTH_A_PROCESS:
            looked_at, again = await self._look_at_new(todo, lambda some: progress(done + some, total))
            done += len(looked_at)
            todo = [mailbox for mailbox in todo if mailbox not in looked_at]
        for start in range(0, len(todo), CHUNK):  # one by one: threads of one interpreter would hinder each other
            chunk = todo[start : start + CHUNK]
            again += await self._look_at_chunk(chunk)
            progress(done + start + len(chunk), total)
        return again

    async def _look_at_new(
        self, todo: Sequence[Mailbox], progress: Callable[[int], None]
    ) -> tuple[set[Mailbox], list[Mailbox]]:
        """Have another process read those in which there never was a message, and write meanwhile what it found.

        Gives those it told of, and which of them are to be looked at again.
        """
        known = await self._store.read(mailboxes.reconciled)
        new = [mailbox for mailbox in todo if mailbox not in known]
        looked_at, again = set[Mailbox](), list[Mailbox]()
        if len(new) < WORTH_A_PROCESS:
            return looked_at, again
        async with contextlib.aclosing(self._scans(self._scanner, new)) as batches:
            async for batch in batches:
                self._note_troubles(batch)
                looks = [Look.of(scan, 0) for _mailbox, scan in batch if isinstance(scan, MailboxScan)]
                late = await self._write(looks, note=True, first=True)
                again += [mailbox for mailbox, scan in batch if mailbox in late or unsettled(scan)]
                looked_at.update(mailbox for mailbox, _scan in batch)
                progress(len(looked_at))
        return looked_at, again

    async def reconcile(self, mailbox: Mailbox) -> None:
        """Look at a mailbox now, until nothing moves in it, and return when the store agrees.

        Raises UnavailableError where that takes longer than 5 s, or the spool or the store cannot be used.
        """
        delay = FIRST_RETRY_S
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                while not await self._look(mailbox):
                    await asyncio.sleep(delay)  # Asterisk is moving files in it; there is nothing to wait on
                    delay = min(2 * delay, 0.1)
        except TimeoutError:
            if self._store.busy:  # for all this time, or nearly: a transaction takes milliseconds
                raise UnavailableError("the store cannot write: another process keeps the database locked") from None
            raise UnavailableError(f"mailbox {mailbox} does not come to rest") from None

    async def look_again(self, *wanted: Message) -> None:
        """Reconcile the mailboxes of messages whose audio is not the file that was noted.

        What lies where it lay is read anew: somebody wrote into the file itself. Raises what `reconcile` does.
        """
        boxes = sorted({message.mailbox for message in wanted})
        for mailbox in boxes:
            await self.reconcile(mailbox)
        if await self._store.write(partial(reconcile.distrust, wanted=wanted)):
            for mailbox in boxes:
                await self.reconcile(mailbox)

    async def _look(self, mailbox: Mailbox) -> bool:
        """Look once. False where something was moving and it must be looked at again."""
        async with self._turn(mailbox):
            started = time.perf_counter()
            look = await self._news(mailbox) or await self._whole(mailbox)
            applied = not await self._write([look])
            scan = look.scan
            if applied and scan.settled and scan.listings is not None:
                self._remember(mailbox, look.generation + bool(look.change), scan.listings)
            self._metrics.reconcile_seconds.observe(time.perf_counter() - started)
        return applied and not unsettled(scan)

    async def _whole(self, mailbox: Mailbox) -> Look:
        """Look at all of a mailbox."""
        generation, known = await self._store.read(lambda conn: reconcile.known(conn, mailbox))
        scan = await asyncio.to_thread(self._scanner.scan, mailbox, known)
        return Look.of(scan, generation, known)

    async def _news(self, mailbox: Mailbox) -> Look | None:
        """Look at what came into a full mailbox since the last look; None where more may have happened than that."""
        remembered = self._remembered.pop(mailbox, None)
        if remembered is None:
            return None
        scan = await asyncio.to_thread(self._scanner.news, mailbox, remembered.listings)
        if scan is None:
            return None
        ids = [found.msg_id for found in scan.found]
        generation, known = await self._store.read(lambda conn: reconcile.knows(conn, mailbox, ids))
        if generation != remembered.generation or known or len(set(ids)) != len(ids):
            return None
        return Look(scan, generation, difference((), scan.found, complete=False))

    def _remember(self, mailbox: Mailbox, generation: int, listings: Listings) -> None:
        self._remembered[mailbox] = Remembered(generation, listings)
        if len(self._remembered) > MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    async def _look_at_chunk(self, chunk: Sequence[Mailbox]) -> list[Mailbox]:
        """Look at some mailboxes at once; gives those to look at again."""
        async with contextlib.AsyncExitStack() as stack:
            for mailbox in chunk:  # always in the same order, so that nobody waits in a circle
                await stack.enter_async_context(self._turn(mailbox))
            known = await self._store.read(lambda conn: [reconcile.known(conn, mailbox) for mailbox in chunk])
            scans = await asyncio.to_thread(self._scan_chunk, list(zip(chunk, known, strict=True)))
            self._note_troubles(zip(chunk, scans, strict=True))
            changes = [
                Look.of(scan, generation, rows)
                for scan, (generation, rows) in zip(scans, known, strict=True)
                if isinstance(scan, MailboxScan)
            ]
            late = await self._write(changes, note=True)
        return [mailbox for mailbox, scan in zip(chunk, scans, strict=True) if mailbox in late or unsettled(scan)]

    def _scan_chunk(
        self, chunk: Iterable[tuple[Mailbox, tuple[int, list[Known]]]]
    ) -> list[MailboxScan | UnavailableError]:
        scans: list[MailboxScan | UnavailableError] = []
        for mailbox, (_generation, known) in chunk:
            try:
                scans.append(self._scanner.scan(mailbox, known))
            except UnavailableError as error:
                scans.append(error)
        return scans

    def _note_troubles(self, looked_at: Iterable[tuple[Mailbox, MailboxScan | UnavailableError]]) -> None:
        for mailbox, scan in looked_at:
            if isinstance(scan, MailboxScan):
                self._troubles.pop(mailbox, None)
            else:
                self._complain(mailbox, str(scan))

    async def _write(self, looks: Sequence[Look], *, note: bool = False, first: bool = False) -> set[Mailbox]:
        """Apply what differs, and with `note` keep what agreed; gives those that somebody else changed meanwhile.

        Of a `first` look at many mailboxes one line tells.
        """
        differing = [look for look in looks if look.change]
        agreeing = [look for look in looks if note and not look.change and look.scan.looked]
        if not differing and not agreeing:
            return set()

        changes = [Change(look.scan.mailbox, look.generation, look.change, look.scan.looked) for look in differing]

        def write(tx: Transaction) -> list[bool]:
            for look in agreeing:
                mailboxes.set_looked(tx, look.scan.mailbox, look.generation, look.scan.looked)
            return fill.apply_all(tx, changes, self._outside)

        applied = await self._store.write(write)
        written = [look for look, done in zip(differing, applied, strict=True) if done]
        if first:
            tell_first(written)
        else:
            for look in written:
                look.tell()
        return {look.scan.mailbox for look, done in zip(differing, applied, strict=True) if not done}

    @contextlib.asynccontextmanager
    async def _turn(self, mailbox: Mailbox) -> AsyncIterator[None]:
        """One look at a mailbox at a time; the lock is forgotten when nobody holds or wants it."""
        turn = self._busy.setdefault(mailbox, _Turn())
        turn.wanted += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._busy[mailbox]


@dataclass(slots=True)
class _Turn:
    """Who may look at a mailbox, and how many want to."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted: int = 0
