"""The envelope that the dialects of documents 000 and 001 share: of answers that are no list, and of failures."""

from collections.abc import Mapping
from typing import Any

from service.api.wire import Failure


def success(result: object) -> dict[str, Any]:
    """The envelope of an answer that is no list."""
    return {"status": "success", "code": 200, "result": result, "message": "Ok"}


def envelope(failure: Failure) -> Mapping[str, Any]:
    """The envelope of a failure."""
    body: dict[str, Any] = {"status": "error", "code": int(failure.status), "result": [], "message": failure.message}
    return body | {"errors": failure.errors} if failure.errors else body
