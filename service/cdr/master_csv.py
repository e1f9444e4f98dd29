"""Legs from Master.csv: the file that `cdr_csv.c` appends a line to for each CDR, whole or torn.

A line has 16 columns: accountcode, src, dst, dcontext, clid, channel, dstchannel, lastapp, lastdata, start, answer,
end, duration, billsec, disposition, amaflags; then uniqueid (`loguniqueid`), userfield (`loguserfield`), and
peeraccount, linkedid, sequence (`newcdrcolumns`). Texts stand in quotes, quotes in them are doubled, a line break in
them stays one; numbers, and the time of an answer that never came, stand without.
"""

import csv
import re
from collections.abc import Sequence
from typing import NamedTuple

from service.call import Leg
from service.cdr.leg import leg_of
from service.cdr.times import LocalTimes
from service.cdr.uniqueid import looks_like_one
from service.errors import InvalidInputError

MOST_BYTES = 64 * 1024
"""No record is longer, in bytes; `cdr_csv.c` itself writes at most 1023."""
MOST_LINES = 64
"""No record has more lines."""

_BASE = 16
_NEW = 3
_COLUMNS = range(_BASE, _BASE + 2 + _NEW + 1)
_CLID, _START, _END = 4, 9, 11
_TAIL = 1100
"""Characters: more than any record of `cdr_csv.c` has."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\Z", re.ASCII)
_MIDDLE = re.compile(r'([^"]*)",(\d+),(\d+),"([^"]*)\Z', re.ASCII)
_SEQUENCE = re.compile(r"(?:,\d+)?\Z", re.ASCII)


class Split(NamedTuple):
    """Whole records of a piece of the file, how many of its bytes they and what was torn take, and the torn lines."""

    records: list[bytes]
    consumed: int
    torn: int


def split(data: bytes, *, last: bool = False) -> Split:
    """Cut records off the front of `data`, without their line ends; what may still be written on is not consumed.

    With `last` nothing more will come: a last line without its end counts too. A line that opens a quote and never
    closes it, for the PBX or its disk gave up in the middle, is left out and counted as torn.
    """
    end = data.rfind(b"\n") + 1
    if len(data) - end > MOST_BYTES:
        last = True
    whole = data if last else data[:end]
    lines = whole.split(b"\n")
    if not lines[-1]:
        lines.pop()
    records: list[bytes] = []
    torn = place = 0
    while place < len(lines):
        if not _is_suspect(lines[place]):
            records.append(lines[place])
            place += 1
            continue
        lines[place] = lines[place].lstrip(b"\0")
        taken = _lines_of_one(lines, place, last=last)
        if taken is None:
            waiting = sum(len(line) + 1 for line in lines[place:])
            return Split(_filled(records), len(whole) - waiting, torn)
        if taken:
            records.append(b"\n".join(lines[place : place + taken]))
        else:
            torn += 1
        place += taken or 1
    return Split(_filled(records), len(whole), torn)


def fields(record: bytes) -> list[str]:
    """Give the columns of a record; bytes that are no UTF-8 become U+FFFD, as in AMI's events.

    Where a whole record was appended to a torn one, these are the columns of the whole one. InvalidInputError for
    what is no CSV.
    """
    text = _text(record)
    row = _plain(text)
    if row is None:
        row = _row(text)
        if not _is_cdr(row):
            row = _behind_a_torn_one(text) or row
    if row is None:
        raise InvalidInputError("this is no line of Master.csv")
    return row


def leg_of_row(row: Sequence[str], times: LocalTimes) -> Leg:
    """Read a record's columns, told apart by their number and looks. InvalidInputError: see `leg_of`."""
    count = len(row)
    if count not in _COLUMNS:
        raise InvalidInputError(f"a line of Master.csv has 16 to 21 columns, not {count}")
    uniqueid = userfield = linkedid = sequence = ""
    more = count - _BASE
    if more >= _NEW:
        more -= _NEW
        linkedid, sequence = row[-2], row[-1]
    if more == 2:  # noqa: PLR2004 -- both columns
        uniqueid, userfield = row[16], row[17]
    elif more:
        uniqueid, userfield = (row[16], "") if looks_like_one(row[16]) else ("", row[16])
    (
        accountcode, src, dst, dcontext, clid, channel, dstchannel, lastapp, lastdata, start, answer, end, duration,
        billsec, disposition,
    ) = row[:15]  # fmt: skip
    return leg_of(
        (
            uniqueid, linkedid, sequence, channel, dstchannel, src, dst, dcontext, clid, lastapp, lastdata, accountcode,
            userfield, "", "", "", start, answer, end, duration, billsec, disposition,
        ),
        times,
    )  # fmt: skip


