"""Measures levels off the event loop: two files at a time, within limits on size and time, by the fitting decoder."""

import asyncio
import logging
import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import TracebackType
from typing import Self

from service.audio import ffmpeg
from service.audio.deadline import Deadline
from service.audio.formats import Encoding
from service.audio.gsm import GsmLibrary
from service.audio.layout import Layout
from service.audio.levels import Meter
from service.audio.look import layout_of
from service.audio.pcm import decodes, read_blocks, to_pcm16
from service.errors import InvalidInputError, VoicemaildError
from service.model import Levels

AT_ONCE = 2
TIME_LIMIT_S = 10.0
MAX_PCM = 256 * 1024 * 1024
"""Of a longer PCM file (4 h 39 min of 8 kHz wav) the first so many bytes are measured."""
MAX_COMPRESSED = 16 * 1024 * 1024
"""A longer compressed file (2 h 49 min of GSM) is not measured at all."""

_GSM_PIECE = 8 * 1024  # becomes 80 KiB of PCM
_GRACE_S = 1.0

log = logging.getLogger(__name__)

Opener = Callable[[], int]
"""Opens the audio safely and returns its descriptor, which the worker closes.

Called in a thread; may raise OSError or VoicemaildError where the file is gone or another one by now.
"""


class AudioWorker:
    """Measures levels, for as long as its `async with` lasts.

    `gsm` decodes GSM and wav49 (`GsmLibrary.load()`); where it is None ffmpeg does, about twenty times slower.
    `ffmpeg_program` is a name or a path, looked for when it is needed. `time_limit` is in seconds for each file.
    Memory: under 2 MiB for each of the two measurements, and 512 MiB at most for an ffmpeg of its own.
    """

    def __init__(
        self,
        gsm: GsmLibrary | None,
        *,
        ffmpeg_program: str = "ffmpeg",
        time_limit: float = TIME_LIMIT_S,
        max_compressed: int = MAX_COMPRESSED,
    ) -> None:
        self._ffmpeg = ffmpeg_program
        self._gsm = gsm
        self._time_limit = time_limit
        self._max_compressed = max_compressed
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="audio")
        self._running: set[Deadline] = set()
        self._warned = False

    async def __aenter__(self) -> Self:
        """Nothing is started before the first file."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Call off what is running; its processes are gone when this returns, unless a file system hangs."""
        for deadline in self._running:
            deadline.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)
        try:
            async with asyncio.timeout(_GRACE_S):
                await asyncio.to_thread(self._threads.shutdown)
        except TimeoutError:
            log.warning("audio worker left with a file still open: does the spool's file system hang?")

    async def levels(self, opener: Opener, suffix: str) -> Levels | None:
        """How loud the file is that `opener` opens, or None where that cannot be told.

        None: the file is gone or is not what it seems, its encoding has no decoder here, it is too large, the
        decoder is not installed or failed, or the time limit passed. Waits for its turn as long as it takes.
        """
        async with self._slots:
            deadline = Deadline(self._time_limit)
            self._running.add(deadline)
            try:
                async with asyncio.timeout(self._time_limit + _GRACE_S):
                    loop = asyncio.get_running_loop()
                    return await loop.run_in_executor(self._threads, self._levels, opener, suffix, deadline)
            except TimeoutError:
                log.info("audio not measured reason=stuck suffix=%s", suffix)
                return None
            finally:
                deadline.stop()
                self._running.discard(deadline)

    def _levels(self, opener: Opener, suffix: str, deadline: Deadline) -> Levels | None:
        try:
            return self._measure(opener, suffix, deadline)
        except ffmpeg.NoDecoderError as error:
            self._warn_once(error)
        except (OSError, VoicemaildError) as error:
            log.debug("audio not measured reason=%r suffix=%s", str(error), suffix)
        return None

    def _measure(self, opener: Opener, suffix: str, deadline: Deadline) -> Levels | None:
        fd = opener()
        try:
            layout = layout_of(fd, suffix)
            if layout is None or layout.encoding is Encoding.OTHER:
                return None
            meter = Meter(layout.sample_rate, layout.channels)
            with closing(self._pcm(fd, layout, deadline)) as pieces:
                for piece in pieces:
                    deadline.remaining()
                    meter.feed(piece)
            return meter.levels()
        finally:
            os.close(fd)

    def _pcm(self, fd: int, layout: Layout, deadline: Deadline) -> Generator[bytes]:
        if decodes(layout.encoding):
            return (to_pcm16(data, layout.encoding) for data in read_blocks(fd, layout, MAX_PCM))
        if layout.length > self._max_compressed:
            raise InvalidInputError(f"{layout.length} bytes are too many to decode")
        if self._gsm is not None and layout.encoding in (Encoding.GSM, Encoding.WAV49):
            frames = read_blocks(fd, layout, layout.length, _GSM_PIECE)
            return self._gsm.decode(frames, wav49=layout.encoding is Encoding.WAV49)
        return ffmpeg.decode(fd, layout, self._ffmpeg, deadline)

    def _warn_once(self, error: ffmpeg.NoDecoderError) -> None:
        if not self._warned:
            self._warned = True
            log.warning("levels of compressed audio are not measured until ffmpeg is installed reason=%r", str(error))
