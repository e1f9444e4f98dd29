"""The envelope of documents 000 and 001."""

from service.api.laravel import envelope, success
from service.api.wire import Failure


def test_what_succeeded_is_ok() -> None:
    assert success({"unread_count": 3}) == {
        "status": "success",
        "code": 200,
        "result": {"unread_count": 3},
        "message": "Ok",
    }


def test_a_failure_has_errors_where_there_are_some() -> None:
    failed = {"status": "error", "code": 404, "result": [], "message": "There is no such call."}
    assert envelope(Failure(404, "There is no such call.")) == failed
    wrong = envelope(Failure(422, "No.", errors={"page": ["The page must be an integer."]}))
    assert wrong["errors"] == {"page": ["The page must be an integer."]}
