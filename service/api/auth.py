"""Who is asking: bearer tokens, what each may do, and how often (contract 10, `[limits]`)."""

import math
import time
from collections.abc import Callable, Mapping

from service.model import Principal
from service.store.tokens import digest

BURST_S = 3
"""A token may use up this many seconds' worth of its rate at once, then goes on at the rate."""


class Tokens:
    """The tokens that are accepted, in memory; the daemon replaces them whenever the store's may have changed."""

    def __init__(self, principals: Mapping[bytes, Principal] | None = None) -> None:
        self._principals = dict(principals or {})

    def replace(self, principals: Mapping[bytes, Principal]) -> None:
        """Accept these tokens, and no others, from now on: whoever has one, by its digest (`store.tokens`)."""
        self._principals = dict(principals)

    def principal(self, token: str) -> Principal | None:
        """Who has this token; None where it is nobody's.

        What is compared is a SHA-256 of the token, which whoever guesses cannot steer: how long it takes tells nothing.
        """
        return self._principals.get(digest(token))


def bearer(authorization: str) -> str | None:
    """The token in an `Authorization` header (RFC 6750), None where there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


class Rates:
    """A token bucket for each principal. `per_second` 0 is no limit; `clock` gives seconds that only grow."""

    def __init__(self, per_second: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_second
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # bounded by the tokens there are: name -> level, time

    def wait(self, name: str) -> int:
        """Take one request from this name's bucket: 0 when it was there, else after how many seconds to come again."""
        if not self._rate:
            return 0
        most = float(self._rate * BURST_S)
        now = self._clock()
        level, seen = self._buckets.get(name, (most, now))
        level = min(most, level + (now - seen) * self._rate)
        if level < 1:
            self._buckets[name] = (level, now)
            return math.ceil((1 - level) / self._rate)
        self._buckets[name] = (level - 1, now)
        return 0
