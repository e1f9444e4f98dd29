"""What an audio file is: its identity, its kind and its true length, from one stat and a few bounded reads."""

import os
from hashlib import blake2b
from stat import S_ISREG

from service.audio.au import parse_au
from service.audio.formats import FORMATS, Container, Format
from service.audio.layout import Layout
from service.audio.riff import parse_riff
from service.errors import InvalidInputError
from service.model import Audio, AudioFile

HEAD_SIZE = 4096
DIGESTED = 1024


def describe(fd: int, suffix: str) -> Audio:
    """Say what the open file `fd` of a message is, without its levels; its file offset is neither used nor moved.

    Reads at most 8 KiB, nearly always one read of 4 KiB. `head` is BLAKE2b-128 of the first 1 KiB, in hex. Raises
    InvalidInputError where the suffix is none of Asterisk's audio, the descriptor is not a regular file, or the header
    is missing, incomplete (a file that is still being copied), or states nonsense; OSError where the disk fails.
    """
    form, status, head = _look(fd, suffix)
    digest = blake2b(head[:DIGESTED], digest_size=16).hexdigest()
    file = AudioFile(suffix, status.st_size, status.st_mtime_ns, status.st_ino, digest)
    layout = _layout(fd, form, status.st_size, head)
    if layout is None:
        return Audio(file, form.content_type, None, None, None)
    return Audio(
        file, layout.content_type, layout.duration_ms, layout.sample_rate, layout.channels, truncated=layout.truncated
    )


def layout_of(fd: int, suffix: str) -> Layout | None:
    """Where the samples of the open file lie, None of a kind whose inside is not known. Errors as `describe`."""
    form, status, head = _look(fd, suffix)
    return _layout(fd, form, status.st_size, head)


def _look(fd: int, suffix: str) -> tuple[Format, os.stat_result, bytes]:
    form = FORMATS.get(suffix)
    if form is None:
        raise InvalidInputError(f"{suffix[:20]!r} is not the suffix of an audio file")
    status = os.fstat(fd)
    if not S_ISREG(status.st_mode):
        raise InvalidInputError("the audio is not a regular file")
    return form, status, os.pread(fd, HEAD_SIZE, 0)


def _layout(fd: int, form: Format, size: int, head: bytes) -> Layout | None:
    match form.container:
        case Container.RIFF:
            return parse_riff(head, size, lambda offset, count: os.pread(fd, count, offset))
        case Container.RAW:
            return Layout(
                form.content_type, form.encoding, 0, size, form.sample_rate, 1, form.block_bytes, form.block_samples
            )
        case Container.AU:
            return parse_au(head, size)
        case Container.OPAQUE:
            return None
