"""In-process publish and subscribe: what the journal says, as it is committed, and every badge as of then.

It belongs to the event loop and never waits: whoever holds it may look at `seq` and at the badges together, and between
two `await`s both stand still. It keeps the newest records, so that a reader a little behind need not ask the store.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from service.call import Call
from service.model import Counts, Mailbox, Record, View, sight

Subscriber = Callable[[Sequence[Record]], None]
"""Is called with what was published, in order, at once and on the event loop. It must not raise, and not take long."""

MOST_KEPT = 256
"""Records that are kept for readers a little behind, calls without their legs; a few hundred KiB."""


class Feed:
    """What was published of the journal, up to position `seq`.

    `seq` and `badges` are where it starts: a position of the journal, and the badges of the whole PBX at it. `kept` is
    how many of the newest records stay in memory. `gap` is set when something was committed that nobody handed over:
    another process did it. Whoever waits for it clears it, reads the journal after `seq` and gives that to `catch_up`.
    """

    def __init__(self, seq: int, badges: Mapping[Mailbox, Counts], *, kept: int = MOST_KEPT) -> None:
        self._seq = seq
        self._badges = dict(badges)
        self._total = sum(counts.new for counts in badges.values())
        self._kept: deque[Record] = deque(maxlen=kept)
        self._kept_after = seq  # every record after this position is in _kept
        self._subscribers: list[Subscriber] = []
        self.gap = asyncio.Event()

    @property
    def seq(self) -> int:
        """The position of the record that was published last."""
        return self._seq

    def publish(self, records: Sequence[Record]) -> None:
        """Hand over what was just committed, in order; what was published before is left out.

        Where something lies between `seq` and these, nothing is published and `gap` is set.
        """
        new = [record for record in records if record.seq > self._seq]
        if new and new[0].seq != self._seq + 1:
            self.gap.set()
        else:
            self._pass_on(new)

    def catch_up(self, records: Sequence[Record]) -> None:
        """Hand over what the journal holds after `seq`, in order and without a hole: it was read from there."""
        self._pass_on([record for record in records if record.seq > self._seq])

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have every record from now on handed to `subscriber`; gives the function that ends it."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def counts(self, view: View) -> dict[Mailbox, Counts]:
        """The badges, as of `seq`, of the boxes in view that hold a message."""
        if view is None:
            return dict(self._badges)
        return {mailbox: self._badges[mailbox] for mailbox in view if mailbox in self._badges}

    def total(self, view: View) -> int:
        """How many unread messages, as of `seq`, the boxes in view hold together."""
        if view is None:
            return self._total
        return sum(self._badges[mailbox].new for mailbox in view if mailbox in self._badges)

    def recent(self, view: View, since: int) -> list[tuple[Record, int]] | None:
        """Every record after position `since` (at most `seq`) in view, each with the view's unread total of then.

        None where that reaches further back than what is kept here: the journal has it.
        """
        if since < self._kept_after:
            return None
        found, total, seen = [], self.total(view), sight(view)
        for record in reversed(self._kept):
            if record.seq <= since:
                break
            if seen(record):
                found.append((record, total))
                total -= record.delta
        found.reverse()
        return found

    def _pass_on(self, records: Sequence[Record]) -> None:
        if not records:
            return
        for record in records:
            self._apply(record)
        for subscriber in tuple(self._subscribers):
            subscriber(records)

    def _apply(self, record: Record) -> None:
        self._seq = record.seq
        self._total += record.delta
        if len(self._kept) == self._kept.maxlen:
            self._kept_after = self._kept[0].seq
        self._kept.append(_light(record))
        if isinstance(record.state, Counts) and record.mailbox is not None:
            if record.state == Counts():
                self._badges.pop(record.mailbox, None)
            else:
                self._badges[record.mailbox] = record.state


def _light(record: Record) -> Record:
    """The record without the legs of its call: nobody is told of them, and a call may have hundreds."""
    if isinstance(record.state, Call) and record.state.legs:
        return replace(record, state=replace(record.state, legs=()))
    return record
