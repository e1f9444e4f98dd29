"""Statistics of calls, asked as dashboards ask."""

from typing import Any

import pytest

from service.store import calls, mailboxes
from tests.api.site import BOX, Site, at
from tests.api.test_call_history import call_leg, days
from tests.store.ledger import INTERNAL

PATHS = ("/statistic/calls-count", "/statistic/calls-by-hour")
YEAR = "from=2026-01-01&to=2026-12-31"


def hours(**told: dict[str, int]) -> list[dict[str, int]]:
    """All hours of a day, and what is told of some of them, as `at12`."""
    none = {"incoming": 0, "outgoing": 0, "internal": 0, "total": 0}
    return [{"hour": hour, **none, **told.get(f"at{hour}", {})} for hour in range(24)]


def counted(incoming: tuple[int, int], outgoing: tuple[int, int], internal: tuple[int, int]) -> dict[str, Any]:
    """The result for these numbers of answered and other calls."""
    numbers = {"incoming": incoming, "outgoing": outgoing, "internal": internal}
    return {
        "all": {name: sum(both) for name, both in numbers.items()},
        **{name: {"answered": yes, "not_answered": no, "total": yes + no} for name, (yes, no) in numbers.items()},
    }


async def ask(site: Site, path: str, query: str = YEAR, token: str = "reader") -> Any:
    answer = await site.ask(f"{path}?{query.replace(' ', '%20')}", token)
    assert answer.status == 200
    assert {name: value for name, value in answer.json.items() if name != "result"} == {
        "status": "success",
        "code": 200,
        "message": "Ok",
    }
    return answer.json["result"]


async def test_calls_are_counted_by_type_and_whether_they_were_answered(site: Site) -> None:
    await days(site)
    for prefix in ("", "/api/v1"):
        assert await ask(site, f"{prefix}/statistic/calls-count") == counted((1, 1), (1, 0), (0, 1))


async def test_calls_are_counted_by_the_hour_in_which_they_started(site: Site) -> None:
    await days(site)
    for prefix in ("", "/api/v1"):
        assert await ask(site, f"{prefix}/statistic/calls-by-hour") == hours(
            at0={"internal": 1, "total": 1},
            at12={"incoming": 1, "total": 1},
            at17={"incoming": 1, "total": 1},
            at23={"outgoing": 1, "total": 1},
        )


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("from=2026-01-14&to=2026-01-15", counted((0, 0), (1, 0), (0, 1))),
        ("from=2026-01-13 17:30:00&to=2026-01-14 23:59:58", counted((1, 0), (0, 0), (0, 0))),
        ("from=2026-01-13 17:30:01&to=2026-01-14 23:59:59", counted((0, 0), (1, 0), (0, 0))),
        ("from=2026-01-16&to=2026-01-13", counted((0, 0), (0, 0), (0, 0))),
        (f"{YEAR}&external_number=781130590", counted((1, 0), (1, 0), (0, 0))),
        (f"{YEAR}&external_number=nobody", counted((0, 0), (0, 0), (0, 0))),
        (f"{YEAR}&external_number=", counted((1, 1), (1, 0), (0, 1))),
    ],
)
async def test_the_time_and_the_line_choose_calls(site: Site, query: str, result: dict[str, Any]) -> None:
    await days(site)
    assert await ask(site, PATHS[0], query) == result
    by_hour = await ask(site, PATHS[1], query)
    assert [row["hour"] for row in by_hour] == list(range(24))
    assert {name: sum(row[name] for row in by_hour) for name in result["all"]} == result["all"]
    assert sum(row["total"] for row in by_hour) == sum(result["all"].values())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("", {"from", "to"}),
        ("from=2026-01-01", {"to"}),
        ("to=2026-01-01", {"from"}),
        ("from=&to=2026-01-01", {"from"}),
        ("from=yesterday&to=2026-02-30", {"from", "to"}),
        ("from=2026-01-01T00:00:00Z&to=2026-01-02", {"from"}),
        (f"{YEAR}&external_number={'1' * 257}", {"external_number"}),
    ],
)
async def test_a_time_that_is_missing_or_none_is_told(site: Site, path: str, query: str, wrong: set[str]) -> None:
    answer = await site.ask(f"{path}?{query}")
    assert (answer.status, answer.json["code"], answer.json["status"], answer.json["result"]) == (422, 422, "error", [])
    assert set(answer.json["errors"]) == wrong
    assert all(isinstance(problem, str) for problems in answer.json["errors"].values() for problem in problems)


async def test_what_comes_meanwhile_is_counted(site: Site) -> None:
    assert await ask(site, PATHS[0]) == counted((0, 0), (0, 0), (0, 0))
    await days(site)
    assert await ask(site, PATHS[0]) == counted((1, 1), (1, 0), (0, 1))
    more = call_leg(9, at("2026-01-16T13:00:00"), "100", "101")
    await site.store.write(lambda tx: calls.record(tx, [more], INTERNAL))
    assert await ask(site, PATHS[0]) == counted((1, 1), (1, 0), (1, 1))


async def test_a_mailbox_token_is_told_of_its_own_calls_alone(site: Site) -> None:
    await site.store.write(lambda tx: mailboxes.ensure(tx, BOX))
    await days(site)
    assert await ask(site, PATHS[0], token="box100") == counted((1, 0), (1, 0), (0, 1))
    by_hour = await ask(site, PATHS[1], token="box100")
    assert [row["hour"] for row in by_hour if row["total"]] == [0, 17, 23]
