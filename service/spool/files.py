"""The files of a spool: which names are messages', what was refused, and opening a message's text and audio."""

import logging
import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from service.errors import NotFoundError
from service.model import AudioFile, Folder, Mailbox
from service.opening import Refused, directory, open_regular

log = logging.getLogger(__name__)

_NAME = re.compile(r"msg(\d{4,6})\.([A-Za-z0-9-]{1,8})\Z", re.ASCII)
LARGEST_TXT = 64 * 1024
_MOST_REMEMBERED = 1000


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
