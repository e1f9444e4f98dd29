"""Tell systemd how the daemon fares: sd_notify(3) without libsystemd, and how often its watchdog wants a sign of life.

The protocol is one datagram of `NAME=value` lines to the unix socket that `NOTIFY_SOCKET` names: a path, or, with a
leading `@`, a name in Linux's abstract namespace. Outside systemd the variable is missing, and every call does nothing.
"""

import logging
import os
import socket
import time
from collections.abc import Mapping

_log = logging.getLogger(__name__)
_SEND_TIMEOUT_S = 1.0
"""systemd reads its socket at once; where it does not, the daemon goes on without it."""
_BEATS_PER_WATCHDOG = 3
"""Two signs of life in a row may be late before systemd takes the daemon for wedged."""
_MICROSECONDS = 1_000_000


class Notifier:
    """A line to the service manager. `environ` is the process's environment.

    No method raises for a socket that is gone or full: what the daemon does matters more than that systemd hears of it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name

    def ready(self, status: str = "") -> None:
        """Say that start-up, or a reload, is done: units that wait for this one may start."""
        self._send("READY=1", status)

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        self._send("RELOADING=1", monotonic_us=time.monotonic_ns() // 1000)

    def stopping(self, status: str = "") -> None:
        """Say that the daemon is on its way out."""
        self._send("STOPPING=1", status)

    def status(self, text: str) -> None:
        """Show one line of plain words in `systemctl status`."""
        self._send("", text)

    def alive(self) -> None:
        """Give the watchdog its sign of life; to be called only when what the daemon is for really works."""
        self._send("WATCHDOG=1")

    def _send(self, state: str, status: str = "", *, monotonic_us: int | None = None) -> None:
        if not self._address:
            return
        lines = [state] if state else []
        if monotonic_us is not None:
            lines.append(f"MONOTONIC_USEC={monotonic_us}")
        if status:
            lines.append("STATUS=" + " ".join(status.split()))
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(_SEND_TIMEOUT_S)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            _log.info("systemd not told: state=%r error=%r", state, error)


def watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Seconds between signs of life that the unit's `WatchdogSec=` asks for; None where no watchdog is meant for us.

    `WATCHDOG_USEC` is the time after which systemd acts, `WATCHDOG_PID` whom it watches (sd_watchdog_enabled(3)).
    """
    limit, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not limit.isascii() or not limit.isdigit() or int(limit) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(limit) / _MICROSECONDS / _BEATS_PER_WATCHDOG
