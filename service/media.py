"""The media directory: audio that only we have, because it was uploaded, or deleted on the PBX and may be restored.

A file is there whole or not at all, for our eyes only, and called `<uuid of the message>.<suffix>`.
"""

import contextlib
import errno
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from service.errors import NotFoundError, UnavailableError
from service.model import AudioFile
from service.opening import Refused, directory, open_regular

CHUNK = 1 << 20
DRAFT = ".new"
_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[A-Za-z0-9]{1,8}\Z", re.ASCII)


class Media:
    """The directory `root`, which is made when it is first needed. All of it blocks."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, name: str, source: int) -> None:
        """Copy all that an open file holds, from its beginning. Raises UnavailableError where it cannot be written."""
        with self.writing(name) as draft:
            place = 0
            while chunk := os.pread(source, CHUNK, place):
                draft.write(chunk)
                place += len(chunk)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator["Draft"]:
        """A file to be written; it is there under its name once the block is over, and is durable.

        Where the block raises, nothing stays. Raises UnavailableError where it cannot be written.
        """
        _check(name)
        path = self.root / f"{name}{DRAFT}"
        draft = self._begin(path)
        try:
            yield draft
            draft.finish()
            self._publish(path, name)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        finally:
            draft.close()

    def _begin(self, path: Path) -> "Draft":
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Draft(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise _unwritable(self.root, error) from error

    def _publish(self, path: Path, name: str) -> None:
        try:
            path.rename(self.root / name)
            self._sync()
        except OSError as error:
            raise _unwritable(self.root, error) from error

    def open(self, name: str) -> tuple[int, AudioFile]:
        """A file descriptor, which the caller closes, and what file it is, without a digest. Raises NotFoundError."""
        _check(name)
        try:
            with directory(self.root) as root:
                fd, status = open_regular(name, root)
        except (OSError, Refused) as error:
            raise NotFoundError("the audio of this message is not there") from error
        suffix = name.rpartition(".")[2]
        return fd, AudioFile(suffix, status.st_size, status.st_mtime_ns, status.st_ino, "")

    def forget(self, name: str) -> None:
        """Remove a file, if it is there. Raises UnavailableError where that cannot be done."""
        _check(name)
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self.root, error) from error

    def names(self) -> list[str]:
        """What is there, half written files too; nothing where the directory is not there yet."""
        try:
            return sorted(entry.name for entry in os.scandir(self.root))
        except FileNotFoundError:
            return []

    def older(self, than: int) -> list[str]:
        """What `names` gives, of files that were last written before then (epoch seconds)."""
        found = []
        for name in self.names():
            with contextlib.suppress(FileNotFoundError):
                if (self.root / name).lstat().st_mtime < than:
                    found.append(name)
        return found

    def sweep(self, name: str) -> None:
        """Remove what `names` told of and nobody needs, whatever it is called."""
        with contextlib.suppress(OSError):
            (self.root / os.path.basename(name)).unlink(missing_ok=True)  # noqa: PTH119 -- a bare name, whatever it holds

    def discard_drafts(self) -> None:
        """Remove what was being written when this process's predecessor came to its end: nobody goes on with it."""
        for name in self.names():
            if name.endswith(DRAFT):
                self.sweep(name)

    def _sync(self) -> None:
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class Draft:
    """An open file that is being written, and may be read by its descriptor `fd`; closed by whoever made it.

    A thread that still writes, for somebody who was called off, has finished before the file is closed.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._writing = threading.Lock()
        self._closed = False

    def write(self, data: bytes) -> None:
        """Append all of it, in as many pieces as it takes. Raises UnavailableError where it cannot be written."""
        view = memoryview(data)
        with self._writing:
            if self._closed:
                raise UnavailableError("the file is written no longer")
            try:
                while view:
                    view = view[os.write(self.fd, view) :]
            except OSError as error:
                raise _unwritable("the file", error) from error

    def finish(self) -> None:
        """See that what was written is durable. Raises UnavailableError where it cannot be."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise _unwritable("the file", error) from error

    def close(self) -> None:
        """Close it."""
        with self._writing:
            self._closed = True
            os.close(self.fd)


def _check(name: str) -> None:
    if _NAME.match(name) is None:
        raise NotFoundError("there is no such file")


def _unwritable(what: Path | str, error: OSError) -> UnavailableError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = "; make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return UnavailableError(f"{what} cannot be written: {reason}{hint}")
