import sqlite3
import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.api import replay as replaying
from service.api.replay import Replay
from service.call import Call
from service.feed import Feed
from service.model import Counts, Record, View
from service.store import Store, Transaction, journal
from tests.api.world import TOKENS, box, message, set_badge
from tests.calls import call, calls_between, concerns, party

Change = tuple[str, int] | Call
"""A badge that a mailbox gets, or for -1 a message; or a call."""
changes = st.lists(
    st.tuples(st.sampled_from(["100", "101", "200"]), st.integers(-1, 4))
    | calls_between([box(name) for name in ("100", "101", "200", "100@sales")]),
    max_size=14,
)


def change(tx: Transaction, change: Change) -> None:
    match change:
        case Call():
            journal.append(tx, "call.updated", None, change)
        case (name, -1):
            journal.append(tx, "message.new", box(name), message(box(name), 1))
        case (name, new):
            set_badge(tx, box(name), Counts(new=new))


async def read_all(replay: Replay, view: View, since: int, limit: int) -> list[tuple[int, int]]:
    """Page by page: position and total of each record."""
    found = []
    while since != replay.feed.seq:
        page = await replay.after(view, since, limit)
        assert page is not None
        assert page.position > since
        assert len(page.records) <= limit
        found += [(record.seq, total) for record, total in page.records]
        since = page.position
    return found


def with_totals(records: list[Record], view: View) -> list[tuple[int, int]]:
    found, total = [], 0
    for record in records:
        if concerns(record, view):
            total += record.delta
            found.append((record.seq, total))
    return found


@settings(max_examples=25, deadline=None)
@given(changes, changes, st.sampled_from([1, 5, 100]), st.sampled_from([1, 2, 50]))
async def test_from_every_position_every_record_in_view_comes_once_with_its_total(
    published: list[Change], unpublished: list[Change], kept: int, limit: int
) -> None:
    """Whether memory or the journal has it, and never beyond what is published."""
    with tempfile.TemporaryDirectory() as directory:
        async with Store.open(Path(directory) / "store.db", pbx="pbx1") as store:
            feed = Feed(0, {}, kept=kept)
            records: list[Record] = []
            feed.subscribe(records.extend)
            store.on_commit(feed.publish)
            for one in published:
                await store.write(partial(change, change=one))
            store.on_commit(lambda _records: None)
            for one in unpublished:
                await store.write(partial(change, change=one))
            replay = Replay(feed, store)
            for view in TOKENS.values():
                expected = with_totals(records, view)
                for since in range(len(published) + 1):
                    wanted = [entry for entry in expected if entry[0] > since]
                    for reader in (replay, Replay(feed, store)):  # what is remembered of others makes no difference
                        assert await read_all(reader, view, since, limit) == wanted


async def test_readers_who_go_on_have_nothing_counted_anew_and_keep_their_own_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[int | None] = []

    def replay(conn: sqlite3.Connection, view: View, since: int, limit: int, total: int | None) -> journal.Replayed:
        known.append(total)
        return look(conn, view, since, limit, total)

    look = journal.replay
    async with Store.open(tmp_path / "store.db", pbx="pbx1") as store:
        feed = Feed(0, {}, kept=1)
        store.on_commit(feed.publish)
        for new in range(1, 4):
            await store.write(partial(change, change=("100", new)))
            await store.write(partial(change, change=("200", 10 * new)))
        monkeypatch.setattr(journal, "replay", replay)
        reader, at, totals = Replay(feed, store), dict.fromkeys(TOKENS, 0), {name: list[int]() for name in TOKENS}
        for _ in range(4):
            for name, view in TOKENS.items():
                page = await reader.after(view, at[name], 1)
                assert page is not None
                at[name] = page.position
                totals[name] += [total for _, total in page.records]
    assert totals == {"all": [1, 11, 12, 22], "limited": [1, 2, 3], "other": [10, 20, 30]}
    assert known[:3] == [None, None, None]
    assert None not in known[3:]


async def test_where_all_is_of_others_the_reader_is_told_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "MOST_LOOKS", 2)
    monkeypatch.setattr(journal, "MOST_PASSED", 3)
    async with Store.open(tmp_path / "store.db", pbx="pbx1") as store:
        feed = Feed(0, {}, kept=1)
        store.on_commit(feed.publish)
        for number in range(8):
            await store.write(partial(change, change=call(number, "5", party("999"), dst="999")))
        await store.write(partial(change, change=("100", 2)))
        replay, view = Replay(feed, store), frozenset({box("100")})
        pages = [await replay.after(view, since, 10) for since in (0, 6, 9)]
    assert [page and (page.position, [total for _, total in page.records]) for page in pages] == [
        (6, []),
        (9, [2]),
        (9, []),
    ]


async def test_a_position_that_is_not_reached_or_not_kept_is_none(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "store.db", pbx="pbx1") as store:
        feed = Feed(0, {}, kept=1)
        store.on_commit(feed.publish)
        for new in range(1, 6):
            await store.write(partial(change, change=("100", new)))
        await store.write(lambda tx: tx.conn.execute("DELETE FROM journal WHERE seq < 3"))
        replay = Replay(feed, store)
        found = [await replay.after(None, since, 10) for since in range(8)]
    positions = [None if page is None else [record.seq for record, _ in page.records] for page in found]
    assert positions == [None, None, [3, 4, 5], [4, 5], [5], [], None, None]
