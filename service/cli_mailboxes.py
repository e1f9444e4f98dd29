"""`voicemaild mailbox`: lists the mailboxes with their badges, and sets what only we know of them."""

import getpass
import re
import sys
from typing import Annotated

import typer

from service.cli_common import Config, mailbox, print_table, remember, settings_of
from service.model import Mailbox
from service.pins import PIN, hashed
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


def pin_number(text: str) -> str:
    """Read a PIN; `-` takes it from a prompt, or a line of standard input. No error holds it."""
    if text == "-":
        text = _asked()
    if PIN.match(text) is None:
        raise typer.BadParameter("a PIN has 4 to 10 digits")
    return text


def _asked() -> str:
    """What is typed, or the first line of standard input; "" where that is closed."""
    if sys.stdin is None:  # so Python has it where it was closed
        return ""
    return getpass.getpass("PIN: ") if sys.stdin.isatty() else sys.stdin.readline().strip()


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
def set_(  # noqa: PLR0917 -- typer takes a command's options so
    ctx: typer.Context,
    box: Annotated[Mailbox, typer.Argument(metavar="BOX", parser=mailbox, help="e.g. 100@default, or 100")],
    phone: Annotated[
        str | None, typer.Option(metavar="+998...", parser=phone_number, help="Its number in E.164; '' for none.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", parser=customer_id, help="Whose it is; '' for nobody's.")
    ] = None,
    pin: Annotated[
        str | None, typer.Option(metavar="PIN|-", help="PIN of a box the PBX does not know; - reads it from a prompt.")
    ] = None,
    config_file: Config = None,
) -> None:
    """Set the phone number, the customer or, of a box the PBX does not know, the PIN of a mailbox.

    The mailbox need not be known yet, so that this can be done before the daemon's first start.
    """
    if phone is None and customer is None and pin is None:
        raise typer.BadParameter("name what to set: --phone, --customer or --pin")
    settings = settings_of(ctx, config_file)
    pin_hash = None if pin is None else hashed(pin_number(pin))
    with changing(settings.store.path, settings.pbx.name) as tx:
        is_new = not mailboxes.is_known(tx.conn, box)
        mailboxes.ensure(tx, box)
        if pin_hash is not None:
            mailboxes.set_pin_hash(tx, box, pin_hash)
        if phone is not None or customer is not None:
            mailboxes.set_fields(tx, box, phone=phone, customer=customer)
    if is_new:
        typer.echo(f"note: {box} holds no message, and the PBX has not told of it yet: is it spelled right?", err=True)
