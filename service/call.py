"""What a PBX says of calls, in Asterisk's own words: legs (CDRs), and calls made of them. Frozen values, no I/O."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple


class Disposition(StrEnum):
    """How a leg ended, as a CDR has it (`ast_cdr_disp2str()`)."""

    ANSWERED = "ANSWERED"
    NO_ANSWER = "NO ANSWER"
    BUSY = "BUSY"
    FAILED = "FAILED"
    CONGESTION = "CONGESTION"


class CallStatus(IntEnum):
    """How a call ended, for the one who made it."""

    ANSWERED = 1
    NOT_ANSWERED = 2
    BUSY = 3
    FAILED = 4


class CallType(IntEnum):
    """Which way a call went, seen from the PBX."""

    INCOMING = 1
    OUTGOING = 2
    INTERNAL = 3


class Leg(NamedTuple):
    """One Asterisk CDR. Fields a source does not tell are "", `sequence` and `answer` None.

    `start`, `answer` and `end` are epoch seconds; `wall` holds the same three as the PBX wrote them in its local time,
    joined by `|`: that is the same from every source, also in the hour that comes twice. `duration` and `billsec` are
    the PBX's own, in whole seconds. A tuple, for an import makes millions.
    """

    uniqueid: str
    linkedid: str
    sequence: int | None
    channel: str
    dstchannel: str
    src: str
    dst: str
    dcontext: str
    clid: str
    lastapp: str
    lastdata: str
    accountcode: str
    userfield: str
    did: str
    outbound_cnum: str
    recordingfile: str
    start: int
    answer: int | None
    end: int
    duration: int
    billsec: int
    disposition: str
    wall: str

    @property
    def dialled(self) -> bool:
        """Whether somebody else's channel was called in it."""
        return self.dstchannel != ""

    @property
    def voicemail(self) -> bool:
        """Whether it ended in a mailbox."""
        return self.lastapp.lower() == "voicemail"


@dataclass(frozen=True, slots=True)
class Party:
    """An extension that takes part in a call, as `src`, `dst` or by its phone's channel.

    `contexts` are the dialplan contexts it was seen in, and the voicemail contexts of mailboxes it stood for (the same
    names in a PBX with tenants). `known` are the contexts of all mailboxes of this extension when it was written.
    """

    extension: str
    contexts: tuple[str, ...]
    known: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Hand it over to another process in a third of the time that is taken for a dataclass."""
        return Party, (self.extension, self.contexts, self.known)

    def is_box(self, context: str, extension: str) -> bool:
        """Whether this is surely the extension of that mailbox: where two tenants have it, the context has to tell."""
        if extension != self.extension:
            return False
        return context in self.contexts or all(other == context for other in self.known)


class Verdict(NamedTuple):
    """What a call's legs say together: see `service.cdr.judge`. A tuple, for an import makes millions."""

    start: int
    end: int
    src: str
    dst: str
    external_number: str | None
    duration: int
    conversation: int
    type: CallType
    status: CallStatus
    recording: str


@dataclass(frozen=True, slots=True)
class Left:
    """A voicemail that was left in a call: its mailbox as `extension@context`, and the message's uuid and id."""

    mailbox: str
    uuid: str
    id: int


class IntegrationStatus(StrEnum):
    """What became of telling an endpoint."""

    PENDING = "pending"
    SYNCED = "synced"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Integration:
    """What became of telling one endpoint (a `[[webhook]]`'s `name`) of a call. Times are epoch microseconds."""

    id: int
    name: str
    status: IntegrationStatus
    error_message: str | None
    created_us: int
    updated_us: int


@dataclass(frozen=True, slots=True)
class Call:
    """What one caller went through. `id` and `uuid` are ours; `uuid` follows from `key`, the call's identity.

    `key` is the smallest linkedid that any of its legs tells, else their uniqueid. `start` and `end` are epoch seconds,
    `duration` and `conversation` whole seconds. `recording` is the file the PBX told of, or "". `uniqueids` are its
    channels'. `voicemails` were left in it, the first first. `legs` is empty where nobody asked for them.
    `outlying` are those of `src` and `dst` that are extensions of mailboxes but no parties: they look like outside
    numbers.
    """

    id: int
    uuid: str
    pbx: str
    key: str
    start: int
    end: int
    src: str
    dst: str
    external_number: str | None
    duration: int
    conversation: int
    type: CallType
    status: CallStatus
    recording: str = ""
    uniqueids: tuple[str, ...] = ()
    parties: tuple[Party, ...] = ()
    voicemails: tuple[Left, ...] = ()
    integration: tuple[Integration, ...] = ()
    legs: tuple[Leg, ...] = ()
    outlying: tuple[Party, ...] = ()

    @property
    def extensions(self) -> frozenset[str]:
        """Every extension that may take part in it: what is none of these does not."""
        voicemails = (left.mailbox.partition("@")[0] for left in self.voicemails)
        return frozenset((self.src, self.dst, *(party.extension for party in self.parties), *voicemails))

    def takes_part(self, context: str, extension: str) -> bool:
        """Whether this mailbox, or its extension, takes part in it: surely, where two tenants have the extension.

        An extension that is no party, for it looks like an outside number, is known by its number, and where two
        tenants have it by the context of a leg.
        """
        if any(left.mailbox == f"{extension}@{context}" for left in self.voicemails):
            return True
        parties = [party for party in (*self.parties, *self.outlying) if party.extension == extension]
        if not parties:
            return extension in (self.src, self.dst)
        return any(party.is_box(context, extension) for party in parties)
