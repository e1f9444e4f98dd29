"""Which files of a directory bear which uniqueid in their names; a listing is kept while the directory stays as it is.

Several threads may ask at once. What is kept has a bound: the directories nobody asked for longest go first.
"""

import logging
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)

TRUSTED_S = 1.0
"""A listing this young is taken as it is: today's directory changes with every call."""
MOST_DIRECTORIES = 64
MOST_READ = 50_000
"""So many names are read of one directory; in a larger one a file is found by what the PBX told alone."""
MOST_KEPT = 100_000
"""So many names are kept of all directories together, some 25 MB."""

_BARE = re.compile(r"(?<![0-9A-Za-z])\d{10}\.\d{1,10}(?![0-9A-Za-z])", re.ASCII)
"""A uniqueid without `systemname-`, as a whole: the epoch of the channel's start and a counter."""

Names = Mapping[str, Sequence[str]]
"""The names by each bare uniqueid in them."""
_NONE: Names = {}


@dataclass(frozen=True, slots=True)
class _Listing:
    inode: int
    mtime_ns: int
    rested: bool  # the directory's next change will give it another time
    made: float
    names: Names
    size: int


def bare(uniqueid: str) -> str:
    """The epoch and the counter in a uniqueid, "" where it has none."""
    found = _BARE.search(uniqueid)
    return "" if found is None else found[0]


def bears(name: str, uniqueid: str) -> bool:
    """Whether the uniqueid stands in the name as a whole: `1.1` does in `a-1.1-b.wav`, and does not in `1.12.wav`."""
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(uniqueid)}(?![0-9A-Za-z])", name, re.ASCII) is not None


class Index:
    """Listings by the path of their directory. `wanted` says which names count; `clock` gives monotonic seconds."""

    def __init__(self, wanted: Callable[[str], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._wanted = wanted
        self._clock = clock
        self._listings: OrderedDict[str, _Listing] = OrderedDict()
        self._kept = 0
        self._warned = False
        self._lock = threading.Lock()  # held for moments only: the event loop asks, too

    def names(self, fd: int, path: str, *, list_it: bool) -> Names:
        """The names in the open directory `fd`; without `list_it` only where they are known. Raises OSError."""
        status = os.fstat(fd)
        with self._lock:
            listing = self._listings.get(path)
            if listing is not None and self._holds(listing, status):
                self._listings.move_to_end(path)
                return listing.names
        if not list_it:
            return _NONE
        listing = self._list(fd, path, status)
        self._keep(path, listing)
        return listing.names

    def _holds(self, listing: _Listing, status: os.stat_result) -> bool:
        if listing.inode != status.st_ino:
            return False
        if self._clock() - listing.made < TRUSTED_S:
            return True
        return listing.rested and listing.mtime_ns == status.st_mtime_ns

    def _list(self, fd: int, path: str, status: os.stat_result) -> _Listing:
        made, rested = self._clock(), time.time() - status.st_mtime > TRUSTED_S
        names: dict[str, list[str]] = {}
        with os.scandir(fd) as entries:
            for read, entry in enumerate(entries):
                if read >= MOST_READ:
                    self._warn(path)
                    break
                if self._wanted(entry.name):
                    for uniqueid in set(_BARE.findall(entry.name)):
                        names.setdefault(uniqueid, []).append(entry.name)
        size = sum(len(found) for found in names.values())
        return _Listing(status.st_ino, status.st_mtime_ns, rested, made, names, size)

    def _keep(self, path: str, listing: _Listing) -> None:
        with self._lock:
            before = self._listings.pop(path, None)
            self._listings[path] = listing
            self._kept += listing.size - (before.size if before is not None else 0)
            while self._listings and (len(self._listings) > MOST_DIRECTORIES or self._kept > MOST_KEPT):
                self._kept -= self._listings.popitem(last=False)[1].size

    def _warn(self, path: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "recordings directory too large, its files are found by recordingfile alone path=%r names>%d",
                path,
                MOST_READ,
            )
