"""Has the configuration checked by a process of its own, so that the daemon never loads what does that.

pydantic would be a sixth of the daemon's memory and of its start. So another process loads it, while this one loads the
daemon's parts: `python -m service.config FD`. It is told on a socket what is given, and tells the settings or the
mistakes. Both hold secrets, which is why its arguments and its environment have nothing of them.
"""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from service.config_file import PREFIX, Given
from service.errors import ConfigError, UnavailableError
from service.settings import Settings

LONGEST_WAIT_S = 60.0
"""So long it may take; then the disk hangs, or the machine."""
END_S = 1.0

Reading = Callable[[], Settings]
"""Waits for the settings, if need be in a thread.

Raises ConfigError as `config.load` does; UnavailableError where the other process tells nothing: it cannot be started,
has died, took too long, or was ended because nobody wants to know any more.
"""


@contextlib.contextmanager
def reading(given: Given) -> Iterator[Reading]:
    """Have another process read what is given, while the block runs; gives what waits for it.

    Raises UnavailableError where no process can be started.
    """
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(LONGEST_WAIT_S)
        with theirs:
            process = _process(theirs)
        try:
            with contextlib.suppress(OSError):  # it died: who waits for what it tells hears of it
                ours.sendall(pickle.dumps(given))
            yield partial(_told, ours)
        finally:
            with contextlib.suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)  # who still waits in a thread hears that there is nothing to come
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)


def _process(theirs: socket.socket) -> subprocess.Popen[bytes]:
    theirs.set_inheritable(True)
    try:
        return subprocess.Popen(  # noqa: S603 -- this very program
            (sys.executable, "-P", "-m", "service.config", str(theirs.fileno())),
            env=_environment(),
            close_fds=False,  # a secret_file may be /dev/fd/3
            start_new_session=True,  # Ctrl-C is for us to hear
        )
    except OSError as error:
        raise UnavailableError(f"the process that checks it cannot be started: {error.strerror}") from error


def _environment() -> dict[str, str]:
    """Ours, but for the secrets that may be in it; and what it needs to find the same modules."""
    places = dict.fromkeys([*filter(None, sys.path), str(Path(__file__).parents[1])])
    ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return ours | {"PYTHONPATH": os.pathsep.join(places)}


def _told(ours: socket.socket) -> Settings:
    try:
        with ours.makefile("rb") as answer:
            found = pickle.load(answer)  # noqa: S301 -- what this very program tells
    except TimeoutError:
        raise UnavailableError(f"the process that checks it told nothing within {LONGEST_WAIT_S:.0f} s") from None
    except (OSError, EOFError) as error:
        raise UnavailableError("the process that checks it died") from error
    if isinstance(found, Settings):
        return found
    raise ConfigError(found)
