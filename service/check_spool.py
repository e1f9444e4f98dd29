"""What `check` finds in the voicemail spool: is it there, can it be read, is it locked."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from service.check_access import READ, SEARCH, WRITE, Eyes, letting_in, shown
from service.check_finding import Finding, bad, ok, warn
from service.settings import Settings

STALE_LOCK_S = 60
"""Asterisk holds a folder's lock for milliseconds, and gives up waiting for one after 5 s."""
MOST_SHOWN = 3
_WHERE = "set spool.path to where Asterisk keeps voicemail: below astspooldir of asterisk.conf"


@dataclass
class _Walk:
    """What a walk over contexts, mailboxes and folders has met; never follows a link."""

    eyes: Eyes
    mailboxes: int = 0
    closed: list[Path] = field(default_factory=list)
    locks: list[Path] = field(default_factory=list)

    def spool(self, path: Path) -> None:
        for context in self._directories(path):
            for mailbox in self._directories(context):
                self.mailboxes += 1
                for folder in self._directories(mailbox):
                    self._folder(folder)

    def _directories(self, path: Path) -> list[Path]:
        with contextlib.suppress(OSError):
            if self.eyes.may(path, READ | SEARCH):
                with os.scandir(path) as entries:
                    return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
            self.closed.append(path)
        return []

    def _folder(self, folder: Path) -> None:
        with contextlib.suppress(OSError):
            if not self.eyes.may(folder, READ | SEARCH):
                self.closed.append(folder)
                return
            lock = folder / ".lock"
            if time.time() - lock.lstat().st_mtime > STALE_LOCK_S:
                self.locks.append(lock)


def spool(settings: Settings, eyes: Eyes) -> Iterator[Finding]:
    """Whether the daemon could read every message there is, and what would make the PBX lose one."""
    path = settings.spool.path
    try:
        stopped = eyes.stopped_at(path, READ | SEARCH)
        if stopped is None and not path.is_dir():  # root may do anything with it
            stopped = path
        if stopped is not None:
            yield _closed(path, stopped, eyes)
            return
        writable = eyes.uid != 0 and eyes.may(path, WRITE)
    except FileNotFoundError:
        yield bad(f"spool: there is no {path}", _WHERE)
        return
    except OSError as error:
        yield bad(f"spool: {path} cannot be looked at: {error.strerror}", "run this as root or as the service's user")
        return
    walk = _Walk(eyes)
    walk.spool(path)
    yield from _walked(path, walk)
    if writable:
        yield warn(f"spool: {eyes.user} may write in {path}, which is never needed", f"chmod g-w,o-w {path}")


def _closed(path: Path, stopped: Path, eyes: Eyes) -> Finding:
    if not stopped.is_dir():
        what = f"{stopped} is no directory" if stopped.exists() else f"there is no {stopped}"
        return bad(f"spool: {what}", _WHERE)
    info = stopped.stat()
    return bad(f"spool: {eyes.user} may not read {path}: {stopped} is {shown(info)}", letting_in(eyes, stopped, info))


def _walked(path: Path, walk: _Walk) -> Iterator[Finding]:
    if walk.closed:
        shown = _shown(walk.closed)
        yield bad(f"spool: {walk.eyes.user} may not read {shown}", f"chmod g+rX {shown}, as Asterisk itself makes them")
    else:
        boxes = {0: "no mailbox yet", 1: "1 mailbox"}.get(walk.mailboxes, f"{walk.mailboxes} mailboxes")
        yield ok(f"spool: {path}, {boxes}, {walk.eyes.user} may read it")
    if walk.locks:
        yield bad(
            f"spool: {_shown(walk.locks)} is older than {STALE_LOCK_S} s: new messages there are lost by the PBX",
            f"once no call is in that mailbox: rm {_shown(walk.locks)}",
        )


def _shown(paths: list[Path]) -> str:
    rest = f" and {len(paths) - MOST_SHOWN} more" if len(paths) > MOST_SHOWN else ""
    return " ".join(str(path) for path in paths[:MOST_SHOWN]) + rest
