"""The description of audio: the same of messages and of calls, with the formats there are."""

import pytest

from service.api.playing import FORMATS
from tests.api.described import operation


@pytest.mark.parametrize("path", ["/message-voice/{uuid}/audio", "/call-history/{id}/recording"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_formats_are_those_that_are_taken(method: str, path: str) -> None:
    parameters = {parameter["name"]: parameter["schema"] for parameter in operation(method, path)["parameters"]}
    assert parameters["format"]["enum"] == list(FORMATS)


def test_a_recording_answers_as_audio_does() -> None:
    message, call = (operation("GET", path) for path in ("/message-voice/{uuid}/audio", "/call-history/{id}/recording"))
    assert message["responses"].keys() == call["responses"].keys()
    assert message["security"] == call["security"]
