"""What the legs of a call say, in the terms in which it is stored. Pure, no I/O: it may be found out anywhere."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from service.call import Leg, Party, Verdict
from service.cdr import judge, merge
from service.store.mailboxes import derived_uuid


class Judged(NamedTuple):
    """The identity of a call, with the uuid that follows from it, and what its legs say together."""

    key: str
    uuid: str
    verdict: Verdict
    parties: tuple[Party, ...]


def judged(pbx: str, legs: Sequence[Leg], internal: re.Pattern[str]) -> Judged:
    """Judge the legs of a call of this PBX, in any order; `internal` finds the numbers that are its extensions."""
    key = merge.key(legs)
    return Judged(key, derived_uuid(f"{pbx}/call/{key}"), judge.judge(legs, internal), judge.parties(legs, internal))


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges calls of a PBX, of some of which it is known beforehand what a leg says that is `alone`."""

    pbx: str
    internal: re.Pattern[str]
    alone: Mapping[Leg, Judged] = field(default_factory=dict)

    def __call__(self, legs: Sequence[Leg]) -> Judged:
        """See `judged`."""
        known = self.alone.get(legs[0]) if len(legs) == 1 and self.alone else None
        return known or judged(self.pbx, legs, self.internal)
