"""What a simulated PBX is configured with: its mailboxes (voicemail.conf) and its AMI users (manager.conf)."""

from dataclasses import dataclass, field
from typing import Literal

from service.model import Mailbox

ALL_CLASSES = frozenset({"all"})


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox of voicemail.conf; the names are that file's. `minsecs` and `maxsecs` are in seconds.

    `email` None is a box whose line ends before it: AMI then says `(null)`. `source` is where it comes from; one from
    `realtime` is there for who asks for it, and in no list.
    """

    mailbox: Mailbox
    fullname: str = ""
    email: str | None = None
    pager: str = ""
    tz: str = ""
    attach: bool = True
    delete: bool = False
    review: bool = False
    saycid: bool = False
    maxmsg: int = 100
    maxsecs: int = 180
    minsecs: int = 0
    backupdeleted: int = 0
    pin: str = field(default="1234", repr=False)
    source: Literal["voicemail.conf", "users.conf", "realtime"] = "voicemail.conf"


@dataclass(frozen=True, slots=True)
class AmiUser:
    """A user of manager.conf. `read` and `write` hold class names (`call`, `cdr`, ...), or `all`."""

    name: str
    secret: str
    read: frozenset[str] = ALL_CLASSES
    write: frozenset[str] = ALL_CLASSES

    def hears(self, event_class: str) -> bool:
        """Whether events of this class are sent to the user."""
        return bool(self.read & {"all", event_class})

    def may(self, classes: tuple[str, ...]) -> bool:
        """Whether the user may ask for an action of these classes; no class means anybody may."""
        return not classes or bool(self.write & {"all", *classes})


def classes(text: str) -> frozenset[str]:
    """Read a list as manager.conf has it: `call,cdr, user`."""
    return frozenset(name.strip() for name in text.split(",") if name.strip())


HOUSEHOLD = (
    Box(Mailbox("default", "100"), "Alice Example", "alice@example.com"),
    Box(Mailbox("default", "101"), "Bob NoMail"),
    Box(Mailbox("default", "102"), "Carol Three", "carol@example.com"),
    Box(Mailbox("default", "103"), "Dave Delete", "dave@example.com", delete=True),
    Box(Mailbox("default", "104"), "Erin Pager", "erin@example.com"),
    Box(Mailbox("other", "100"), "Other Context", "other@example.com"),
)
"""The mailboxes a simulator has when it is told none. 103@default mails and deletes what is left in it."""
