import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.replay import Replay
from service.feed import Feed
from service.model import Counts, Record, View
from service.store import Store, Transaction, journal
from tests.api.world import TOKENS, box, message, set_badge

changes = st.lists(st.tuples(st.sampled_from(["100", "101", "200"]), st.integers(-1, 4)), max_size=14)
"""Each a badge that a mailbox gets, or for -1 a message."""


def change(tx: Transaction, name: str, new: int) -> None:
    if new < 0:
        journal.append(tx, "message.new", box(name), message(box(name), 1))
    else:
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
        if view is None or record.mailbox in view:
            total += record.delta
            found.append((record.seq, total))
    return found


@settings(max_examples=25, deadline=None)
@given(changes, changes, st.sampled_from([1, 5, 100]), st.sampled_from([1, 2, 50]))
async def test_from_every_position_every_record_in_view_comes_once_with_its_total(
    published: list[tuple[str, int]], unpublished: list[tuple[str, int]], kept: int, limit: int
) -> None:
    """Whether memory or the journal has it, and never beyond what is published."""
    with tempfile.TemporaryDirectory() as directory:
        async with Store.open(Path(directory) / "store.db", pbx="pbx1") as store:
            feed = Feed(0, {}, kept=kept)
            records: list[Record] = []
            feed.subscribe(records.extend)
            store.on_commit(feed.publish)
            for name, new in published:
                await store.write(lambda tx, name=name, new=new: change(tx, name, new))  # type: ignore[misc]
            store.on_commit(lambda _records: None)
            for name, new in unpublished:
                await store.write(lambda tx, name=name, new=new: change(tx, name, new))  # type: ignore[misc]
            for view in TOKENS.values():
                expected = with_totals(records, view)
                for since in range(len(published) + 1):
                    found = await read_all(Replay(feed, store), view, since, limit)
                    assert found == [entry for entry in expected if entry[0] > since]


async def test_a_position_that_is_not_reached_or_not_kept_is_none(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "store.db", pbx="pbx1") as store:
        feed = Feed(0, {}, kept=1)
        store.on_commit(feed.publish)
        for new in range(1, 6):
            await store.write(lambda tx, new=new: change(tx, "100", new))  # type: ignore[misc]
        await store.write(lambda tx: tx.conn.execute("DELETE FROM journal WHERE seq < 3"))
        replay = Replay(feed, store)
        found = [await replay.after(None, since, 10) for since in range(8)]
    positions = [None if page is None else [record.seq for record, _ in page.records] for page in found]
    assert positions == [None, None, [3, 4, 5], [4, 5], [5], [], None, None]
