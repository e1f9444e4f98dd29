r"""Parser of `msgNNNN.txt`, in both of Asterisk's styles (pure).

The first is what `leave_voicemail()` in app_voicemail.c prints: `key=value` lines below `[message]`. The second is what
Asterisk's configuration writer makes of it when it adds a missing msg_id: `key = value`, `;!` headers, and `;` cuts
a value. Values hold anything: `;`, `=`, quotes, UTF-8 and bytes that are none, so this is no INI file for configparser.
"""

import re

from service.model import Envelope

_NUMBER = re.compile(r"\+?[0-9*#()\-. ]*[0-9][0-9*#()\-. ]*\Z", re.ASCII)
_ESCAPED = re.compile(r"\\(.)")
_MSG_ID = re.compile(r"[\x21-\x7e]{1,128}\Z")
_MOST_SECONDS = 253_402_214_400
"""9999-12-31T00:00:00Z: the last day that a date can show in every time zone. The file may say anything."""


def parse_envelope(data: bytes) -> Envelope | None:
    """What the file says; None while it is incomplete (no `[message]` with an origtime and a duration yet).

    A copy is written in place, so a scan can meet a file that is empty or half there. Bytes that are no UTF-8 become
    U+FFFD. Unknown keys are left alone. Of a repeated key the last counts: Asterisk writes what it knows itself after
    what the caller could have put a line break into.
    """
    head, section, body = data.partition(b"[message]")
    if not section or not data.endswith(b"\n") or b"\0" in head:
        return None
    text = body.decode("utf-8", "replace")
    lines = text.split("\n")
    if "\norigtime = " in text:
        lines = [line.replace(" = ", "=", 1) for line in lines]
    fields = dict([line.split("=", 1) for line in lines if "=" in line])
    origtime, duration = _seconds(fields.get("origtime")), _seconds(fields.get("duration"))
    if origtime is None or duration is None:
        return None
    msg_id = fields.get("msg_id", "").strip()
    name, number = parse_caller_id(fields.get("callerid", ""))
    return Envelope(
        msg_id=msg_id if _MSG_ID.match(msg_id) else "",
        origtime=origtime,
        duration=duration,
        caller_id_name=name,
        caller_id_number=number,
        callerchan=fields.get("callerchan", "").strip(),
        urgent=fields.get("flag", "").strip().casefold() == "urgent",
        category=fields.get("category", "").strip(),
    )


def _seconds(text: str | None) -> int | None:
    text = "" if text is None else text.strip()
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_MOST_SECONDS)):
        return None
    return min(int(text), _MOST_SECONDS)


def parse_caller_id(text: str) -> tuple[str, str]:
    r"""Name and number out of `"Name" <number>` as `ast_callerid_merge()` writes it; "" for what is not there.

    Also alone, `15550000044` or `Only Name`; `Unknown` is neither. In a quoted name `\"` and `\\` are escaped.
    """
    text = text.strip()
    if text in ("", "Unknown", "<unknown>"):
        return "", ""
    if text.endswith(">") and "<" in text:
        name, _, number = text[:-1].rpartition("<")
        return _unquoted(name.strip()), number.strip()
    if _NUMBER.match(text):
        return "", text
    return _unquoted(text), ""


def _unquoted(name: str) -> str:
    if len(name) >= 2 and name[0] == name[-1] == '"':  # noqa: PLR2004 -- a pair of quotes
        name = name[1:-1]
    return _ESCAPED.sub(r"\1", name) if "\\" in name else name
