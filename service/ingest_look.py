"""What one look at a mailbox gave, and what that means for the store."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from service.difference import Difference, difference
from service.errors import UnavailableError
from service.model import Known
from service.spool import MailboxScan
from service.spool.listing import Listings

log = logging.getLogger(__name__)


def unsettled(scan: MailboxScan | UnavailableError) -> bool:
    """Whether a mailbox is to be looked at again after this look; an error is why it could not be read."""
    return not isinstance(scan, MailboxScan) or not scan.settled or scan.pending


@dataclass(frozen=True, slots=True)
class Look:
    """A scan, and how it differs from what the store knew in that generation."""

    scan: MailboxScan
    generation: int
    change: Difference

    @classmethod
    def of(cls, scan: MailboxScan, generation: int, known: Sequence[Known] = ()) -> Self:
        """Compare with what is known. Where something moved meanwhile nothing follows from it."""
        if not scan.settled:
            return cls(scan, generation, Difference())
        return cls(scan, generation, difference(known, scan.found, complete=not scan.pending))

    def tell(self) -> None:
        """Log that it was written."""
        log.info(
            "mailbox reconciled mailbox=%s read=%d moved=%d gone=%d",
            self.scan.mailbox,
            len(self.change.read),
            len(self.change.relocated),
            len(self.change.gone),
        )


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a mailbox's folders held when the store of that generation agreed with them."""

    generation: int
    listings: Listings


def tell_first(looks: Sequence[Look]) -> None:
    """Log in one line that what many mailboxes held was written for the first time."""
    messages = sum(len(look.change.read) for look in looks)
    log.info("mailboxes read mailboxes=%d messages=%d", len(looks), messages)
