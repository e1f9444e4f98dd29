"""The outline of a recording, for players that draw one: how far each of a few hundred slices of it swings."""

import audioop
from typing import NamedTuple

MOST = 800
_FULL_SCALE = 32768
_WIDTH = 2
_FIRST_PER_S = 1000


class Peaks(NamedTuple):
    """At most MOST values, 0..1, of slices of equal length (the last may be shorter), and the length in seconds."""

    values: list[float]
    duration: float


class PeakMeter:
    """Takes interleaved 16-bit samples of unknown number in pieces. Keeps less than 2 * MOST numbers and one slice.

    Slices last a millisecond at first; as soon as there are too many, each two become one.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._rate = sample_rate
        self._frame = channels * _WIDTH
        self._slice = max(sample_rate // _FIRST_PER_S, 1) * self._frame
        self._rest = b""
        self._maxima: list[int] = []
        self._bytes = 0

    def feed(self, pcm: bytes) -> None:
        """Take whole samples of all channels, as many as there are."""
        self._bytes += len(pcm)
        data = memoryview(self._rest + pcm if self._rest else pcm)
        at = 0
        while len(data) - at >= self._slice:
            self._maxima.append(audioop.max(data[at : at + self._slice], _WIDTH))
            at += self._slice
            if len(self._maxima) == 2 * MOST:
                self._halve()
        self._rest = bytes(data[at:])

    def peaks(self) -> Peaks:
        """The outline of what was fed so far; a last slice that is not full counts as one."""
        if self._rest:
            self._maxima.append(audioop.max(self._rest, _WIDTH))
            self._rest = b""
        if len(self._maxima) > MOST:
            self._halve()
        values = [round(maximum / _FULL_SCALE, 4) for maximum in self._maxima]
        return Peaks(values, round(self._bytes / self._frame / self._rate, 3))

    def _halve(self) -> None:
        maxima = self._maxima
        self._maxima = [max(maxima[at : at + 2]) for at in range(0, len(maxima), 2)]
        self._slice *= 2
