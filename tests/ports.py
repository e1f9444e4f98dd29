"""Ports for what a test starts and has to name beforehand."""

import random
import socket

_ANY = random.SystemRandom()  # neither a test that sets the seed nor another process chooses the same
_BELOW_EPHEMERAL = range(15000, 32000)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Give a port that is free now and, being below the ephemeral range, is not taken by chance a moment later."""
    while True:
        port = _ANY.choice(_BELOW_EPHEMERAL)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
