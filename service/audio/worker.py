"""Measures levels and outlines off the event loop: two files at a time, within limits on size and time."""

import asyncio
import logging
import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar

from service.audio import ffmpeg
from service.audio.deadline import Deadline
from service.audio.decoding import MAX_COMPRESSED, Decoders
from service.audio.gsm import GsmLibrary
from service.audio.levels import Meter
from service.audio.look import layout_of
from service.audio.peaks import PeakMeter, Peaks
from service.errors import VoicemaildError
from service.model import Levels

AT_ONCE = 2
TIME_LIMIT_S = 10.0

_GRACE_S = 1.0
_UNKNOWN_RATE = 8000
"""At this rate the outline of audio is drawn whose own is not known."""

log = logging.getLogger(__name__)
T = TypeVar("T")

Opener = Callable[[], int]
"""Opens the audio safely and returns its descriptor, which the worker closes.

Called in a thread; may raise OSError or VoicemaildError where the file is gone or another one by now.
"""
_Measure = Callable[[int, str, Deadline], T | None]


class AudioWorker:
    """Measures levels and draws outlines, for as long as its `async with` lasts.

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
        self._decoders = Decoders(gsm, ffmpeg_program, max_compressed)
        self._time_limit = time_limit
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
        return await self._in_turn(opener, suffix, self._levels)

    async def peaks(self, opener: Opener, suffix: str) -> Peaks | None:
        """The outline of the file that `opener` opens, or None where there is none to be had: as `levels`."""
        return await self._in_turn(opener, suffix, self._peaks)

    async def _in_turn(self, opener: Opener, suffix: str, measure: _Measure[T]) -> T | None:
        async with self._slots:
            deadline = Deadline(self._time_limit)
            self._running.add(deadline)
            try:
                async with asyncio.timeout(self._time_limit + _GRACE_S):
                    loop = asyncio.get_running_loop()
                    return await loop.run_in_executor(self._threads, self._measured, opener, suffix, deadline, measure)
            except TimeoutError:
                log.info("audio not measured reason=stuck suffix=%s", suffix)
                return None
            finally:
                deadline.stop()
                self._running.discard(deadline)

    def _measured(self, opener: Opener, suffix: str, deadline: Deadline, measure: _Measure[T]) -> T | None:
        try:
            fd = opener()
            try:
                return measure(fd, suffix, deadline)
            finally:
                os.close(fd)
        except ffmpeg.NoDecoderError as error:
            self._warn_once(error)
        except (OSError, VoicemaildError) as error:
            log.debug("audio not measured reason=%r suffix=%s", str(error), suffix)
        return None

    def _levels(self, fd: int, suffix: str, deadline: Deadline) -> Levels | None:
        layout = layout_of(fd, suffix)
        if layout is None or not self._decoders.knows(layout):
            return None
        meter = Meter(layout.sample_rate, layout.channels)
        _feed(meter.feed, self._decoders.pcm(fd, layout, deadline), deadline)
        return meter.levels()

    def _peaks(self, fd: int, suffix: str, deadline: Deadline) -> Peaks | None:
        layout = layout_of(fd, suffix)
        if layout is not None and self._decoders.knows(layout):
            meter = PeakMeter(layout.sample_rate, layout.channels)
            _feed(meter.feed, self._decoders.pcm(fd, layout, deadline), deadline)
            return meter.peaks()
        meter = PeakMeter(_UNKNOWN_RATE, 1)
        pieces = self._decoders.resampled(fd, suffix, layout, _UNKNOWN_RATE, deadline)
        if pieces is None:
            return None
        _feed(meter.feed, pieces, deadline)
        return meter.peaks()

    def _warn_once(self, error: ffmpeg.NoDecoderError) -> None:
        if not self._warned:
            self._warned = True
            log.warning("levels of compressed audio are not measured until ffmpeg is installed reason=%r", str(error))


def _feed(sink: Callable[[bytes], None], pieces: Generator[bytes], deadline: Deadline) -> None:
    with closing(pieces):
        for piece in pieces:
            deadline.remaining()
            sink(piece)
