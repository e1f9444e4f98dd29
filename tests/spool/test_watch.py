import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model import Mailbox
from service.simulator.disk import Steps, run
from service.simulator.spool import SpoolWriter
from service.simulator.tone import voice
from service.spool import Watcher, watch
from service.spool.watch import mailbox_of
from tests.spool.house import BOX

NEXT = Mailbox("default", "101")
INBOX = "default/100/INBOX"


@dataclass
class Heard:
    """What a watcher told, and a way to wait for more of it."""

    root: Path
    hints: list[Mailbox] = field(default_factory=list)
    directories: list[Mailbox] = field(default_factory=list)
    restarts: int = 0
    states: list[tuple[bool, str]] = field(default_factory=list)
    pulse: asyncio.Event = field(default_factory=asyncio.Event)

    def on_hint(self, mailbox: Mailbox, is_directory: bool) -> None:  # noqa: FBT001 -- as the watcher calls it
        (self.directories if is_directory else self.hints).append(mailbox)
        self.pulse.set()

    def on_restart(self) -> None:
        self.restarts += 1
        self.pulse.set()

    def on_state(self, works: bool, detail: str) -> None:  # noqa: FBT001 -- as the watcher calls it
        self.states.append((works, detail))
        self.pulse.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.pulse.clear()
                await self.pulse.wait()

    async def nothing_but(self, mailbox: Mailbox) -> None:
        """What happened before would be told by now, as what happens now comes after it."""
        place = self.root / mailbox.context / mailbox.extension / "INBOX"
        (place / "msg0000.txt").write_text("x")
        await self.until(lambda: mailbox in self.hints)
        assert set(self.hints) | set(self.directories) == {mailbox}


@asynccontextmanager
async def watching(root: Path) -> AsyncIterator[Heard]:
    """What a watcher tells whose watches are set."""
    heard = Heard(root)
    watcher = Watcher(root, heard.on_hint, heard.on_restart, heard.on_state)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watcher.run())
        try:
            await heard.until(lambda: heard.restarts)
            yield heard
        finally:
            task.cancel()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A spool with two mailboxes."""
    root = tmp_path / "voicemail"
    for box in ("100", "101"):
        for folder in ("INBOX", "Old", "tmp"):
            (root / "default" / box / folder).mkdir(parents=True)
    return root


@pytest.fixture
def writer(root: Path) -> SpoolWriter:
    return SpoolWriter(root)


def leaving(writer: SpoolWriter, mailbox: Mailbox = BOX) -> Steps[object]:
    return writer.leave_steps(mailbox, "x", {"wav": voice(0.1, 1)}, duration=0)


async def written_until_heard(heard: Heard, mailbox: Mailbox) -> None:
    """Nobody tells when a directory is watched, so a text is written there again and again."""
    async with asyncio.timeout(60):
        while mailbox not in heard.hints:
            (heard.root / mailbox.context / mailbox.extension / "INBOX" / "msg0000.txt").write_text("x")
            await asyncio.sleep(0.01)


def odd_directory(place: Path) -> Path:
    return Path(os.fsdecode(os.fsencode(place) + b"\xff"))


def odd(folder: Path) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/msg\xff.txt"))


def move(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


async def test_that_it_watches_is_told_first_and_once(root: Path) -> None:
    async with watching(root) as heard:
        assert (heard.states, heard.restarts) == ([(True, "inotify")], 1)


async def test_a_message_that_is_left_is_hinted_at(root: Path, writer: SpoolWriter) -> None:
    """Its text is renamed from tmp/ into the folder."""
    async with watching(root) as heard:
        await asyncio.to_thread(run, leaving(writer))
        await heard.until(lambda: BOX in heard.hints)
        await heard.until(lambda: set(heard.hints) == {BOX})


async def test_a_text_that_is_written_in_place_is_hinted_at(root: Path) -> None:
    async with watching(root) as heard:
        (root / INBOX / "msg0000.txt").write_text("x")
        await heard.until(lambda: BOX in heard.hints)


async def test_a_text_that_goes_or_is_renamed_is_hinted_at(root: Path) -> None:
    for number in (0, 1):
        (root / INBOX / f"msg000{number}.txt").write_text("x")
    async with watching(root) as heard:
        (root / INBOX / "msg0001.txt").unlink()
        await heard.until(lambda: BOX in heard.hints)
        heard.hints.clear()
        move(root / INBOX / "msg0000.txt", "aside")
        await heard.until(lambda: BOX in heard.hints)


async def test_where_a_context_is_new_everything_is_to_be_looked_at_now_and_a_little_later(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mailbox, folder and first message come within milliseconds, before any of them is watched."""
    monkeypatch.setattr(watch, "NEW_CONTEXT_S", 0.01)
    async with watching(root) as heard:
        (root / "other" / "200" / "INBOX").mkdir(parents=True)
        await heard.until(lambda: heard.restarts >= 3)


@pytest.mark.parametrize("path", ["default/102", "default/102/INBOX"])
async def test_a_new_mailbox_is_hinted_at_as_a_directory(root: Path, path: str) -> None:
    """For files that were made in it before it was watched nothing else is told."""
    async with watching(root) as heard:
        (root / path).mkdir(parents=True)
        await heard.until(lambda: Mailbox("default", "102") in heard.directories)


async def test_messages_of_a_mailbox_that_was_made_meanwhile_are_hinted_at(root: Path, writer: SpoolWriter) -> None:
    new = Mailbox("default", "102")
    async with watching(root) as heard:
        (root / "default" / "102" / "INBOX").mkdir(parents=True)
        await heard.until(lambda: new in heard.directories)
        await asyncio.to_thread(run, leaving(writer, new))
        await heard.until(lambda: new in heard.hints or heard.directories.count(new) > 1)


