"""Names of Asterisk's channels: `[systemname-]EPOCH.COUNTER`, e.g. `1795211480.31` or `pbx1-1795211480.31`.

EPOCH is the second in which the channel was made, COUNTER counts channels since the PBX started (`channel.c`).
"""

Rank = tuple[int, int, int, str]

_MOST_DIGITS = 15


def channel_start(uniqueid: str) -> int | None:
    """Epoch second in which that channel was made; None where the name does not tell it."""
    unknown, epoch, _counter, _name = rank(uniqueid)
    return None if unknown else epoch


def looks_like_one(text: str) -> bool:
    """Whether this can be the name of a channel."""
    return channel_start(text) is not None


def rank(uniqueid: str) -> Rank:
    """What to sort by: by epoch and counter as numbers; what is no channel's name comes last."""
    epoch, _, counter = uniqueid[uniqueid.rfind("-") + 1 :].partition(".")
    if _is_number(epoch) and _is_number(counter):
        return 0, int(epoch), int(counter), uniqueid
    return 1, 0, 0, uniqueid


def _is_number(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS
