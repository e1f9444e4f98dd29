"""The rows of the benchmark, `figure | limit | ratio | goal`: how they are judged, printed and kept."""

import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Self

from rich.console import Console
from rich.table import Table

NONE = "-"
_GOAL = re.compile(r"(<=|>=) ([\d.]+)(?: (\S.*))?")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `met` says whether its goal is; None where it has none. All else is text, as it is printed."""

    figure: str
    limit: str
    ratio: str
    goal: str
    met: bool | None

    @classmethod
    def compared(cls, figure: str, limit: str, ratio: float, goal: str = NONE) -> Self:
        """A figure whose goal, such as `<= 2`, is about its ratio to the limit."""
        return cls(figure, limit, f"{ratio:.2f}", goal, judged(goal, ratio))

    @classmethod
    def measured(cls, figure: str, value: float, goal: str, limit: str = NONE, ratio: float | None = None) -> Self:
        """A figure whose goal, such as `<= 12 ms`, is about `value` itself, in the goal's unit."""
        return cls(figure, limit, NONE if ratio is None else f"{ratio:.2f}", goal, judged(goal, value))

    @classmethod
    def read(cls, line: str) -> Self | None:
        """A row out of a line `figure | limit | ratio | goal`; None for a line that is none, as the head.

        A goal is about the ratio; where there is no ratio, about the figure's number that has the goal's unit.
        """
        cells = [cell.strip() for cell in line.split(" | ")]
        if len(cells) != len(("figure", "limit", "ratio", "goal")) or cells[0] == "figure":
            return None
        figure, limit, ratio, goal = cells
        return cls(figure, limit, ratio, goal, judged(goal, _value(figure, ratio, goal)))


def judged(goal: str, value: float | None) -> bool | None:
    """Whether a value is within a goal such as `<= 12 ms`; None for a goal that is none."""
    found = _GOAL.fullmatch(goal)
    if found is None or value is None:
        return None
    return value <= float(found[2]) if found[1] == "<=" else value >= float(found[2])


def _value(figure: str, ratio: str, goal: str) -> float | None:
    if ratio != NONE:
        return float(ratio)
    found = _GOAL.fullmatch(goal)
    if found is None or found[3] is None:
        return None
    numbers = re.findall(rf"([\d.]+) {re.escape(found[3])}", figure)
    return float(numbers[-1]) if numbers else None


def tell(figures: Callable[[], Iterable[Row]]) -> None:
    """The main function of one benchmark: print its rows as they come, with `--json` as JSON for `bench.__main__`."""
    for row in figures():
        print(json.dumps(asdict(row)) if "--json" in sys.argv else plain(row), flush=True)


def plain(row: Row) -> str:
    """The row as a line of text; one that misses its goal says so."""
    return f"{row.figure} | {row.limit} | {row.ratio} | {row.goal}{_verdict(row)}"


def _verdict(row: Row) -> str:
    return {True: "  met", False: "  MISSED", None: ""}[row.met]


def show(rows: Iterable[Row]) -> None:
    """Print all rows: as a table on a terminal, else as lines."""
    if not sys.stdout.isatty():
        print("figure | limit | ratio | goal")
        for row in rows:
            print(plain(row))
        return
    table = Table("figure", "limit", "ratio", "goal", "")
    for row in rows:
        style = {True: "green", False: "bold red", None: ""}[row.met]
        table.add_row(row.figure, row.limit, row.ratio, row.goal, _verdict(row).strip(), style=style)
    Console().print(table)
