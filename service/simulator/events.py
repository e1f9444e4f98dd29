"""The events a PBX tells of by itself, with the fields, order and texts recorded in tests/fixtures/ami-recordings."""

import re
from dataclasses import dataclass
from datetime import datetime

from service.model import Counts, Mailbox
from service.simulator.wire import Event, event

AMA_FLAGS = "DOCUMENTATION"
"""What Asterisk bills a call as where nobody says otherwise."""

_NAMED = re.compile(r'"(.*)" <(.*)>\Z', re.DOTALL)
_NUMBER = re.compile(r"[+\d*#]+\Z", re.ASCII)
_C_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "'": r"\'", "?": r"\?"})
_LONGEST_CLID = 79  # cut there by the char[80] of a Cdr


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls; "" where Asterisk knows no name or no number."""

    name: str
    number: str


@dataclass(frozen=True, slots=True)
class Leg:
    """A channel of a call: who called, on what, and where in the dialplan it is."""

    channel: str
    uniqueid: str
    linkedid: str
    caller: Caller
    connected: Caller
    context: str
    exten: str
    priority: int = 2


@dataclass(frozen=True, slots=True)
class Detail:
    """A call detail record. `answered` None is a call nobody took; times are the PBX's local ones.

    `did`, `outbound_cnum` and `recordingfile` are what a dialplan such as FreePBX's sets with `CDR()`.
    """

    leg: Leg
    application: str
    data: str
    started: datetime
    ended: datetime
    answered: datetime | None
    disposition: str
    destination_channel: str = ""
    account: str = ""
    userfield: str = ""
    sequence: int = 0
    did: str = ""
    outbound_cnum: str = ""
    recordingfile: str = ""

    @property
    def duration(self) -> int:
        """From start to end, in whole seconds: of times that are told each rounded down it may be one less."""
        return int((self.ended - self.started).total_seconds())

    @property
    def billed(self) -> int:
        """From the answer to the end, in whole seconds."""
        return 0 if self.answered is None else int((self.ended - self.answered).total_seconds())


def caller(callerid: str) -> Caller:
    """Read a caller as a message's text has it: `"Jane Doe" <1555...>`, a number, a name, or `Unknown`."""
    if match := _NAMED.match(callerid):
        return Caller(re.sub(r"\\(.)", r"\1", match[1]), match[2])
    if callerid in ("", "Unknown"):
        return Caller("", "")
    return Caller("", callerid) if _NUMBER.match(callerid) else Caller(callerid, "")


def message_waiting(mailbox: Mailbox, counts: Counts, leg: Leg | None = None, *, ready: bool = True) -> Event:
    """MessageWaiting: with the channel when a call caused it, without when an action, a reload or the boot did.

    While the PBX boots it is not `ready` and says `Waiting: 0` whatever is there.
    """
    return event(
        "call",
        "MessageWaiting",
        *(() if leg is None else _channel(leg)),
        ("Mailbox", mailbox),
        ("Waiting", int(ready and counts.new > 0)),
        ("New", counts.new),
        ("Old", counts.old),
    )


def _channel(leg: Leg) -> tuple[tuple[str, object], ...]:
    return (
        ("Channel", leg.channel),
        ("ChannelState", 6),
        ("ChannelStateDesc", "Up"),
        ("CallerIDNum", leg.caller.number or "<unknown>"),
        ("CallerIDName", leg.caller.name.translate(_C_ESCAPES) or "<unknown>"),
        ("ConnectedLineNum", leg.connected.number or "<unknown>"),
        ("ConnectedLineName", leg.connected.name.translate(_C_ESCAPES) or "<unknown>"),
        ("Language", "en"),
        ("AccountCode", ""),
        ("Context", leg.context),
        ("Exten", leg.exten),
        ("Priority", leg.priority),
        ("Uniqueid", leg.uniqueid),
        ("Linkedid", leg.linkedid),
    )


def cdr(detail: Detail, *, mapped: bool = False) -> Event:
    """Cdr, as cdr_manager sends it at the end of a call; `mapped` as config/asterisk/cdr_manager.conf makes it."""
    leg = detail.leg
    return event(
        "cdr",
        "Cdr",
        ("AccountCode", detail.account),
        ("Source", leg.caller.number),
        ("Destination", leg.exten),
        ("DestinationContext", leg.context),
        ("CallerID", clid(leg.caller)),
        ("Channel", leg.channel),
        ("DestinationChannel", detail.destination_channel),
        ("LastApplication", detail.application),
        ("LastData", detail.data),
        ("StartTime", local(detail.started)),
        ("AnswerTime", "" if detail.answered is None else local(detail.answered)),
        ("EndTime", local(detail.ended)),
        ("Duration", detail.duration),
        ("BillableSeconds", detail.billed),
        ("Disposition", detail.disposition),
        ("AMAFlags", AMA_FLAGS),
        ("UniqueID", leg.uniqueid),
        ("UserField", detail.userfield),
        *(_mapped(detail) if mapped else ()),
    )


def _mapped(detail: Detail) -> tuple[tuple[str, object], ...]:
    return (
        ("LinkedID", detail.leg.linkedid),
        ("Sequence", detail.sequence),
        ("DID", detail.did),
        ("OutboundCNum", detail.outbound_cnum),
        ("RecordingFile", detail.recordingfile),
    )


def clid(who: Caller) -> str:
    """Give a caller as a Cdr has it: both parts always, quotes backslashed, cut at 79 characters."""
    name = who.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}" <{who.number}>'[:_LONGEST_CLID]


def local(at: datetime) -> str:
    """Give a time as a Cdr has it: whole seconds, no zone."""
    return at.strftime("%Y-%m-%d %H:%M:%S")


def fully_booted_login(uptime: int) -> Event:
    """FullyBooted as a client is told it on login."""
    since = (("Uptime", uptime), ("LastReload", uptime))
    return event("system", "FullyBooted", *since, ("Status", "Fully Booted"))


def fully_booted() -> Event:
    """FullyBooted at the end of the boot; its fields are in another order than on login."""
    return event("system", "FullyBooted", ("Status", "Fully Booted"), ("Uptime", 0), ("LastReload", 0))


def shutdown() -> Event:
    """Shutdown, before all connections are closed."""
    return event("system", "Shutdown", ("Shutdown", "Uncleanly"), ("Restart", "True"))


@dataclass(frozen=True, slots=True)
class Peer:
    """One AMI connection as the security events name it. Times are ISO 8601 with milliseconds and offset."""

    session: str
    local: str
    remote: str
    since: str


def successful_auth(peer: Peer, account: str, now: str) -> Event:
    """SuccessfulAuth: somebody logged in to AMI."""
    return event(
        "security",
        "SuccessfulAuth",
        ("EventTV", now),
        ("Severity", "Informational"),
        ("Service", "AMI"),
        ("EventVersion", 1),
        ("AccountID", account),
        ("SessionID", peer.session),
        ("LocalAddress", peer.local),
        ("RemoteAddress", peer.remote),
        ("UsingPassword", 0),
        ("SessionTV", peer.since),
    )


def request_bad_format(peer: Peer, account: str, action: str, now: str) -> Event:
    """RequestBadFormat: somebody asked for an action there is not."""
    return event(
        "security",
        "RequestBadFormat",
        ("EventTV", now),
        ("Severity", "Error"),
        ("Service", "AMI"),
        ("EventVersion", 1),
        ("SessionID", peer.session),
        ("LocalAddress", peer.local),
        ("RemoteAddress", peer.remote),
        ("RequestType", f"Action: {action}"),
        ("SessionTV", peer.since),
        ("AccountID", account),
    )
