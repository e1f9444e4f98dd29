"""reconcile against a simple model: whatever a PBX does, and whenever we look, also in the middle of it.

The simulator changes the spool one file operation at a time, in Asterisk's recorded order. We look between any two of
them, and let some happen while we look. In the end the store agrees with what was done; on the way it may lag, but
never tells of a message nobody left, and never gives one caller's voice for another's.
"""

import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.audio import SUFFIXES, describe
from service.difference import Difference, difference
from service.errors import NotFoundError
from service.model import Audio, Counts, Folder, Mailbox, Message, Status
from service.simulator.disk import Steps, run
from service.simulator.spool import SpoolWriter
from service.simulator.tone import voice
from service.spool import MailboxScan, Rejects, Scanner, open_audio
from service.spool.listing import Listings
from service.store import connect, fill, journal, mailboxes, reconcile
from service.store.fill import Change
from service.store.transaction import Transaction
from tests.store.shelf import live

BOXES = (Mailbox("default", "100"), Mailbox("default", "101"), Mailbox("other", "100"))
FOLDERS = (Folder.INBOX, Folder.URGENT, Folder.OLD, Folder.WORK)


@dataclass(frozen=True)
class Do:
    """Something a PBX does; the numbers choose among what there is then."""

    what: str
    box: int
    which: int
    target: int
    look_every: int  # we look after so many of its file operations
    during: int  # and so many happen while we look


ACTIONS = st.builds(
    Do,
    what=st.sampled_from(["leave", "leave", "leave", "urgent", "many", "move", "move", "remove", "forward", "restart"]),
    box=st.integers(0, len(BOXES) - 1),
    which=st.integers(0, 20),
    target=st.integers(0, len(FOLDERS) - 1),
    look_every=st.sampled_from([1, 2, 3, 5, 8, 13, 1000]),
    during=st.sampled_from([0, 1, 1, 2, 3, 5]),
)


