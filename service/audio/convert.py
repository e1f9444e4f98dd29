"""Converts audio for browsers, once however many ask for it, within limits, and keeps what came of it.

Two files are converted at a time, each to its end even where nobody waits any more. WAV is decoded in this process
where that is possible; all else is ffmpeg's.
"""

import asyncio
import logging
import math
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from types import TracebackType
from typing import Self

from service.audio import ffmpeg
from service.audio.browser import WAV, Target
from service.audio.cache import AudioCache
from service.audio.deadline import Deadline
from service.audio.decoding import MAX_PCM, Decoders
from service.audio.encoding import WAV_HEADER_BYTES, arguments, pcm_bytes, sizes_of, wav_header
from service.audio.gsm import GsmLibrary
from service.audio.layout import Layout
from service.audio.look import HEAD_SIZE, layout_of
from service.audio.source import source_of
from service.errors import InvalidInputError, UnavailableError
from service.model import Message, Record

log = logging.getLogger(__name__)

AT_ONCE = 2
MOST_WAITING = 32
PATIENCE_S = 10.0
"""So long who asks waits for a conversion; it goes on, and what comes of it is there for who asks again."""
TIME_LIMIT_S = 10.0
LONGEST_S = 180.0
"""What one conversion may take: TIME_LIMIT_S and a second more for every minute of audio, but no more than this.

Opus is the slowest to make: an hour of it takes 20 s of a processor of 2023, and may take 70.
"""
FAILED_S = 600.0
"""So long a file that could not be converted is not tried again."""
MOST_FAILED = 1000
MAX_COMPRESSED = 64 * 1024 * 1024

_AUDIO_S_PER_S = 60
_LEAST_BYTES_PER_S = 1000  # of a file whose length is not known
_GRACE_S = 1.0
_DELETED = "message.deleted"


@dataclass(frozen=True, slots=True)
class Original:
    """Which file is to be converted. `subject` says whose (a uuid), `head` is a digest of how it begins, or ""."""

    subject: str
    suffix: str
    size: int
    mtime_ns: int
    head: str = ""

    def name(self, target: Target) -> str:
        """What it is called in the cache when it is converted: another for every other file."""
        file = f"{self.subject}\n{self.suffix}\n{self.size}\n{self.mtime_ns}\n{self.head}\n{target.name}"
        return f"{_prefix(self.subject)}{_digest(file, 16)}.{target.suffix}"


