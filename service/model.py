"""What a PBX has, in Asterisk's own words: mailboxes, folders, messages, audio, badges. Frozen values, no I/O."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple, Self

from service.call import Call
from service.errors import InvalidInputError

DEFAULT_CONTEXT = "default"
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,80}\Z", re.ASCII)


class Folder(StrEnum):
    """A folder of a mailbox, by its directory's name in the spool (`mbox()` in app_voicemail.c)."""

    INBOX = "INBOX"
    URGENT = "Urgent"
    OLD = "Old"
    WORK = "Work"
    FAMILY = "Family"
    FRIENDS = "Friends"
    CUST1 = "Cust1"
    CUST2 = "Cust2"
    CUST3 = "Cust3"
    CUST4 = "Cust4"
    CUST5 = "Cust5"

    @property
    def unread(self) -> bool:
        """Whether Asterisk counts what lies here as new: it lights the phone's lamp."""
        return self in (Folder.INBOX, Folder.URGENT)

    @property
    def saved(self) -> bool:
        """Whether a person put the message here on purpose."""
        return not self.unread and self is not Folder.OLD


class Status(IntEnum):
    """Whether somebody has heard a message."""

    UNREAD = 1
    READ = 2


@dataclass(frozen=True, slots=True, order=True)
class Mailbox:
    """An Asterisk voicemail box, written `extension@context`."""

    context: str
    extension: str

    def __str__(self) -> str:
        return f"{self.extension}@{self.context}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `100@default`, or `100` for a box in context `default`.

        Raises InvalidInputError where it is neither. Names are what may safely be a directory's name
        and an AMI header: ASCII letters, digits, `_ . + -`, at most 80, and not only dots.
        """
        extension, at, context = text.partition("@")
        if not at:
            context = DEFAULT_CONTEXT
        if not (valid_name(extension) and valid_name(context)):
            raise InvalidInputError(f"{text[:100]!r} is no mailbox: write extension@context, e.g. 100@default")
        return cls(context, extension)


def valid_name(name: str) -> bool:
    """Whether this can be the name of a mailbox or of a voicemail context."""
    return _NAME.match(name) is not None and name.strip(".") != ""


@dataclass(frozen=True, slots=True)
class Counts:
    """A mailbox's badge: `new` counts INBOX and Urgent together, `urgent` the part of it in Urgent."""

    new: int = 0
    old: int = 0
    saved: int = 0
    urgent: int = 0


class Scope(StrEnum):
    """What a token may do; each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def includes(self, other: "Scope") -> bool:
        """Whether a token of this scope may do what needs the other."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


View = frozenset[Mailbox] | None
"""The mailboxes somebody may see; None is all of them."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: the token's name, its scope, and the mailboxes it may see."""

    name: str
    scope: Scope
    view: View

    def may_see(self, mailbox: Mailbox) -> bool:
        """Whether this mailbox is one the principal may know of."""
        return self.view is None or mailbox in self.view


@dataclass(frozen=True, slots=True)
class Levels:
    """How loud a recording is: dB relative to full scale, None for digital silence; `silence` is a share, 0..1."""

    peak_dbfs: float | None
    rms_dbfs: float | None
    silence: float


@dataclass(frozen=True, slots=True)
class AudioFile:
    """One audio file of a message, and what it was when it was ingested.

    `suffix` is the file's own (`wav`, `WAV` for wav49, `gsm`, ...; case matters). `inode`, `mtime_ns`, `size` and
    `head` (a digest of its first 1 KiB, hex) say which file it is: numbers and paths change with every renumbering.
    """

    suffix: str
    size: int
    mtime_ns: int
    inode: int
    head: str


