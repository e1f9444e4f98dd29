"""Where a file's samples lie and how they are written: what the headers are read into, and durations come out of."""

from collections.abc import Callable
from typing import NamedTuple

from service.audio.formats import Encoding
from service.errors import InvalidInputError

MIN_RATE, MAX_RATE = 1_000, 384_000
MAX_CHANNELS = 32

ReadAt = Callable[[int, int], bytes]
"""`read(offset, count)`: at most `count` bytes from `offset` on, fewer at the end of the file."""


class Layout(NamedTuple):
    """The samples of a file: `length` bytes from `offset` on, all of which were there when its size was taken.

    Each `block_bytes` hold `block_samples` of every channel. `truncated`: the header promised more than is there.
    """

    content_type: str
    encoding: Encoding
    offset: int
    length: int
    sample_rate: int
    channels: int
    block_bytes: int
    block_samples: int
    truncated: bool = False

    @property
    def duration_ms(self) -> int:
        """Milliseconds, floored, of the whole blocks that are there."""
        return self.length // self.block_bytes * self.block_samples * 1000 // self.sample_rate


def check_rate(sample_rate: int, channels: int) -> None:
    """Raise InvalidInputError where a header states what no recording has, such as a rate of 0."""
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise InvalidInputError(f"the audio's header states a sample rate of {sample_rate} Hz")
    if not 1 <= channels <= MAX_CHANNELS:
        raise InvalidInputError(f"the audio's header states {channels} channels")
