"""Who is at the other end of one AMI connection: what they logged in as, which events they asked for. No I/O."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from service.simulator.boxes import AmiUser, classes
from service.simulator.events import Peer
from service.simulator.wire import Event


@dataclass(slots=True)
class Client:
    """One connection. `user` is None until it has logged in; `wanted` are the classes it asked for, None is all."""

    peer: Peer
    user: AmiUser | None = None
    wanted: frozenset[str] | None = None
    challenge: str = field(default_factory=lambda: str(secrets.randbelow(10**9)))

    def hears(self, event: Event) -> bool:
        """Whether this event is for them: logged in, allowed, and asked for."""
        if self.user is None or not self.user.hears(event.event_class):
            return False
        return self.wanted is None or event.event_class in self.wanted

    def want(self, mask: str) -> None:
        """Set which events they asked for, as `EventMask:` and Login's `Events:` have it: on, off, or classes."""
        asked = mask.strip().lower()
        self.wanted = None if asked in ("", "on", "yes", "all") else classes(asked) - {"off", "no"}


def stamp(at: datetime | None = None) -> str:
    """Give a time as security events have it: `2026-11-20T21:46:31.284+0000`."""
    moment = at or datetime.now(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
