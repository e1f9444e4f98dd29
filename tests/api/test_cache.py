"""Kept answers: the same while nothing changes, never one of another state, never too many."""

from collections.abc import Awaitable, Callable

from service.api.cache import LARGEST, MOST_KEPT, Bodies


class Journal:
    def __init__(self) -> None:
        self.seq = 0
        self.rendered = 0
        self.bodies = Bodies(lambda: self.seq)

    def render(self, size: int = 0) -> Callable[[], Awaitable[bytes]]:
        async def rendered() -> bytes:
            self.rendered += 1
            return f"{self.seq}".encode() + b" " * size

        return rendered


async def test_an_answer_is_written_once_until_something_changes() -> None:
    journal = Journal()
    assert [await journal.bodies.get("a", journal.render()) for _ in range(3)] == [b"0"] * 3
    assert journal.rendered == 1
    journal.seq = 1
    assert await journal.bodies.get("a", journal.render()) == b"1"


async def test_an_answer_during_which_something_changed_is_not_kept() -> None:
    journal = Journal()

    async def overtaken() -> bytes:
        journal.seq += 1
        return b"of before"

    assert await journal.bodies.get("a", overtaken) == b"of before"
    assert await journal.bodies.get("a", journal.render()) == b"1"


async def test_an_answer_that_comes_after_a_newer_one_was_asked_for_is_not_kept() -> None:
    journal = Journal()

    async def overtaken() -> bytes:
        journal.seq += 1
        await journal.bodies.get("b", journal.render())
        return b"of before"

    assert await journal.bodies.get("a", overtaken) == b"of before"
    assert await journal.bodies.get("a", journal.render()) == b"1"


async def test_keys_do_not_mix() -> None:
    journal = Journal()
    await journal.bodies.get((frozenset({"100"}), "/"), journal.render())
    await journal.bodies.get((None, "/"), journal.render())
    assert journal.rendered == 2


async def test_neither_many_nor_large_answers_fill_the_memory() -> None:
    journal = Journal()
    for _ in range(2):
        await journal.bodies.get("large", journal.render(LARGEST))
    assert journal.rendered == 2
    for key in range(MOST_KEPT + 1):
        await journal.bodies.get(key, journal.render())
    await journal.bodies.get(0, journal.render())
    assert journal.rendered == 2 + MOST_KEPT + 2
