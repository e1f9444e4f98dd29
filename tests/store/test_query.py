"""What a list is asked for where nobody says otherwise."""

from service.store.query import Page, Query


def test_without_a_wish_it_is_the_first_twenty_by_id() -> None:
    query = Query()
    assert (query.sort, query.descending, query.limit, query.offset, dict(query.filters)) == ("id", False, 20, 0, {})
    assert (query.since, query.until) == (None, None)


def test_a_page_is_equal_to_one_with_the_same_rows_and_total() -> None:
    assert Page([1, 2], 7) == Page([1, 2], 7) != Page([1, 2], 8)
