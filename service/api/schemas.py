"""What answers and frames look like, as pydantic models: for the OpenAPI document and its tests alone.

Answers are written from dictionaries, which is faster; the tests hold real answers against these models.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.health import AmiState, SpoolState, StoreState
from service.health import Status as Readiness
from service.model import Folder

LocalTime = Annotated[
    str, Field(pattern=r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$", description="In the PBX's timezone.")
]
Instant = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$", description="In UTC.")]
Position = Annotated[int, Field(ge=0, description="A position in the journal.")]
Total = Annotated[int, Field(ge=0)]
MailboxName = Annotated[str, Field(description="`extension@context`", examples=["100@default"])]


class Model(BaseModel):
    """What all models have in common: the words below a field describe it."""

    model_config = ConfigDict(use_attribute_docstrings=True)


# ---- message-voice


class MessageStatus(Model):
    """Whether somebody has heard a message."""

    number: Literal[1, 2]
    name: Literal["Unread", "Read"]


class MessageVoice(Model):
    """A voicemail."""

    id: int
    date_time: LocalTime
    src: str
    """The caller's number, or ""."""
    dst: str
    """The mailbox's extension."""
    external_number: str | None
    """The outside party's number; null when both sides are inside."""
    duration: Annotated[int, Field(ge=0)]
    """Whole seconds of the audio that is really there."""
    status: MessageStatus
    recorded_file_url: str | None
    """Signed, good for an hour, needs no token; null when no audio is left."""


class PageLinks(Model):
    """The pages around this one; null where there is none."""

    first: str
    last: str
    prev: str | None
    next: str | None


class PageLink(Model):
    """An entry of the list of pages; `...` stands for those that are left out."""

    url: str | None
    label: str
    active: bool


class PageMeta(Model):
    """Where in the list this page is. `from` and `to` count rows from 1."""

    current_page: Annotated[int, Field(ge=1)]
    from_: Annotated[int | None, Field(alias="from")]
    last_page: Annotated[int, Field(ge=1)]
    links: list[PageLink]
    path: str
    per_page: Annotated[int, Field(ge=1)]
    to: int | None
    total: Total


class MessagePage(Model):
    """A page of messages."""

    data: list[MessageVoice]
    links: PageLinks
    meta: PageMeta


class Success(Model):
    """It is done."""

    status: Literal["success"]
    code: Literal[200]
    message: Literal["Ok"]


class Done(Success):
    """It is done, and there is nothing to tell."""

    result: Annotated[list[None], Field(max_length=0)]


class UnreadTotal(Model):
    """What a badge shows."""

    unread_count: Total


class UnreadCount(Success):
    """How many messages are unread."""

    result: UnreadTotal


class Failure(Model):
    """Why there is no answer."""

    status: Literal["error"]
    code: Annotated[int, Field(ge=400, le=599)]
    result: Annotated[list[None], Field(max_length=0)]
    message: str
    """For a person."""
    errors: dict[str, list[str]] = {}
    """What is wrong, by parameter; with code 422 alone."""


# ---- calls


class CallType(Model):
    """Which way a call went, seen from the PBX."""

    number: Literal[1, 2, 3]
    name: Literal["Incoming", "Outgoing", "Internal"]


class CallStatus(Model):
    """How a call ended, for the one who made it."""

    number: Literal[1, 2, 3, 4]
    name: Literal["Answered", "Not answered", "Busy", "Failed"]


class CallIntegration(Model):
    """What became of telling one endpoint of a call. Times are UTC."""

    id: int
    call_history_id: int
    integration_type: str
    """The `name` of a `[[webhook]]`."""
    status: Literal["pending", "synced", "failed"]
    error_message: str | None
    created_at: Instant
    updated_at: Instant


class Call(Model):
    """A call: what one caller went through, with all its legs."""

    id: int
    call_id: str
    """A uuid: the same for one call, whichever way it reached us."""
    date_time: LocalTime
    src: str
    """The caller's number, or ""."""
    dst: str
    external_number: str | None
    """The outside line, or the number at its other end; null when both sides are inside."""
    duration: Total
    """Whole seconds from the first leg's start to the last one's end."""
    conversation: Total
    """Whole seconds of it in which somebody spoke."""
    type: CallType
    status: CallStatus
    recorded_file_url: str | None
    """Signed, good for an hour, needs no token; null when there is no recording."""
    integration: list[CallIntegration]
    """One for each webhook that wants calls."""
    voicemail_id: int | None
    """The `id` of the message that was left in it, of those one may see; or null."""


