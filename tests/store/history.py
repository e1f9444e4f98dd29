"""Some wild months of a PBX: calls of few people at few times, so that much of it is the same."""

import random

from service.call import Leg
from service.model import Mailbox
from service.store import call_lines, calls, mailboxes
from service.store.transaction import Transaction
from tests.store.ledger import DAY_S, START, leg, record
from tests.store.shelf import BOX, OTHER

INSIDE, OUTSIDE = ("100", "101", "102"), ("15551234567", "15559876543", "")
DISPOSITIONS = ("ANSWERED", "ANSWERED", "ANSWERED", "NO ANSWER", "BUSY", "FAILED")
LENGTHS = (0, 0, 5, 20, 20, 40)
TIMES = (0, 1, 899, 900, DAY_S - 1, DAY_S, 2 * DAY_S + 450, 40 * DAY_S, 41 * DAY_S, 90 * DAY_S)
BOXES = (BOX, OTHER, Mailbox("default", "102"))
LINE = "15550000000"


def a_leg(rng: random.Random, number: int) -> Leg:
    begun, length = rng.choice(TIMES) + rng.randrange(3) * 200, rng.choice(LENGTHS)
    src, dst = rng.choice(((OUTSIDE, INSIDE), (INSIDE, OUTSIDE), (INSIDE, INSIDE)))
    return leg(
        number,
        begun,
        begun + length,
        src=rng.choice(src),
        dst=rng.choice(dst),
        dstchannel=f"PJSIP/{rng.choice(INSIDE)}-{number:08x}",
        did=rng.choice(("", "", LINE)),
        disposition=rng.choice(DISPOSITIONS),
        dcontext=rng.choice(("from-trunk", "default")),
    )


def a_history(tx: Transaction, rng: random.Random, number: int = 100) -> None:
    """Calls told in a wild order, later ones as they happen or a day late; some by several legs, some merged.

    Lines are kept counted from the middle on, and at the end the oldest calls may be forgotten.
    """
    for box in BOXES:
        mailboxes.ensure(tx, box)
    told: list[Leg] = []
    news = [a_leg(rng, one) for one in range(number)]
    news[number // 3 :] = sorted(news[number // 3 :], key=lambda leg: leg.start + rng.choice((0, 0, -DAY_S)))
    for one, new in enumerate(news):
        of_another = told and rng.random() < 0.2
        told.append(new._replace(linkedid=rng.choice(told).uniqueid) if of_another else new)
        record(tx, told[-1], history=rng.random() < 0.5)
        if one == number // 2:
            keep_lines(tx)
    if rng.random() < 0.5:
        calls.forget(tx, START + 100, 5)


def keep_lines(tx: Transaction) -> None:
    """One line is kept counted from then on, and of another a part is counted: the rest in the middle of it all."""
    while call_lines.keep(tx, LINE):
        pass
    call_lines.keep(tx, "15551234567")
