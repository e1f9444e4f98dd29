"""A limit on the time one measurement may take, which its owner can also end early from another thread."""

import threading
import time


class Deadline:
    """Ends `seconds` from now, or at `stop`, whichever comes first."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End it now; safe from any thread."""
        self._stopped.set()

    def remaining(self) -> float:
        """Seconds left, more than 0; raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0 or self._stopped.is_set():
            raise TimeoutError("measuring the audio took too long, or was called off")
        return left
