"""The document as a whole: that it is OpenAPI, where it is had, and a client made of it alone."""

import asyncio
import subprocess
import sys
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from service import __version__
from service.api.openapi import document, rendered
from tests.api.described import operations, servers_of
from tests.api.site import Site

EXAMPLES = 8
NOT_CHECKED = ("negative_data_rejection",)  # a parameter that nobody knows is left alone; others: test_operations.py
NOT_CHECKED_OF = {
    **dict.fromkeys(  # no pattern leaves out 30 February
        ("listMessages", "listCalls", "countCalls", "countCallsByHour"), ("positive_data_acceptance",)
    ),
    "openWebsocket": ("positive_data_acceptance",),  # it asks without the headers of an upgrade
}


def test_it_is_openapi_3_1() -> None:
    told = document()
    OpenAPIV31SpecValidator(told).validate()
    assert told["openapi"].startswith("3.1.")
    assert told["info"]["version"] == __version__


async def test_it_is_served_as_it_is_printed_without_a_token(site: Site) -> None:
    answer = await site.ask("/openapi.json", None)
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "application/json", rendered())
    again = await site.ask("/openapi.json", None, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


def test_it_names_no_path_twice_and_no_prefix() -> None:
    prefixes = sorted({url for item in document()["paths"].values() for url in servers_of(item) if url})
    assert prefixes == ["/api", "/api/v1"]
    assert [path for _, path, _ in operations() if path.startswith(tuple(prefixes))] == []


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    assert [operation["operationId"] for _, _, operation in operations() if not operation["summary"]] == []


def test_the_daemon_starts_without_building_it() -> None:
    """Its models would take a tenth of a second, and memory."""
    code = "import sys, service.daemon; print('service.api.schemas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout == "False\n"


async def test_a_client_made_of_it_finds_nothing_it_was_not_told(site: Site) -> None:
    """Schemathesis asks all it can think of, right and wrong, and holds the answers against the document."""
    await site.leave(name="Jane Doe")
    await site.ingest.everything()  # else /readyz says 503, which is a server's error
    await asyncio.to_thread(fuzz, site.url)


def fuzz(url: str) -> None:
    """Ask every operation, outside the event loop that answers."""
    schema = schemathesis.openapi.from_dict(document())
    schema.config.update(base_url=url)
    asked = 0
    for operation in (found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)):
        name = operation.definition.raw["operationId"]
        excluded = CHECKS.get_by_names([*NOT_CHECKED, *NOT_CHECKED_OF.get(name, ())])
        for mode in schemathesis.GenerationMode:
            if mode.is_negative and name not in WITH_PARAMETERS:
                continue
            ask(operation, mode, excluded)
        asked += 1
    assert asked == len(operations())


WITH_PARAMETERS = {
    operation["operationId"]
    for _, _, operation in operations()
    if any(parameter["in"] != "header" for parameter in operation.get("parameters", ()))
}


def ask(operation: Any, mode: schemathesis.GenerationMode, excluded: list[Any]) -> None:
    """Send some requests that keep to the document, or that do not, and check the answers."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def one(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": "Bearer writer"}, excluded_checks=excluded)

    one()
