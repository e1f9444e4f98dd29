"""Watch the spool with inotify, through watchfiles, and name the mailboxes that may have changed. Only a hint.

Events can be lost (an overflow is silent, a directory made a moment ago is not watched yet), so whoever listens also
reconciles from time to time. The watcher runs in a thread of its own: setting up 50,000 watches takes most of a second.

A directory whose name is not UTF-8 ends watchfiles as it sets its watches, for it opens that, and is told so. It can be
no mailbox: where there is one, those that matter are watched one by one, and anew whenever another one comes.
"""

import asyncio
import logging
import os
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import watchfiles
from watchfiles._rust_notify import WatchfilesRustInternalError

from service.errors import InvalidInputError
from service.model import Folder, Mailbox, valid_name

log = logging.getLogger(__name__)

DEBOUNCE_MS = 50
STEP_MS = 5
TICK_MS = 100
RESTART_S = 0.5
MISSING_S = 1.0
NEW_CONTEXT_S = 1.0
RETRY_S = 60.0
WORKS = "inotify"
ONE_BY_ONE = "inotify, directory by directory: something in the spool has a name that is not UTF-8, remove or rename it"
_ODD_NAME = "Unable to decode path"
_FOLDERS = frozenset(folder.value for folder in Folder)


def mailbox_of(path: str, root: str) -> tuple[Mailbox, bool] | None:
    """Which mailbox a changed path belongs to, and whether it is a directory of it; None for what does not matter.

    What matters: a message's `.txt`, and a mailbox's or folder's own coming and going. Recording goes on in `tmp/`.
    """
    parts = path[len(root) :].strip("/").split("/")
    if not 2 <= len(parts) <= 4 or (len(parts) > 2 and parts[2] not in _FOLDERS):  # noqa: PLR2004 -- context/box/folder/file
        return None
    if len(parts) == 4 and not parts[3].endswith(".txt"):  # noqa: PLR2004 -- as above
        return None
    try:
        return Mailbox.parse(f"{parts[1]}@{parts[0]}"), len(parts) < 4  # noqa: PLR2004 -- as above
    except InvalidInputError:
        return None


def is_context(path: str, root: str) -> bool:
    """Whether a changed path is that of a context: what was made in it before it was watched told nothing."""
    name = path[len(root) :].strip("/")
    return "/" not in name and valid_name(name)


def followed(root: str) -> list[str]:
    """The directories in which something can happen that matters: the root, contexts, mailboxes and their folders."""
    contexts = _below([root], valid_name)
    boxes = _below(contexts, valid_name)
    return [root, *contexts, *boxes, *_below(boxes, _FOLDERS.__contains__)]


def _below(parents: Iterable[str], wanted: Callable[[str], bool]) -> list[str]:
    found: list[str] = []
    for parent in parents:
        try:
            with os.scandir(parent) as entries:
                found += sorted(one.path for one in entries if wanted(one.name) and one.is_dir(follow_symlinks=False))
        except OSError:  # gone, or not for us: whoever scans the spool says so
            continue
    return found


class Watcher:
    """Calls `on_hint` on the event loop for every mailbox that may have changed.

    `on_restart` is called whenever the watches were set anew, or a context came or went: events may have been missed,
    look at everything.
    `on_state` tells whether inotify works: True, or False with the reason (then the listener has to poll).
    """

    def __init__(
        self,
        root: Path,
        on_hint: Callable[[Mailbox, bool], None],
        on_restart: Callable[[], None],
        on_state: Callable[[bool, str], None],
    ) -> None:
        self._root = root
        self._on_hint = on_hint
        self._on_restart = on_restart
        self._on_state = on_state
        self._told: tuple[bool, str] | None = None  # whether inotify works, and how or why not, as it was told last
        self._watching = False
        self._one_by_one = False

    async def run(self) -> None:
        """Watch until cancelled; starts again after every failure, and where the root has become another directory."""
        while True:
            self._watching = False
            try:
                await self._watch()
                self._one_by_one, pause = False, RESTART_S
            except FileNotFoundError as error:  # not mounted yet, or no longer
                self._tell(works=False, detail=f"inotify does not work: {error}")
                pause = MISSING_S
            except (OSError, WatchfilesRustInternalError, UnicodeError, RuntimeError) as error:
                pause = self._failed(error)
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 -- spreads retries, keeps no secret

    def _failed(self, error: Exception) -> float:
        """Note a failure; give the seconds to wait. What ended it while it watched may be over: one odd file name."""
        odd, before = _ODD_NAME in str(error), self._one_by_one
        self._one_by_one = odd and not before
        if self._watching:
            log.warning("spool watcher restarted error=%r", str(error))
            return RESTART_S
        if self._one_by_one:
            return 0.0
        self._tell(works=False, detail=f"inotify does not work: {error}")
        return RETRY_S

    def _tell(self, *, works: bool, detail: str) -> None:
        """Tell whether inotify works, and how, where that is news."""
        if (works, detail) != self._told:
            self._told = works, detail
            self._on_state(works, detail)
            if detail == ONE_BY_ONE:
                log.warning("spool watched by %s", detail)

    def _begin(self) -> None:
        """The watches are set; what happened before was not seen."""
        self._watching = True
        self._tell(works=True, detail=ONE_BY_ONE if self._one_by_one else WORKS)
        self._on_restart()

    def _look_twice(self, loop: asyncio.AbstractEventLoop) -> None:
        self._on_restart()
        loop.call_later(NEW_CONTEXT_S, self._on_restart)

    async def _watch(self) -> None:
        stop, loop = threading.Event(), asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._watch_blocking, stop, loop)
        finally:
            stop.set()

    def _watch_blocking(self, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        next(self._root.iterdir(), None)  # raises where it cannot be read; watchfiles would say nothing
        watched, root = _identity(self._root), str(self._root.resolve())
        paths = followed(root) if self._one_by_one else [root]
        hints = watchfiles.watch(
            *paths,
            recursive=not self._one_by_one,
            watch_filter=lambda _change, path: mailbox_of(path, root) is not None or is_context(path, root),
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            stop_event=stop,
            rust_timeout=TICK_MS,
            yield_on_timeout=True,  # the first tells that the watches are set
            raise_interrupt=False,
            ignore_permission_denied=True,
        )
        for number, changes in enumerate(hints):
            if number == 0:
                loop.call_soon_threadsafe(self._begin)
            others = self._hand_over([path for _change, path in changes], root, loop)
            if self._one_by_one and (others or number == 0) and followed(root) != paths:
                return
            if _identity(self._root) != watched:  # unmounted, mounted or moved: inotify stays with what was there
                return

    def _hand_over(self, changed: Sequence[str], root: str, loop: asyncio.AbstractEventLoop) -> bool:
        """Tell of what changed; gives whether directories are among it."""
        found = [hint for path in changed if (hint := mailbox_of(path, root))]
        for mailbox, is_directory in dict(found).items():
            loop.call_soon_threadsafe(self._on_hint, mailbox, is_directory)
        contexts = any(is_context(path, root) for path in changed)
        if contexts:
            loop.call_soon_threadsafe(self._look_twice, loop)
        return contexts or any(is_directory for _mailbox, is_directory in found)


def _identity(root: Path) -> tuple[int, int] | None:
    """Which directory the root is at this moment; None where there is none."""
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