class Told(Model):
    """What is to be said in the words of document 002, of a success or a failure."""

    message: str


# ---- the websocket and /events


class Badge(Model):
    """A mailbox's counts: `new` counts INBOX and Urgent together, `urgent` the part of it in Urgent."""

    new: Total
    old: Total
    saved: Total
    urgent: Total


class Badges(Model):
    """The counts of all boxes that a connection is about, by mailbox, and the sum of `new`."""

    total: Total
    mailboxes: dict[str, Badge]


class Recording(Model):
    """What is known of a message's audio: rates in Hz, levels in dB relative to full scale; null is not known."""

    content_type: str
    file_size: Total
    """In bytes."""
    sample_rate: int | None
    channels: int | None
    peak_dbfs: float | None
    rms_dbfs: float | None
    silence: Annotated[float, Field(ge=0, le=1)] | None
    """The share of it that is silent."""


class MessageRecord(MessageVoice):
    """A voicemail with all that is known of it."""

    uuid: str
    mailbox: MailboxName
    folder: Folder
    caller_id_name: str
    urgent: bool
    audio: Recording | None


class Hello(Model):
    """The first frame: where the journal is, and the badges as of then."""

    type: Literal["hello"]
    protocol: Literal[1]
    pbx: str
    seq: Position
    unread: Badges


class Unread(Badge):
    """A badge has changed; `total` is the new sum over all boxes that the connection is about."""

    type: Literal["unread"]
    seq: Position
    mailbox: MailboxName
    total: Total


class MessageChanged(Model):
    """A message has come, changed or gone."""

    type: Literal["message.new", "message.updated", "message.deleted"]
    seq: Position
    message: MessageRecord


class CallChanged(Model):
    """A call has come or changed; or it is gone, for it turned out to be part of another, which tells the rest."""

    type: Literal["call.new", "call.updated", "call.deleted"]
    seq: Position
    call: Call


class Reset(Model):
    """Something is missing before this: forget what you know; a `hello` follows."""

    type: Literal["reset"]


class Subscribed(Model):
    """What holds after a `subscribe`; `mailboxes` null is all."""

    type: Literal["subscribed"]
    seq: Position
    mailboxes: list[str] | None
    events: list[Literal["unread", "message", "call"]]
    unread: Badges


class Pong(Model):
    """The answer to a `ping`."""

    type: Literal["pong"]


class Misunderstood(Model):
    """What the client sent could not be understood or not be done; the connection stays."""

    type: Literal["error"]
    message: str


ServerFrame = Annotated[
    Hello | Unread | MessageChanged | CallChanged | Reset | Subscribed | Pong | Misunderstood,
    Field(discriminator="type"),
]
"""Everything the service says on a websocket."""


class Subscribe(Model):
    """Asks for other mailboxes, or other events; what is left out is as it was when the connection was opened."""

    type: Literal["subscribe"]
    mailboxes: list[str] | None = None
    events: list[Literal["unread", "message", "call"]] | None = None


class Ping(Model):
    """Asks for a `pong`."""

    type: Literal["ping"]


class Events(Model):
    """Records in order; go on with `since` = `seq`."""

    events: list[Annotated[Unread | MessageChanged | CallChanged | Reset | Hello, Field(discriminator="type")]]
    seq: Position


# ---- health


class Alive(Model):
    """The process lives."""

    status: Literal["ok"]


class StorePart(Model):
    """Whether the database can be written."""

    state: StoreState
    detail: str


class SpoolPart(Model):
    """How the spool is followed."""

    state: SpoolState
    detail: str


class AmiPart(Model):
    """Whether Asterisk's manager interface is there."""

    state: AmiState
    detail: str


class Ready(Model):
    """The state of the parts; each `detail` is a sentence for a person."""

    status: Readiness
    store: StorePart
    spool: SpoolPart
    ami: AmiPart
