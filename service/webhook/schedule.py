"""When a delivery is tried again, and when it is given up (contract 4). Pure; times are epoch milliseconds."""

from collections.abc import Callable

SECOND_MS = 1000
DAY_MS = 24 * 3600 * SECOND_MS
STEPS_MS = tuple(seconds * SECOND_MS for seconds in (5, 30, 120, 600, 1800))
"""How long after the first, second, ... try the next one comes; after the last of these it stays the same."""
SPREAD = 0.1
"""By which share a wait is made longer or shorter, so that not everything comes back at the same moment."""
LONGEST_ASKED_MS = 3600 * SECOND_MS
"""So long an endpoint may have us wait with `Retry-After`."""

Jitter = Callable[[float, float], float]
"""`random.uniform`, or what stands in for it."""


def pause_ms(tries: int, jitter: Jitter) -> int:
    """How long to wait after so many tries (at least one) that failed."""
    step = STEPS_MS[min(tries, len(STEPS_MS)) - 1]
    return round(step * jitter(1 - SPREAD, 1 + SPREAD))


def asked_ms(retry_after_s: float) -> int:
    """How long to wait where the endpoint asked for so many seconds: never less than after a first try."""
    return round(max(STEPS_MS[0], min(retry_after_s * SECOND_MS, LONGEST_ASKED_MS)))


def next_try(now_ms: int, first_ms: int, wait_ms: int) -> int | None:
    """When to try again what was first tried at `first_ms`: the last time as the day ends; None where it is over."""
    ends_ms = min(first_ms, now_ms) + DAY_MS  # first tried in the future: the clock was set back
    return None if now_ms >= ends_ms else min(now_ms + wait_ms, ends_ms)
