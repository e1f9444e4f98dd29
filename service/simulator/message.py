"""The text beside a recording, `msgNNNN.txt`, in the two styles Asterisk writes, and read the way Asterisk reads it.

VoiceMail() writes `key=value`; VoicemailBoxSummary rewrites a file without `msg_id` through the configuration writer
as `key = value`, and loses what stands behind a semicolon. Both are recorded in tests/fixtures/message-texts.
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FIRST_WITHOUT_MACROS = 21
_NOON = 12
_COMMENT = re.compile(r"(?<!\\);")


@dataclass(frozen=True, slots=True)
class MessageText:
    """What a caller's call and recording were: `origtime` in epoch seconds, `duration` in whole seconds.

    `origmailbox` is the extension of the first mailbox it was left for, `context` the dialplan's, not the mailbox's.
    `msg_id` "" stands for a version of Asterisk that gives none: the line is then missing.
    """

    origmailbox: str
    callerid: str
    origtime: int
    duration: int
    msg_id: str
    context: str = "from-trunk"
    exten: str = ""
    priority: int = 3
    callerchan: str = ""
    category: str = ""
    flag: str = ""

    def render(self, version: int = 22) -> bytes:
        """Give the file as VoiceMail() of this major version of Asterisk writes it."""
        head = ";\n; Message Information file\n;\n[message]\n"
        lines = (f"{key}={value}\n" for key, value in self._fields(version))
        return encode(head + "".join(lines))

    def _fields(self, version: int) -> Iterator[tuple[str, object]]:
        yield "origmailbox", self.origmailbox
        yield "context", self.context
        if version < _FIRST_WITHOUT_MACROS:
            yield "macrocontext", ""
        yield "exten", self.exten or self.origmailbox
        yield "rdnis", "unknown"
        yield "priority", self.priority
        yield "callerchan", self.callerchan
        yield "callerid", self.callerid or "Unknown"
        yield "origdate", origdate(self.origtime)
        yield "origtime", self.origtime
        yield "category", self.category
        if self.msg_id:
            yield "msg_id", self.msg_id
        yield "flag", self.flag
        yield "duration", self.duration


def origdate(epoch: int) -> str:
    """Give a time as `origdate=` has it: `Fri Nov 20 09:42:32 PM UTC 2026`, always in UTC and in English."""
    at = time.gmtime(epoch)
    hour, half = at.tm_hour % _NOON or _NOON, "AM" if at.tm_hour < _NOON else "PM"
    day = f"{_DAYS[at.tm_wday]} {_MONTHS[at.tm_mon - 1]} {at.tm_mday:2d}"
    return f"{day} {hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} {half} UTC {at.tm_year}"


def read(data: bytes) -> dict[str, str]:
    """Read either style as Asterisk's configuration parser does: what follows a bare semicolon is lost."""
    fields: dict[str, str] = {}
    for line in decode(data).split("\n"):
        key, equals, value = _COMMENT.split(line, maxsplit=1)[0].partition("=")
        if equals:
            fields[key.strip()] = value.strip()
    return fields


def rewritten(fields: Mapping[str, str], msg_id: str, path: str, now: float) -> list[bytes]:
    """Give the pieces, one for each write, in which Asterisk rewrites the file at this path to give it a `msg_id`."""
    head = (
        ";!\n;! Automatically generated configuration file\n"
        f";! Filename: {path}\n;! Generator: app_voicemail\n;! Creation Date: {time.ctime(now)}\n;!\n\n\n\n"
    )
    lines = (f"{key} = {value}\n" for key, value in {**fields, "msg_id": msg_id}.items())
    return [encode(piece) for piece in (head, "[message]\n", *lines)]


def encode(text: str) -> bytes:
    """Give the bytes of a text; what was not UTF-8 when it was read comes out as it was."""
    return text.encode("utf-8", "surrogateescape")


def decode(data: bytes) -> str:
    """Give the text of bytes; what is not UTF-8 is kept as surrogates."""
    return data.decode("utf-8", "surrogateescape")
