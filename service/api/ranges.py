"""Conditional requests and ranges of bytes: `Range`, `If-Range`, `If-Match` and `If-None-Match` of RFC 9110 (pure)."""

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*\Z", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class Span:
    """What part of `size` bytes is sent: `length` bytes from `start` on. `partial`: it was asked for as a range."""

    start: int
    length: int
    size: int
    partial: bool

    @property
    def content_range(self) -> str:
        """The value of `Content-Range`."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


def select(header: str | None, if_range: str | None, etag: str, size: int) -> Span | None:
    """The part of `size` bytes that is to be sent; None where the range cannot be satisfied (416).

    Several ranges, other units and what is no range at all are answered with the whole, as is a range of something
    that has changed since (RFC 9110, 14.2).
    """
    whole = Span(0, size, size, partial=False)
    found = _RANGE.match(header or "")
    if found is None or (if_range is not None and if_range.strip() != etag):
        return whole
    first, last = found.groups()
    if not first and not last:
        return whole
    if not first:
        length = min(int(last), size)
        return Span(size - length, length, size, partial=True) if length else None
    start = int(first)
    if last and int(last) < start:
        return whole
    if start >= size:
        return None
    end = min(int(last), size - 1) if last else size - 1
    return Span(start, end - start + 1, size, partial=True)


def another(if_match: str | None, etag: str) -> bool:
    """Whether the client wants other bytes than these (412); tags are compared strongly."""
    if if_match is None or if_match.strip() == "*":
        return False
    return etag not in (tag.strip() for tag in if_match.split(","))


def unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has this already (304); tags are compared weakly."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)
