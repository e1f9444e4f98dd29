"""What a mailbox's directories hold at one moment, and whether they still do: the ground a scan is believed on."""

import os
import time
from collections.abc import Mapping

from service.model import Folder
from service.spool.files import message_name

STALE_LOCK_S = 10.0
"""A lock this old belongs to nobody: Asterisk holds one for milliseconds, and itself gives up after 5 s."""
FRESH_S = 1.0
"""A directory that changed so lately may change again without another time to show for it (a tick is some 4 ms)."""

Listing = dict[str, int]
Listings = Mapping[Folder, Listing]
"""The files of a mailbox's messages, with their inodes."""


class Moved(Exception):  # noqa: N818 -- a signal within the spool
    """Something changed under whoever looks."""


def folders(box: int) -> list[Folder]:
    """The folders that a mailbox's directory has, in Asterisk's order."""
    with os.scandir(box) as entries:
        present = {entry.name for entry in entries}
    return [folder for folder in Folder if folder.value in present]


def seen(name: str, status: os.stat_result) -> str:
    """One directory of a mailbox in `looked`; its name is that of a folder, or "" for the mailbox itself."""
    return f"{name}={status.st_ino}:{status.st_mtime_ns}"


def rests(status: os.stat_result) -> bool:
    """Whether a directory's time will be another after its next change."""
    return time.time() - status.st_mtime > FRESH_S


def names(fd: int) -> Listing:
    """The messages' files and the lock, by name, with their inodes."""
    with os.scandir(fd) as entries:
        return {entry.name: entry.inode() for entry in entries if message_name(entry.name) or entry.name == ".lock"}


def only_new_messages(added: Listing, before: Listing, now: Listing) -> bool:
    """Whether nothing went, and all that came belongs to messages that were not there."""
    numbers = {parsed[0] for name in added if (parsed := message_name(name))}
    return len(now) - len(added) == len(before) and not any(f"msg{number:04d}.txt" in before for number in numbers)


def changed(fd: int, then: os.stat_result, listed: Listing, *, rested: bool = False) -> bool:
    """Whether something came, went or was renamed in a directory since it was listed.

    Its time says so, unless that happened within the tick (4 ms) of a change before it; then the names say so. One that
    `rested` when `then` was seen need not be asked for them.
    """
    now = os.fstat(fd)
    if (now.st_mtime_ns, now.st_ctime_ns) != (then.st_mtime_ns, then.st_ctime_ns):
        return True
    if rested:
        return False
    return {name for name in os.listdir(fd) if message_name(name) or name == ".lock"} != listed.keys()


def locked(fd: int, listed: Listing) -> bool:
    """Whether somebody holds the lock of a directory that was listed so."""
    if ".lock" not in listed:
        return False
    return abs(time.time() - stat(".lock", fd).st_mtime) < STALE_LOCK_S


def stat(name: str, fd: int) -> os.stat_result:
    """What a listed file is. Raises Moved where it is not there any more."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        raise Moved from None
