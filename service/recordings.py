"""Recordings of calls: which file under `[cdr] recordings` is a call's, and opening it.

It is the one that the PBX told (`CDR(recordingfile)`, set by FreePBX for one), else one that bears a uniqueid of the
call in its name. Recorders file by the day the call began on, in local time: `YYYY/MM/DD/NAME` (FreePBX), `YYYY/MM`,
`YYYYMMDD`, or all in one directory. Nothing outside the root is ever looked at, and no link below it is followed.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

from service.call import Call
from service.errors import NotFoundError
from service.opening import Refused, open_directory, open_regular, reason_to_refuse
from service.recordings_index import Index, bare, bears

SUFFIXES = ("wav", "WAV", "gsm", "ulaw", "alaw", "g722", "sln", "mp3", "ogg", "opus")
"""What a recording's name ends with; of several files of a call the first of these is taken."""

MOST_PARTS = 16
LONGEST_NAME = 255
_RANK = {suffix: rank for rank, suffix in enumerate(SUFFIXES)}
_HEADERS = {"wav": 44, "WAV": 60}
"""What a recorder writes before there is any sound, in bytes."""
_QUICK_UNIQUEIDS = 2
_ROOT = ""


class Recording(NamedTuple):
    """A file: its path below the root, and which file it is."""

    path: str
    suffix: str
    size: int
    mtime_ns: int
    inode: int


