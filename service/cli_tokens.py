"""`voicemaild token`: makes, lists, revokes and rotates access tokens, in the database the running daemon follows."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from service.cli_common import Config, lifetime, mailbox, print_table, remember, settings_of
from service.model import Mailbox, Scope
from service.store import tokens
from service.store.commands import changing, reading
from service.store.mailboxes import ensure

app = typer.Typer(help="Who may use the API.", rich_markup_mode=None, callback=remember, no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The token's name, such as the program that uses it.")]


def scope_named(text: str) -> Scope:
    """Read a scope argument."""
    try:
        return Scope(text)
    except ValueError:
        raise typer.BadParameter(f"{text[:40]!r} is no scope: there are {', '.join(Scope)}") from None


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    *,
    scope: Annotated[
        Scope,
        typer.Option(
            metavar="|".join(Scope), parser=scope_named, help="What it may do; each includes those before it."
        ),
    ],
    mailboxes: Annotated[
        list[Mailbox] | None,
        typer.Option("--mailbox", metavar="BOX", parser=mailbox, help="Limit it to this mailbox; may be repeated."),
    ] = None,
    expires: Annotated[
        int | None, typer.Option(metavar="30m|12h|30d", parser=lifetime, help="How long it is good for.")
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="Print a link that signs in to the dashboard, too.")] = False,
    config_file: Config = None,
) -> None:
    """Make a token and print it, once: only its hash is kept."""
    settings = settings_of(ctx, config_file)
    now = int(time.time())
    view = frozenset(mailboxes) if mailboxes else None
    with changing(settings.store.path, settings.pbx.name) as tx:
        for box in sorted(
            view or ()
        ):  # known from now on: where tenants share an extension, calls tell them apart by it
            ensure(tx, box)
        secret = tokens.create(tx.conn, name, scope, view, now=now, expires=now + expires if expires else None)
        if link:  # printed before it is kept: one that nobody could read is not
            typer.echo(f"{settings.http.address}/#token={secret}")
        typer.echo(secret)


@app.command("list")
def list_(ctx: typer.Context, config_file: Config = None) -> None:
    """List the tokens: name, scope, mailboxes, when made, when they expire (UTC)."""
    with reading(settings_of(ctx, config_file).store.path) as conn:
        found = tokens.list_all(conn)
    now = int(time.time())
    rows = [
        (
            token.name,
            token.scope.value,
            "all" if token.view is None else ",".join(sorted(map(str, token.view))),
            _utc(token.created),
            "never" if token.expires is None else _utc(token.expires) + (" (expired)" if token.expired(now) else ""),
        )
        for token in found
    ]
    print_table(("name", "scope", "mailboxes", "created", "expires"), rows)


@app.command()
def revoke(ctx: typer.Context, name: Name, config_file: Config = None) -> None:
    """Remove a token; it opens nothing any more."""
    settings = settings_of(ctx, config_file)
    with changing(settings.store.path, settings.pbx.name) as tx:
        tokens.revoke(tx.conn, name)


@app.command()
def rotate(ctx: typer.Context, name: Name, config_file: Config = None) -> None:
    """Give a token a new secret and print it, once; the old one opens nothing any more."""
    settings = settings_of(ctx, config_file)
    with changing(settings.store.path, settings.pbx.name) as tx:
        secret = tokens.rotate(tx.conn, name, now=int(time.time()))
        typer.echo(secret)  # before the old one ends: where nobody could read this, that stays


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
