"""Decoding by ffmpeg: one short-lived process per file, with a forced format and limits on memory, CPU and time.

The process reads the file as its standard input and may open nothing else (`-protocol_whitelist pipe`); demuxer and
decoder are named, so that what a file claims to be starts no other code. It is dead and reaped when decoding ends.
"""

import os
import resource
import select
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import IO

from service.audio.deadline import Deadline
from service.audio.formats import Encoding
from service.audio.layout import Layout
from service.errors import InvalidInputError, UnavailableError

MEMORY_LIMIT = 512 * 1024 * 1024
CPU_LIMIT_S = 5
MAX_PCM = 512 * 1024 * 1024
"""Bytes of PCM taken from one process; 16 MiB of GSM, the most compact input, give 160 MiB."""

_PIECE = 256 * 1024
_TICK_MS = 100  # how soon a wait for the process notices that it was called off
_SAMPLE_BYTES = 2
_EXIT_S = 1.0
_LIMITS = {
    resource.RLIMIT_AS: MEMORY_LIMIT,
    resource.RLIMIT_CPU: CPU_LIMIT_S,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NOFILE: 64,
}
_DECODERS = {Encoding.G722: ("g722", "g722"), Encoding.GSM: ("gsm", "gsm"), Encoding.WAV49: ("wav", "gsm_ms")}


class NoDecoderError(UnavailableError):
    """ffmpeg cannot be used on this machine as it is: a person must look."""


def decode(fd: int, layout: Layout, program: str, deadline: Deadline) -> Generator[bytes]:
    """16-bit mono PCM of the whole file, at the layout's sample rate, in pieces. Moves the descriptor's offset.

    Raises InvalidInputError where ffmpeg refuses the file or it decodes to more than MAX_PCM bytes; NoDecoderError
    where `program` cannot be started or limited; TimeoutError at the deadline.
    """
    if layout.length < layout.block_bytes:
        return
    os.lseek(fd, 0, os.SEEK_SET)
    total = 0
    rest = b""
    with _process(_command(program, layout), fd) as (process, output):
        while data := _read(output, deadline):
            total += len(data)
            if total > MAX_PCM:
                raise InvalidInputError("the audio file decodes to more than is measured")
            data = rest + data
            whole = len(data) // _SAMPLE_BYTES * _SAMPLE_BYTES
            rest = data[whole:]
            yield data[:whole]
        try:
            code = process.wait(min(deadline.remaining(), _EXIT_S))
        except subprocess.TimeoutExpired as error:
            raise TimeoutError("ffmpeg did not exit after its output ended") from error
    if code or not total:  # it exits with 0 even where it refused every frame
        raise InvalidInputError(f"ffmpeg could not decode the audio file: exit code {code}")


def _command(program: str, layout: Layout) -> list[str]:
    demuxer, decoder = _DECODERS[layout.encoding]
    source = ["-protocol_whitelist", "pipe", "-threads", "1", "-f", demuxer, "-c:a", decoder, "-i", "pipe:0"]
    target = ["-map", "0:a:0", "-f", "s16le", "-ac", "1", "-ar", str(layout.sample_rate), "pipe:1"]
    return [program, "-nostdin", "-hide_banner", "-loglevel", "quiet", *source, *target]


@contextmanager
def _process(command: list[str], fd: int) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    try:
        process = subprocess.Popen(  # noqa: S603 -- a fixed command; the only thing of the file in it is a number
            command, stdin=fd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", bufsize=0
        )
    except OSError as error:
        raise NoDecoderError(f"{command[0]} cannot be started: {error.strerror}") from error
    assert process.stdout is not None
    try:
        _limit(process.pid)
        yield process, process.stdout
    finally:
        process.kill()
        process.stdout.close()
        process.wait()  # after SIGKILL: ends at once


def _limit(pid: int) -> None:
    # From outside, not before exec: a preexec_fn is unsafe beside threads, and prlimit(1) one more program to allow.
    try:
        for kind, limit in _LIMITS.items():
            resource.prlimit(pid, kind, (limit, limit))
    except OSError as error:
        raise NoDecoderError(f"ffmpeg's resources cannot be limited: {error.strerror}") from error


def _read(output: IO[bytes], deadline: Deadline) -> bytes:
    poll = select.poll()
    poll.register(output, select.POLLIN)
    while not poll.poll(min(deadline.remaining() * 1000, _TICK_MS)):
        pass
    return os.read(output.fileno(), _PIECE)
