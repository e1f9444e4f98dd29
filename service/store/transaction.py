"""What a change may use while the writer runs it."""

import sqlite3
from dataclasses import dataclass, field

from service.model import Record


@dataclass(slots=True)
class Transaction:
    """The writer's connection, the PBX's name, the time (epoch ms), and the journal records written so far."""

    conn: sqlite3.Connection
    pbx: str
    now_ms: int
    records: list[Record] = field(default_factory=list)
