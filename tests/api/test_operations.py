"""The table of operations, against the routes there are, what the gate lets through, and what parameters are taken."""

from typing import Any

import pytest
from aiohttp import web

from service.api.events import LIMIT, MOST
from service.api.message_voice import SPEC
from service.model import Scope
from tests.api.described import DOCUMENT, Described, assert_described, operation, operations, servers_of
from tests.api.site import Answer, Site

OF_SCOPE = {Scope.READ: "reader", Scope.WRITE: "writer", Scope.ADMIN: "admin"}
NOWHERE = {
    "{ref}": "1",
    "{phone}": "+4571919998",
    "{pin}": "1234",
    "{id}": "1",
    "{uuid}": "6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11",
    "{secret}": "nobody-knows",
}


def routes(app: web.Application) -> set[tuple[str, str]]:
    """Method and path of every route, but for HEAD where it only goes with GET and nobody describes it."""
    found = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    return {
        (method, path) for method, path in found if method != "HEAD" or "head" in DOCUMENT["paths"].get(plain(path), {})
    }


def plain(path: str) -> str:
    """The path without its prefix."""
    return next(
        (known for known, item in DOCUMENT["paths"].items() for url in servers_of(item) if url + known == path), path
    )


def addresses() -> set[tuple[str, str]]:
    """Method and path of every operation, under each of its servers."""
    return {(method, url + path) for method, path, _ in operations() for url in servers_of(DOCUMENT["paths"][path])}


def test_every_route_is_described_and_every_description_has_its_route(site: Site) -> None:
    assert addresses() == routes(site.app)


async def test_every_operation_asks_for_the_token_that_it_is_said_to(site: Site) -> None:
    for method, path, described in operations():
        concrete = path
        for name, value in NOWHERE.items():
            concrete = concrete.replace(name, value)
        scope = scope_of(described)
        refused = {
            token
            for token in (None, "nobody", *OF_SCOPE.values())
            if refuses(await site.ask(concrete, token, method), method, path)
        }
        allowed = {name for held, name in OF_SCOPE.items() if scope is None or held.includes(scope)}
        expected = set() if scope is None else {None, "nobody", *OF_SCOPE.values()} - allowed
        assert refused == expected, f"{method} {path}"


def refuses(answer: Answer, method: str, path: str) -> bool:
    """Whether it is the token that stands in the way; in any case what it says is described."""
    if method != "HEAD":  # which has the headers of an answer without its content
        assert_described(method, path, answer)
    return answer.status in (401, 403)


def scope_of(described: Described) -> Scope | None:
    """The scope that the document asks for; None where it asks for no token."""
    scopes = {scope for way in described["security"] for scopes in way.values() for scope in scopes}
    assert len(scopes) <= 1
    return Scope(scopes.pop()) if scopes else None


def parameters(method: str, path: str) -> dict[str, Any]:
    return {parameter["name"]: parameter["schema"] for parameter in operation(method, path)["parameters"]}


def test_the_lists_parameters_are_those_of_its_specification() -> None:
    told = parameters("GET", "/message-voice")
    assert told["sort"]["enum"] == [*SPEC.sorts, *(f"-{name}" for name in SPEC.sorts)]
    filters = {f"filter[{name}]" for name in (*SPEC.texts, *SPEC.integers, "from", "to")}
    assert {name for name in told if name.startswith("filter")} == filters


def test_the_limit_of_events_is_theirs() -> None:
    told = parameters("GET", "/events")["limit"]
    assert (told["default"], told["maximum"]) == (LIMIT, MOST)


BOUNDED = [
    (path, parameter["name"], parameter["schema"])
    for method, path, described in operations()
    for parameter in described.get("parameters", ())
    if parameter["in"] == "query" and "maximum" in parameter["schema"]
]


@pytest.mark.parametrize(("path", "name", "schema"), BOUNDED)
async def test_numbers_are_taken_up_to_their_bounds_and_no_further(
    site: Site, path: str, name: str, schema: Described
) -> None:
    for value in (schema["minimum"], schema["maximum"]):
        assert (await site.ask(f"{path}?{name}={value}", "admin")).status != 422
    for value in (schema["minimum"] - 1, schema["maximum"] + 1):
        answer = await site.ask(f"{path}?{name}={value}", "admin")
        assert answer.status == 422
        assert_described("GET", path, answer)
        assert list(answer.json.get("errors", [name])) == [name]
        assert name in answer.json.get("errors", answer.json["message"])