def _filled(records: list[bytes]) -> list[bytes]:
    return [record for record in records if record]


def _is_suspect(line: bytes) -> bool:
    """Whether a line leaves a quote open, is too long, or begins with what a file system puts where it lost a write."""
    return line.count(b'"') & 1 == 1 or len(line) > MOST_BYTES or line.startswith(b"\0")


def _lines_of_one(lines: list[bytes], place: int, *, last: bool) -> int | None:
    """How many lines the record takes whose first line is suspect; 0 if it is torn, None if more may come."""
    first = lines[place]
    size = len(first)
    if size > MOST_BYTES:
        return 0
    if not _is_suspect(first) or _behind_a_torn_one(_text(first)) is not None:
        return 1
    for following in range(place + 1, min(place + MOST_LINES, len(lines))):
        line = lines[following]
        size += len(line) + 1
        if size > MOST_BYTES or _is_alone(line):
            return 0
        if line.count(b'"') & 1:
            count = following + 1 - place
            return count if _is_alone(b"\n".join(lines[place : place + count])) else 0
    return 0 if last or place + MOST_LINES <= len(lines) else None


def _is_alone(record: bytes) -> bool:
    """Whether this is surely a record and no piece of one: one that began in the middle would not read so."""
    return record.startswith(b'"') and not record.count(b'"') & 1 and _is_cdr(_row(_text(record), strict=True))


def _plain(text: str) -> list[str] | None:
    """The columns of a line that is as most are, in half the time that csv takes; None if it is not.

    That is one without quotes, but for doubled ones in the caller's name. No `","` within a column can go unseen: its
    quotes are doubled, so that one of them would be left over on either side.
    """
    row = text.replace(',,"', ',"","').split('","')
    if len(row) <= _END or text[0] != '"':
        return None
    row[0] = row[0][1:]
    middle = _MIDDLE.match(row[_END])
    row[-1], _, sequence = row[-1].rpartition('"')
    if middle is None or not _SEQUENCE.match(sequence):
        return None
    row[_END : _END + 1] = middle.groups()
    if sequence:
        row.append(sequence[1:])
    name = row[_CLID]
    row[_CLID] = name.replace('""', "\0")
    joined = "".join(row)
    if '"' in joined:
        return None
    row[_CLID] = row[_CLID].replace("\0", '"')
    return row


def _text(record: bytes) -> str:
    return record.replace(b"\0", b"").decode("utf-8", "replace")


def _row(text: str, *, strict: bool = False) -> list[str] | None:
    try:
        return next(csv.reader((text,), strict=strict), None)
    except csv.Error:
        return None


def _is_cdr(row: Sequence[str] | None) -> bool:
    """Whether these columns have their times where a CDR has them."""
    return (
        row is not None
        and len(row) in _COLUMNS
        and _TIME.match(row[_START]) is not None
        and (row[_END] == "" or _TIME.match(row[_END]) is not None)
    )


def _behind_a_torn_one(text: str) -> list[str] | None:
    """The columns of the whole record at the end of a line, where the line begins with a piece of another."""
    tail = text[-_TAIL:]
    place = tail.find('"')
    while place >= 0:
        row = _row(tail[place:], strict=True)
        if _is_cdr(row):
            return row
        place = tail.find('"', place + 1)
    return None
