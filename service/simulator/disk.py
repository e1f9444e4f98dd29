"""The file operations app_voicemail is made of, one step at a time, in Asterisk's order.

Each function is a generator that yields after every single operation, saying what it just did, e.g.
`rename default/100/tmp/0pNqwU.wav -> default/100/INBOX/msg0000.wav` (paths from the spool's root). Between two steps a
test may look, stop, or let another operation go on: one that is abandoned leaves what a killed Asterisk leaves.
The orders are recorded in tests/fixtures/spool-recordings.
"""

import os
import re
import secrets
import string
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TypeVar

T = TypeVar("T")
Steps = Generator[str, None, T]

AUDIO_SUFFIXES = ("gsm", "WAV", "wav", "ulaw", "alaw", "g722", "sln", "sln16", "g729")
"""In the order Asterisk goes through a message's files: recorded for the first three, not known of the others."""

LOCK_WAITS = 5000
"""How often a lock is tried, 1 ms apart: Asterisk gives up after 5 s."""

_TEXT_NAME = re.compile(r"msg(\d{4,})\.txt\Z")


class SpoolLockedError(TimeoutError):
    """A folder's `.lock` never went away. Asterisk then loses the voicemail; so does the simulator."""


def run(steps: Steps[T]) -> T:
    """Go through all steps at once and give the result. It sleeps while another holds a folder's lock."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        if step.startswith("wait "):
            time.sleep(0.001)


class Disk:
    """The spool as files. Names are relative to `root`, which must exist; folders are `context/extension/folder`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        """Give the path of a name inside the spool."""
        return self._root / name

    def make_folder(self, folder: str) -> Steps[None]:
        """Make a folder and what is missing above it."""
        parts = folder.split("/")
        for depth in range(1, len(parts) + 1):
            above = "/".join(parts[:depth])
            if not self.path(above).is_dir():
                self.path(above).mkdir(exist_ok=True)
                yield f"mkdir {above}"

    def lock(self, folder: str) -> Steps[None]:
        """Take a folder's lock: link a file of an own name to `.lock`. Raises SpoolLockedError where it stays taken."""
        ticket, lock = f"{folder}/.lock-{secrets.token_hex(4)}", f"{folder}/.lock"
        yield from self.write(ticket, b"", exclusive=True)
        waits = 0
        while not self._linked(ticket, lock):
            waits += 1
            if waits > LOCK_WAITS:
                yield from self.unlink(ticket)
                raise SpoolLockedError(f"{lock} has been there for {LOCK_WAITS} tries")
            yield f"wait {lock}"
        yield f"link {ticket} -> {lock}"
        yield from self.unlink(ticket)

    def _linked(self, ticket: str, lock: str) -> bool:
        try:
            self.path(lock).hardlink_to(self.path(ticket))
        except FileExistsError:
            return False
        return True

    def unlock(self, folder: str) -> Steps[None]:
        """Give a folder's lock back."""
        yield from self.unlink(f"{folder}/.lock")

    def unlink(self, name: str) -> Steps[None]:
        """Delete a file."""
        self.path(name).unlink()
        yield f"unlink {name}"

    def rename(self, name: str, target: str) -> Steps[None]:
        """Rename a file over whatever is there."""
        self.path(name).rename(self.path(target))
        yield f"rename {name} -> {target}"

    def write(self, name: str, *pieces: bytes, exclusive: bool = False) -> Steps[None]:
        """Create or empty a file, write the pieces one by one, close it."""
        with self._open(name, exclusive=exclusive) as file:
            yield f"create {name}"
            for piece in pieces:
                file.write(piece)
                yield f"write {name}"
        yield f"close {name}"

    def _open(self, name: str, *, exclusive: bool = False) -> BinaryIO:
        return self.path(name).open("xb" if exclusive else "wb", buffering=0)

    def record(self, tmp: str, audio: Mapping[str, bytes], place: str, text: bytes) -> Steps[str]:
        """Record into the folder `tmp`: the future text stays empty while all formats grow beside it.

        `place` is the folder the message will go to; it is made before the text is written. Gives the stem.
        """
        stem = f"{tmp}/{_token()}"
        with ExitStack() as recording:
            envelope = recording.enter_context(self._open(stem, exclusive=True))
            yield f"create {stem}"
            self.path(stem).chmod(0o644)
            yield f"chmod {stem}"
            files: dict[str, BinaryIO] = {}
            for suffix in audio:
                files[suffix] = recording.enter_context(self._open(f"{stem}.{suffix}"))
                yield f"create {stem}.{suffix}"
            yield from _grow(stem, files, audio)
            yield from self.make_folder(place)
            envelope.write(text)
            yield f"write {stem}"
        yield f"close {stem}"
        return stem

    def publish(self, stem: str, folder: str, number: int) -> Steps[int]:
        """Give a recording its number: audio first, the text last.

        Gives the `time.monotonic_ns()` from just before the text had its name.
        """
        for suffix in self.suffixes(stem):
            yield from self.rename(f"{stem}.{suffix}", f"{message(folder, number)}.{suffix}")
        text = f"{message(folder, number)}.txt"
        named_ns = time.monotonic_ns()
        yield from self.rename(stem, text)
        self.path(text).chmod(0o666)
        yield f"chmod {text}"
        return named_ns

    def discard(self, stem: str) -> Steps[None]:
        """Delete a recording that was too short or could not be kept: audio first."""
        for suffix in self.suffixes(stem):
            yield from self.unlink(f"{stem}.{suffix}")
        yield from self.unlink(stem)

    def renumber(self, folder: str, number: int, target: int) -> Steps[None]:
        """Rename a message over another number: audio first, the text last."""
        stem, onto = message(folder, number), message(folder, target)
        for suffix in self.suffixes(stem):
            yield from self.rename(f"{stem}.{suffix}", f"{onto}.{suffix}")
        yield from self.rename(f"{stem}.txt", f"{onto}.txt")

    def copy(self, folder: str, number: int, target: str, onto: int) -> Steps[None]:
        """Copy a message: open, write and close of each file in place, the text last. `WAV` is written twice."""
        stem, copied = message(folder, number), message(target, onto)
        for suffix in self.suffixes(stem):
            data = self.path(f"{stem}.{suffix}").read_bytes()
            yield from self.write(f"{copied}.{suffix}", data)
            if suffix == "WAV":
                yield from self.write(f"{copied}.{suffix}", data)
        yield from self.write(f"{copied}.txt", self.path(f"{stem}.txt").read_bytes())

    def erase(self, folder: str, number: int) -> Steps[None]:
        """Delete a message: the text first."""
        stem = message(folder, number)
        yield from self.unlink(f"{stem}.txt")
        for suffix in self.suffixes(stem):
            yield from self.unlink(f"{stem}.{suffix}")

    def suffixes(self, stem: str) -> tuple[str, ...]:
        """Give the audio formats there are of a message, in Asterisk's order."""
        return tuple(suffix for suffix in AUDIO_SUFFIXES if self.path(f"{stem}.{suffix}").exists())

    def exists(self, folder: str, number: int) -> bool:
        """Whether there is a message of this number."""
        return self.path(f"{message(folder, number)}.txt").exists()

    def numbers(self, folder: str) -> list[int]:
        """Give the numbers of a folder's messages, ascending; none where there is no folder."""
        matches = (_TEXT_NAME.match(name) for name in self._names(folder))
        return sorted(int(match[1]) for match in matches if match)

    def last(self, folder: str) -> int:
        """Give the highest number in a folder, -1 where there is none."""
        return max(self.numbers(folder), default=-1)

    def count(self, folder: str) -> int:
        """Count messages as Asterisk does, by names: `msg-001.txt` (see SpoolWriter.move_steps) is one, too."""
        return sum(name.startswith("msg") and name.endswith(".txt") for name in self._names(folder))

    def _names(self, folder: str) -> list[str]:
        try:
            with os.scandir(self.path(folder)) as entries:  # a Path for each of thousands would take most of the time
                return [entry.name for entry in entries]
        except FileNotFoundError:
            return []


def message(folder: str, number: int) -> str:
    """Give the name of a message without its suffix; number -1 is `msg-001`, as Asterisk's `%04d` makes it."""
    return f"{folder}/msg{number:04d}"


def _grow(stem: str, files: Mapping[str, BinaryIO], audio: Mapping[str, bytes]) -> Steps[None]:
    """Write the first half of each format, then format by format the other half."""
    for suffix, file in files.items():
        file.write(audio[suffix][: len(audio[suffix]) // 2])
        yield f"write {stem}.{suffix}"
    for suffix, file in files.items():
        file.write(audio[suffix][len(audio[suffix]) // 2 :])
        yield f"write {stem}.{suffix}"
        file.close()
        yield f"close {stem}.{suffix}"


def _token() -> str:
    """Give six characters such as mkstemp() makes."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(6))