class Recordings:
    """The recordings below `root`; there are none where it is None. `zone` is the PBX's. Blocks, but for `quick`.

    Safe in any thread. `clock` gives monotonic seconds.
    """

    def __init__(self, root: Path | None, zone: tzinfo = UTC, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._zone = zone
        self._roots = () if root is None else (PurePosixPath(root), PurePosixPath(os.path.realpath(root)))
        self._index = Index(lambda name: suffix_of(name) in _RANK, clock)

    @property
    def nowhere(self) -> bool:
        """Whether there are none, so that looking for one costs nothing."""
        return self._root is None

    def find(self, call: Call) -> Recording | None:
        """The recording of a call, or None where there is none that can be read; directories are listed for it."""
        if self.nowhere:
            return None
        with self._tree() as tree:
            places = self._places(call)
            return self._told(tree, call, places) or self._bearing(tree, call, places, list_it=True)

    def quick(self, call: Call) -> Recording | None:
        """As `find`, but by a few dozen `stat` at most, for the event loop.

        Finds what the PBX told of, files that are called `UNIQUEID.wav`, and what is in directories that were listed.
        """
        if self.nowhere:
            return None
        with self._tree() as tree:
            places = self._places(call)
            return (
                self._told(tree, call, places)
                or _named(tree, call, places)
                or self._bearing(tree, call, places, list_it=False)
            )

    def open(self, call: Call) -> tuple[int, Recording]:
        """A file descriptor of the recording, which the caller closes, and what it is. Raises NotFoundError."""
        found = self.find(call)
        if found is None:
            raise NotFoundError("there is no recording of this call")
        place, _, name = found.path.rpartition("/")
        with self._tree() as tree:
            try:
                fd, status = open_regular(name, tree.directory(place))
            except (OSError, Refused) as error:
                raise NotFoundError("the recording of this call is not there") from error
        return fd, _recording(place, name, status)

    def _tree(self) -> "_Tree":
        return _Tree(self._root)

    def _places(self, call: Call) -> Sequence[str]:
        """The directories below the root in which a recording of the call may lie, the likeliest first."""
        start, end = self._day(call.start), self._day(call.end)
        days = (start,) if start == end else (start, end)
        dated = [
            place for y, m, d in days for place in (f"{y:04}/{m:02}/{d:02}", f"{y:04}/{m:02}", f"{y:04}{m:02}{d:02}")
        ]
        return (*dict.fromkeys(dated), _ROOT)

    def _day(self, epoch: int) -> tuple[int, int, int]:
        local = datetime.fromtimestamp(epoch, self._zone)
        return local.year, local.month, local.day

    def _told(self, tree: "_Tree", call: Call, places: Sequence[str]) -> Recording | None:
        """The file that the PBX told of: a name, or a path that lies below the root."""
        parts = self._parts(call.recording)
        if not parts:
            return None
        where = places if len(parts) == 1 else ["/".join(parts[:-1])]
        names = [parts[-1]] if suffix_of(parts[-1]) in _RANK else [f"{parts[-1]}.{suffix}" for suffix in SUFFIXES]
        return _first(tree, where, names)

    def _bearing(self, tree: "_Tree", call: Call, places: Sequence[str], *, list_it: bool) -> Recording | None:
        """A file that has a channel of the call in its name: the longest uniqueid first, then the best suffix."""
        uniqueids = sorted(call.uniqueids, key=len, reverse=True)
        wanted = [(uniqueid, core) for uniqueid in uniqueids if (core := bare(uniqueid))]
        for place in places if wanted else ():
            with contextlib.suppress(OSError):
                listed = self._index.names(tree.directory(place), place, list_it=list_it)
                for uniqueid, core in wanted:
                    fitting = sorted((name for name in listed.get(core, ()) if bears(name, uniqueid)), key=_preference)
                    found = _first(tree, [place], fitting)
                    if found is not None:
                        return found
        return None

    def _parts(self, path: str) -> tuple[str, ...]:
        """The names on the way from the root to a path that the PBX told, none where it does not lead below it."""
        told = PurePosixPath(path)
        if told.is_absolute():
            root = next((root for root in self._roots if told.is_relative_to(root)), None)
            if root is None:
                return ()
            told = told.relative_to(root)
        parts = told.parts
        return parts if len(parts) <= MOST_PARTS and all(map(_is_name, parts)) else ()


class _Tree:
    """The directories of one look below the root, each opened once, and closed with the block."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._open: dict[str, int | OSError] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._open.values():
            if isinstance(fd, int):
                os.close(fd)

    def directory(self, place: str) -> int:
        """A file descriptor of a directory, by its path below the root. Raises OSError."""
        fd = self._open.get(place)
        if fd is None:
            try:
                fd = self._opened(place)
            except OSError as error:
                fd = error
            self._open[place] = fd
        if isinstance(fd, OSError):
            raise fd
        return fd

    def _opened(self, place: str) -> int:
        if place == _ROOT:
            assert self._root is not None
            return open_directory(self._root)
        above, _, name = place.rpartition("/")
        return open_directory(name, self.directory(above))


NOWHERE = Recordings(None)
"""What has no recordings."""


def suffix_of(name: str) -> str:
    """What stands behind the last dot, "" where there is none or nothing before it."""
    stem, dot, suffix = name.rpartition(".")
    return suffix if dot and stem else ""


def _is_name(name: str) -> bool:
    """Whether this can be the name of one file or directory, and leads nowhere else."""
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError:  # half a character
        return False
    return 0 < length <= LONGEST_NAME and name not in (".", "..") and "/" not in name and "\0" not in name


def _preference(name: str) -> tuple[int, int, str]:
    return _RANK[suffix_of(name)], len(name), name  # `X.wav` before `X-in.wav`, half of the call


def _named(tree: _Tree, call: Call, places: Sequence[str]) -> Recording | None:
    """A file that is called as a channel of the call."""
    uniqueids = [uniqueid for uniqueid in call.uniqueids if _is_name(uniqueid)][:_QUICK_UNIQUEIDS]
    return _first(tree, places, [f"{uniqueid}.{suffix}" for uniqueid in uniqueids for suffix in SUFFIXES])


def _first(tree: _Tree, places: Sequence[str], names: Sequence[str]) -> Recording | None:
    """The first file with some sound in it that has one of these names in one of these directories."""
    for place in places if names else ():
        with contextlib.suppress(OSError):
            here = tree.directory(place)
            for name in names:
                found = _look(place, name, here)
                if found is not None:
                    return found
    return None


def _look(place: str, name: str, here: int) -> Recording | None:
    try:
        status = os.stat(name, dir_fd=here, follow_symlinks=False)
    except OSError:
        return None
    found = _recording(place, name, status)
    if reason_to_refuse(status) or found.size <= _HEADERS.get(found.suffix, 0):
        return None
    return found


def _recording(place: str, name: str, status: os.stat_result) -> Recording:
    path = f"{place}/{name}" if place else name
    return Recording(path, suffix_of(name), status.st_size, status.st_mtime_ns, status.st_ino)
