"""What the commands share: the `--config` option, what texts in arguments mean, how tables and mistakes are printed."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from service.config import load
from service.config_file import DEFAULT_PATH, PATH_VARIABLE
from service.errors import InvalidInputError
from service.model import Mailbox
from service.settings import Settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help=f"The configuration; otherwise ${PATH_VARIABLE}, else {DEFAULT_PATH}.",
        show_default=False,
        readable=False,  # `service.config_file` tells what is wrong with it, and which exit code that has
    ),
]
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


def remember(ctx: typer.Context, config_file: Config = None) -> None:
    """Keep a `--config` that stands before the command's name; the callback of a group of commands."""
    ctx.obj = config_file or ctx.obj


def named(ctx: typer.Context, config_file: Path | None) -> Path | None:
    """The configuration that an option names, behind the command's name or before it."""
    before: Path | None = ctx.obj
    return config_file or before


def settings_of(ctx: typer.Context, config_file: Path | None) -> Settings:
    """Read the configuration; ConfigError where it is wrong."""
    return load(named(ctx, config_file), os.environ)


def mailbox(text: str) -> Mailbox:
    """Read a mailbox argument."""
    try:
        return Mailbox.parse(text)
    except InvalidInputError as error:
        raise typer.BadParameter(str(error)) from error


def lifetime(text: str) -> int:
    """Read `30m`, `12h` or `30d`; gives seconds."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text[:40]!r} is no lifetime: write a number and m, h or d, e.g. 30m, 12h or 30d")
    return int(found[1]) * _SECONDS[found[2]]


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on a terminal; elsewhere a line a row, its cells parted by tabs, without the columns' names."""
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    from rich.console import Console  # noqa: PLC0415 -- a tenth of a second that other commands need not wait
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


@contextlib.contextmanager
def tell_progress(what: str, *, sizes: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Give a function that is told how much is done and of how much: a bar on a terminal, elsewhere a line a tenth.

    `sizes`: these are numbers of bytes of `what`, else of `what` itself.
    """
    if not sys.stderr.isatty():
        yield _lines(what, sizes=sizes)
        return
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    counted = progress.DownloadColumn() if sizes else progress.MofNCompleteColumn()
    columns = (progress.TextColumn(what), progress.BarColumn(), counted, progress.TimeRemainingColumn())
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str, *, sizes: bool) -> Callable[[int, int], None]:
    told = -1

    def progress(done: int, total: int) -> None:
        nonlocal told
        tenths = done * 10 // total if total else 10
        if tenths > told:
            told = tenths
            typer.echo(f"{tenths * 10} % of {what}" if sizes else f"{done} of {total} {what}", err=True)

    return progress
