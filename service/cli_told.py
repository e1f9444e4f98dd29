"""What the commands tell on stderr: log lines, and failures as sentences."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator

from service.errors import InvalidInputError, VoicemaildError


def log_to_stderr(level: int) -> None:
    """Have log lines on stderr: as journald takes them where it reads that, else with their time."""
    handler = logging.StreamHandler()
    journal = "JOURNAL_STREAM" in os.environ
    handler.setFormatter(_ForJournal() if journal else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of every change, several times a second


class _ForJournal(logging.Formatter):
    """Begins each line with its syslog priority, `<4>`, as sd-daemon(3) has it; the journal knows the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines, a traceback's among them."""
        severe = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4}.get(record.levelno, 3)
        return "\n".join(f"<{severe}>{line}" for line in super().format(record).splitlines())


@contextlib.contextmanager
def failures_told() -> Iterator[None]:
    """Exit where the block fails in a way that is expected, with sentences and never a traceback: 2 for wrong usage."""
    failures: list[Exception] = []
    try:
        try:
            yield
        except KeyboardInterrupt:  # before the daemon listens to signals
            sys.exit(128 + signal.SIGINT)
    except* VoicemaildError as group:  # alone, or out of the daemon's tasks
        failures = leaves(group)
    for failure in failures:
        complain(str(failure))
    if failures:
        sys.exit(2 if all(isinstance(failure, InvalidInputError) for failure in failures) else 1)


def leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    """The exceptions in a group and in the groups it holds."""
    return [
        leaf
        for error in group.exceptions
        for leaf in (leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


def complain(text: str) -> None:
    """Print each sentence of a mistake as a line on stderr, where there is one."""
    for line in text.splitlines() if sys.stderr is not None else ():
        print(f"voicemaild: {line}", file=sys.stderr)  # noqa: T201 -- it is a command's
