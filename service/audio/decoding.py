"""The samples of a file as 16-bit PCM, by whatever decodes them: this process, libgsm, or ffmpeg."""

import os
from collections.abc import Generator
from dataclasses import dataclass

from service.audio import ffmpeg
from service.audio.deadline import Deadline
from service.audio.formats import Encoding
from service.audio.gsm import GsmLibrary
from service.audio.layout import Layout
from service.audio.look import HEAD_SIZE
from service.audio.pcm import decodes, read_blocks, to_pcm16
from service.audio.source import source_of
from service.errors import InvalidInputError

MAX_PCM = 256 * 1024 * 1024
"""Of a longer PCM file (4 h 39 min of 8 kHz wav) the first so many bytes are decoded."""
MAX_COMPRESSED = 16 * 1024 * 1024
"""A longer compressed file (2 h 49 min of GSM) is not decoded at all."""

_GSM_PIECE = 8 * 1024  # becomes 80 KiB of PCM


@dataclass(frozen=True)
class Decoders:
    """What there is to decode with. Without `gsm`, GSM and wav49 take `ffmpeg`, a name or a path."""

    gsm: GsmLibrary | None
    ffmpeg: str = "ffmpeg"
    max_compressed: int = MAX_COMPRESSED

    def knows(self, layout: Layout) -> bool:
        """Whether there are PCM samples to be had of such a file."""
        return layout.encoding is not Encoding.OTHER

    def pcm(self, fd: int, layout: Layout, deadline: Deadline) -> Generator[bytes]:
        """The samples in pieces, at the layout's rate and with its channels. Moves the descriptor's offset.

        Raises InvalidInputError where the file is too large or no decoder takes it, NoDecoderError where ffmpeg is
        needed and missing, TimeoutError at the deadline.
        """
        if decodes(layout.encoding):
            return (to_pcm16(data, layout.encoding) for data in read_blocks(fd, layout, MAX_PCM))
        if layout.length > self.max_compressed:
            raise InvalidInputError(f"{layout.length} bytes are too many to decode")
        if self.gsm is not None and layout.encoding in (Encoding.GSM, Encoding.WAV49):
            frames = read_blocks(fd, layout, layout.length, _GSM_PIECE)
            return self.gsm.decode(frames, wav49=layout.encoding is Encoding.WAV49)
        return ffmpeg.decode(fd, layout, self.ffmpeg, deadline)

    def resampled(
        self, fd: int, suffix: str, layout: Layout | None, sample_rate: int, deadline: Deadline
    ) -> Generator[bytes] | None:
        """Mono samples at this rate of a file that only ffmpeg knows, None where it does not. Else as `pcm`."""
        size = os.fstat(fd).st_size
        source = source_of(suffix, layout, os.pread(fd, HEAD_SIZE, 0))
        if source is None:
            return None
        if size > self.max_compressed:
            raise InvalidInputError(f"{size} bytes are too many to decode")
        return ffmpeg.resample(fd, source, sample_rate, self.ffmpeg, deadline)
