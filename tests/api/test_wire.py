"""Which status a failure has, and how it is worded."""

import asyncio
from collections.abc import Callable

import orjson
import pytest
from aiohttp import web

from service.api.laravel import envelope
from service.api.wire import Envelopes, Failure, InvalidParametersError, RefusedError, failure_of
from service.errors import (
    ConfigError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    VoicemaildError,
)
from tests.api.site import Site


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (NotFoundError("there is no such message"), Failure(404, "There is no such message.")),
        (ConflictError("It stays."), Failure(409, "It stays.")),
        (UnavailableError("later", 7), Failure(503, "Later.", {"Retry-After": "7"})),
        (InvalidInputError("no", "limit"), Failure(422, "No.", {}, {"limit": ["No."]})),
        (InvalidInputError("no"), Failure(422, "No.")),
        (RefusedError(403, "No.", {"X": "y"}), Failure(403, "No.", {"X": "y"})),
        (
            InvalidParametersError({"page": ["The page must be an integer."]}),
            Failure(422, "The given data was invalid.", {}, {"page": ["The page must be an integer."]}),
        ),
        (web.HTTPNotFound(), Failure(404, "Not Found.")),
        (web.HTTPRequestEntityTooLarge(10, 20), Failure(413, "Request Entity Too Large.")),
    ],
)
def test_every_expected_failure_has_its_status(
    error: VoicemaildError | RefusedError | web.HTTPException, failure: Failure
) -> None:
    assert failure_of(error) == failure


def test_a_wrong_method_tells_the_right_ones() -> None:
    assert failure_of(web.HTTPMethodNotAllowed("PUT", ["GET", "HEAD"])).headers == {"Allow": "GET,HEAD"}


def test_a_failure_that_no_request_can_cause_is_our_own() -> None:
    with pytest.raises(ConfigError):
        failure_of(ConfigError(["wrong"]))


def test_the_envelope_has_errors_with_bad_parameters_alone() -> None:
    assert envelope(Failure(404, "No.")) == {"status": "error", "code": 404, "result": [], "message": "No."}
    assert envelope(Failure(422, "No.", {}, {"page": ["x"]}))["errors"] == {"page": ["x"]}


def words(name: str) -> Callable[[Failure], dict[str, str]]:
    return lambda failure: {name: failure.message}


ENVELOPES = Envelopes(words("default"), {"/v1/box": words("box"), "/api/accounts": words("accounts")})


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "default"),
        ("/v1", "default"),
        ("/v1/box", "box"),
        ("/v1/box/", "box"),
        ("/v1/box/message/x", "box"),
        ("/v1/boxes", "default"),
        ("/v1/box.txt", "default"),
        ("/api/v1/box", "default"),
        ("/x/v1/box", "default"),
        ("/api/accounts/me", "accounts"),
        ("/api/v1/accounts/me", "default"),
        ("/accounts", "default"),
        ("", "default"),
    ],
)
def test_the_envelope_is_that_of_the_paths_beginning_up_to_a_slash(path: str, name: str) -> None:
    assert ENVELOPES.of(path)(Failure(404, "No.")) == {name: "No."}


async def test_a_client_that_went_away_is_no_fault_of_ours_and_a_connection_we_lost_is(site: Site) -> None:
    """Both are a ConnectionError to a handler that reads a body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    head = b"POST /accounts/me/voicemails HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer box100\r\n"
    writer.write(head + b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    counted = 'voicemaild_http_requests_total{code="400",route="/accounts/{id}/voicemails"} 1.0'
    async with asyncio.timeout(60):
        while counted not in (await site.ask("/metrics", None)).body.decode():
            await asyncio.sleep(0.01)
    assert await reader.read() == b""


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v1/voicemail/message/x/nothing", ["message"]),
        ("/v1/voicemails", ["status", "code", "result", "message"]),
        ("/accounts/nothing", ["message"]),
        ("/api/accounts", ["message"]),
        ("/api/v1/accounts", ["status", "code", "result", "message"]),
        ("/mvno/voicemail", ["code", "message", "description"]),
    ],
)
async def test_what_there_is_not_is_said_as_the_dialect_of_its_path_does(
    site: Site, path: str, names: list[str]
) -> None:
    answer = await site.ask(path)
    assert (answer.status, list(answer.json)) == (404, names)


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("POST", "/v1/voicemail/message", ["message"]),
        ("PUT", "/accounts/me/voicemails", ["message"]),
        ("DELETE", "/message-voice", ["status", "code", "result", "message"]),
    ],
)
async def test_a_wrong_method_is_said_as_the_dialect_does_with_the_right_ones(
    site: Site, method: str, path: str, names: list[str]
) -> None:
    answer = await site.ask(path, method=method)
    assert (answer.status, list(answer.json)) == (405, names)
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/v1/voicemail/message", "/accounts/me/voicemails", "/message-voice"])
async def test_what_is_no_sane_request_is_said_as_the_dialect_does(site: Site, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: <x>\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    assert b" 400 " in answer.partition(b"\r\n")[0]
    told = orjson.loads(answer.partition(b"\r\n\r\n")[2])
    assert told["message"] == "The Host header is missing or odd."
    assert ("status" in told) == (path == "/message-voice")
