"""Access tokens: who may do what with which mailboxes. Only a hash of a token's secret is kept.

A secret is `vmd_` and 256 random bits, which nobody can guess, so that one SHA-256 is all the hash it takes. Times are
epoch seconds. Whoever writes has begun a transaction.
"""

import hashlib
import re
import secrets
import sqlite3
from dataclasses import dataclass, field

import orjson

from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.model import Mailbox, Principal, Scope, View

PREFIX = "vmd_"
_NAME = re.compile(r"[A-Za-z0-9_.+@-]{1,64}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token: not its secret, only the digest of it. `expires` is None where it never does."""

    name: str
    scope: Scope
    view: View
    created: int
    expires: int | None
    digest: bytes = field(repr=False)

    def expired(self, now: int) -> bool:
        """Whether it opens nothing any more."""
        return self.expires is not None and self.expires <= now

    @property
    def principal(self) -> Principal:
        """Who is asking, where this token is shown."""
        return Principal(self.name, self.scope, self.view)


def digest(secret: str) -> bytes:
    """Give what is kept of a secret; takes any text, as it comes out of a request."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def create(
    conn: sqlite3.Connection, name: str, scope: Scope, view: View, *, now: int, expires: int | None = None
) -> str:
    """Make a token and give its secret, which cannot be had again.

    `view` limits it to mailboxes, None to none. Raises InvalidInputError for a name or a view that cannot be,
    ConflictError where the name is taken.
    """
    if _NAME.match(name) is None:
        raise InvalidInputError(
            f"{name[:100]!r} is no name for a token: use 1 to 64 letters, digits and _ . + @ -", "name"
        )
    if view is not None and not view:
        raise InvalidInputError("a token for no mailbox opens nothing: name one, or none for all", "mailbox")
    secret = PREFIX + secrets.token_urlsafe(32)
    try:
        conn.execute(
            "INSERT INTO token (name, hash, scope, mailboxes, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
            (name, digest(secret), scope.value, _dump(view), now, expires),
        )
    except sqlite3.IntegrityError as error:
        raise ConflictError(f"there is a token {name} already: rotate or revoke it, or take another name") from error
    return secret


def revoke(conn: sqlite3.Connection, name: str) -> None:
    """Remove a token. Raises NotFoundError where there is none of this name."""
    if conn.execute("DELETE FROM token WHERE name = ?", (name,)).rowcount == 0:
        raise _unknown(name)


def rotate(conn: sqlite3.Connection, name: str, *, now: int) -> str:
    """Give a token a new secret; the old one is dead at once. Its lifetime, if it has one, begins anew.

    Raises NotFoundError where there is none of this name.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    cursor = conn.execute(
        "UPDATE token SET hash = ?, expires = ? + (expires - created), created = ? WHERE name = ?",
        (digest(secret), now, now, name),
    )
    if cursor.rowcount == 0:
        raise _unknown(name)
    return secret


def list_all(conn: sqlite3.Connection) -> list[Token]:
    """Give all tokens, in order of their names, with those that have expired."""
    rows = conn.execute("SELECT name, scope, mailboxes, created, expires, hash FROM token ORDER BY name")
    return [_token(row) for row in rows]


def find(conn: sqlite3.Connection, secret: str, *, now: int) -> Principal | None:
    """Give who shows this secret; None where it is nobody's, or has expired."""
    row = conn.execute(
        "SELECT name, scope, mailboxes, created, expires, hash FROM token WHERE hash = ?", (digest(secret),)
    ).fetchone()
    if row is None:
        return None
    token = _token(row)
    return None if token.expired(now) else token.principal


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"there is no token {name[:100]!r}; `voicemaild token list` shows those there are")


def _dump(view: View) -> str | None:
    return None if view is None else orjson.dumps(sorted(str(mailbox) for mailbox in view)).decode()


def _token(row: tuple[str, str, str | None, int, int | None, bytes]) -> Token:
    name, scope, mailboxes, created, expires, kept = row
    view = None if mailboxes is None else frozenset(Mailbox.parse(text) for text in orjson.loads(mailboxes))
    return Token(name, Scope(scope), view, created, expires, kept)
