"""The command line, `voicemaild` (contract 2). Exit codes: 0 done, 1 failed (why is on stderr), 2 wrong usage."""

import asyncio
import logging
import os
import sys
from functools import partial
from typing import Annotated

import typer

from service import __version__, cli, cli_calls, cli_mailboxes, cli_tokens, cli_webhooks
from service.cli_common import Config, named, remember, settings_of, tell_progress
from service.cli_told import log_to_stderr
from service.config_file import locate
from service.errors import ConfigError
from service.store.commands import reading

# The daemon, the PBX simulator, the OpenAPI document and rich are imported by the commands that need them: the others
# answer at once.

app = typer.Typer(
    name="voicemaild",
    help="Keeps the voicemail of an Asterisk PBX: every message captured, every unread badge right.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cli_tokens.app, name="token")
app.add_typer(cli_mailboxes.app, name="mailbox")
app.command()(cli_calls.import_cdr)
app.add_typer(cli_webhooks.app, name="webhook")

log = logging.getLogger(__name__)


def _print_version(asked: bool) -> None:  # noqa: FBT001 -- as typer calls it
    if asked:
        print(f"voicemaild {__version__}")
        raise typer.Exit


@app.callback()
def top(
    ctx: typer.Context,
    *,
    config_file: Config = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep a `--config` that stands before the command's name."""
    remember(ctx, config_file)


@app.command()
def run(ctx: typer.Context, config_file: Config = None) -> None:
    """Run the daemon in the foreground.

    It logs to stderr, stops on SIGTERM and SIGINT, and reads its configuration anew on SIGHUP.
    """
    cli.run(named(ctx, config_file))


@app.command()
def demo(config_file: Config = None) -> None:
    """Run the daemon beside a simulated PBX.

    People call and leave messages every few seconds. Prints a link to the dashboard. It needs no configuration, and
    leaves nothing behind.
    """
    from service.demo import demo as play  # noqa: PLC0415 -- see above

    del config_file  # taken, as by every command
    log_to_stderr(logging.WARNING)
    asyncio.run(play(partial(print, flush=True)))


@app.command("rotate-links")
def rotate_links(ctx: typer.Context, config_file: Config = None) -> None:
    """Sign links to audio with another key.

    All links that were made so far end; a running daemon follows within 5 s.
    """
    from service.daemon_state import rotate_link_key  # noqa: PLC0415 -- see above

    rotate_link_key(settings_of(ctx, config_file).store.path)


@app.command()
def check(ctx: typer.Context, config_file: Config = None) -> None:
    """Look at everything the daemon needs.

    Prints a line for each thing, with what to do about it. Exits with 1 if any is bad.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # the findings say it; else Python prints warnings itself
    if not asyncio.run(_report(ctx, config_file)):
        raise typer.Exit(1)


async def _report(ctx: typer.Context, config_file: Config) -> bool:
    """Print the findings; gives whether none is bad."""
    from service.check import Finding, Level  # noqa: PLC0415 -- see above
    from service.check import check as look  # noqa: PLC0415

    source, _ = locate(named(ctx, config_file), os.environ)
    try:
        settings = settings_of(ctx, config_file)
    except ConfigError as error:
        for problem in error.problems:
            print(_coloured(str(Finding(Level.BAD, f"configuration: {problem}")), Level.BAD))
        return False
    levels = set()
    async for finding in look(settings, source):
        print(_coloured(str(finding), finding.level), flush=True)
        levels.add(finding.level)
    return Level.BAD not in levels


def _coloured(line: str, level: str) -> str:
    """The line with its first word in colour, on a terminal that has colours."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return line
    colour = {"ok": 32, "warn": 33, "bad": 31}[level]
    return f"\x1b[{colour}m{level:<4}\x1b[0m{line[4:]}"


@app.command()
def scan(ctx: typer.Context, config_file: Config = None) -> None:
    """Read the whole spool once into the store."""
    from service import daemon  # noqa: PLC0415 -- see above

    settings = settings_of(ctx, config_file)
    log_to_stderr(logging.WARNING)
    with reading(settings.store.path):  # root must not be the owner of a database it is the first to need
        pass
    with tell_progress("mailboxes") as progress:
        found = asyncio.run(daemon.scan(settings, progress))
    print(f"{found} mailboxes read")


@app.command()
def openapi(config_file: Config = None) -> None:
    """Print the OpenAPI 3.1 document."""
    from service.api.openapi import rendered  # noqa: PLC0415 -- see above

    del config_file  # taken, as by every command
    print(rendered().decode(), end="")


@app.command()
def version(config_file: Config = None) -> None:
    """Print the version."""
    del config_file  # taken, as by every command
    _print_version(asked=True)
