"""Laravel's paginator: against what document 001 shows, and against Laravel's own UrlWindow written out plainly."""

from hypothesis import given
from hypothesis import strategies as st

from service.api.paging import PageUrls, paged, pages_shown

URL = "https://api.dev.utel.uz/api/v1/call-history"


def laravel(current: int, last: int) -> list[int | str]:
    """`UrlWindow::get` and `LengthAwarePaginator::elements` of laravel/framework 11, with three on each side."""
    side = 3
    window = side + 4
    start, finish = [1, 2], [last - 1, last]
    if last < side * 2 + 8:
        first, slider, end = list(range(1, last + 1)), None, None
    elif current <= window:
        first, slider, end = list(range(1, window + side + 1)), None, finish
    elif current > last - window:
        first, slider, end = start, None, list(range(last - (window + (side - 1)), last + 1))
    else:
        first, slider, end = start, list(range(current - side, current + side + 1)), finish
    shown: list[int | str] = [*first]
    for group in (slider, end):
        if group:
            shown += ["...", *group]
    return shown


@given(last=st.integers(1, 400), data=st.data())
def test_the_list_of_pages_is_laravels(last: int, data: st.DataObject) -> None:
    current = data.draw(st.integers(1, last + 20))
    assert ["..." if page is None else page for page in pages_shown(current, last)] == laravel(current, last)


@given(
    total=st.integers(0, 5000),
    per_page=st.integers(1, 300),
    page=st.integers(1, 10**15),
)
def test_any_page_of_any_list_adds_up(total: int, per_page: int, page: int) -> None:
    rows = list(range(total))[(page - 1) * per_page : page * per_page]
    answer = paged(rows, page=page, per_page=per_page, total=total, urls=PageUrls(URL, ""))
    meta, links = answer["meta"], answer["links"]
    assert meta["last_page"] == max(1, -(-total // per_page))
    assert (meta["from"], meta["to"]) == ((rows[0] + 1, rows[-1] + 1) if rows else (None, None))
    assert (links["prev"] is None) == (page == 1)
    assert (links["next"] is None) == (page >= meta["last_page"])
    active = [link["label"] for link in meta["links"] if link["active"]]
    assert active == ([str(page)] if page <= meta["last_page"] else [])
    assert meta["links"][0]["url"] == links["prev"]
    assert meta["links"][-1]["url"] == links["next"]


def test_the_first_of_fifty_pages_is_that_of_document_001() -> None:
    def link(page: int, *, label: str = "", active: bool = False) -> dict[str, object]:
        return {"url": f"{URL}?page={page}", "label": label or str(page), "active": active}

    answer = paged(list(range(15)), page=1, per_page=15, total=747, urls=PageUrls(URL, ""))
    assert list(answer) == ["data", "links", "meta"]
    assert answer["links"] == {
        "first": f"{URL}?page=1",
        "last": f"{URL}?page=50",
        "prev": None,
        "next": f"{URL}?page=2",
    }
    assert answer["meta"] == {
        "current_page": 1,
        "from": 1,
        "last_page": 50,
        "links": [
            {"url": None, "label": "« Previous", "active": False},
            link(1, active=True),
            *(link(page) for page in range(2, 11)),
            {"url": None, "label": "...", "active": False},
            link(49),
            link(50),
            link(2, label="Next »"),
        ],
        "path": URL,
        "per_page": 15,
        "to": 15,
        "total": 747,
    }


def test_links_keep_the_other_parameters_before_the_page() -> None:
    query = [("page", "3"), ("filter[src]", "+998 90"), ("sort", "-id"), ("q", "ä&b"), ("page", "9")]
    assert PageUrls.of(URL, query).url(2) == f"{URL}?filter%5Bsrc%5D=%2B998%2090&sort=-id&q=%C3%A4%26b&page=2"
