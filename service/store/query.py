"""What a list is asked for, and what it answers: the same of messages and of calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Query:
    """A page of a list: exact `filters` by field, `since` and `until` inclusive in epoch seconds, one sort field."""

    filters: Mapping[str, str | int] = field(default_factory=dict)
    since: int | None = None
    until: int | None = None
    sort: str = "id"
    descending: bool = False
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """The rows asked for, and how many there are in all."""

    rows: Sequence[Row]
    total: int
