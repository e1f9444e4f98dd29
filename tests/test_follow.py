import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service import follow as following
from service.api.auth import Tokens
from service.feed import Feed
from service.follow import follow, take_over
from service.model import Counts, Mailbox, Record, Scope
from service.store import Store, connect, journal, tokens
from service.store.transaction import Transaction

BOX = Mailbox("default", "100")


@dataclass
class Hall:
    """A store that two write to: we, and a command beside us."""

    store: Store
    feed: Feed
    accepted: Tokens
    published: list[int] = field(default_factory=list)
    pulse: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, records: Sequence[Record]) -> None:
        self.published += [record.seq for record in records]
        self.pulse.set()

    async def take_over(self) -> None:
        await take_over(self.store, self.feed, self.accepted)

    async def until_published(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.published) < count:
                self.pulse.clear()
                await self.pulse.wait()

    def beside(self, *numbers: int) -> None:
        """Another process commits badges."""
        with closing(connect(self.store.path)) as conn:
            conn.execute("BEGIN IMMEDIATE")
            for number in numbers:
                badge(Transaction(conn, "pbx1", 1), number)
            conn.execute("COMMIT")

    def token(self, name: str, *, expires: int | None = None) -> str:
        with closing(connect(self.store.path)) as conn:
            return tokens.create(conn, name, Scope.READ, None, now=1, expires=expires)

    def revoke(self, name: str) -> None:
        with closing(connect(self.store.path)) as conn:
            tokens.revoke(conn, name)


def badge(tx: Transaction, number: int) -> None:
    journal.append(tx, "unread", BOX, Counts(new=number), 0)


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    async with asyncio.timeout(60), Store.open(tmp_path / "voicemaild.db", pbx="pbx1") as store:
        feed = Feed(0, {})
        made = Hall(store, feed, Tokens())
        feed.subscribe(made.note)
        store.on_commit(feed.publish)
        yield made


@asynccontextmanager
async def followed(hall: Hall, every_s: float) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(follow(hall.store, hall.feed, hall.accepted, every_s))
        try:
            yield
        finally:
            task.cancel()


async def test_what_another_process_wrote_is_published_once_and_in_order(hall: Hall) -> None:
    await hall.store.write(lambda tx: badge(tx, 1))
    hall.beside(2, 3)
    await hall.store.write(lambda tx: badge(tx, 4))
    assert hall.published == [1]
    await hall.take_over()
    await hall.take_over()
    await hall.store.write(lambda tx: badge(tx, 5))
    assert hall.published == [1, 2, 3, 4, 5]
    assert hall.feed.counts(None) == {BOX: Counts(new=5)}


async def test_more_than_is_read_at_once_is_published_all_the_same(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AT_ONCE", 2)
    hall.beside(*range(7))
    await hall.take_over()
    assert hall.published == [1, 2, 3, 4, 5, 6, 7]


async def test_a_gap_is_closed_at_once_and_not_only_in_time(hall: Hall) -> None:
    async with followed(hall, every_s=1000):
        await hall.store.write(lambda tx: badge(tx, 1))
        hall.beside(2)
        await hall.store.write(lambda tx: badge(tx, 3))
        await hall.until_published(3)
    assert hall.published == [1, 2, 3]


async def test_without_a_gap_it_looks_from_time_to_time(hall: Hall) -> None:
    async with followed(hall, every_s=0.01):
        for number in (1, 2):
            hall.beside(number)
            await hall.until_published(number)


async def test_a_token_is_accepted_once_it_is_made_and_refused_once_it_is_revoked(hall: Hall) -> None:
    secret = hall.token("crm")
    await hall.take_over()
    principal = hall.accepted.principal(secret)
    assert principal is not None
    assert (principal.name, principal.scope, principal.view) == ("crm", Scope.READ, None)
    hall.revoke("crm")
    await hall.take_over()
    assert hall.accepted.principal(secret) is None


async def test_a_token_that_has_expired_is_not_accepted(hall: Hall) -> None:
    now = int(time.time())
    gone, good = hall.token("gone", expires=now - 1), hall.token("good", expires=now + 3600)
    await hall.take_over()
    assert hall.accepted.principal(gone) is None
    assert hall.accepted.principal(good) is not None


async def test_it_goes_on_when_the_store_could_not_be_read(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    with closing(connect(hall.store.path)) as conn:
        conn.execute("ALTER TABLE token RENAME TO aside")
        async with followed(hall, every_s=0.01):
            async with asyncio.timeout(60):
                while "is not seen for now" not in caplog.text:
                    await asyncio.sleep(0)
                for _ in range(3):  # looks
                    hall.feed.gap.set()
                    while hall.feed.gap.is_set():
                        await asyncio.sleep(0)
            assert caplog.text.count("is not seen for now") == 1
            conn.execute("ALTER TABLE aside RENAME TO token")
            hall.beside(1)
            await hall.until_published(1)
