"""The descriptions of calls, held against what is taken and against real answers."""

import pytest

from service.api.call_history import SPEC
from tests.api.described import assert_described, operation
from tests.api.site import Site
from tests.api.test_call_history import days


def test_the_parameters_of_the_history_are_those_of_its_specification() -> None:
    told = {parameter["name"]: parameter["schema"] for parameter in operation("GET", "/call-history")["parameters"]}
    filters = {f"filter[{name}]" for name in (*SPEC.texts, *SPEC.integers, "from", "to")}
    assert {name for name in told if name.startswith("filter")} == filters
    for name, allowed in SPEC.integers.items():
        assert told[f"filter[{name}]"].get("enum") == (None if allowed is None else list(allowed))


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/call-history", ""),
        ("/call-history", "?page=2&per_page=3&sort=-type"),
        ("/call-history", "?page=99"),
        ("/call-history", "?filter[status]=9"),
        ("/statistic/calls-count", "?from=2026-01-01&to=2026-12-31"),
        ("/statistic/calls-count", ""),
        ("/statistic/calls-by-hour", "?from=2026-01-01&to=2026-12-31"),
        ("/statistic/calls-by-hour", "?from=2026"),
    ],
)
async def test_answers_are_as_described(site: Site, path: str, query: str) -> None:
    await site.store.write(
        lambda tx: tx.conn.execute("INSERT INTO webhook (name, cursor, calls, messages) VALUES ('amocrm', 0, 1, 0)")
    )
    await days(site)
    assert_described("GET", path, await site.ask(path + query))
