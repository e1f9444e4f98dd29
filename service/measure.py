"""Measures how loud new messages are, after they were told of: newest first, off the event loop, a few at a time."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from service.audio import AudioWorker
from service.errors import NotFoundError, UnavailableError
from service.ingest import Ingest
from service.media import Media
from service.model import Message, Record
from service.spool import open_audio
from service.store import Store, messages, reconcile

log = logging.getLogger(__name__)

BATCH = 16
RETRY_S = 30.0


class Measurer:
    """Fills in `audio.levels` of the messages that lack them. The store says which, so nothing is lost by a restart.

    Their audio lies in the spool below `root`, or in `media`.
    """

    def __init__(self, store: Store, ingest: Ingest, worker: AudioWorker, root: Path, media: Media) -> None:
        self._store = store
        self._ingest = ingest
        self._worker = worker
        self._root = root
        self._media = media
        self._wake = asyncio.Event()

    def notice(self, records: Sequence[Record]) -> None:
        """Be told of what was published."""
        if any(record.type in ("message.new", "message.updated") for record in records):
            self._wake.set()

    async def run(self) -> None:
        """Measure what waits, then wait for more, until cancelled; the first scan comes before all of it."""
        await self._ingest.first_scan.wait()
        while True:
            self._wake.clear()
            try:
                while await self._batch():
                    pass
            except UnavailableError as error:
                log.warning("loudness of messages is not kept for now error=%r", str(error))
            try:
                async with asyncio.timeout(RETRY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _batch(self) -> bool:
        """Measure some. False where none is left, or none of them could be opened now."""
        waiting = await self._store.read(lambda conn: messages.unmeasured(conn, BATCH))
        progress = [await self._measure(message) for message in waiting]
        return any(progress)

    async def _measure(self, message: Message) -> bool:
        file = message.audio.file if message.audio is not None else None
        moved = False

        def opener() -> int:
            nonlocal moved
            assert file is not None
            if message.held is not None:
                return self._media.open(message.held)[0]
            try:
                return open_audio(self._root, message.mailbox, message.folder, message.msgnum, file)
            except NotFoundError:
                moved = True
                raise

        levels = None if file is None else await self._worker.levels(opener, file.suffix)
        if moved:  # renumbered, gone, or written anew: reconcile knows by and by, and this is asked for again
            await self._store.write(partial(reconcile.distrust, wanted=[message]))
            self._ingest.hint(message.mailbox)
            return False
        await self._store.write(partial(messages.set_levels, message=message, levels=levels))
        return True
