"""Calls as Asterisk makes and tells them: which call detail records each kind leaves, in order, and its recording.

The kinds are those recorded in tests/fixtures (ami-recordings/ami-*-calls.txt): a phone that was dialled leaves a
record of its own, one that rang in vain as well, and a dialplan that goes on afterwards one of no length for its
`Hangup`.
"""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from service.simulator.events import Caller, Detail, Leg
from service.simulator.tone import voice

MOST_RECORDINGS = 50
"""So many recordings of calls are kept; the oldest goes, so that the demo may run for days."""

ANSWERED = "ANSWERED"
NO_ANSWER = "NO ANSWER"
FAILED = "FAILED"


class Way(StrEnum):
    """Which way a call goes, seen from the PBX."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"
    INTERNAL = "internal"

    @property
    def context(self) -> str:
        """The dialplan's context such calls come in."""
        return "from-trunk" if self is Way.INCOMING else "internal"


class Numbers:
    """What a PBX counts: channels, for their names and uniqueids, and call detail records."""

    def __init__(self) -> None:
        self._channels = itertools.count(1)
        self._sequence = itertools.count()

    def leg(self, way: Way, caller: Caller, exten: str, began: int, connected: Caller, *, context: str = "") -> Leg:
        """Make the channel that calls `exten`; `began` is in epoch seconds, `context` "" the usual one of this way."""
        number = next(self._channels)
        unique = f"{began}.{number}"
        name = "trunk" if way is Way.INCOMING else caller.number
        return Leg(f"PJSIP/{name}-{number:08x}", unique, unique, caller, connected, context or way.context, exten)

    def dialled(self, peer: str) -> str:
        """Name the channel to a phone or a trunk."""
        return f"PJSIP/{peer}-{next(self._channels):08x}"

    def sequence(self) -> int:
        """Give the next record's number."""
        return next(self._sequence)

    def restart(self) -> None:
        """Begin anew, as Asterisk does. Channels go on: as calls end here at once, a uniqueid could come twice."""
        self._sequence = itertools.count()


@dataclass(frozen=True, slots=True)
class Made:
    """A call that is over. It rang for `ringing` seconds at `peer` and at those `forked` to as well.

    `seconds` were talked if it was ANSWERED. One that FAILED reached nobody. `cancelled`: the caller hung up, so the
    dialplan did not go on. `extra` is what all its records have in common: account, userfield, the mapped fields.
    """

    way: Way
    leg: Leg
    peer: str
    disposition: str
    began: datetime
    ringing: int
    seconds: int
    extra: Detail
    forked: Sequence[str] = ()
    cancelled: bool = False

    @property
    def picked_up(self) -> datetime:
        """When the ringing was over."""
        return self.began + timedelta(seconds=self.ringing)

    @property
    def answered(self) -> bool:
        """Whether anybody took it."""
        return self.disposition == ANSWERED

    def details(self, numbers: Numbers) -> list[Detail]:
        """Give its records in the order in which Asterisk tells them."""
        return list(self._details(numbers))

    def _details(self, numbers: Numbers) -> Iterator[Detail]:
        data = "&".join(f"PJSIP/{peer}" for peer in (*self.forked, self._dialstring))
        dial = replace(self.extra, application="Dial", data=f"{data},15", ended=self.picked_up, disposition=NO_ANSWER)
        for peer in self.forked:
            yield replace(dial, destination_channel=numbers.dialled(peer), sequence=numbers.sequence())
        yield replace(
            dial,
            destination_channel="" if self.disposition == FAILED else numbers.dialled(self.peer),
            answered=self.picked_up if self.answered else None,
            ended=self.picked_up + timedelta(seconds=self.seconds if self.answered else 0),
            disposition=self.disposition,
            sequence=numbers.sequence(),
        )
        if not (self.answered or self.cancelled or self.disposition == FAILED):
            yield self._hangup(numbers)

    @property
    def _dialstring(self) -> str:
        return f"{self.leg.exten}@{self.peer}" if self.way is Way.OUTGOING else self.peer

    def _hangup(self, numbers: Numbers) -> Detail:
        """What the dialplan did once the dialling had come to nothing: a record of no length."""
        return replace(
            self.extra,
            application="Hangup",
            started=self.picked_up,
            ended=self.picked_up,
            disposition=self.disposition,
            sequence=numbers.sequence(),
        )


def to_voicemail(visit: Detail, rang: int, numbers: Numbers) -> list[Detail]:
    """Give the records of a call of which `visit` is the part in the mailbox; one that rang before has two."""
    if not rang:
        return [replace(visit, sequence=numbers.sequence())]
    dial = replace(
        visit,
        application="Dial",
        data=f"PJSIP/{visit.leg.exten},{rang}",
        started=visit.started - timedelta(seconds=rang),
        ended=visit.started,
        answered=None,
        disposition=NO_ANSWER,
        destination_channel=numbers.dialled(visit.leg.exten),
        sequence=numbers.sequence(),
    )
    return [dial, replace(visit, sequence=numbers.sequence())]


class Recorder:
    """Records calls into a directory as FreePBX does, `YYYY/MM/DD/external-200-...wav`; never more than some."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kept: deque[Path] = deque()

    def record(self, way: Way, leg: Leg, began: datetime, seconds: int) -> str:
        """Write the recording of a call and give what its records call it: the name without the directory."""
        kind = {Way.INCOMING: "external", Way.OUTGOING: "out", Way.INTERNAL: "internal"}[way]
        name = f"{kind}-{leg.exten}-{leg.caller.number or 'unknown'}-{began:%Y%m%d-%H%M%S}-{leg.uniqueid}.wav"
        path = self._root / f"{began:%Y/%m/%d}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(voice(seconds, int(leg.uniqueid.partition(".")[2])))
        self._kept.append(path)
        if len(self._kept) > MOST_RECORDINGS:
            self._kept.popleft().unlink(missing_ok=True)
        return name
