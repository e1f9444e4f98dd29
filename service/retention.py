"""Keeps what is to be kept, and no longer (`[retention]`): messages, calls, what was deleted, what nobody needs.

A little at a time, so that nobody waits for it: whatever is pruned goes with its audio, and a day later with what the
journal told of it. A message is removed from the PBX too, where that can be told; else it is hidden here.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from service.errors import ConflictError, UnavailableError
from service.media import Media
from service.model import Mailbox, Message
from service.settings import Retention as Days
from service.store import Store, calls, held, retained

log = logging.getLogger(__name__)

DAY_S = 86_400
EVERY_S = 600.0
RETRY_S = 5.0
"""After a try for which the PBX or the store could not be reached, as before the first login."""
AT_ONCE = 100
BREATH_S = 0.2
"""Between two handfuls others have their turn."""
MOST_FAILED = 100
"""So many mailboxes may refuse to be pruned before it is taken for a trouble of all of them, such as a PBX away."""
UNWANTED_AFTER_S = 3600
"""A file in the media directory that no message has is somebody's unfinished work for so long."""


class Deletes(Protocol):
    """Deletes messages, on the PBX too."""

    async def delete(self, messages: Sequence[Message]) -> int:
        """Delete all of them. Raises UnavailableError or ConflictError."""


class Retention:
    """Prunes as `days` say. `pbx` deletes without keeping anything in the trash; `clock` gives epoch seconds."""

    def __init__(
        self, store: Store, pbx: Deletes, media: Media, days: Days, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._pbx = pbx
        self._media = media
        self._days = days
        self._clock = clock

    async def run(self) -> None:
        """Prune every ten minutes, until cancelled."""
        told = ""
        while True:
            pause = EVERY_S
            try:
                await self.prune()
            except UnavailableError as error:
                pause = min(pause, RETRY_S)
                if str(error) != told:
                    log.info("not all that is old could be pruned yet error=%r", str(error))
                told = str(error)
            except ConflictError as error:
                log.warning("not all that is old could be pruned error=%r", str(error))
            await asyncio.sleep(pause)

    async def prune(self) -> None:
        """Prune all there is to prune now.

        Raises UnavailableError, or ConflictError where the PBX does not do it; one mailbox that cannot be pruned keeps
        nothing else from being.
        """
        await self._empty_trash()
        await self._sweep_media()
        if self._days.calls_days:
            await self._prune_calls(self._ago(self._days.calls_days))
        if self._days.messages_days:
            await self._prune_messages(self._ago(self._days.messages_days))

    def _ago(self, days: int) -> int:
        return int(self._clock()) - days * DAY_S

    async def _empty_trash(self) -> None:
        before_ms = self._ago(self._days.trash_days) * 1000
        while found := await self._store.read(partial(held.expired, before_ms=before_ms, limit=AT_ONCE)):
            for _id, name in found:
                await asyncio.to_thread(self._media.forget, name)
            await self._store.write(partial(held.forget, message_ids=[one for one, _name in found]))
            log.info("deleted messages can no longer be restored count=%d", len(found))
            await asyncio.sleep(BREATH_S)

    async def _sweep_media(self) -> None:
        """Remove what a crash left, and what belongs to messages that are back on the PBX."""
        old = int(self._clock()) - UNWANTED_AFTER_S
        names = await asyncio.to_thread(self._media.older, old)
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            needed = await self._store.read(partial(held.needed, names=some))
            for name in sorted(set(some) - needed):
                await asyncio.to_thread(self._media.sweep, name)
                log.info("file nobody needs removed name=%s", name)

    async def _prune_calls(self, before: int) -> None:
        while gone := await self._store.write(partial(calls.forget, before=before, limit=AT_ONCE)):
            log.info("old calls pruned count=%d", gone)
            await asyncio.sleep(BREATH_S)
        await self._untell(retained.told_of_calls, before)

    async def _prune_messages(self, before: int) -> None:
        failed = await self._delete_messages(before)
        yesterday_ms = self._ago(1) * 1000
        bury = partial(retained.bury, before=before, deleted_before_ms=yesterday_ms, limit=AT_ONCE)
        while buried := await self._store.write(bury):
            log.info("messages forgotten count=%d", buried)
            await asyncio.sleep(BREATH_S)
        for error in failed.values():  # the journal tells of messages that are still here
            raise error
        await self._untell(retained.told_of_messages, before)

    async def _delete_messages(self, before: int) -> dict[Mailbox, ConflictError | UnavailableError]:
        """Delete old messages, mailbox by mailbox; gives those where it failed, the first of them first, and why."""
        failed = dict[Mailbox, ConflictError | UnavailableError]()
        mailbox_of = attrgetter("mailbox")
        find = partial(retained.outdated, before=before, limit=AT_ONCE, but=failed.keys())
        while len(failed) < MOST_FAILED and (old := await self._store.read(find)):
            count = 0
            for mailbox, some in groupby(sorted(old, key=mailbox_of), mailbox_of):
                try:
                    count += await self._pbx.delete(list(some))
                except (ConflictError, UnavailableError) as error:
                    failed[mailbox] = error
            if count:
                log.info("old messages pruned count=%d", count)
            await asyncio.sleep(BREATH_S)
        return failed

    async def _untell(self, positions: Callable[..., list[int]], before: int) -> None:
        """Take what the journal tells of something old out of it; who follows it has had a day to read that it went."""
        find = partial(positions, before=before, told_before_ms=self._ago(1) * 1000, limit=AT_ONCE)
        while found := await self._store.read(find):
            await self._store.write(partial(retained.untell, positions=found))
            await asyncio.sleep(BREATH_S)
