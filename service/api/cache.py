"""Answers that are kept as they were written, until the journal moves on: most are asked for again and again."""

from collections.abc import Awaitable, Callable, Hashable

MOST_KEPT = 128
LARGEST = 64 * 1024


class Bodies:
    """The answers given since the last change of the store. `position` is another after every change of it.

    At most `MOST_KEPT` answers of at most `LARGEST` bytes each are kept.
    """

    def __init__(self, position: Callable[[], object]) -> None:
        self._position = position
        self._at = position()
        self._kept: dict[Hashable, bytes] = {}

    async def get(self, key: Hashable, render: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer of this key; `render` writes it where nothing is kept that is still true."""
        began = self._position()
        if began != self._at:
            self._kept.clear()
            self._at = began
        body = self._kept.get(key)
        if body is None:
            body = await render()
            self._keep(key, body, began)
        return body

    def _keep(self, key: Hashable, body: bytes, began: object) -> None:
        """Keep it as of the position at which it was begun; not where others have seen a later one meanwhile."""
        if self._at != began or len(body) > LARGEST:
            return
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = body
