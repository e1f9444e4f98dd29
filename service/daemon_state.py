"""What the daemon keeps beside its database: the lock that makes it the only one, and the key that signs links."""

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from service.errors import ConflictError

LINK_KEY = "link.key"
LINK_KEY_BYTES = 32
FOLLOW_S = 2.0

log = logging.getLogger(__name__)


@contextlib.contextmanager
def alone(database: Path) -> Iterator[None]:
    """Hold the lock that only one daemon can have on a database."""
    lock = database.with_name(database.name + ".lock")
    try:
        database.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConflictError(f"cannot write {lock}: {error.strerror}; see [store] path and its owner") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConflictError(f"another voicemaild is running on {database}") from error
    finally:
        os.close(fd)


def link_key(database: Path) -> bytes:
    """The key that signs links, from `link.key` beside the database; made when it is not there."""
    path = database.with_name(LINK_KEY)
    try:
        if not path.exists():
            _write_whole(path, secrets.token_bytes(LINK_KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise ConflictError(f"{path} cannot be used: {error.strerror}; it belongs to the daemon's user") from error
    if len(key) != LINK_KEY_BYTES:
        raise ConflictError(f"{path} is damaged: remove it; links made so far then stop working")
    return key


def rotate_link_key(database: Path) -> None:
    """Make another key; a running daemon signs with it within 5 s, and all links made so far end."""
    path = database.with_name(LINK_KEY)
    try:
        owner = path.stat() if path.exists() else database.parent.stat()
        _write_whole(path, secrets.token_bytes(LINK_KEY_BYTES))
        if os.geteuid() == 0:  # the daemon is not root
            os.chown(path, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise ConflictError(f"{path} cannot be written: {error.strerror}; it belongs to the daemon's user") from error


async def follow_link_key(database: Path, rekey: Callable[[bytes], None], every_s: float = FOLLOW_S) -> None:
    """Hand over the key whenever a command has made another one; until cancelled."""
    known = link_key(database)
    while True:
        await asyncio.sleep(every_s)
        try:
            key = await asyncio.to_thread(link_key, database)
        except ConflictError as error:
            log.warning("links are signed as before, the key cannot be read error=%r", str(error))
            continue
        if key != known:
            log.info("links are signed with another key")
            rekey(key)
            known = key


def _write_whole(path: Path, content: bytes) -> None:
    """Make a file for our eyes only that has this content or, where the machine stops or the disk is full, is not."""
    draft = path.with_name(f"{path.name}.new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    draft.rename(path)
