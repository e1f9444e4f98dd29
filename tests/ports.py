"""Ports for what a test starts and has to name beforehand."""

import itertools
import os
import random
import socket
from collections.abc import Iterator

_BELOW_EPHEMERAL = range(15000, 32000)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Give a port that is free now and not taken by chance a moment later.

    It is below the ephemeral range, was not given out by this process for long, and belongs to it alone of those that
    share the tests.
    """
    return next(port for port in _PORTS if _is_free(port, kind))


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _of_this_process() -> Iterator[int]:
    """Its share of the ports, shuffled: what runs beside all of them begins elsewhere."""
    sharing = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = list(_BELOW_EPHEMERAL[number::sharing])
    random.SystemRandom().shuffle(mine)  # a test may set the seed
    return itertools.cycle(mine)


_PORTS = _of_this_process()
