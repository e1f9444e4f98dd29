"""Which CDRs are one and the same from two sources, and which legs belong to one call."""

from collections.abc import Iterable

from service.call import Leg
from service.cdr.uniqueid import rank


def same(a: Leg, b: Leg) -> bool:
    """Whether two sources told of one CDR: all equal that both always tell, and what both of these tell."""
    return (
        a.wall == b.wall
        and a.channel == b.channel
        and a.dstchannel == b.dstchannel
        and a.lastapp == b.lastapp
        and a.dst == b.dst
        and a.disposition == b.disposition
        and (a.uniqueid == b.uniqueid or not a.uniqueid or not b.uniqueid)
        and (a.sequence == b.sequence or a.sequence is None or b.sequence is None)
    )


def merged(a: Leg, b: Leg) -> Leg:
    """Put together what either of two tells that are the `same`, whichever came first.

    The longer text wins. Times come from the one that tells the uniqueid: it knows which of two hours is meant.
    """
    if a == b:
        return a
    surer = max(a, b, key=lambda leg: (leg.uniqueid != "", leg.duration, leg.billsec, leg.start, leg.end))
    return Leg(
        uniqueid=_longer(a.uniqueid, b.uniqueid),
        linkedid=_longer(a.linkedid, b.linkedid),
        sequence=b.sequence if a.sequence is None else a.sequence,
        channel=a.channel,
        dstchannel=a.dstchannel,
        src=_longer(a.src, b.src),
        dst=a.dst,
        dcontext=_longer(a.dcontext, b.dcontext),
        clid=_longer(a.clid, b.clid),
        lastapp=a.lastapp,
        lastdata=_longer(a.lastdata, b.lastdata),
        accountcode=_longer(a.accountcode, b.accountcode),
        userfield=_longer(a.userfield, b.userfield),
        did=_longer(a.did, b.did),
        outbound_cnum=_longer(a.outbound_cnum, b.outbound_cnum),
        recordingfile=_longer(a.recordingfile, b.recordingfile),
        start=surer.start,
        answer=surer.answer,
        end=surer.end,
        duration=surer.duration,
        billsec=surer.billsec,
        disposition=a.disposition,
        wall=a.wall,
    )


def channels(leg: Leg) -> tuple[str, ...]:
    """Give the names that join legs into calls: uniqueid and linkedid; a leg with neither gets a name of its own."""
    uniqueid, linkedid = leg.uniqueid, leg.linkedid
    if not linkedid or linkedid == uniqueid:
        return (uniqueid or f"{leg.channel}|{leg.wall}",)
    return (uniqueid, linkedid) if uniqueid else (linkedid,)


def key(legs: Iterable[Leg]) -> str:
    """Give the identity of the call that these legs make: the smallest linkedid told, else the smallest name."""
    legs = tuple(legs)
    if len(legs) == 1:
        return legs[0].linkedid or channels(legs[0])[0]
    told = {leg.linkedid for leg in legs} - {""}
    return min(told or {name for leg in legs for name in channels(leg)}, key=rank)


def _longer(a: str, b: str) -> str:
    return a if a == b else max(a, b, key=lambda text: (len(text), text))
