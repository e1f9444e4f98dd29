"""How loud a recording is: peak, RMS and share of silence of 16-bit PCM that arrives in pieces.

dBFS as pydub defines it: relative to an amplitude of 32768. Silence is a window of 20 ms whose RMS lies below
-50 dBFS: comfort noise and a quiet line are silence, a whisper is not.
"""

import audioop
from math import log10
from struct import iter_unpack
from typing import Any

from service.model import Levels

Buffer = bytes | memoryview

WINDOW_MS = 20
SILENT_BELOW = 104
"""The RMS of a window, of 32768, under which it is silent: -50 dBFS."""

_FULL_SCALE = 32768
_WIDTH = 2
# audioop.rms rounds down to a whole number. Below this mean that costs more than 0.02 dB, and 32-bit samples are used.
_COARSE_BELOW = 400
_WIDE = 4
_WIDE_STEP = 1 << 16


class Meter:
    """Measures the interleaved 16-bit samples it is fed. Keeps a few numbers and less than one window of samples."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._rate = sample_rate
        self._channels = channels
        self._window = max(sample_rate * WINDOW_MS // 1000, 1) * channels * _WIDTH
        self._rest = b""
        self._peak_dbfs = float("-inf")
        self._squares = 0.0
        self._measured = 0
        self._windows = 0
        self._silent = 0

    def feed(self, pcm: bytes) -> None:
        """Take whole samples of all channels, as many as there are."""
        if not pcm:
            return
        segment: Any = _segment(pcm, self._rate, self._channels)
        self._peak_dbfs = max(self._peak_dbfs, segment.max_dBFS)
        data = memoryview(self._rest + pcm if self._rest else pcm)
        whole = len(data) // self._window * self._window
        if whole:
            self._add(data[:whole], self._window)
        self._rest = bytes(data[whole:])

    def levels(self) -> Levels:
        """What was fed so far; a last window that is not full counts as one. No audio at all is all silence."""
        if self._rest:
            self._add(self._rest, len(self._rest))
            self._rest = b""
        silence = self._silent / self._windows if self._windows else 1.0
        peak = None if self._peak_dbfs == float("-inf") else round(self._peak_dbfs, 2)
        return Levels(peak, self._rms_dbfs(), round(silence, 4))

    def _add(self, data: Buffer, window: int) -> None:
        powers = _window_rms(data, window, _WIDTH)
        squares: float = sum([power * power for power in powers])
        if squares < _COARSE_BELOW**2 * len(powers) and audioop.max(data, _WIDTH):
            wide = _window_rms(audioop.lin2lin(data, _WIDTH, _WIDE), window * _WIDE // _WIDTH, _WIDE)
            squares = sum([power * power for power in wide]) / _WIDE_STEP**2
        self._squares += squares * window
        self._measured += window * len(powers)
        self._windows += len(powers)
        self._silent += len([power for power in powers if power < SILENT_BELOW])

    def _rms_dbfs(self) -> float | None:
        if not self._squares:
            return None
        return round(10 * log10(self._squares / self._measured / _FULL_SCALE**2), 2)


def _window_rms(data: Buffer, window: int, width: int) -> list[int]:
    rms = audioop.rms
    return [rms(samples, width) for (samples,) in iter_unpack(f"{window}s", data)]


def _segment(pcm: bytes, sample_rate: int, channels: int) -> Any:
    # Imported late: it costs 30 ms, and a daemon whose mailboxes are silent never needs it.
    from pydub import AudioSegment  # noqa: PLC0415 -- see above

    return AudioSegment(data=pcm, sample_width=_WIDTH, frame_rate=sample_rate, channels=channels)
