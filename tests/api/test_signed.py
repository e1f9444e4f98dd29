"""Who may follow a link, in every combination of a signature and a token."""

import pytest
from aiohttp.test_utils import make_mocked_request

from service.api.auth import Rates, Tokens
from service.api.gate import Gate
from service.api.links import Signer
from service.api.signed import is_signed, view_of
from service.api.wire import RefusedError
from service.model import Mailbox, Principal, Scope
from service.store.tokens import digest

BOX = frozenset({Mailbox.parse("100")})
GATE = Gate(Tokens({digest("box"): Principal("box", Scope.READ, BOX)}), Rates(0))
SIGNER = Signer(b"k" * 16, lambda: 1000)
GOOD = SIGNER.query("this")
OLD = Signer(b"k" * 16, lambda: -9999).query("this")
REFUSED = "refused"


@pytest.mark.parametrize(
    ("query", "token", "subject", "expected"),
    [
        (GOOD, None, "this", None),
        (GOOD, "box", "this", None),
        (GOOD, "wrong", "this", None),
        (GOOD, None, "other", REFUSED),
        (GOOD, None, None, REFUSED),
        (GOOD, "box", "other", BOX),
        (GOOD, "box", None, BOX),
        (GOOD, "wrong", "other", REFUSED),
        (OLD, None, "this", REFUSED),
        (OLD, "box", "this", BOX),
        ("", "box", "this", BOX),
        ("", "box", None, BOX),
        ("", None, "this", REFUSED),
        ("", "wrong", "this", REFUSED),
        ("expires=9999&signature=", None, "this", REFUSED),
        (GOOD.partition("&")[0], None, "this", REFUSED),
        (GOOD.partition("&")[2], None, "this", REFUSED),
        (f"{GOOD}&format=mp3", None, "this", None),
    ],
)
def test_a_link_or_a_token_lets_in(query: str, token: str | None, subject: str | None, expected: object) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = make_mocked_request("GET", f"/audio?{query}", headers=headers)
    if expected is REFUSED:
        with pytest.raises(RefusedError) as refused:
            view_of(request, subject, GATE, SIGNER)
        assert (refused.value.failure.status, "WWW-Authenticate" in refused.value.failure.headers) == (401, True)
    else:
        assert view_of(request, subject, GATE, SIGNER) == expected


@pytest.mark.parametrize(("query", "signed"), [(GOOD, True), ("", False), ("signature=", False), ("signature=x", True)])
def test_whether_a_link_says_that_it_is_signed(query: str, signed: bool) -> None:  # noqa: FBT001 -- a case
    assert is_signed(make_mocked_request("GET", f"/audio?{query}")) == signed
