"""The description of lists, held against what each of them takes."""

import pytest

from service.api import call_history, message_voice
from service.api.params import MOST_PAGES, MOST_PER_PAGE, ListSpec
from tests.api.described import operation


@pytest.mark.parametrize(
    ("path", "spec"), [("/message-voice", message_voice.SPEC), ("/call-history", call_history.SPEC)]
)
def test_pages_and_sorts_are_those_that_are_taken(path: str, spec: ListSpec) -> None:
    told = {parameter["name"]: parameter["schema"] for parameter in operation("GET", path)["parameters"]}
    assert told["sort"]["enum"] == [*spec.sorts, *(f"-{name}" for name in spec.sorts)]
    assert (told["page"]["maximum"], told["per_page"]["maximum"]) == (MOST_PAGES, MOST_PER_PAGE)