@dataclass
class Bench:
    """A spool with its simulator, our store, and the model: who has which message, in which folders."""

    root: Path
    database: Path
    conn: sqlite3.Connection
    writer: SpoolWriter
    model: dict[tuple[Mailbox, str], Counter[Folder]] = field(default_factory=dict)
    voices: dict[str, bytes] = field(default_factory=dict)
    going_on: Iterator[str] | None = None
    during: int = 0
    remembered: dict[Mailbox, tuple[int, Listings]] = field(default_factory=dict)

    def step(self, times: int) -> None:
        for _ in range(times):
            if self.going_on is not None:
                next(self.going_on, None)

    def look(self) -> None:
        """Reconcile each mailbox once, as the ingest does."""
        scanner = Interrupted(self)
        for mailbox in {*scanner.mailboxes(), *mailboxes.names(self.conn)}:
            if not self.look_for_news(scanner, mailbox):
                self.look_at_all(scanner, mailbox)

    def look_for_news(self, scanner: Scanner, mailbox: Mailbox) -> bool:
        """Look at what came alone; False where a whole look is needed."""
        remembered = self.remembered.pop(mailbox, None)
        scan = scanner.news(mailbox, remembered[1]) if remembered is not None else None
        if remembered is None or scan is None:
            return False
        generation, known = reconcile.knows(self.conn, mailbox, [found.msg_id for found in scan.found])
        if generation != remembered[0] or known:
            return False
        self.write(scan, generation, difference((), scan.found, complete=False))
        return True

    def look_at_all(self, scanner: Scanner, mailbox: Mailbox) -> None:
        generation, known = reconcile.known(self.conn, mailbox)
        scan = scanner.scan(mailbox, known)
        if scan.settled:
            self.write(scan, generation, difference(known, scan.found, complete=not scan.pending))

    def write(self, scan: MailboxScan, generation: int, change: Difference) -> None:
        if change:
            with self.transaction() as tx:
                assert fill.apply_all(tx, [Change(scan.mailbox, generation, change)], lambda number: number) == [True]
        if scan.listings is not None:
            self.remembered[scan.mailbox] = (generation + bool(change), scan.listings)

    def open(self) -> None:
        self.conn = connect(self.database)
        self.conn.execute("PRAGMA synchronous = OFF")  # nobody pulls the plug here

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self.conn.execute("BEGIN IMMEDIATE")
        yield Transaction(self.conn, "pbx1", 1)
        self.conn.execute("COMMIT")

    def live(self) -> list[Message]:
        return live(self.conn)

    def heard(self, message: Message) -> bytes | None:
        """What somebody hears who plays this message now; None where he has to ask again."""
        assert message.audio is not None
        try:
            fd = open_audio(self.root, message.mailbox, message.folder, message.msgnum, message.audio.file)
        except NotFoundError:
            return None
        with os.fdopen(fd, "rb") as file:
            return file.read()

    def check_on_the_way(self) -> None:
        for message in self.live():
            assert message.msg_id in self.voices
            if message.audio is not None:
                assert self.heard(message) in (None, self.voices[message.msg_id])

    # --- what the PBX does

    def leave(self, do: Do, *, urgent: bool = False, copies: tuple[Mailbox, ...] = ()) -> Steps[None]:
        number = len(self.voices)
        msg_id = f"1700000000-{number:08x}"
        self.voices[msg_id] = voice(0.1 + number / 100, number)
        folder = Folder.URGENT if urgent else Folder.INBOX
        box = BOXES[do.box]
        others = tuple(other for other in copies if other != box)
        steps = self.writer.leave_steps(
            box,
            f'"Caller {number}" <+1202555{number:04d}>',
            {"wav": self.voices[msg_id], "WAV": b"x" * number},
            duration=1,
            origtime=1_700_000_000,
            msg_id=msg_id,
            urgent=urgent,
            copies=others,
        )
        yield from steps
        for mailbox in (box, *others):
            self.model.setdefault((mailbox, msg_id), Counter())[folder] += 1

    def chosen(self, do: Do) -> tuple[Mailbox, str, Folder] | None:
        """A message of the box, and a folder it lies in."""
        box = BOXES[do.box]
        places = sorted((key[1], folder) for key, found in self.model.items() if key[0] == box for folder in found)
        return (box, *places[do.which % len(places)]) if places else None

    def move(self, do: Do) -> Steps[None]:
        chosen = self.chosen(do)
        to_folder = FOLDERS[do.target]
        if chosen is None or chosen[2] is to_folder:
            return
        box, msg_id, folder = chosen
        assert (yield from self.writer.move_steps(box, msg_id, to_folder, folder))
        self.take(box, msg_id, folder)
        self.model.setdefault((box, msg_id), Counter())[to_folder] += 1

    def remove(self, do: Do) -> Steps[None]:
        chosen = self.chosen(do)
        if chosen is not None:
            assert (yield from self.writer.remove_steps(*chosen))
            self.take(*chosen)

    def forward(self, do: Do) -> Steps[None]:
        chosen = self.chosen(do)
        if chosen is not None:
            target = BOXES[do.target % len(BOXES)]
            box, msg_id, folder = chosen
            assert (yield from self.writer.forward_steps(box, msg_id, target, Folder.INBOX, folder))
            self.model.setdefault((target, msg_id), Counter())[Folder.INBOX] += 1

    def take(self, box: Mailbox, msg_id: str, folder: Folder) -> None:
        found = self.model[box, msg_id]
        found[folder] -= 1
        self.model[box, msg_id] = +found
        if not +found:
            del self.model[box, msg_id]

    def restart(self, _do: Do) -> Steps[None]:
        """Our daemon starts again."""
        self.remembered.clear()
        self.conn.close()
        self.open()
        yield "restarted"

    def steps(self, do: Do) -> Steps[None]:
        acts: dict[str, Callable[[Do], Steps[None]]] = {
            "leave": self.leave,
            "urgent": partial(self.leave, urgent=True),
            "many": partial(self.leave, copies=BOXES),
            "move": self.move,
            "remove": self.remove,
            "forward": self.forward,
            "restart": self.restart,
        }
        return acts[do.what](do)

    def perform(self, do: Do) -> None:
        self.during = do.during
        self.going_on = iter(self.steps(do))
        count = 0
        for count, _step in enumerate(self.going_on, 1):
            if count % do.look_every == 0:
                self.look()
                self.check_on_the_way()
        self.going_on = None
        self.during = 0


class Interrupted(Scanner):
    """A scan that the PBX goes on under: a few file operations before each message is read, and while its audio is."""

    def __init__(self, it: Bench) -> None:
        super().__init__(it.root, describe, SUFFIXES, Rejects(), worth_remembering=range(1, 1000))
        self.it = it

    def best_first(self, files: Mapping[str, int]) -> list[str]:
        self.it.step(self.it.during)
        return super().best_first(files)

    def described(self, suffix: str, fd: int) -> Audio | None:
        self.it.step(self.it.during)
        return super().described(suffix, fd)


