"""A PBX's local times as epoch seconds, also in the hour that comes twice when clocks are put back.

A CDR's times are whole seconds of the PBX's wall clock, without zone (`cdr_csv.c`, `cdr_manager.c`: `%Y-%m-%d %T`).
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import product

from service.cdr.uniqueid import channel_start
from service.errors import InvalidInputError

MOST_HOURS = 4096
"""How many hours are remembered: about half a year, 0.5 MB."""

_HOUR = len("2026-11-20 21")
_SECONDS = {f":{minute:02}:{second:02}": 60 * minute + second for minute in range(60) for second in range(60)}
_FORM = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\Z", re.ASCII)
_YEARS = range(1900, 9000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_LEEWAY_S = 1


class LocalTimes:
    """Reads the times of CDRs of a PBX in `zone`. The hours of all days but a few are looked up once and remembered."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._hours: dict[str, int] = {}  # `2026-11-20 21`: its first epoch second; only hours that clocks run through

    def read(  # noqa: PLR0917 -- the columns of a CDR, in their order; a call with names costs an import time
        self, uniqueid: str, start: str, answer: str, end: str, duration: int | None, billsec: int | None
    ) -> tuple[int, int | None, int]:
        """Give start, answer and end of a leg in epoch seconds; `answer` "" is None, `end` "" is start + duration.

        Of two readings of a start it is the one that fits `duration`, not before the channel was made (the uniqueid
        tells when), and soonest after that; end and answer then follow. Where nothing tells, it is the first. A time
        that the clocks leave out in spring is read as if they had not been put forward yet.
        InvalidInputError for what is no time `YYYY-MM-DD HH:MM:SS`.
        """
        hours = self._hours
        try:
            begun = hours[start[:_HOUR]] + _SECONDS[start[_HOUR:]]
            ended = hours[end[:_HOUR]] + _SECONDS[end[_HOUR:]]
            answered = hours[answer[:_HOUR]] + _SECONDS[answer[_HOUR:]] if answer else None
        except KeyError:
            pass
        else:
            if ended >= begun:
                return begun, answered, ended
        return self._read_carefully(uniqueid, (start, answer, end), duration, billsec)

    def _read_carefully(
        self, uniqueid: str, texts: tuple[str, str, str], duration: int | None, billsec: int | None
    ) -> tuple[int, int | None, int]:
        start, answer, end = texts
        starts = self._readings(start, "start time")
        if end:
            begun, ended = _fitting(starts, self._readings(end, "end time"), channel_start(uniqueid), duration)
        elif duration is not None:
            begun = _first(starts, channel_start(uniqueid))
            ended = begun + duration
        else:
            raise InvalidInputError("a CDR needs an end time, or a duration", "end time")
        if not answer:
            return begun, None, ended
        expected = begun if billsec is None else ended - billsec
        answers = self._readings(answer, "answer time")
        return begun, min(answers, key=lambda reading: abs(reading - expected)), ended

    def _readings(self, text: str, field: str) -> tuple[int, ...]:
        """Every epoch second at which the clocks may have shown this: two where they were put back, else one."""
        local = _parse(text)
        if local is None:
            raise InvalidInputError(f"{field} must be a time as 2026-11-20 21:50:47, not {text[:40]!r}", field)
        first, second = self._epoch(local, 0), self._epoch(local, 1)
        if first != second:
            return (first, second) if first < second else (first,)
        self._remember(text[:_HOUR], local)
        return (first,)

    def _remember(self, hour: str, local: datetime) -> None:
        """Keep the hour's beginning if clocks run through it, so that its minutes need no looking up."""
        begin, end = local.replace(minute=0, second=0), local.replace(minute=59, second=59)
        beginnings = {self._epoch(begin, fold) for fold in (0, 1)} | {self._epoch(end, fold) - 3599 for fold in (0, 1)}
        if len(beginnings) == 1:
            if len(self._hours) >= MOST_HOURS:
                self._hours.clear()
            self._hours[hour] = beginnings.pop()

    def _epoch(self, local: datetime, fold: int) -> int:
        return (local.replace(tzinfo=self._zone, fold=fold) - _EPOCH) // _SECOND


def _parse(text: str) -> datetime | None:
    if not _FORM.match(text):
        return None
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        return None
    return local if local.year in _YEARS else None


def _fitting(starts: tuple[int, ...], ends: tuple[int, ...], made: int | None, duration: int | None) -> tuple[int, int]:
    """The pair of readings that agrees best with what is known; never an end before its start."""

    def doubt(pair: tuple[int, int]) -> tuple[bool, bool, int, int]:
        start, end = pair
        misfit = 0 if duration is None else abs(end - start - duration)
        if made is None:
            return False, end < start, misfit, start
        return start < made - _LEEWAY_S, end < start, misfit, abs(start - made)

    start, end = min(product(starts, ends), key=doubt)
    return start, max(start, end)


def _first(starts: tuple[int, ...], made: int | None) -> int:
    """The reading of a start that nothing but its channel's name tells of."""
    return starts[0] if made is None else min(starts, key=lambda start: (start < made - _LEEWAY_S, abs(start - made)))
