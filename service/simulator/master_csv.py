"""Master.csv as cdr_csv.c writes it: a line for each call detail record, the file opened and closed for each of them.

All texts are quoted, a quote is doubled, numbers and a time there is not stand bare: see tests/fixtures/master-csv.
"""

from dataclasses import dataclass
from pathlib import Path

from service.simulator.events import AMA_FLAGS, Detail, clid, local
from service.simulator.message import encode


@dataclass(frozen=True, slots=True)
class Columns:
    """What `[csv]` of cdr.conf adds to each line: `loguniqueid`, `loguserfield` and `newcdrcolumns`, all off there."""

    uniqueid: bool = True
    userfield: bool = True
    new: bool = True


@dataclass(frozen=True, slots=True)
class MasterCsv:
    """A Master.csv. Its directory has to be there, as it has for Asterisk; the file is made when it is first needed."""

    path: Path
    columns: Columns = Columns()

    def write(self, detail: Detail) -> None:
        """Append a line. Each finds the file by its name: what rotates it need not tell anybody."""
        with self.path.open("ab") as file:
            file.write(line(detail, self.columns))


def line(detail: Detail, columns: Columns = Columns()) -> bytes:
    """Give the line of a call detail record, with its line feed."""
    leg = detail.leg
    cells = [
        *map(_text, (detail.account, leg.caller.number, leg.exten, leg.context, clid(leg.caller), leg.channel)),
        *map(_text, (detail.destination_channel, detail.application, detail.data)),
        _text(local(detail.started)),
        "" if detail.answered is None else _text(local(detail.answered)),
        _text(local(detail.ended)),
        str(detail.duration),
        str(detail.billed),
        _text(detail.disposition),
        _text(AMA_FLAGS),
    ]
    if columns.uniqueid:
        cells.append(_text(leg.uniqueid))
    if columns.userfield:
        cells.append(_text(detail.userfield))
    if columns.new:
        cells += [_text(""), _text(leg.linkedid), str(detail.sequence)]
    return encode(",".join(cells) + "\n")


def _text(value: str) -> str:
    """Quote a text; nothing but a quote is changed in it."""
    doubled = value.replace('"', '""')
    return f'"{doubled}"'
