"""`voicemaild import-cdr`: reads years of Master.csv into the store, beside the running daemon if there is one."""

import contextlib
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from service.cli_common import Config, settings_of, tell_progress
from service.cli_told import complain
from service.master_history import History, Part, rarely_collected
from service.settings import Settings
from service.store import Transaction, calls, mailboxes
from service.store.commands import turns


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
    pbx = settings.pbx
    history = History(files, pbx.name, pbx.internal, pbx.timezone)
    total = history.size()
    rows = changed = 0
    rejects: Counter[str] = Counter()
    with (
        turns(settings.store.path, pbx.name) as turn,
        tell_progress("Master.csv", sizes=True) as progress,
        rarely_collected(),
        contextlib.closing(history.read()) as parts,
    ):
        turn(partial(_prepare, settings=settings))
        for part in parts:
            changed += turn(partial(_record, part=part, internal=pbx.internal))
            rows += part.rows
            rejects += part.rejects
            progress(part.place, total)
        progress(total, total)
    typer.echo(f"{rows} rows read, {changed} calls new or changed, {rejects.total()} rows not understood")
    for reason, times in rejects.most_common():
        complain(f"not understood in {times} of them: {reason}")


def _prepare(tx: Transaction, settings: Settings) -> int:
    mailboxes.adopt_pbx(tx.conn, settings.pbx.name)
    calls.adopt_internal(tx.conn, settings.pbx.internal)
    return 0


def _record(tx: Transaction, part: Part, internal: re.Pattern[str]) -> int:
    return calls.record(tx, part.legs, internal, history=True, alone=part.alone)