@dataclass(frozen=True, slots=True)
class Audio:
    """What is known of a message's audio, of the file that is served.

    `duration_ms` is computed from the bytes that are there, not from what a header claims; None where it can't be told.
    `truncated`: the header promised more than is there. `levels` come later than the rest, and stay None
    where they cannot be measured.
    """

    file: AudioFile
    content_type: str
    duration_ms: int | None
    sample_rate: int | None
    channels: int | None
    truncated: bool = False
    levels: Levels | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What `msgNNNN.txt` says of a message. `origtime` is in epoch seconds, `duration` in whole seconds.

    `msg_id` is "" where the PBX (an old version) has given none.
    """

    msg_id: str
    origtime: int
    duration: int
    caller_id_name: str
    caller_id_number: str
    callerchan: str = ""
    urgent: bool = False
    category: str = ""


class Summary(NamedTuple):
    """What a list shows of a message. Equal ones are shown alike, so that what was written of one may be kept.

    A row of the store as it is: `status` is the number of a `Status`, `audible` 0 where there is no audio. `src` is the
    caller's number, `duration` in whole seconds.
    """

    id: int
    uuid: str
    extension: str
    origtime: int
    src: str
    external_number: str | None
    duration: int
    status: int
    audible: int


@dataclass(frozen=True, slots=True)
class Message:
    """A voicemail as the store knows it. Identity is (`pbx`, `mailbox`, `msg_id`); `folder` is its state.

    `id` and `uuid` are ours; `uuid` follows from the identity, so a rebuilt store gives the same. `local_status` is a
    status kept here alone, because the PBX could not be told. `uniqueid` is that of the call it was left in, or "".
    `held` is the name of its audio in our own media directory, where it is not in the spool: it was uploaded (by the
    SIP address `sip_from`, at `uploaded` in epoch seconds), or restored after a deletion.
    """

    id: int
    uuid: str
    pbx: str
    mailbox: Mailbox
    msg_id: str
    folder: Folder
    msgnum: int
    envelope: Envelope
    external_number: str | None
    audio: Audio | None
    local_status: Status | None = None
    uniqueid: str = ""
    held: str | None = None
    sip_from: str = ""
    uploaded: int | None = None

    @property
    def status(self) -> Status:
        """What a badge believes: our own mark if there is one, else what the folder says."""
        if self.local_status is not None:
            return self.local_status
        return Status.UNREAD if self.folder.unread else Status.READ

    @property
    def duration(self) -> int:
        """Whole seconds, floored, of the audio that is really there; of the `.txt` when there is none to read."""
        if self.audio is not None and self.audio.duration_ms is not None:
            return self.audio.duration_ms // 1000
        return self.envelope.duration

    @property
    def summary(self) -> Summary:
        """What a list shows of it."""
        envelope = self.envelope
        return Summary(
            id=self.id,
            uuid=self.uuid,
            extension=self.mailbox.extension,
            origtime=envelope.origtime,
            src=envelope.caller_id_number,
            external_number=self.external_number,
            duration=self.duration,
            status=self.status,
            audible=self.audio is not None,
        )


INODE_BITS = 2**64 - 1
"""Makes the unsigned inode number of the signed one that SQLite keeps."""

Stamp = tuple[int, int, int]
"""Which file it is that was read: inode, mtime in ns, size. Renumbering keeps it, copying and rewriting do not."""


class Known(NamedTuple):
    """What a scan has to know of a message that is in the store already.

    `given` is false where the PBX gave no msg_id and ours is a fingerprint. `audio_inode` is None without audio. A row
    of the store as it is, for a mailbox has a thousand of them: inodes are signed there, `folder` is the bare text.
    """

    id: int
    msg_id: str
    given: int
    folder: str
    msgnum: int
    inode: int
    mtime_ns: int
    size: int
    audio_inode: int | None

    @property
    def stamp(self) -> Stamp:
        """Which `.txt` it was read from."""
        return self.inode & INODE_BITS, self.mtime_ns, self.size


class Found(NamedTuple):
    """A message that a scan found in the spool.

    Either it is `known` by its stamp and unchanged but for where it lies, and `envelope` is None; or its files were
    read, and `msg_id` (the PBX's, else the fingerprint), `envelope` and `audio` say what they hold.
    `fingerprint` is "" where nobody asked for it.
    """

    folder: Folder
    msgnum: int
    stamp: Stamp
    msg_id: str
    known: Known | None = None
    envelope: Envelope | None = None
    audio: Audio | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """What we know of a mailbox beside its messages. `phone` is E.164 or "", `customer` the operator's id or ""."""

    mailbox: Mailbox
    uuid: str
    phone: str = ""
    customer: str = ""
    counts: Counts = Counts()


@dataclass(frozen=True, slots=True)
class Imported:
    """So many calls were written into the history that nobody is told of one by one."""

    calls: int


RecordState = Message | Counts | Box | Call | Imported


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the journal: what changed, with its whole new state, at position `seq`.

    `type` is `message.new`, `message.updated`, `message.deleted` (state: Message), `unread` (state: Counts, the badge
    of `mailbox`) or `mailbox.updated` (state: Box; for a store that is rebuilt, no reader outside sees it). With no
    `mailbox` it is `call.new`, `call.updated`, `call.deleted` (state: Call; what was deleted is part of another call
    now) or `calls.imported` (state: Imported; for caches, no reader outside sees it).
    `time_ms` is when it was committed, in epoch milliseconds. `delta` is by how much an `unread` record changed the
    mailbox's `new`, 0 for all others.
    """

    seq: int
    time_ms: int
    type: str
    pbx: str
    mailbox: Mailbox | None
    state: RecordState
    delta: int = 0


def sight(view: View) -> Callable[[Record], bool]:
    """Give what tells of a record whether somebody with this view may hear of it.

    Of a call that is whoever may see a mailbox whose extension takes part in it; of what has neither a mailbox nor a
    call, those alone who may see everything.
    """
    if view is None:
        return lambda _record: True
    boxes: dict[str, list[Mailbox]] = {}
    for mailbox in view:
        boxes.setdefault(mailbox.extension, []).append(mailbox)

    def seen(record: Record) -> bool:
        if record.mailbox is not None:
            return record.mailbox in view
        call = record.state
        return isinstance(call, Call) and any(
            call.takes_part(mailbox.context, mailbox.extension)
            for extension in call.extensions & boxes.keys()
            for mailbox in boxes[extension]
        )

    return seen
