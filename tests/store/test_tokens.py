import sqlite3
from collections.abc import Iterator

import pytest

from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.model import Mailbox, Principal, Scope
from service.store import tokens
from service.store.schema import MIGRATIONS

NOW = 1_795_210_952
ALICE = Mailbox("default", "100")
BOB = Mailbox("other", "101")


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(MIGRATIONS[0])
    yield connection
    connection.close()


def test_a_new_token_opens_what_it_was_made_for(conn: sqlite3.Connection) -> None:
    secret = tokens.create(conn, "crm", Scope.WRITE, frozenset({ALICE, BOB}), now=NOW)
    assert tokens.find(conn, secret, now=NOW) == Principal("crm", Scope.WRITE, frozenset({ALICE, BOB}))


def test_a_token_without_mailboxes_sees_all(conn: sqlite3.Connection) -> None:
    secret = tokens.create(conn, "all", Scope.READ, None, now=NOW)
    principal = tokens.find(conn, secret, now=NOW)
    assert principal is not None
    assert principal.view is None


def test_a_secret_has_256_bits_and_a_prefix_that_scanners_know(conn: sqlite3.Connection) -> None:
    secret = tokens.create(conn, "a", Scope.READ, None, now=NOW)
    assert secret.startswith("vmd_")
    assert len(secret) == len("vmd_") + 43
    assert secret != tokens.create(conn, "b", Scope.READ, None, now=NOW)


def test_the_secret_is_nowhere_in_the_database(conn: sqlite3.Connection) -> None:
    secret = tokens.create(conn, "crm", Scope.READ, None, now=NOW)
    assert secret.removeprefix("vmd_") not in "\n".join(conn.iterdump())


@pytest.mark.parametrize("wrong", ["", "vmd_", "crm", "vmd_\udcff", "vmd_" + "A" * 43])
def test_another_secret_is_nobody(conn: sqlite3.Connection, wrong: str) -> None:
    tokens.create(conn, "crm", Scope.READ, None, now=NOW)
    assert tokens.find(conn, wrong, now=NOW) is None


def test_a_token_is_dead_from_the_second_it_expires(conn: sqlite3.Connection) -> None:
    secret = tokens.create(conn, "crm", Scope.READ, None, now=NOW, expires=NOW + 60)
    assert tokens.find(conn, secret, now=NOW + 59) is not None
    assert tokens.find(conn, secret, now=NOW + 60) is None


def test_a_revoked_token_is_nobody(conn: sqlite3.Connection) -> None:
    secret = tokens.create(conn, "crm", Scope.READ, None, now=NOW)
    tokens.revoke(conn, "crm")
    assert tokens.find(conn, secret, now=NOW) is None


def test_rotating_kills_the_old_secret_and_keeps_the_rights(conn: sqlite3.Connection) -> None:
    old = tokens.create(conn, "crm", Scope.WRITE, frozenset({ALICE}), now=NOW)
    new = tokens.rotate(conn, "crm", now=NOW + 5)
    assert tokens.find(conn, old, now=NOW + 5) is None
    assert tokens.find(conn, new, now=NOW + 5) == Principal("crm", Scope.WRITE, frozenset({ALICE}))


def test_rotating_begins_the_lifetime_anew(conn: sqlite3.Connection) -> None:
    tokens.create(conn, "crm", Scope.READ, None, now=NOW, expires=NOW + 60)
    new = tokens.rotate(conn, "crm", now=NOW + 100)
    assert tokens.find(conn, new, now=NOW + 159) is not None
    assert tokens.find(conn, new, now=NOW + 160) is None


def test_rotating_a_token_that_never_expires_leaves_it_so(conn: sqlite3.Connection) -> None:
    tokens.create(conn, "crm", Scope.READ, None, now=NOW)
    tokens.rotate(conn, "crm", now=NOW + 100)
    assert tokens.list_all(conn)[0].expires is None


@pytest.mark.parametrize("act", [tokens.revoke, lambda conn, name: tokens.rotate(conn, name, now=NOW)])
def test_an_unknown_name_is_told(conn: sqlite3.Connection, act: object) -> None:
    assert callable(act)
    with pytest.raises(NotFoundError, match="nope"):
        act(conn, "nope")


def test_a_name_can_be_given_once(conn: sqlite3.Connection) -> None:
    secret = tokens.create(conn, "crm", Scope.READ, None, now=NOW)
    with pytest.raises(ConflictError, match="crm"):
        tokens.create(conn, "crm", Scope.ADMIN, None, now=NOW)
    assert tokens.find(conn, secret, now=NOW) == Principal("crm", Scope.READ, None)


@pytest.mark.parametrize("name", ["", "a b", "a\n", "x" * 65, "ä", "a/b"])
def test_a_name_that_would_not_show_well_is_refused(conn: sqlite3.Connection, name: str) -> None:
    with pytest.raises(InvalidInputError):
        tokens.create(conn, name, Scope.READ, None, now=NOW)


def test_a_token_for_no_mailbox_is_refused_rather_than_made_for_all(conn: sqlite3.Connection) -> None:
    with pytest.raises(InvalidInputError):
        tokens.create(conn, "crm", Scope.READ, frozenset(), now=NOW)


def test_the_list_is_in_order_and_has_the_expired(conn: sqlite3.Connection) -> None:
    second = tokens.create(conn, "b", Scope.ADMIN, None, now=NOW, expires=NOW + 1)
    first = tokens.create(conn, "a", Scope.READ, frozenset({ALICE}), now=NOW)
    assert tokens.list_all(conn) == [
        tokens.Token("a", Scope.READ, frozenset({ALICE}), NOW, None, tokens.digest(first)),
        tokens.Token("b", Scope.ADMIN, None, NOW, NOW + 1, tokens.digest(second)),
    ]
