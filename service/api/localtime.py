"""Points of time as people of the PBX's place write them, in the days when clocks change too (contract 4)."""

import re
from datetime import datetime, time, tzinfo

_FORM = re.compile(r"(\d{4}-\d{2}-\d{2})(?: (\d{2}:\d{2}:\d{2}))?\Z", re.ASCII)
_LAST_SECOND = time(23, 59, 59)


def earliest(text: str, zone: tzinfo) -> int | None:
    """Epoch second from which on `from=text` is true; a date means its first second. None where it is no time.

    Of a time that comes twice it is the first; one that is left out begins when the clocks have been put forward.
    """
    local = _parse(text, time())
    if local is None:
        return None
    return min(_instants(local, zone)) if _exists(local, zone) else _change(local, zone)


def latest(text: str, zone: tzinfo) -> int | None:
    """Epoch second up to which `to=text` is true, inclusive; a date means its last second. None where it is no time.

    Of a time that comes twice it is the second; one that is left out ends when the clocks are put forward.
    """
    local = _parse(text, _LAST_SECOND)
    if local is None:
        return None
    return max(_instants(local, zone)) if _exists(local, zone) else _change(local, zone) - 1


def _parse(text: str, at: time) -> datetime | None:
    form = _FORM.match(text)
    if form is None:
        return None
    try:
        return datetime.fromisoformat(f"{form[1]}T{form[2] or at.isoformat()}")
    except ValueError:
        return None


def _instants(local: datetime, zone: tzinfo) -> tuple[int, int]:
    """Both readings of a local time; they differ where clocks change."""
    first = local.replace(tzinfo=zone, fold=0)
    return int(first.timestamp()), int(first.replace(fold=1).timestamp())


def _exists(local: datetime, zone: tzinfo) -> bool:
    """Whether the clocks ever show it: where they are put forward, PEP 495's first reading lies after the second."""
    first, second = _instants(local, zone)
    return first <= second


def _change(local: datetime, zone: tzinfo) -> int:
    """The second in which the clocks are put forward over a local time that is left out."""
    after, before = _instants(local, zone)
    offset = datetime.fromtimestamp(after, zone).utcoffset()
    while after - before > 1:
        middle = (after + before) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after
