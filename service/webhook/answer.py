"""What an endpoint answered, and what that means for a delivery (contract 4). Pure: no connection is touched here."""

from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import urlsplit

LONGEST_WORDS = 500
"""Characters of an answer that are kept to show to a person."""
_ASK_TO_WAIT = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_ASK_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class Outcome(StrEnum):
    """What became of one try."""

    DELIVERED = "delivered"
    FAILED = "failed"
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one try, and what to tell a person of it: one line.

    `retry_after_s` is how long the endpoint asked to be left alone; None where it did not. `reached` is whether there
    was an answer at all.
    """

    outcome: Outcome
    words: str
    retry_after_s: float | None = None
    reached: bool = field(default=True, compare=False)


def one_line(text: str) -> str:
    """The text in one line, without what does not show, and not longer than LONGEST_WORDS."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(visible.split())[:LONGEST_WORDS]


def unreachable(why: str) -> Answer:
    """No answer came; it may work later."""
    return Answer(Outcome.POSTPONED, one_line(why), reached=False)


def read(status: int, body: bytes, *, retry_after: str = "", now: float = 0) -> Answer:
    """What a status and the beginning of the body beside it mean; `retry_after` is the header's value, if any."""
    if status // 100 == 2:  # noqa: PLR2004 -- the class of statuses that mean success
        return Answer(Outcome.DELIVERED, str(status))
    words = one_line(f"{status} {body.decode(errors='replace')}")
    if status // 100 == 4 and status not in _ASK_AGAIN:  # noqa: PLR2004 -- the class of the client's mistakes
        return Answer(Outcome.FAILED, words)
    asked = _seconds(retry_after, now) if status in _ASK_TO_WAIT else None
    return Answer(Outcome.POSTPONED, words, asked)


def redirected(status: int, location: str, url: str) -> Answer:
    """A redirect is not followed. Of where it leads no more is told than the host: the rest may hold a secret."""
    there = origin(location)
    where = "another path there" if there in ("", origin(url)) else there
    words = f"redirects are not followed: {status} to {where}; correct the url of this webhook"
    return Answer(Outcome.POSTPONED, one_line(words))


def origin(url: str) -> str:
    """Scheme, host and port of a URL, without what may be secret; "" where it has none."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}" if host else ""


def _seconds(retry_after: str, now: float) -> float | None:
    """Read a `Retry-After`: whole seconds, or an HTTP date (RFC 9110, 10.2.3); None where it is neither."""
    value = retry_after.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, when.replace(tzinfo=when.tzinfo or UTC).timestamp() - now)
