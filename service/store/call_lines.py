"""Outside lines that very many calls came or went by: their calls are kept counted too, for nobody waits that long.

Few numbers are lines, and which are shows with time. One is found, and then its calls are counted some at a time; those
that come or change meanwhile are counted at once where their turn has been. Until all are, they are counted when asked.
"""

import sqlite3

from service.store import call_counts
from service.store.call_counts import Counted
from service.store.transaction import Transaction

MANY = 20_000
"""So many calls make a number worth it."""
AT_ONCE = 2_000
_WHOLE = 2**62
"""Later than every id: all calls of the line are counted, and those that come."""


def popular(conn: sqlite3.Connection) -> list[str]:
    """The numbers with very many calls that are not kept counted yet. Reads an index through."""
    rows = conn.execute(
        "SELECT external_number FROM call INDEXED BY call_external_number"
        " WHERE external_number <> '' AND external_number NOT IN (SELECT number FROM call_line)"
        " GROUP BY external_number HAVING count(*) >= ?",
        (MANY,),
    )
    return [number for (number,) in rows]


def keep(tx: Transaction, number: str) -> bool:
    """Count some more of a line's calls; gives whether there are any left that are not counted."""
    row = tx.conn.execute("SELECT upto FROM call_line WHERE number = ?", (number,)).fetchone()
    after = 0 if row is None else row[0]
    rows = tx.conn.execute(
        "SELECT id, start, type, status, duration, conversation, external_number"
        " FROM call INDEXED BY call_external_number WHERE external_number = ? AND id > ? ORDER BY id LIMIT ?",
        (number, after, AT_ONCE),
    )
    some = [Counted(*row) for row in rows]
    call_counts.count_line(tx.conn, number, some)
    whole = len(some) < AT_ONCE
    tx.conn.execute(
        "INSERT INTO call_line VALUES (?, ?) ON CONFLICT DO UPDATE SET upto = excluded.upto",
        (number, _WHOLE if whole else some[-1].id),
    )
    return not whole


def unfinished(conn: sqlite3.Connection) -> list[str]:
    """The lines of which some calls are not counted yet."""
    rows = conn.execute("SELECT number FROM call_line WHERE upto < ?", (_WHOLE,))
    return [number for (number,) in rows]


def kept(conn: sqlite3.Connection, number: str) -> bool:
    """Whether all calls of this line are kept counted."""
    row = conn.execute("SELECT 1 FROM call_line WHERE number = ? AND upto = ?", (number, _WHOLE)).fetchone()
    return row is not None