async def test_recording_and_locking_say_nothing(root: Path, writer: SpoolWriter) -> None:
    """Nor does audio: a message is there when its text is."""

    def recording() -> None:
        for step in leaving(writer):
            if step.startswith("rename") and step.endswith(".wav"):
                return

    async with watching(root) as heard:
        await asyncio.to_thread(recording)
        assert (root / INBOX / "msg0000.wav").exists()
        await heard.nothing_but(NEXT)


async def test_what_lies_elsewhere_says_nothing(root: Path) -> None:
    async with watching(root) as heard:
        (root / "msg0000.txt").write_text("x")
        (root / "default" / "100" / "unavail.wav").write_text("x")
        (root / "default" / "100" / "Deleted").mkdir()
        (root / "default" / "100" / "Deleted" / "msg-001.txt").write_text("x")
        await heard.nothing_but(NEXT)


async def test_it_goes_on_after_a_name_that_is_no_text(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a name ends watchfiles; what was missed until it watches again is to be looked for."""
    monkeypatch.setattr(watch, "RESTART_S", 0.01)
    async with watching(root) as heard:
        odd(root / INBOX).write_text("x")
        await heard.until(lambda: heard.restarts == 2)
        (root / INBOX / "msg0000.txt").write_text("x")
        await heard.until(lambda: BOX in heard.hints)
        assert {works for works, _detail in heard.states} == {True}


async def test_a_spool_whose_directory_was_replaced_is_watched_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What inotify watches is the directory that was there, for instance before something was mounted."""
    monkeypatch.setattr(watch, "RESTART_S", 0.01)
    monkeypatch.setattr(watch, "MISSING_S", 0.01)
    async with watching(root) as heard:
        move(root, "aside")
        (root / INBOX).mkdir(parents=True)
        await heard.until(lambda: heard.restarts == 2)
        (root / INBOX / "msg0000.txt").write_text("x")
        await heard.until(lambda: BOX in heard.hints)


async def test_a_spool_that_goes_and_comes_back_is_told_as_missing_meanwhile(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RESTART_S", 0.01)
    monkeypatch.setattr(watch, "MISSING_S", 0.01)
    async with watching(root) as heard:
        move(root, "aside")
        await heard.until(lambda: len(heard.states) == 2)
        assert heard.states[1][0] is False
        move(root.with_name("aside"), root.name)
        await heard.until(lambda: len(heard.states) == 3)
        assert (heard.states[2], heard.restarts) == ((True, "inotify"), 2)


async def test_a_spool_that_is_not_there_yet_is_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MISSING_S", 0.001)
    root = tmp_path / "later"
    heard = Heard(root)
    watcher = Watcher(root, heard.on_hint, heard.on_restart, heard.on_state)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watcher.run())
        await heard.until(lambda: heard.states)
        root.mkdir()
        await heard.until(lambda: heard.restarts)
        assert [works for works, _detail in heard.states] == [False, True]
        assert "inotify does not work" in heard.states[0][1]
        task.cancel()


@pytest.mark.parametrize("place", ["1", "default/1", "default/100/1", "default/100/INBOX/1"])
async def test_a_directory_whose_name_is_not_utf_8_keeps_no_other_from_being_watched(
    root: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It can be no mailbox; those that come later are watched, too."""
    monkeypatch.setattr(watch, "RESTART_S", 0.01)
    (odd_directory(root / place) / "INBOX").mkdir(parents=True)
    new = Mailbox("other", "200")
    async with watching(root) as heard:
        await heard.until(lambda: "remove or rename it" in heard.states[-1][1])
        await written_until_heard(heard, BOX)
        (root / "other" / "200" / "INBOX").mkdir(parents=True)
        await written_until_heard(heard, new)
        assert {works for works, _detail in heard.states} == {True}


async def test_all_is_watched_as_ever_once_the_odd_name_is_gone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "RESTART_S", 0.01)
    odd_directory(root / "default" / "1").mkdir()
    async with watching(root) as heard:
        await heard.until(lambda: "remove or rename it" in heard.states[-1][1])
        odd_directory(root / "default" / "1").rmdir()
        (root / "default" / "102").mkdir()  # so that the watches are set anew
        await heard.until(lambda: heard.states[-1] == (True, "inotify"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/s/default/100", (BOX, True)),
        ("/s/default/100/INBOX", (BOX, True)),
        ("/s/default/100/INBOX/msg0000.txt", (BOX, False)),
        ("/s/default/100/Urgent/msg0000.txt", (BOX, False)),
        ("/s/default/100/INBOX/msg0000.wav", None),
        ("/s/default/100/INBOX/.lock", None),
        ("/s/default/100/tmp", None),
        ("/s/default/100/tmp/abcdef.txt", None),
        ("/s/default/100/Deleted/msg-001.txt", None),
        ("/s/default/100/INBOX/a/msg0000.txt", None),
        ("/s/default", None),
        ("/s", None),
        ("/s/a b/100", None),
        ("/s/default/a@b", None),
        ("/s/default/\n", None),
    ],
)
def test_a_path_names_its_mailbox_or_does_not_matter(path: str, expected: tuple[Mailbox, bool] | None) -> None:
    assert mailbox_of(path, "/s") == expected


@given(st.text())
def test_no_path_makes_it_fail(path: str) -> None:
    mailbox_of(f"/s/{path}", "/s")


def test_every_rename_that_makes_a_message_complete_matters(root: Path, writer: SpoolWriter) -> None:
    steps: Iterator[str] = leaving(writer)
    targets = [step.rpartition(" ")[2] for step in steps if step.startswith("rename")]
    assert [mailbox_of(f"{root}/{target}", str(root)) for target in targets] == [None, (BOX, False)]
