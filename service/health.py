"""How the daemon's parts are: a board that they write on and `/readyz`, the watchdog and metrics read (contract 10)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar


class StoreState(StrEnum):
    """Whether the store can be written."""

    OK = "ok"
    FAILING = "failing"


class SpoolState(StrEnum):
    """How the spool is followed."""

    OK = "ok"
    SCANNING = "scanning"
    POLLING = "polling"
    MISSING = "missing"


class AmiState(StrEnum):
    """Whether Asterisk's manager interface is there for us."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    REFUSED = "refused"
    DISABLED = "disabled"


class Status(StrEnum):
    """The sum of it, as `/readyz` tells it."""

    READY = "ready"
    DEGRADED = "degraded"
    STARTING = "starting"
    FAILING = "failing"


State = TypeVar("State", StoreState, SpoolState, AmiState)


@dataclass(frozen=True, slots=True)
class Part(Generic[State]):
    """A part's state, and in `detail` one sentence about it for a person, without personal data or secrets."""

    state: State
    detail: str = ""

    def told(self) -> dict[str, str]:
        """Both, for an answer."""
        return {"state": self.state.value, "detail": self.detail}


@dataclass(slots=True)
class Health:
    """The board. Its parts are replaced whole: `health.ami = Part(AmiState.REFUSED, "the PBX refused the login")`."""

    store: Part[StoreState] = field(default_factory=lambda: Part(StoreState.OK, "the database can be written"))
    spool: Part[SpoolState] = field(default_factory=lambda: Part(SpoolState.SCANNING, "the first scan is under way"))
    ami: Part[AmiState] = field(default_factory=lambda: Part(AmiState.CONNECTING, "not connected yet"))
    first_scan_done: bool = False

    @property
    def status(self) -> Status:
        """Failing while the store cannot write, starting until the first full scan is done, else as its parts are."""
        if self.store.state is StoreState.FAILING:
            return Status.FAILING
        if not self.first_scan_done:
            return Status.STARTING
        followed = self.spool.state in (SpoolState.OK, SpoolState.SCANNING)
        told = self.ami.state in (AmiState.CONNECTED, AmiState.DISABLED)
        return Status.READY if followed and told else Status.DEGRADED

    @property
    def serving(self) -> bool:
        """Whether `/readyz` answers 200: AMI trouble alone does not take the daemon out of service."""
        return self.status in (Status.READY, Status.DEGRADED)

    def snapshot(self) -> dict[str, Any]:
        """What `/readyz` answers."""
        return {
            "status": self.status.value,
            "store": self.store.told(),
            "spool": self.spool.told(),
            "ami": self.ami.told(),
        }
