"""`voicemaild webhook`: how deliveries stand, what failed once more, and a signed event for trying an endpoint out."""

import asyncio
import time
import uuid
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import typer

from service.cli_common import Config, print_table, remember, settings_of
from service.errors import NotFoundError, UnavailableError
from service.settings import Settings, Webhook
from service.store import deliveries, webhooks
from service.store.commands import changing, reading
from service.store.webhooks import State

# What sends needs an HTTP client, which the other commands need not wait for.

app = typer.Typer(
    help="The endpoints that are told of calls and messages.",
    rich_markup_mode=None,
    callback=remember,
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a [[webhook]].")]

NOT_STARTED = "not started"
"""A webhook of the configuration that no daemon has begun to deliver to."""


@app.command("list")
def list_(ctx: typer.Context, config_file: Config = None) -> None:
    """List the webhooks.

    Name, host, state, deliveries pending and given up, records of the journal not looked at yet, the last error.
    """
    settings = settings_of(ctx, config_file)
    with reading(settings.store.path) as conn:
        states = {state.name: state for state in webhooks.list_all(conn)}
    rows = [_row(one.name, _host(one), states.pop(one.name, None)) for one in settings.webhook]
    rows += [_row(name, "", state) for name, state in states.items() if state.active]
    print_table(("name", "host", "state", "pending", "failed", "behind", "last error"), rows)


def _row(name: str, host: str, state: State | None) -> tuple[str, ...]:
    if state is None or not state.active:
        return (name, host, NOT_STARTED, "0", "0", "0", "")
    if not host:
        how = "to be removed"  # a daemon that starts with this configuration does it
    elif state.down_ms is None:
        how = "ok"
    else:
        how = f"down since {datetime.fromtimestamp(state.down_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return (name, host, how, str(state.pending), str(state.failed), str(state.behind), state.error)


@app.command()
def retry(ctx: typer.Context, name: Name, config_file: Config = None) -> None:
    """Queue again what was given up, in order; the daemon goes on with it within seconds."""
    settings = settings_of(ctx, config_file)
    with changing(settings.store.path, settings.pbx.name) as tx:
        again = deliveries.retry(tx, name, tx.now_ms)
    typer.echo(f"{again} queued again")


@app.command("test")
def try_out(ctx: typer.Context, name: Name, config_file: Config = None) -> None:
    """Send a signed event of type `test` now, and say what became of it; exits with 1 if it did not arrive."""
    settings = settings_of(ctx, config_file)
    typer.echo(f"{name} answered {asyncio.run(_send(settings, _configured(settings, name)))}")


async def _send(settings: Settings, webhook: Webhook) -> str:
    """Gives the answer; raises UnavailableError where it did not arrive."""
    from service.webhook import event  # noqa: PLC0415 -- see above
    from service.webhook.answer import Outcome  # noqa: PLC0415
    from service.webhook.sender import Sender  # noqa: PLC0415

    now = time.time()
    content = event.body("test", int(now * 1000), {"pbx": settings.pbx.name, "webhook": webhook.name})
    async with Sender(webhook) as sender:
        said = await sender.send(f"msg_{uuid.uuid4().hex}", content, now)
    if said.outcome is not Outcome.DELIVERED:
        raise UnavailableError(f"webhook {webhook.name} did not take it: {said.words}")
    return said.words


def _configured(settings: Settings, name: str) -> Webhook:
    for webhook in settings.webhook:
        if webhook.name == name:
            return webhook
    raise NotFoundError(f"there is no [[webhook]] with name {name!r} in the configuration")


def _host(webhook: Webhook) -> str:
    return urlsplit(webhook.url).netloc
