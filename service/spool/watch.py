"""Watch the spool with inotify, through watchfiles, and name the mailboxes that may have changed. Only a hint.

Events can be lost (an overflow is silent, a directory made a moment ago is not watched yet), so whoever listens also
reconciles from time to time. The watcher runs in a thread of its own: setting up 50,000 watches takes most of a second.
"""

import asyncio
import logging
import random
import threading
from collections.abc import Callable
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
_NAME_REMEDY = "; a file or directory with a name that is not UTF-8 is in the way: remove or rename it"
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
        self._told: str | None = None  # why inotify does not work, as it was told last; "" while it does
        self._watching = False

    async def run(self) -> None:
        """Watch until cancelled; starts again after every failure, and where the root has become another directory."""
        while True:
            self._watching = False
            try:
                await self._watch()
                pause = RESTART_S
            except FileNotFoundError as error:  # not mounted yet, or no longer
                self._tell(str(error))
                pause = MISSING_S
            except (OSError, WatchfilesRustInternalError, UnicodeError, RuntimeError) as error:
                pause = self._failed(error)
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 -- spreads retries, keeps no secret

    def _failed(self, error: Exception) -> float:
        """Note a failure; give the seconds to wait. What ended it while it watched may be over: one odd file name."""
        if self._watching:
            log.warning("spool watcher restarted error=%r", str(error))
            return RESTART_S
        self._tell(f"{error}{_NAME_REMEDY if 'Unable to decode path' in str(error) else ''}")
        return RETRY_S

    def _tell(self, reason: str) -> None:
        """Tell whether inotify works, where that is news."""
        if reason != self._told:
            self._told = reason
            self._on_state(not reason, f"inotify does not work: {reason}" if reason else "inotify")

    def _begin(self) -> None:
        """The watches are set; what happened before was not seen."""
        self._watching = True
        self._tell("")
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
        hints = watchfiles.watch(
            root,
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
            found = dict(hint for _change, path in changes if (hint := mailbox_of(path, root)))
            for mailbox, is_directory in found.items():
                loop.call_soon_threadsafe(self._on_hint, mailbox, is_directory)
            if any(is_context(path, root) for _change, path in changes):
                loop.call_soon_threadsafe(self._look_twice, loop)
            if _identity(self._root) != watched:  # unmounted, mounted or moved: inotify stays with what was there
                return


def _identity(root: Path) -> tuple[int, int] | None:
    """Which directory the root is at this moment; None where there is none."""
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
