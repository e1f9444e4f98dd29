"""`voicemaild import-cdr`: reads years of Master.csv into the store, beside the running daemon if there is one."""

import contextlib
import gc
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from service.call import Leg
from service.cdr.master_csv import split
from service.cdr.times import LocalTimes
from service.cli_common import Config, complain, settings_of, tell_progress
from service.config_schema import Settings
from service.errors import ConflictError
from service.master_files import DAMAGE, unpacked
from service.master_rows import TORN, legs_of
from service.store import Transaction, calls, mailboxes
from service.store.commands import turns

BLOCK = 256 << 10
AT_ONCE = 2000
COLLECT_AFTER = 500_000
"""So many objects may wait to be looked at: ten times as many as a transaction makes."""

Turn = Callable[[Callable[[Transaction], int]], int]


def import_cdr(
    ctx: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Master.csv, or what it was rotated to; gz, bz2, xz as well."),
    ],
    config_file: Config = None,
) -> None:
    """Read Asterisk's Master.csv files into the call history.

    Nobody is told of these calls. What is known already stays as it is: it may be run again.
    """
    settings = settings_of(ctx, config_file)
    total = sum(_size(file) for file in files)
    with (
        turns(settings.store.path, settings.pbx.name) as turn,
        tell_progress("Master.csv", sizes=True) as progress,
        _rarely_collected(),
    ):
        turn(partial(_prepare, settings=settings))
        done = _Import(turn, settings.pbx.internal, LocalTimes(settings.pbx.timezone))
        before = 0
        for file in files:
            for place in done.read(file):
                progress(before + place, total)
            before += _size(file)
        progress(total, total)
    rejected = sum(done.rejects.values())
    typer.echo(f"{done.rows} rows read, {done.changed} calls new or changed, {rejected} rows not understood")
    for reason, rows in done.rejects.most_common():
        complain(f"not understood in {rows} of them: {reason}")


@contextlib.contextmanager
def _rarely_collected() -> Iterator[None]:
    """Have Python look for garbage in circles seldom: a fifth of the time went there, and these rows make none."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ConflictError:
    reason = (isinstance(error, OSError) and error.strerror) or f"it is damaged: {error}"
    return ConflictError(f"{file} cannot be read: {reason}")


def _prepare(tx: Transaction, settings: Settings) -> int:
    mailboxes.adopt_pbx(tx.conn, settings.pbx.name)
    calls.adopt_internal(tx.conn, settings.pbx.internal)
    return 0


@dataclass(slots=True)
class _Import:
    """What was read so far, `rows` with those that were not understood; `turn` runs a change in its transaction."""

    turn: Turn
    internal: re.Pattern[str]
    times: LocalTimes
    rows: int = 0
    changed: int = 0
    rejects: Counter[str] = field(default_factory=Counter)

    def read(self, file: Path) -> Iterator[int]:
        """Read a file; gives how many of its bytes are read, from time to time. Raises ConflictError."""
        before, rejected = self.rows, self.rejects.total()
        try:
            with file.open("rb") as raw:
                yield from self._read(raw)
        except (OSError, *DAMAGE) as error:
            raise _unreadable(file, error) from error
        if self.rows > before and self.rows - before == self.rejects.total() - rejected:
            raise ConflictError(f"{file} is no Master.csv: none of its {self.rows - before} lines tells of a call")

    def _read(self, raw: io.BufferedReader) -> Iterator[int]:
        stream = unpacked(raw, raw.peek(6)[:6])
        waiting, place = b"", 0
        legs: list[Leg] = []
        while block := stream.read(BLOCK):
            waiting += block
            consumed = self._take(waiting, legs, last=False)
            waiting = waiting[consumed:]
            while len(legs) >= AT_ONCE:
                self._write(legs[:AT_ONCE])
                del legs[:AT_ONCE]
            place = place + len(block) if stream is raw else raw.tell()
            yield place
        self._take(waiting, legs, last=True)
        self._write(legs)

    def _take(self, data: bytes, legs: list[Leg], *, last: bool) -> int:
        records, consumed, torn = split(data, last=last)
        found, rejects = legs_of(records, self.times)
        rejects[TORN] += torn
        self.rows += len(records) + torn
        self.rejects += rejects
        legs += found
        return consumed

    def _write(self, legs: Sequence[Leg]) -> None:
        if legs:
            self.changed += self.turn(partial(calls.record, legs=legs, internal=self.internal, history=True))
