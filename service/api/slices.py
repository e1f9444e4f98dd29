"""`limit` and `offset` of a list, as document 002 has them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import InvalidInputError

LIMIT, MOST = 10, 500
_NUMBER = re.compile(r"\d{1,18}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Slice:
    """So many rows from there on."""

    limit: int
    offset: int

    def answer(self, data: list[Any], total: int) -> dict[str, Any]:
        """The list as it is answered."""
        return {"data": data, "limit": self.limit, "offset": self.offset, "total": total}


def read_slice(query: Mapping[str, str]) -> Slice:
    """What was asked for: by default the first ten. Raises InvalidInputError."""
    limit, offset = _number(query, "limit", LIMIT), _number(query, "offset", 0)
    if not 1 <= limit <= MOST:
        raise InvalidInputError(f"the limit must be between 1 and {MOST}", "limit")
    return Slice(limit, offset)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if _NUMBER.match(text) is None:
        raise InvalidInputError(f"the {name} must be a whole number", name)
    return int(text)
