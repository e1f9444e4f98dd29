"""The parameters of documents 000 and 001, read and checked: of a list (page, per_page, sort, filters), of statistics.

`filter[src]=` and `filter.src=` mean the same, of a repeated one the last counts, an empty one is none, and one that
no list knows is left alone. A number's `+` may stand as it is, though in a query that is a space. All that is wrong is
told at once.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from service.api.localtime import earliest, latest
from service.api.wire import InvalidParametersError
from service.store.query import Query

PER_PAGE = 20
MOST_PER_PAGE = 300
MOST_PAGES = 10**15
MOST_PARAMETERS = 32
LONGEST_VALUE = 256
_MOST = 2**63 - 1  # SQLite's integers: beyond them nothing can match, nor can it be asked for

_INTEGER = re.compile(r"[+-]?\d+\Z", re.ASCII)
_BARE_PLUS = re.compile(r"\A (?=\d+\Z)", re.ASCII)
_BRACKETS = re.compile(r"filter\[([a-z_]+)\]\Z", re.ASCII)
_TIME = "must be a time as YYYY-MM-DD HH:MM:SS or a date as YYYY-MM-DD"


@dataclass(frozen=True, slots=True)
class ListSpec:
    """What one list knows. `integers` maps a filter to the values it may have, None for any."""

    sorts: Sequence[str]
    texts: Sequence[str]
    integers: Mapping[str, Sequence[int] | None]


@dataclass(frozen=True, slots=True)
class ListParams:
    """What was asked for: `since` and `until` in epoch seconds, inclusive; `filters` by field, exact."""

    page: int = 1
    per_page: int = PER_PAGE
    sort: str = "id"
    descending: bool = False
    filters: Mapping[str, str | int] = field(default_factory=dict)
    since: int | None = None
    until: int | None = None

    @property
    def offset(self) -> int:
        """How many rows stand on the pages before."""
        return (self.page - 1) * self.per_page


def read_list(query: Iterable[tuple[str, str]], spec: ListSpec, zone: tzinfo) -> ListParams:
    """Read the (decoded) query of a list. Raises InvalidParametersError with all that is wrong."""
    reader = _Reader(query)
    sort, descending = reader.sort(spec.sorts)
    params = ListParams(
        page=reader.number("page", 1, MOST_PAGES, 1),
        per_page=reader.number("per_page", 1, MOST_PER_PAGE, PER_PAGE),
        sort=sort,
        descending=descending,
        filters=reader.filters(spec),
        since=reader.moment("filter.from", earliest, zone),
        until=reader.moment("filter.to", latest, zone),
    )
    if reader.errors:
        raise InvalidParametersError(reader.errors)
    return params


def query_of(params: ListParams) -> Query:
    """What a list's parameters ask of the store."""
    return Query(
        filters=params.filters,
        since=params.since,
        until=params.until,
        sort=params.sort,
        descending=params.descending,
        limit=params.per_page,
        offset=params.offset,
    )


@dataclass(frozen=True, slots=True)
class Period:
    """What statistics are asked for: a time in epoch seconds, both ends included, and one outside line or number."""

    since: int
    until: int
    external_number: str | None


def read_period(query: Iterable[tuple[str, str]], zone: tzinfo) -> Period:
    """Read the (decoded) query of statistics. Raises InvalidParametersError with all that is wrong."""
    reader = _Reader(query)
    since, until = (
        reader.moment(name, getter, zone, required=True) for name, getter in (("from", earliest), ("to", latest))
    )
    external_number = reader.phone("external_number") or None
    if since is None or until is None or reader.errors:
        raise InvalidParametersError(reader.errors)
    return Period(since, until, external_number)


class _Reader:
    """Reads one query and gathers what is wrong with it, by parameter."""

    def __init__(self, query: Iterable[tuple[str, str]]) -> None:
        self.errors: dict[str, list[str]] = {}
        pairs = list(query)
        if len(pairs) > MOST_PARAMETERS:
            self._wrong("query", f"must have at most {MOST_PARAMETERS} parameters")
        self._values: dict[str, str] = {}
        for name, value in pairs[:MOST_PARAMETERS]:
            self._values[_BRACKETS.sub(r"filter.\1", name)] = value

    def _wrong(self, name: str, problem: str) -> None:
        self.errors.setdefault(name, []).append(f"The {name} {problem}.")

    def text(self, name: str) -> str:
        value = self._values.get(name, "")
        if len(value) > LONGEST_VALUE:
            self._wrong(name, f"must have at most {LONGEST_VALUE} characters")
            return ""
        return value

    def phone(self, name: str) -> str:
        """A number somebody has; no number begins with a space, so that is a `+` that was not encoded."""
        return _BARE_PLUS.sub("+", self.text(name))

    def _integer(self, name: str) -> int | None:
        value = self.text(name).strip()
        if not value:
            return None
        if not _INTEGER.match(value):
            self._wrong(name, "must be an integer")
            return None
        return int(value)

    def number(self, name: str, least: int, most: int, default: int) -> int:
        value = self._integer(name)
        if value is None:
            return default
        if not least <= value <= most:
            self._wrong(name, f"must be between {least} and {most}")
            return default
        return value

    def sort(self, allowed: Sequence[str]) -> tuple[str, bool]:
        """The field and whether it is descending: the contract's default is `id`, ascending."""
        value = self.text("sort") or "id"
        name = value.removeprefix("-")
        if name not in allowed:
            self._wrong("sort", f"must be one of {', '.join(allowed)}, with - in front for the other way round")
        return name, value.startswith("-")

    def filters(self, spec: ListSpec) -> dict[str, str | int]:
        texts = {name: self.phone(f"filter.{name}") for name in spec.texts}
        found: dict[str, str | int] = {name: text for name, text in texts.items() if text}
        for name, allowed in spec.integers.items():
            value = self._integer(f"filter.{name}")
            if value is None:
                continue
            if allowed is not None and value not in allowed:
                self._wrong(f"filter.{name}", f"must be one of {', '.join(map(str, allowed))}")
            found[name] = max(-_MOST, min(value, _MOST))
        return found

    def moment(
        self, name: str, read: Callable[[str, tzinfo], int | None], zone: tzinfo, *, required: bool = False
    ) -> int | None:
        value = self.text(name).strip()
        if not value:
            if required:
                self._wrong(name, "is required")
            return None
        epoch = read(value, zone)
        if epoch is None:
            self._wrong(name, _TIME)
        return epoch
