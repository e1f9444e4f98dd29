"""Decoding and encoding by ffmpeg: one short-lived process per file, of forced format, limited in memory, CPU and time.

The process reads the file as its standard input and may open nothing else (`-protocol_whitelist pipe`); demuxer and
decoder are named, so that what a file claims to be starts no other code. It is dead and reaped when decoding ends.
"""

import os
import resource
import select
import subprocess
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import IO

from service.audio.deadline import Deadline
from service.audio.layout import Layout
from service.audio.source import Source, source_of
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
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NOFILE: 64,
}


class NoDecoderError(UnavailableError):
    """ffmpeg cannot be used on this machine as it is: a person must look."""


def decode(fd: int, layout: Layout, program: str, deadline: Deadline) -> Generator[bytes]:
    """16-bit mono PCM of the whole file, at the layout's sample rate, in pieces. Moves the descriptor's offset.

    Of what `source_of` knows by its layout. Raises as `run` does, also where there is more than MAX_PCM bytes of it.
    """
    if layout.length < layout.block_bytes:
        return
    source = source_of("", layout)
    assert source is not None
    yield from resample(fd, source, layout.sample_rate, program, deadline)


def resample(fd: int, source: Source, sample_rate: int, program: str, deadline: Deadline) -> Generator[bytes]:
    """16-bit mono PCM of the whole file at this rate, in pieces of whole samples. Else as `run`."""
    rest = b""
    with closing(run(fd, source, ("-f", "s16le", "-ac", "1", "-ar", str(sample_rate)), program, deadline)) as pieces:
        for piece in pieces:
            data = rest + piece
            whole = len(data) // _SAMPLE_BYTES * _SAMPLE_BYTES
            rest = data[whole:]
            yield data[:whole]


def run(
    fd: int,
    source: Source,
    target: Sequence[str],
    program: str,
    deadline: Deadline,
    *,
    most: int = MAX_PCM,
    cpu_s: int = CPU_LIMIT_S,
) -> Generator[bytes]:
    """What ffmpeg makes of the file by the arguments `target`, in pieces. Moves the descriptor's offset.

    Raises InvalidInputError where ffmpeg refuses the file or it becomes more than `most` bytes; NoDecoderError where
    `program` cannot be started or limited; TimeoutError at the deadline.
    """
    os.lseek(fd, source.offset, os.SEEK_SET)
    total = 0
    with _process(_command(program, source, target), fd, cpu_s) as (process, output):
        while data := _read(output, deadline):
            total += len(data)
            if total > most:
                raise InvalidInputError("the audio file decodes to more than is measured or converted")
            yield data
        try:
            code = process.wait(min(deadline.remaining(), _EXIT_S))
        except subprocess.TimeoutExpired as error:
            raise TimeoutError("ffmpeg did not exit after its output ended") from error
    if code or not total:  # it exits with 0 even where it refused every frame
        raise InvalidInputError(f"ffmpeg could not decode the audio file: exit code {code}")


def _command(program: str, source: Source, target: Sequence[str]) -> list[str]:
    begin = [program, "-nostdin", "-hide_banner", "-loglevel", "quiet", "-protocol_whitelist", "pipe", "-threads", "1"]
    return [*begin, *source.arguments, "-i", "pipe:0", "-map", "0:a:0", *target, "pipe:1"]


@contextmanager
def _process(command: list[str], fd: int, cpu_s: int) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    try:
        process = subprocess.Popen(  # noqa: S603 -- a fixed command; what is of the file in it are numbers
            command, stdin=fd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", bufsize=0, env=_environment()
        )
    except OSError as error:
        raise NoDecoderError(f"{command[0]} cannot be started: {error.strerror}") from error
    assert process.stdout is not None
    try:
        _limit(process.pid, cpu_s)
        yield process, process.stdout
    finally:
        process.kill()
        process.stdout.close()
        process.wait()  # after SIGKILL: ends at once


def _environment() -> dict[str, str]:
    """What the program needs to be found; not the secrets that may stand in our own."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _limit(pid: int, cpu_s: int) -> None:
    # From outside, not before exec: a preexec_fn is unsafe beside threads, and prlimit(1) one more program to allow.
    try:
        for kind, limit in (*_LIMITS.items(), (resource.RLIMIT_CPU, cpu_s)):
            resource.prlimit(pid, kind, (limit, limit))
    except OSError as error:
        raise NoDecoderError(f"ffmpeg's resources cannot be limited: {error.strerror}") from error


def _read(output: IO[bytes], deadline: Deadline) -> bytes:
    poll = select.poll()
    poll.register(output, select.POLLIN)
    while not poll.poll(min(deadline.remaining() * 1000, _TICK_MS)):
        pass
    return os.read(output.fileno(), _PIECE)
