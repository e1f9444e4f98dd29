"""Standard output as the commands have it: what cannot be written ends in a sentence, and never unnoticed."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from service.errors import VoicemaildError


class OutputError(VoicemaildError):
    """What a command prints could not be written. Has no words where whoever read it has gone, as `head` does."""


class Output:
    """A stream whose failures are told apart from all others: `write` and `flush` raise OutputError.

    After a failure they go on failing: somebody may have tried the stream out, and not minded. None stands for a
    standard output that was closed before the command began.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream: TextIO | io.TextIOBase = _Closed() if stream is None else stream
        self._failure: OutputError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As a stream's."""
        with self._telling():
            return self._stream.write(text)

    def flush(self) -> None:
        """As a stream's."""
        with self._telling():
            self._stream.flush()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except OSError as error:
            words = f"standard output cannot be written: {error.strerror or error}"
            self._failure = OutputError("" if isinstance(error, BrokenPipeError) else words)
            self._give_up()
            raise self._failure from error

    def _give_up(self) -> None:
        """Let what is left in the stream go nowhere: else Python tries, and complains, once more when it ends."""
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class _Closed(io.TextIOBase):
    """What Python has no stream for: its file descriptor may be another file's by now, so it is not touched."""

    def write(self, _text: str) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


@contextlib.contextmanager
def standard_output() -> Iterator[None]:
    """Have what the block prints go through an `Output`; raises OutputError, also for what is left at its end."""
    output = Output(sys.stdout)
    with contextlib.redirect_stdout(cast("TextIO", output)):  # it has all that one has
        try:
            yield
        finally:
            output.flush()
