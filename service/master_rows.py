"""Legs out of the bytes of a Master.csv, as they are read: a batch at a time, with what was not understood counted."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from service.call import Leg
from service.cdr.master_csv import fields, leg_of_row, split
from service.cdr.times import LocalTimes
from service.errors import InvalidInputError
from service.master_files import CHUNK, Place, Reading

TORN = "it is torn"


@dataclass(frozen=True, slots=True)
class Batch:
    """Legs in the order of the file, and the place after them; `rejects` counts by reason the lines that gave none.

    `history`: they were there before anybody followed the file.
    """

    legs: list[Leg]
    rejects: Counter[str]
    place: Place
    history: bool


def batch(reading: Reading, times: LocalTimes, *, last: bool) -> Batch | None:
    """The next legs of a file, of at most `CHUNK` bytes; None where there is no whole line any more.

    `last`: nobody adds to this file, so that half a line at its end is all there is of it. Raises what reading raises.
    """
    while data := reading.fill():
        history = reading.offset < reading.history
        records, size, torn = split(data)
        if size == 0 and history:  # half a line stood there, the first of what was still to come
            reading.history = reading.offset
            continue
        if size == 0 and (last or len(data) >= CHUNK):
            records, size, torn = split(data, last=True)
        if size == 0:
            return None
        reading.consume(size)
        legs, rejects = legs_of(records, times)
        rejects[TORN] += torn
        return Batch(legs, +rejects, reading.place, history)
    return None


def legs_of(records: Sequence[bytes], times: LocalTimes) -> tuple[list[Leg], Counter[str]]:
    """The legs of these records, and how many of them were none, by a reason that tells nothing of their content."""
    legs: list[Leg] = []
    rejects: Counter[str] = Counter()
    for record, row in zip(records, _rows(records), strict=True):
        try:
            legs.append(leg_of_row(row, times))
        except InvalidInputError:  # seldom: looked at with more care
            try:
                legs.append(leg_of_row(fields(record), times))
            except InvalidInputError as error:
                rejects[reason(error)] += 1
    return legs, rejects


def reason(error: InvalidInputError) -> str:
    """Why a line tells of no call, without anything of its content."""
    return f"its {error.field} cannot be read" if error.field else str(error)


def _rows(records: Sequence[bytes]) -> list[list[str]]:
    """The columns of each record, read in one go in half the time; none where that is too simple for one of them."""
    reader = csv.reader([record.decode("utf-8", "replace") for record in records])
    try:
        rows = list(reader)
    except csv.Error:
        rows = []
    return rows if len(rows) == len(records) else [[] for _ in records]
