"""What a call's legs say together: who called whom, how it ended, how long they spoke, who took part (contract 4)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from service.call import CallStatus, CallType, Disposition, Leg, Party, Verdict
from service.cdr.uniqueid import rank

MOST_PARTIES = 64
MOST_CONTEXTS = 16

_DEFAULT_CONTEXT = "default"
_WITHOUT_PHONES = frozenset({"dahdi", "zap"})
"""Technologies whose channels are named for a line, not for a phone."""
_ENDS = {
    Disposition.ANSWERED.value: CallStatus.ANSWERED,
    Disposition.BUSY.value: CallStatus.BUSY,
    Disposition.FAILED.value: CallStatus.FAILED,
    Disposition.CONGESTION.value: CallStatus.FAILED,
}
"""What a leg's end says of the call; of several legs' ends the first of these counts, and any other says no answer."""

Seen = tuple[str, str, bool]


def judge(legs: Sequence[Leg], internal: re.Pattern[str]) -> Verdict:
    """Say what these legs, at least one, mean as a call; their order does not matter.

    `internal` finds the numbers that are extensions of this PBX.
    """
    if len(legs) == 1:
        return _of_one(legs[0], internal)
    counting = counted(in_order(legs))
    first = counting[0]
    kind = _type(first, internal)
    deciding = _deciding(counting)
    status = _status(deciding)
    end = max(leg.end for leg in counting)
    return Verdict(
        start=first.start,
        end=end,
        src=first.src,
        dst=first.dst,
        external_number=_external_number(kind, counting, internal),
        duration=first.duration if len(counting) == 1 else end - first.start,
        conversation=_conversation(deciding) if status is CallStatus.ANSWERED else 0,
        type=kind,
        status=status,
        recording=_recording(counting),
    )


def _of_one(leg: Leg, internal: re.Pattern[str]) -> Verdict:
    """The same of a single leg, as most calls are, in a fifth of the time."""
    kind = _type(leg, internal)
    decides = leg.dstchannel != "" or not leg.voicemail
    status = _ENDS.get(leg.disposition, CallStatus.NOT_ANSWERED) if decides else CallStatus.NOT_ANSWERED
    return Verdict(
        leg.start,
        leg.end,
        leg.src,
        leg.dst,
        _external_number(kind, (leg,), internal),
        leg.duration,
        leg.billsec if status is CallStatus.ANSWERED else 0,
        kind,
        status,
        leg.recordingfile,
    )


def in_order(legs: Iterable[Leg]) -> tuple[Leg, ...]:
    """Sort legs by start, sequence (none last) and uniqueid; what began together, as a dialplan goes on."""
    legs = tuple(legs)
    return legs if len(legs) == 1 else tuple(sorted(legs, key=_place))


def counted(legs: Sequence[Leg]) -> tuple[Leg, ...]:
    """Leave out the `;1` half of each Local channel whose `;2` half, the one in the dialplan, is there."""
    channels = {leg.channel for leg in legs if leg.channel.endswith(";2")} if len(legs) > 1 else None
    if not channels:
        return tuple(legs)
    return tuple(leg for leg in legs if not (_is_first_half(leg.channel) and f"{leg.channel[:-1]}2" in channels))


def parties(legs: Iterable[Leg], internal: re.Pattern[str]) -> tuple[Party, ...]:
    """Give the extensions that take part, sorted: numbers, the phones' channels, and mailboxes that were called.

    `known` is left empty. At most `MOST_PARTIES`; phones that only rang are left out first.
    """
    return _parties(tuple([one for leg in legs for one in _seen(leg, internal)]))


@lru_cache(4096)
def _parties(seen: tuple[Seen, ...]) -> tuple[Party, ...]:
    """The same of what was seen: the phones of a PBX are the same in most of its calls."""
    contexts: dict[str, set[str]] = {}
    for extension, context, _rang in seen:
        contexts.setdefault(extension, set()).add(context)
    some = sorted(contexts)
    if len(some) > MOST_PARTIES:
        more = {extension for extension, _context, rang in seen if not rang}
        some = sorted(sorted(some, key=lambda extension: extension not in more)[:MOST_PARTIES])
    return tuple([Party(extension, _some(contexts[extension])) for extension in some])


def _some(contexts: set[str]) -> tuple[str, ...]:
    return tuple(sorted(contexts - {""})[:MOST_CONTEXTS])


def _place(leg: Leg) -> tuple[object, ...]:
    return (
        leg.start,
        leg.sequence is None,
        leg.sequence or 0,
        rank(leg.uniqueid),
        leg.end,
        not leg.dialled,
        leg.voicemail,
        leg[3:16],  # all texts, so that the same legs are always in the same order
        leg.wall,
        leg.disposition,
        leg.duration,
        leg.billsec,
        leg.linkedid,
        leg.answer or 0,
    )


def _is_first_half(channel: str) -> bool:
    return channel.endswith(";1") and channel.startswith("Local/")


def _type(first: Leg, internal: re.Pattern[str]) -> CallType:
    if not internal.search(first.src):
        return CallType.INCOMING
    return CallType.INTERNAL if internal.search(first.dst) else CallType.OUTGOING


def _deciding(legs: Sequence[Leg]) -> list[Leg]:
    """The legs that say how the call ended: the dialled ones, else those that are not voicemail."""
    return [leg for leg in legs if leg.dialled] or [leg for leg in legs if not leg.voicemail]


def _status(deciding: Iterable[Leg]) -> CallStatus:
    ends = {_ENDS.get(leg.disposition, CallStatus.NOT_ANSWERED) for leg in deciding}
    return next((status for status in _ENDS.values() if status in ends), CallStatus.NOT_ANSWERED)


def _conversation(deciding: Iterable[Leg]) -> int:
    """Seconds in which at least one of the answered legs was up."""
    answered = [leg for leg in deciding if leg.disposition == Disposition.ANSWERED]
    if len(answered) == 1:
        return answered[0].billsec
    covered = 0
    until = min(leg.start for leg in answered)
    for begin, end in sorted(
        (leg.end - leg.billsec if leg.answer is None else leg.answer, leg.end) for leg in answered
    ):
        covered += max(0, end - max(begin, until))
        until = max(until, end)
    return covered


def _external_number(kind: CallType, legs: Sequence[Leg], internal: re.Pattern[str]) -> str | None:
    if kind is CallType.INTERNAL:
        return None
    did = [leg.did for leg in legs if leg.did]
    shown = [leg.outbound_cnum for leg in legs if leg.outbound_cnum]
    if kind is CallType.INCOMING:
        told, party = did or shown, legs[0].src
    else:
        told, party = shown or did, legs[0].dst
    return told[0] if told else _outside(party, internal)


def _outside(number: str, internal: re.Pattern[str]) -> str | None:
    if number.isdecimal() or any(character.isdigit() for character in number):
        return None if internal.search(number) else number
    return None


def _recording(legs: Sequence[Leg]) -> str:
    """The file that an answered leg tells of, else any."""
    told = [leg for leg in legs if leg.recordingfile]
    answered = [leg for leg in told if leg.disposition == Disposition.ANSWERED]
    return (answered or told)[0].recordingfile if told else ""


def _seen(leg: Leg, internal: re.Pattern[str]) -> list[Seen]:
    """Every extension in a leg, with its context ("" where none is told), and whether it is a phone that only rang."""
    context, found = leg.dcontext, internal.search
    numbers = (leg.src, leg.dst, phone(leg.channel))
    seen = [(number, context, False) for number in numbers if number and found(number)]
    called = phone(leg.dstchannel)
    if called and found(called):
        seen.append((called, context, leg.disposition != Disposition.ANSWERED))
    if leg.voicemail:
        seen += [(extension, own, False) for extension, own in mailboxes(leg.lastdata)]
    return seen


def phone(channel: str) -> str:
    """Give the phone or number that a channel is named for: `PJSIP/200-0000002a` and `Local/200@ctx-01;2` are 200."""
    technology, _, name = channel.partition("/")
    if technology.lower() in _WITHOUT_PHONES:
        return ""
    number, at, _ = name.partition("@")
    return number if at else name.rpartition("-")[0]


def mailboxes(lastdata: str) -> Iterator[tuple[str, str]]:
    """Give extension and context of each mailbox that VoiceMail was called with: `100@default&101@other,us`."""
    for box in lastdata.partition(",")[0].split("&")[:MOST_PARTIES]:
        extension, _, context = box.strip().partition("@")
        if extension:
            yield extension, context or _DEFAULT_CONTEXT
