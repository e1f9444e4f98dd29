import logging

import pytest

from service.difference import Difference
from service.errors import UnavailableError
from service.ingest_look import Look, tell_first, unsettled
from service.spool import MailboxScan
from tests.store.shelf import BOX, NEXT, found


def test_what_was_found_and_not_known_is_new() -> None:
    look = Look.of(MailboxScan(BOX, [found(1)]), 3)
    assert (look.generation, look.change) == (3, Difference(read=[found(1)], relocated=[], gone=[]))


def test_from_a_look_at_what_moved_nothing_follows() -> None:
    assert not Look.of(MailboxScan(BOX, [found(1)], settled=False), 0).change


@pytest.mark.parametrize(
    ("scan", "again"),
    [
        (UnavailableError("gone"), True),
        (MailboxScan(BOX), False),
        (MailboxScan(BOX, settled=False), True),
        (MailboxScan(BOX, pending=True), True),
    ],
)
def test_a_mailbox_is_looked_at_again_unless_all_of_it_was_seen(
    scan: MailboxScan | UnavailableError, *, again: bool
) -> None:
    assert unsettled(scan) == again


def test_each_mailbox_is_told_of_but_not_at_a_first_start(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    looks = [Look.of(MailboxScan(box, [found(1), found(2, msgnum=1)]), 0) for box in (BOX, NEXT)]
    looks[0].tell()
    tell_first(looks)
    assert [record.getMessage() for record in caplog.records] == [
        "mailbox reconciled mailbox=100@default read=2 moved=0 gone=0",
        "mailboxes read mailboxes=2 messages=4",
    ]
