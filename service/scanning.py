"""Scans mailboxes that nobody knows yet in a process of its own: beside the one that writes what is found.

A first start reads and writes for as long as both take together where one interpreter does both. The process is
`python -m service.scanning SPOOL`: it is given the mailboxes in JSON, tells what it found in lines of JSON, each of
some mailboxes, in order, and ends. Nobody has to rely on it: what it did not tell, the caller looks at as ever.
"""

import asyncio
import contextlib
import gc
import logging
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import orjson

from service.audio import SUFFIXES, describe
from service.errors import UnavailableError
from service.model import Audio, AudioFile, Envelope, Folder, Found, Mailbox
from service.spool import MailboxScan, Rejects, Scanner

log = logging.getLogger(__name__)

MOST_TOLD = 2000
"""So many messages are told of at once, or those of one mailbox where it has more; and so many mailboxes."""
LONGEST_LINE = 64 * 1024 * 1024
LONGEST_WAIT_S = 60.0
"""So long one line may take; then the disk hangs, or the machine."""
END_S = 1.0
PIPE_SIZE = 1 << 20
"""What Linux lets anybody have: some lines, so that neither waits for the other."""

T = TypeVar("T")
Scans = list[tuple[Mailbox, MailboxScan | UnavailableError]]
"""Mailboxes with what a look at each gave, or why it could not be read."""


async def scans(scanner: Scanner, mailboxes: Sequence[Mailbox]) -> AsyncGenerator[Scans]:
    """What a process of its own finds in these mailboxes, of which nothing is known; some at a time, in order.

    It ends early, with a warning, where that process cannot be started, dies, or is stuck.
    """
    try:
        with _process(scanner.root) as (sink, source):
            await _in_time(partial(_ask, sink, mailboxes))
            left = len(mailboxes)
            while left:
                told = _told(await _in_time(partial(source.readline, LONGEST_LINE)))
                for where, reason in told.rejects:
                    scanner.rejects.note(where, reason)
                left -= len(told.scans)
                yield told.scans
    except (OSError, EOFError, ValueError) as error:
        log.warning("spool is read on without the second process, slower, nothing is lost reason=%r", _why(error))


def _why(error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"it told nothing for {LONGEST_WAIT_S:g} s: does the disk hang?"
        case EOFError() | BrokenPipeError():
            return "it ended before it was done, as when it is killed for want of memory"
        case OSError():
            return f"it cannot be started: {error}"
    return f"what it told is not understood: {error}"


async def _in_time(fn: Callable[[], T]) -> T:
    async with asyncio.timeout(LONGEST_WAIT_S):
        return await asyncio.to_thread(fn)


@contextlib.contextmanager
def _process(root: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The other process, as where it hears and what it tells; it is gone after the block, unless the disk hangs."""
    process = subprocess.Popen(  # noqa: S603 -- this very program, with the configured path
        (sys.executable, "-P", "-m", "service.scanning", str(root)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pipesize=PIPE_SIZE,
        env=_environment(),
        start_new_session=True,  # Ctrl-C is for us to hear
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def _ask(sink: IO[bytes], mailboxes: Sequence[Mailbox]) -> None:
    sink.write(orjson.dumps([(mailbox.context, mailbox.extension) for mailbox in mailboxes]))
    sink.close()


def _environment() -> dict[str, str]:
    """What it needs to find this package; not the secrets that may stand in our own."""
    return {"PYTHONPATH": str(Path(__file__).parent.parent), "LC_ALL": "C.UTF-8"}


# --- the process


class _Notes(Rejects):
    """What was refused in the spool, for the other process to count and to log."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[str, str]] = []

    def note(self, where: str, reason: str) -> None:
        """Keep it until it is told."""
        self.taken.append((where, reason))


def lines(root: Path, mailboxes: Sequence[Mailbox]) -> Iterator[bytes]:
    """What is found in these mailboxes, as it is told."""
    notes = _Notes()
    scanner = Scanner(root, describe, SUFFIXES, notes)
    rows: list[tuple[Any, ...]] = []
    messages = 0
    for mailbox in mailboxes:
        try:
            scan = scanner.scan(mailbox, ())
        except UnavailableError as error:
            rows.append((mailbox.context, mailbox.extension, str(error), ()))
        else:
            found = [_row(one) for one in scan.found]
            messages += len(found)
            rows.append((mailbox.context, mailbox.extension, (scan.settled, scan.pending, scan.looked), found))
        if messages >= MOST_TOLD or len(rows) >= MOST_TOLD:
            yield orjson.dumps((rows, notes.taken)) + b"\n"
            rows, messages, notes.taken = [], 0, []
    if rows:
        yield orjson.dumps((rows, notes.taken)) + b"\n"


def _row(found: Found) -> tuple[Any, ...]:
    one, audio = found.envelope, found.audio
    assert one is not None
    place = (found.folder.value, found.msgnum, found.stamp, found.msg_id, found.fingerprint)
    caller = (one.caller_id_name, one.caller_id_number, one.callerchan)
    text = (one.msg_id, one.origtime, one.duration, *caller, one.urgent, one.category)
    if audio is None:
        return place, text, None, None
    file = audio.file
    sound = (audio.content_type, audio.duration_ms, audio.sample_rate, audio.channels, audio.truncated)
    return place, text, (file.suffix, file.size, file.mtime_ns, file.inode, file.head), sound


class _Told(NamedTuple):
    scans: Scans
    rejects: list[tuple[str, str]]


_FOLDERS = {folder.value: folder for folder in Folder}


def _told(line: bytes) -> _Told:
    """What a line says; raises EOFError where there is none, and ValueError."""
    if not line:
        raise EOFError
    rows, rejects = orjson.loads(line)
    found: Scans = []
    for context, extension, verdict, messages in rows:
        mailbox = Mailbox(context, extension)
        if isinstance(verdict, str):
            found.append((mailbox, UnavailableError(verdict)))
        else:
            settled, pending, looked = verdict
            some = [_found(*message) for message in messages]
            found.append((mailbox, MailboxScan(mailbox, some, settled, pending, looked)))
    return _Told(found, rejects)


def _found(place: Sequence[Any], text: Sequence[Any], file: Sequence[Any] | None, sound: Sequence[Any] | None) -> Found:
    folder, msgnum, stamp, msg_id, fingerprint = place
    audio = None if file is None or sound is None else Audio(AudioFile(*file), *sound)
    return Found(_FOLDERS[folder], msgnum, tuple(stamp), msg_id, None, Envelope(*text), audio, fingerprint)


def tell(root: Path, source: IO[bytes], sink: IO[bytes]) -> None:
    """Read which mailboxes are asked for, and tell what is found in them, until nobody listens."""
    asked = [Mailbox(context, extension) for context, extension in orjson.loads(source.read())]
    with contextlib.suppress(BrokenPipeError):
        for line in lines(root, asked):
            sink.write(line)
            sink.flush()


if __name__ == "__main__":
    gc.disable()  # what is made here goes by itself
    tell(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # where nobody listens any more there is nothing to flush