@contextmanager
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        root, database = Path(folder) / "spool", Path(folder) / "voicemaild.db"
        root.mkdir()
        made = Bench(root, database, connect(database), SpoolWriter(root))
        made.open()
        try:
            yield made
        finally:
            made.conn.close()


def expected_folder(found: Counter[Folder]) -> Folder:
    """One message that lies in several folders is where it is unread, if it is anywhere."""
    return min(found, key=[Folder.URGENT, Folder.INBOX, Folder.OLD, Folder.WORK].index)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ACTIONS, min_size=1, max_size=14))
def test_the_store_agrees_with_the_spool_whatever_the_pbx_did_and_whenever_we_looked(actions: list[Do]) -> None:
    with bench() as it:
        for do in actions:
            it.perform(do)
        it.look()
        it.look()  # every change is hinted at more than once

        live = {(message.mailbox, message.msg_id): message for message in it.live()}
        assert {key: message.folder for key, message in live.items()} == {
            key: expected_folder(found) for key, found in it.model.items()
        }
        for message in live.values():
            assert it.heard(message) == it.voices[message.msg_id]
        assert mailboxes.counts(it.conn) == counted(live.values())
        assert_the_journal_tells_the_same(it, live)


def counted(live: Iterable[Message]) -> dict[Mailbox, Counts]:
    badges: dict[Mailbox, list[int]] = {}
    for message in live:
        new, old, saved, urgent = badges.setdefault(message.mailbox, [0, 0, 0, 0])
        is_new = message.status is Status.UNREAD
        badges[message.mailbox] = [
            new + is_new,
            old + (message.folder is Folder.OLD),
            saved + message.folder.saved,
            urgent + (message.folder is Folder.URGENT),
        ]
    return {mailbox: Counts(*badge) for mailbox, badge in badges.items()}


def assert_the_journal_tells_the_same(it: Bench, live: dict[tuple[Mailbox, str], Message]) -> None:
    """A store rebuilt from the records alone has the same messages and badges, and no record was doubled."""
    rebuilt: dict[str, Message] = {}
    badges: dict[Mailbox, Counts] = {}
    records = [record for record, _total in journal.replay(it.conn, None, 0, 100_000).records]
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    for record in records:
        if isinstance(record.state, Counts):
            assert record.mailbox is not None
            badges[record.mailbox] = record.state
            continue
        assert isinstance(record.state, Message)
        assert (record.type == "message.new") == (record.state.uuid not in rebuilt)
        if record.type == "message.deleted":
            del rebuilt[record.state.uuid]
        else:
            rebuilt[record.state.uuid] = record.state
    assert {(message.mailbox, message.msg_id): message.folder for message in rebuilt.values()} == {
        key: message.folder for key, message in live.items()
    }
    assert {mailbox: badge for mailbox, badge in badges.items() if badge != Counts()} == mailboxes.counts(it.conn)


@pytest.mark.parametrize("what", ["remove", "move"])
def test_a_renumbering_is_looked_at_between_any_two_of_its_file_operations(what: str) -> None:
    """Three messages nobody has looked at yet, the first goes: every moment to begin to look, every pace meanwhile."""
    begun: int | None = 0
    while begun is not None:
        for pace in (1, 2, 3, 5):
            with bench() as it:
                for _ in range(3):
                    it.perform(Do("leave", 0, 0, 0, 1000, 0))
                it.going_on = iter(it.steps(Do(what, 0, 0, 2, 0, 0)))
                steps = [next(it.going_on, None) for _ in range(begun)]
                it.during = pace
                it.look()
                it.check_on_the_way()
                it.step(1000)
                it.look()
                it.check_on_the_way()
                assert {message.msg_id: message.folder for message in it.live()} == {
                    msg_id: expected_folder(found) for (_box, msg_id), found in it.model.items()
                }
        begun = begun + 1 if None not in steps else None


def test_a_forwarded_message_is_two_messages_of_one_msg_id() -> None:
    """The same recording in two mailboxes: each has its own row, uuid and status."""
    with bench() as it:
        it.perform(Do("leave", 0, 0, 0, 99, 0))
        it.perform(Do("forward", 0, 0, 1, 99, 0))
        run(it.writer.move_steps(BOXES[0], "1700000000-00000000", Folder.OLD))
        it.look()
        first, second = sorted(it.live(), key=lambda message: message.mailbox)
        assert (first.msg_id, first.status) == (second.msg_id, Status.READ)
        assert (second.status, first.uuid == second.uuid) == (Status.UNREAD, False)
