"""Which status a failure has, and how it is worded."""

import pytest
from aiohttp import web

from service.api.message_voice import envelope
from service.api.wire import Failure, InvalidParametersError, RefusedError, failure_of
from service.errors import (
    ConfigError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    VoicemaildError,
)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (NotFoundError("there is no such message"), Failure(404, "There is no such message.")),
        (ConflictError("It stays."), Failure(409, "It stays.")),
        (UnavailableError("later", 7), Failure(503, "Later.", {"Retry-After": "7"})),
        (InvalidInputError("no", "limit"), Failure(422, "No.", {}, {"limit": ["no"]})),
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
