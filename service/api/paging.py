"""Laravel's paginator as documents 000 and 001 show it: `links` and `meta` of a paged list (contract 4).

The list of pages is that of Laravel's `UrlWindow` with three pages on each side, its addresses those of
`LengthAwarePaginator` with `withQueryString()`: the other parameters first, `page` last, encoded after RFC 3986.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

ON_EACH_SIDE = 3
_FEW = ON_EACH_SIDE * 2 + 8
_WINDOW = ON_EACH_SIDE + 4
_GAP = None


@dataclass(frozen=True, slots=True)
class PageUrls:
    """The addresses of a list's pages: `path` without query, and the request's other parameters, encoded."""

    path: str
    others: str

    @classmethod
    def of(cls, path: str, query: Iterable[tuple[str, str]]) -> "PageUrls":
        """Keep all parameters of the request but `page`."""
        pairs = (f"{quote(name, safe='')}={quote(value, safe='')}&" for name, value in query if name != "page")
        return cls(path, "".join(pairs))

    def url(self, page: int) -> str:
        """The address of a page, from 1."""
        return f"{self.path}?{self.others}page={page}"


def pages_shown(current: int, last: int) -> list[int | None]:
    """The numbers in the list of pages; None is the gap that is shown as `...`."""
    if last < _FEW:
        return list(range(1, last + 1))
    if current <= _WINDOW:
        return [*range(1, _WINDOW + ON_EACH_SIDE + 1), _GAP, last - 1, last]
    if current > last - _WINDOW:
        return [1, 2, _GAP, *range(last - _WINDOW - ON_EACH_SIDE + 1, last + 1)]
    around = range(current - ON_EACH_SIDE, current + ON_EACH_SIDE + 1)
    return [1, 2, _GAP, *around, _GAP, last - 1, last]


def paged(data: list[Any], *, page: int, per_page: int, total: int, urls: PageUrls) -> dict[str, Any]:
    """A page of a list as it is answered: `data`, `links`, `meta`."""
    last = max(1, -(-total // per_page))
    before = urls.url(page - 1) if page > 1 else None
    after = urls.url(page + 1) if page < last else None
    first_row = (page - 1) * per_page + 1
    return {
        "data": data,
        "links": {"first": urls.url(1), "last": urls.url(last), "prev": before, "next": after},
        "meta": {
            "current_page": page,
            "from": first_row if data else None,
            "last_page": last,
            "links": [
                {"url": before, "label": "« Previous", "active": False},
                *(_link(number, page, urls) for number in pages_shown(page, last)),
                {"url": after, "label": "Next »", "active": False},
            ],
            "path": urls.path,
            "per_page": per_page,
            "to": first_row + len(data) - 1 if data else None,
            "total": total,
        },
    }


def _link(number: int | None, current: int, urls: PageUrls) -> dict[str, Any]:
    if number is None:
        return {"url": None, "label": "...", "active": False}
    return {"url": urls.url(number), "label": str(number), "active": number == current}