class Converter:
    """Converts for as long as its `async with` lasts. `gsm` and `ffmpeg_program` as for AudioWorker."""

    def __init__(
        self,
        cache: AudioCache,
        gsm: GsmLibrary | None,
        *,
        ffmpeg_program: str = "ffmpeg",
        patience: float = PATIENCE_S,
        time_limit: float = TIME_LIMIT_S,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._cache = cache
        self._decoders = Decoders(gsm, ffmpeg_program, MAX_COMPRESSED)
        self._patience = patience
        self._time_limit = time_limit
        self._most_waiting = most_waiting
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="convert")
        self._running: dict[str, asyncio.Future[None]] = {}
        self._deadlines: set[Deadline] = set()
        self._failed: dict[str, tuple[float, str]] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        """Remove what a crash has left."""
        try:
            await asyncio.to_thread(self._cache.prepare)
        except OSError as error:
            log.warning("audio cannot be converted until its cache can be written error=%r", str(error))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Call off what is running; its processes are gone when this returns, unless a file system hangs."""
        self._closed = True
        for deadline in tuple(self._deadlines):
            deadline.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)
        try:
            async with asyncio.timeout(_GRACE_S):
                await asyncio.to_thread(self._threads.shutdown)
        except TimeoutError:
            log.warning("conversion of audio left with a file still open: does a file system hang?")

    async def converted(self, fd: int, original: Original, target: Target) -> int:
        """A file descriptor of the open file `fd`, converted; the caller closes both.

        Raises InvalidInputError where the file cannot be converted, NoDecoderError where nothing is installed that
        could, UnavailableError where it is not there yet, or there is no room for it now.
        """
        name = original.name(target)
        found = await asyncio.to_thread(self._cache.find, name)
        if found is not None:
            return found
        self._check_failed(name)
        running = self._running.get(name) or self._start(fd, original, target)
        done, _ = await asyncio.wait([running], timeout=self._patience)
        if not done:
            raise UnavailableError("the audio is still being converted, ask again")
        if running.cancelled():
            raise UnavailableError("the service is being stopped")
        running.result()
        found = await asyncio.to_thread(self._cache.find, name)
        if found is None:
            raise UnavailableError("the converted audio had to make room for others")
        return found

    def notice(self, records: Sequence[Record]) -> None:
        """Be told of what was published: what was made of messages that were deleted is removed, by and by."""
        gone = [
            record.state.uuid for record in records if record.type == _DELETED and isinstance(record.state, Message)
        ]
        if gone and not self._closed:
            asyncio.get_running_loop().run_in_executor(None, self._forget, gone)

    def _forget(self, subjects: Sequence[str]) -> None:
        try:
            for subject in subjects:
                self._cache.forget(_prefix(subject))
        except OSError as error:
            log.warning("audio cache cannot be written error=%r", str(error))

    def _check_failed(self, name: str) -> None:
        until, reason = self._failed.get(name, (0.0, ""))
        if asyncio.get_running_loop().time() < until:
            raise InvalidInputError(reason)

    def _start(self, fd: int, original: Original, target: Target) -> asyncio.Future[None]:
        if self._closed or len(self._running) >= self._most_waiting:
            raise UnavailableError("too much audio is being converted already")
        name, own = original.name(target), os.dup(fd)
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, self._convert, own, original, target)
        self._running[name] = future

        def settle(_future: asyncio.Future[None]) -> None:
            del self._running[name]
            if future.cancelled():  # it never began
                os.close(own)
            elif isinstance(error := future.exception(), InvalidInputError):
                self._failed[name] = (loop.time() + FAILED_S, str(error))
                if len(self._failed) > MOST_FAILED:
                    del self._failed[next(iter(self._failed))]

        future.add_done_callback(settle)
        return future

    def _convert(self, fd: int, original: Original, target: Target) -> None:
        try:
            with self._cache.draft(original.name(target)) as out:
                self._make(fd, original.suffix, target, out)
                status = os.fstat(fd)
                if (status.st_size, status.st_mtime_ns) != (original.size, original.mtime_ns):
                    raise UnavailableError("the audio changed while it was converted")
        except TimeoutError as error:
            raise InvalidInputError("the audio takes too long to convert") from error
        except OSError as error:
            raise UnavailableError(f"the audio cannot be converted now: {error.strerror}") from error
        finally:
            os.close(fd)
        log.debug("audio converted subject=%s suffix=%s target=%s", original.subject, original.suffix, target.name)

    def _make(self, fd: int, suffix: str, target: Target, out: int) -> None:
        """Write the converted file. Raises OSError, InvalidInputError, NoDecoderError, TimeoutError."""
        layout, size = layout_of(fd, suffix), os.fstat(fd).st_size
        too_large = size > MAX_COMPRESSED if layout is None else pcm_bytes(layout) > MAX_PCM
        if too_large:
            raise InvalidInputError("the audio is too long to be converted")
        length_s = size / _LEAST_BYTES_PER_S if layout is None else layout.duration_ms / 1000
        limit = allowed_s(length_s, self._time_limit)
        with self._deadline(limit) as deadline:
            if target is WAV and layout is not None and self._decoders.knows(layout):
                _write_wav(out, layout, self._decoders.pcm(fd, layout, deadline), deadline)
                return
            source = source_of(suffix, layout, os.pread(fd, HEAD_SIZE, 0))
            if source is None:
                raise ffmpeg.NoDecoderError("there is no decoder for it")
            program, output, cpu_s = self._decoders.ffmpeg, arguments(target, layout), math.ceil(limit)
            size = _write(out, ffmpeg.run(fd, source, output, program, deadline, most=MAX_PCM, cpu_s=cpu_s), deadline)
        if target is WAV:
            for at, data in sizes_of(os.pread(out, HEAD_SIZE, 0), size):
                os.pwrite(out, data, at)

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[Deadline]:
        """A deadline that the end of all ends, too."""
        deadline = Deadline(seconds)
        self._deadlines.add(deadline)
        try:
            if self._closed:
                deadline.stop()
            yield deadline
        finally:
            self._deadlines.discard(deadline)


def allowed_s(length_s: float, least: float = TIME_LIMIT_S) -> float:
    """How many seconds the conversion of so long a file may take."""
    return min(least + length_s / _AUDIO_S_PER_S, LONGEST_S)


def _write_wav(out: int, layout: Layout, pieces: Generator[bytes], deadline: Deadline) -> None:
    os.lseek(out, WAV_HEADER_BYTES, os.SEEK_SET)
    size = _write(out, pieces, deadline)
    os.pwrite(out, wav_header(layout.sample_rate, layout.channels, size), 0)


def _write(out: int, pieces: Generator[bytes], deadline: Deadline) -> int:
    """Write all pieces; gives how many bytes they were."""
    size = 0
    with closing(pieces):
        for piece in pieces:
            deadline.remaining()
            view = memoryview(piece)
            while view:
                view = view[os.write(out, view) :]
            size += len(piece)
    return size


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=size).hexdigest()


def _prefix(subject: str) -> str:
    return f"{_digest(subject, 8)}-"
