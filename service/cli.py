"""Where every command begins, and `run` itself: plainly asked for, it does without what reads a command line.

typer, and pydantic with it, would be a fifth of the memory that the daemon has for months to read two words once.
"""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from service.cli_told import failures_told, log_to_stderr
from service.config_file import Given, given
from service.config_reading import reading
from service.errors import UnavailableError
from service.settings import Settings

log = logging.getLogger(__name__)


def main() -> None:
    """Do what the command line says, and exit; a mistake of the user's ends with a sentence, never a traceback."""
    with failures_told():
        match _words(sys.argv[1:]):
            case ("run",):
                run(None)
            case ("run", "--config", file) | ("--config", file, "run"):
                run(Path(file))
            case _:
                from service.cli_commands import app  # noqa: PLC0415 -- see above
                from service.cli_output import standard_output  # noqa: PLC0415

                with standard_output():
                    app(prog_name="voicemaild")


def _words(arguments: Sequence[str]) -> tuple[str, ...]:
    """The arguments, `--config=FILE` in two."""
    parted = (word.split("=", 1) if word.startswith("--config=") else (word,) for word in arguments)
    return tuple(word for words in parted for word in words)


def run(config_file: Path | None) -> None:
    """Run the daemon in the foreground, with this configuration or the one at its place. Raises VoicemaildError."""
    log_to_stderr(logging.INFO)
    settings = _settings(given(config_file, os.environ))
    import asyncio  # noqa: PLC0415 -- what the daemon needs is loaded while the settings are read

    from service import daemon  # noqa: PLC0415

    for sentence in settings.warnings:
        log.warning("configuration: %s", sentence)
    asyncio.run(daemon.run(settings, reload=lambda: reading(given(config_file, os.environ))))


def _settings(given: Given) -> Settings:
    """Have another process read them, while this one loads the daemon."""
    try:
        with reading(given) as settings:
            import service.daemon  # noqa: F401, PLC0415 -- this is when

            return settings()
    except UnavailableError as error:
        log.warning("configuration is read by the daemon itself reason=%r", str(error))
    from service.config import understood  # noqa: PLC0415 -- where nothing else is left

    return understood(given)
