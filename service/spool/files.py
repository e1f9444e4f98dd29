"""Opening files of a spool that may be hostile: component by component, no links followed, regular files only.

The spool's root may be what the administrator chose, a link included; below it nothing is believed.
"""

import contextlib
import errno
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from service.errors import NotFoundError
from service.model import AudioFile, Folder, Mailbox

log = logging.getLogger(__name__)

_NAME = re.compile(r"msg(\d{4,6})\.([A-Za-z0-9-]{1,8})\Z", re.ASCII)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
LARGEST_TXT = 64 * 1024
_MOST_REMEMBERED = 1000
_SINCE_1970 = 2**63
"""Nanoseconds, 292 years: what SQLite's integers hold. A file system lets anybody set a later time."""


class Refused(Exception):  # noqa: N818 -- not an error of ours: a verdict over a file
    """A file that is not to be read, and why: `link`, `not_regular`, `hard_link`, `too_large`, ..."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rejects:
    """Counts what was refused in the spool, by reason with `count`, and logs each file once."""

    def __init__(self, count: Callable[[str], None] = lambda _reason: None) -> None:
        self._count = count
        self._seen: dict[tuple[str, str], None] = {}

    def note(self, where: str, reason: str) -> None:
        """Count a refusal; log it when this file was not refused for this reason before."""
        self._count(reason)
        if (where, reason) in self._seen:
            return
        if len(self._seen) >= _MOST_REMEMBERED:
            self._seen.pop(next(iter(self._seen)))
        self._seen[where, reason] = None
        log.warning("spool file refused file=%r reason=%s", where, reason)


@lru_cache(maxsize=65536)
def message_name(name: str) -> tuple[int, str] | None:
    """Number and suffix of `msg0007.wav`; None for every other name, the `msg-001` of a full Deleted included."""
    found = _NAME.match(name)
    if found is None or found[1] != f"{int(found[1]):04d}":  # Asterisk writes %04d
        return None
    return int(found[1]), found[2]


@contextlib.contextmanager
def directory(name: str | Path, parent: int | None = None) -> Iterator[int]:
    """A file descriptor of a directory; below `parent` links are not followed. Raises OSError."""
    flags = _DIRECTORY if parent is not None else _DIRECTORY & ~os.O_NOFOLLOW
    fd = os.open(name, flags, dir_fd=parent)
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
    reason = _reason_to_refuse(status, largest)
    if reason:
        os.close(fd)
        raise Refused(reason)
    return fd, status


def _reason_to_refuse(status: os.stat_result, largest: int | None) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "not_regular"
    if status.st_nlink > 1:
        return "hard_link"
    if largest is not None and status.st_size > largest:
        return "too_large"
    if not -_SINCE_1970 <= status.st_mtime_ns < _SINCE_1970:
        return "time"
    return ""


def read_txt(name: str, parent: int) -> tuple[bytes, os.stat_result]:
    """The whole of a small regular file, and what it was. Raises Refused or OSError."""
    fd, status = open_regular(name, parent, LARGEST_TXT)
    try:
        return os.read(fd, LARGEST_TXT), status
    finally:
        os.close(fd)


def open_audio(root: Path, mailbox: Mailbox, folder: Folder, msgnum: int, file: AudioFile) -> int:
    """A file descriptor of exactly the audio that was ingested; the caller closes it.

    Renumbering can give its place to another message at any moment, so the open file must still be the one noted
    (inode, size, mtime). Raises NotFoundError where it is not, or is gone: reconcile the mailbox and try again.
    """
    try:
        with (
            directory(root) as top,
            directory(mailbox.context, top) as context,
            directory(mailbox.extension, context) as box,
            directory(folder.value, box) as here,
        ):
            fd, status = open_regular(f"msg{msgnum:04d}.{file.suffix}", here)
    except (OSError, Refused) as error:
        raise NotFoundError("the audio of this message is not there") from error
    if (status.st_ino, status.st_size, status.st_mtime_ns) != (file.inode, file.size, file.mtime_ns):
        os.close(fd)
        raise NotFoundError("the audio of this message has moved")
    return fd
