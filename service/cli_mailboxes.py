"""`voicemaild mailbox`: lists the mailboxes with their badges, and sets what only we know of them."""

import re
from typing import Annotated

import typer

from service.cli_common import Config, mailbox, print_table, remember, settings_of
from service.model import Mailbox
from service.store import mailboxes
from service.store.commands import changing, reading

app = typer.Typer(
    help="Mailboxes, as far as they are known here.", rich_markup_mode=None, callback=remember, no_args_is_help=True
)

LONGEST_CUSTOMER = 200


def phone_number(text: str) -> str:
    """Read an E.164 number, written with or without spaces; "" takes a number away."""
    number = re.sub(r"[ ()-]", "", text)
    if number and re.fullmatch(r"\+[1-9][0-9]{6,14}", number) is None:
        raise typer.BadParameter(f"{text[:40]!r} is no number in E.164: write + and country code, e.g. +998901234567")
    return number


def customer_id(text: str) -> str:
    """Read an operator's own id of a customer; "" takes it away."""
    if len(text) > LONGEST_CUSTOMER or not text.isprintable():
        raise typer.BadParameter(f"a customer is at most {LONGEST_CUSTOMER} visible characters")
    return text


@app.command("list")
def list_(ctx: typer.Context, config_file: Config = None) -> None:
    """List the mailboxes: new (with urgent), urgent, old and saved messages, phone number, customer."""
    with reading(settings_of(ctx, config_file).store.path) as conn:
        boxes = mailboxes.list_all(conn)
    rows = [
        (
            str(box.mailbox),
            *(str(count) for count in (box.counts.new, box.counts.urgent, box.counts.old, box.counts.saved)),
            box.phone,
            box.customer,
        )
        for box in boxes
    ]
    print_table(("mailbox", "new", "urgent", "old", "saved", "phone", "customer"), rows)


@app.command("set")
def set_(
    ctx: typer.Context,
    box: Annotated[Mailbox, typer.Argument(metavar="BOX", parser=mailbox, help="e.g. 100@default, or 100")],
    phone: Annotated[
        str | None, typer.Option(metavar="+998...", parser=phone_number, help="Its number in E.164; '' for none.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", parser=customer_id, help="Whose it is; '' for nobody's.")
    ] = None,
    config_file: Config = None,
) -> None:
    """Set the phone number or the customer of a mailbox."""
    if phone is None and customer is None:
        raise typer.BadParameter("name what to set: --phone, --customer, or both")
    settings = settings_of(ctx, config_file)
    with changing(settings.store.path, settings.pbx.name) as tx:
        mailboxes.set_fields(tx, box, phone=phone, customer=customer)
