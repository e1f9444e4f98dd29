"""One leg from the texts of a CDR, whichever source told them: checked, bounded, the same from both."""

from collections.abc import Sequence

from service.call import Leg
from service.cdr.times import LocalTimes
from service.errors import InvalidInputError

LONGEST = 1024
"""The most characters of a text that are kept; `cdr_csv.c` has 1024 bytes for a whole record."""
MOST_SECONDS = 10**9
MOST_DIGITS = 10

_FEW = {str(number): number for number in range(600)}
"""Most durations: looked up in half the time that reading takes."""

_DISPOSITIONS = {
    "ANSWERED": "ANSWERED",
    "NO ANSWER": "NO ANSWER",
    "NO_ANSWER": "NO ANSWER",
    "NOANSWER": "NO ANSWER",
    "BUSY": "BUSY",
    "FAILED": "FAILED",
    "CONGESTION": "CONGESTION",
}


def leg_of(texts: Sequence[str], times: LocalTimes) -> Leg:
    """Make a leg of 22 texts: the fields of `Leg` in their order, without `wall`; "" where the source tells nothing.

    A duration or billsec that is no number is computed from the times. An unknown disposition is kept as it is.
    InvalidInputError where a time is none, or neither a uniqueid nor a channel is told.
    """
    joined = "".join(texts)
    if len(joined) > LONGEST or "\n" in joined or "\r" in joined or "\0" in joined:
        texts = [_clean(text) for text in texts]
    (
        uniqueid, linkedid, sequence, channel, dstchannel, src, dst, dcontext, clid, lastapp, lastdata, accountcode,
        userfield, did, outbound_cnum, recordingfile, start, answer, end, duration, billsec, disposition,
    ) = texts  # fmt: skip
    if not (uniqueid or channel):
        raise InvalidInputError("a CDR needs a uniqueid or a channel", "uniqueid")
    whole, billed = _FEW.get(duration), _FEW.get(billsec)
    if whole is None:
        whole = _number(duration)
    if billed is None:
        billed = _number(billsec)
    begun, answered, ended = times.read(uniqueid, start, answer, end, whole, billed)
    if whole is None:
        whole = ended - begun
    if billed is None:
        billed = 0 if answered is None else max(0, ended - answered)
    return tuple.__new__(Leg, (  # `Leg(...)` takes three times as long
        uniqueid, linkedid, _number(sequence, 10**MOST_DIGITS), channel, dstchannel, src, dst, dcontext, clid, lastapp,
        lastdata, accountcode, userfield, did, outbound_cnum, recordingfile, begun, answered, ended, whole, billed,
        _DISPOSITIONS.get(disposition) or _disposition(disposition), f"{start}|{answer}|{end}",
    ))  # fmt: skip


def _number(text: str, most: int = MOST_SECONDS) -> int | None:
    if not (text.isdecimal() and text.isascii() and len(text) <= MOST_DIGITS):
        return None
    number = int(text)
    return number if number <= most else None


def _disposition(text: str) -> str:
    return _DISPOSITIONS.get(text.strip().upper(), text)


def _clean(text: str) -> str:
    """Leave out what AMI could not tell, so that both sources give the same: NUL, line ends, what is behind a CRLF."""
    return text.partition("\r\n")[0].rstrip("\r\n").replace("\0", "")[:LONGEST]
