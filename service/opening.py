"""Opens files of a directory tree that may be hostile: name by name, no links followed, regular files only.

The tree's root may be what the administrator chose, a link included; below it nothing is believed.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_SINCE_1970 = 2**63
"""Nanoseconds, 292 years: what SQLite's integers hold. A file system lets anybody set a later time."""


class Refused(Exception):  # noqa: N818 -- not an error of ours: a verdict over a file
    """A file that is not to be read, and why: `link`, `not_regular`, `hard_link`, `too_large`, ..."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def open_directory(name: str | Path, parent: int | None = None) -> int:
    """A file descriptor of a directory; below `parent` links are not followed. Raises OSError."""
    flags = _DIRECTORY if parent is not None else _DIRECTORY & ~os.O_NOFOLLOW
    return os.open(name, flags, dir_fd=parent)


@contextlib.contextmanager
def directory(name: str | Path, parent: int | None = None) -> Iterator[int]:
    """A file descriptor of a directory, for as long as the block lasts. Raises OSError."""
    fd = open_directory(name, parent)
    try:
        yield fd
    finally:
        os.close(fd)


def open_regular(name: str, parent: int, largest: int | None = None) -> tuple[int, os.stat_result]:
    """Open a regular file with one link; the caller closes it. Raises Refused, or OSError (FileNotFoundError: gone)."""
    try:
        fd = os.open(name, _FILE, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.ELOOP:  # O_NOFOLLOW met a link
            raise Refused("link") from error
        if error.errno == errno.ENXIO:  # a socket, or a device without a driver
            raise Refused("not_regular") from error
        raise
    status = os.fstat(fd)
    reason = reason_to_refuse(status, largest)
    if reason:
        os.close(fd)
        raise Refused(reason)
    return fd, status


def reason_to_refuse(status: os.stat_result, largest: int | None = None) -> str:
    """Why a file of this status is not to be read, "" where it may be."""
    if not stat.S_ISREG(status.st_mode):
        return "not_regular"
    if status.st_nlink > 1:
        return "hard_link"
    if largest is not None and status.st_size > largest:
        return "too_large"
    if not -_SINCE_1970 <= status.st_mtime_ns < _SINCE_1970:
        return "time"
    return ""
