"""Files made of others, kept in a directory of our own up to a number of bytes, the least lately used going first.

A file appears when it is whole: it is written under another name, which a start after a crash removes. When each was
last used is kept as its access time, so that a restart forgets nothing. Safe in any thread.
"""

import contextlib
import logging
import os
import re
import shutil
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from service.errors import UnavailableError

log = logging.getLogger(__name__)

MOST_BYTES = 512 * 1024 * 1024
MOST_FILES = 10_000
LEAST_FREE = 256 * 1024 * 1024
"""So much room on its file system, which is the database's too, a new file has to leave."""
_DRAFT = ".part"
_NAME = re.compile(r"[0-9a-z-]{1,80}\.[0-9a-z]{1,8}\Z", re.ASCII)
_TOUCH_NS = 60 * 10**9


class AudioCache:
    """The files in `directory`, by their names: lower-case letters, digits and `-`, a dot and a suffix."""

    def __init__(
        self,
        directory: Path,
        *,
        most_bytes: int = MOST_BYTES,
        most_files: int = MOST_FILES,
        least_free: int = LEAST_FREE,
    ) -> None:
        self._directory = directory
        self._most_bytes = most_bytes
        self._most_files = most_files
        self._least_free = least_free
        self._sizes: OrderedDict[str, int] | None = None  # the least lately used first; None: not read yet
        self._total = 0
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Make the directory, remove what was not finished, and see what is there. Raises OSError."""
        with self._lock:
            self._read()

    def find(self, name: str) -> int | None:
        """A file descriptor of this file, which the caller closes and which now is the last used; None: not there."""
        try:
            with self._lock:
                sizes = self._read()
                if name not in sizes:
                    return None
                fd = os.open(self._directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                sizes.move_to_end(name)
        except FileNotFoundError:  # somebody has cleared the directory
            self._drop(name)
            return None
        except OSError as error:
            raise UnavailableError(f"the cache of audio cannot be read: {error.strerror}") from error
        _touch(fd)
        return fd

    @contextlib.contextmanager
    def draft(self, name: str) -> Iterator[int]:
        """A file descriptor to write to; when the block ends well the file is there, else nothing is left of it.

        Raises OSError; UnavailableError where there is no room. A name must not be drafted twice at a time.
        """
        with self._lock:
            self._read()
            self._directory.mkdir(mode=0o700, exist_ok=True)  # somebody may have cleared it away
        if shutil.disk_usage(self._directory).free < self._least_free:
            raise UnavailableError("there is no room on the disk to convert audio", 60)
        draft, path = self._directory / f"{name}{_DRAFT}", self._directory / name
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            yield fd
            os.fsync(fd)
            size = os.fstat(fd).st_size
            draft.rename(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        self._add(name, size)

    def forget(self, prefix: str) -> None:
        """Remove every file whose name begins so. Raises OSError."""
        with self._lock:
            gone = [name for name in self._read() if name.startswith(prefix)]
        for name in gone:
            self._drop(name)
            (self._directory / name).unlink(missing_ok=True)

    def _read(self) -> OrderedDict[str, int]:
        if self._sizes is not None:
            return self._sizes
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        found: list[tuple[int, str, int]] = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.name.endswith(_DRAFT):
                    Path(entry.path).unlink()
                elif stat.S_ISREG(status.st_mode) and _NAME.match(entry.name):
                    found.append((status.st_atime_ns, entry.name, status.st_size))
        self._sizes = OrderedDict((name, size) for _, name, size in sorted(found))
        self._total = sum(self._sizes.values())
        self._shrink(self._sizes)
        return self._sizes

    def _add(self, name: str, size: int) -> None:
        with self._lock:
            sizes = self._read()
            self._total += size - sizes.pop(name, 0)
            sizes[name] = size
            self._shrink(sizes)

    def _drop(self, name: str) -> None:
        with self._lock:
            self._total -= self._read().pop(name, 0)

    def _shrink(self, sizes: OrderedDict[str, int]) -> None:
        """Remove the least lately used until the rest fits; the newest stays, whatever its size."""
        while len(sizes) > 1 and (self._total > self._most_bytes or len(sizes) > self._most_files):
            name, size = sizes.popitem(last=False)
            self._total -= size
            (self._directory / name).unlink(missing_ok=True)
            log.debug("audio cache let go of file=%s bytes=%d", name, size)


def _touch(fd: int) -> None:
    """Note that a file is used; often enough once a minute."""
    status, now = os.fstat(fd), time.time_ns()
    if abs(now - status.st_atime_ns) > _TOUCH_NS:
        with contextlib.suppress(OSError):  # a file system that was mounted read-only still serves
            os.utime(fd, ns=(now, status.st_mtime_ns))
