"""The ground a scan is believed on: what a directory holds, whether it is locked, and whether it still is the same."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.model import Folder
from service.opening import directory
from service.spool import listing


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "INBOX"
    folder.mkdir()
    for name in ("msg0000.txt", "msg0000.wav", "msg0001.txt", "msg0001.wav", "greet.wav", "msg-001.txt"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def fd(inbox: Path) -> Iterator[int]:
    with directory(inbox) as fd:
        yield fd


def test_messages_are_listed_with_their_inodes_and_nothing_else_is(inbox: Path, fd: int) -> None:
    assert listing.names(fd) == {
        name: (inbox / name).stat().st_ino for name in ("msg0000.txt", "msg0000.wav", "msg0001.txt", "msg0001.wav")
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda inbox: (inbox / "msg0002.wav").touch(),
        lambda inbox: (inbox / "msg0001.txt").unlink(),
        lambda inbox: (inbox / "msg0001.wav").rename(inbox / "msg0000.wav"),
        lambda inbox: (inbox / ".lock").touch(),
    ],
)
@pytest.mark.parametrize("same_tick", [False, True])
def test_whatever_comes_goes_or_is_renamed_shows(
    inbox: Path, fd: int, change: Callable[[Path], object], *, same_tick: bool
) -> None:
    """Also where the clock of the file system has not moved on: then the names alone tell."""
    then, listed = os.fstat(fd), listing.names(fd)
    assert not listing.changed(fd, then, listed)
    change(inbox)
    now = os.fstat(fd) if same_tick else then
    assert listing.changed(fd, now, listed)


def test_a_directory_that_rested_is_judged_by_its_time_alone(inbox: Path, fd: int) -> None:
    """Whatever happens after a second of rest gives it another time."""
    listed, old = listing.names(fd), time.time() - listing.FRESH_S - 1
    os.utime(inbox, (old, old))
    then = os.fstat(fd)
    assert listing.rests(then)
    assert not listing.changed(fd, then, listed, rested=True)
    (inbox / "msg0001.txt").unlink()
    assert listing.changed(fd, then, listed, rested=True)


def test_a_lock_holds_until_it_is_stale(inbox: Path, fd: int) -> None:
    assert not listing.locked(fd, listing.names(fd))
    (inbox / ".lock").touch()
    assert listing.locked(fd, listing.names(fd))
    old = time.time() - listing.STALE_LOCK_S - 1
    os.utime(inbox / ".lock", (old, old))
    assert not listing.locked(fd, listing.names(fd))


def test_a_lock_that_goes_while_we_look_is_a_change(inbox: Path, fd: int) -> None:
    (inbox / ".lock").touch()
    listed = listing.names(fd)
    (inbox / ".lock").unlink()
    with pytest.raises(listing.Moved):
        listing.locked(fd, listed)


def test_a_directory_rests_when_its_last_change_is_a_while_ago(inbox: Path, fd: int) -> None:
    soon = time.time() + 60  # however long the next step takes
    os.utime(inbox, (soon, soon))
    assert not listing.rests(os.fstat(fd))
    old = time.time() - listing.FRESH_S - 1
    os.utime(inbox, (old, old))
    assert listing.rests(os.fstat(fd))


@pytest.mark.parametrize(
    ("now", "only_new"),
    [
        ({"msg0000.txt": 1, "msg0000.wav": 2, "msg0001.wav": 3, "msg0001.txt": 4}, True),
        ({"msg0000.txt": 1, "msg0000.wav": 2, "msg0000.gsm": 3}, False),
        ({"msg0000.txt": 1, "msg0000.wav": 9, "msg0001.txt": 4}, False),
        ({"msg0000.txt": 9, "msg0000.wav": 8}, False),
        ({"msg0001.txt": 4, "msg0001.wav": 3}, False),
    ],
    ids=["one more", "another format of an old one", "another file of an old one", "renumbered", "the first went"],
)
def test_only_what_belongs_to_new_messages_counts_as_news(now: dict[str, int], *, only_new: bool) -> None:
    before = {"msg0000.txt": 1, "msg0000.wav": 2}
    added = {name: inode for name, inode in now.items() if before.get(name) != inode}
    assert listing.only_new_messages(added, before, now) == only_new


def test_the_folders_of_a_mailbox_are_those_asterisk_knows(tmp_path: Path) -> None:
    for name in ("INBOX", "Old", "tmp", "Deleted", "unavail"):
        (tmp_path / name).mkdir()
    with directory(tmp_path) as box:
        assert listing.folders(box) == [Folder.INBOX, Folder.OLD]
