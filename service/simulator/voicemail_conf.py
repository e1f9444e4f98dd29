r"""voicemail.conf of a simulated PBX, read and written as Asterisk's config.c does it, with what that damages.

Comments stay where they are, lines are laid out anew, `;` in a value becomes `\;`. What a block comment hides comes to
life with the first change, for its marks are lost. Includes and templates are not known here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.model import Mailbox
from service.simulator.boxes import Box
from service.simulator.message import decode, encode

NAME = "voicemail.conf"
_NO_BOXES = ("general", "zonemessages")
_HEADER = ";!\n;! Automatically generated configuration file\n;! Filename: voicemail.conf\n;! Generator: Manager\n;!\n"
_TRUE = frozenset({"yes", "true", "y", "t", "1", "on"})


@dataclass(slots=True)
class _Line:
    """`name = value`, or with `=>` for an object; `before` are the comment lines above it, `behind` that on it."""

    name: str
    value: str
    arrow: bool = False
    before: list[str] = field(default_factory=list)
    behind: str = ""


@dataclass(slots=True)
class _Category:
    name: str
    lines: list[_Line] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    behind: str = ""


class VoicemailConf:
    """The file, in `etc` where that is given and else in memory; where there is none, it is written from `boxes`."""

    def __init__(self, boxes: Iterable[Box], etc: Path | None = None) -> None:
        self._file = None if etc is None else etc / NAME
        self._content = encode(written(boxes))
        if self._file is not None and not self._file.exists():
            self._file.write_bytes(self._content)

    @property
    def content(self) -> bytes:
        """What the file holds now."""
        return self._content if self._file is None else self._file.read_bytes()

    def boxes(self) -> dict[Mailbox, Box]:
        """The boxes app_voicemail makes of it: of two of one name the first."""
        found: dict[Mailbox, Box] = {}
        for category in _read(self.content)[0]:
            if category.name.lower() not in _NO_BOXES:
                for line in category.lines:
                    mailbox = Mailbox(category.name, line.name)
                    found.setdefault(mailbox, _box(mailbox, line.value))
        return found

    def general(self, name: str) -> str:
        """A setting of `[general]`, or ""."""
        lines = (line for category in _read(self.content)[0] if category.name == "general" for line in category.lines)
        return next((line.value for line in lines if line.name == name), "")

    def told(self, context: str) -> list[tuple[str, str]]:
        """The lines of an answer to GetConfig, of one category or, with "", of all."""
        lines: list[tuple[str, str]] = []
        wanted = (found for found in _read(self.content)[0] if context.lower() in ("", found.name.lower()))
        for place, category in enumerate(wanted):
            lines.append((f"Category-{place:06d}", category.name))
            told = (
                (f"Line-{place:06d}-{at:06d}", f"{line.name}={line.value}") for at, line in enumerate(category.lines)
            )
            lines += told
        return lines

    def update(self, get: Mapping[str, str]) -> str:
        """Do what the numbered fields of an UpdateConfig ask; gives what is wrong, and then nothing is written."""
        categories, rest = _read(self.content)
        for number in range(1000):
            fields = {name: get.get(f"{name}-{number:06d}", "") for name in ("Action", "Cat", "Var", "Value", "Match")}
            if not fields["Action"]:
                break
            wrong = _do(categories, fields)
            if wrong:
                return wrong
        self._write(_render(categories, rest))
        return ""

    def set_pin(self, mailbox: Mailbox, pin: str) -> None:
        """A PIN changed by phone, which goes through the same writer."""
        categories, rest = _read(self.content)
        for category in categories:
            for line in category.lines:
                if (category.name, line.name) == (mailbox.context, mailbox.extension):
                    line.value = ",".join([pin, *line.value.split(",")[1:]])
        self._write(_render(categories, rest))

    def _write(self, text: str) -> None:
        self._content = encode(text)
        if self._file is not None:
            self._file.write_bytes(self._content)


def written(boxes: Iterable[Box]) -> str:
    """Write a file that holds these boxes, and a comment."""
    contexts: dict[str, list[Box]] = {}
    for box in boxes:
        contexts.setdefault(box.mailbox.context, []).append(box)
    lines = ["[general]", "format = wav", "attach = yes", ""]
    for context, members in contexts.items():
        lines += [
            f"[{context}]",
            "; made by the simulator",
            *(f"{b.mailbox.extension} => {_value(b)}" for b in members),
        ]
    return "\n".join(lines) + "\n"


def _value(box: Box) -> str:
    usual = Box(box.mailbox)
    options = [f"{name}={_said(getattr(box, name))}" for name in _OPTIONS if getattr(box, name) != getattr(usual, name)]
    behind = [box.pager, "|".join(options)]
    fields = [box.pin, box.fullname, *([] if box.email is None and not any(behind) else [box.email or ""])]
    return ",".join([*fields, *behind]) if any(behind) else ",".join(fields)


def _box(mailbox: Mailbox, value: str) -> Box:
    pin, fullname, email, pager, options = [*value.split(",", 4), *[None] * 4][:5]
    box = Box(mailbox, fullname or "", email, pager or "", pin=pin or "")
    for option in (options or "").split("|"):
        name, _, said = option.partition("=")
        name = name.lower()
        if name in _OPTIONS:
            box = replace(box, **{name: _meant(getattr(box, name), said)})  # type: ignore[arg-type] # by its name
    return box


_OPTIONS = ("tz", "attach", "delete", "review", "saycid", "maxmsg", "maxsecs", "minsecs", "backupdeleted")


def _said(value: str | int | bool) -> str:  # noqa: FBT001 -- any of an option's values
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _meant(now: object, said: str) -> object:
    if isinstance(now, bool):
        return said.lower() in _TRUE
    return int(said) if isinstance(now, int) and said.isdigit() else said


# ---- config.c


def _read(content: bytes) -> tuple[list[_Category], list[str]]:
    """The categories of a file, and the comments behind its last line."""
    categories: list[_Category] = []
    comments: list[str] = []
    hidden = False
    for raw in decode(content).splitlines():
        if hidden or raw.lstrip().startswith(";--"):
            hidden = "--;" not in raw
            comments += [raw] if hidden and not raw.lstrip().startswith(";--") else []
            continue
        code, behind = _split(raw)
        if not code:
            comments.append(raw)
        elif code.startswith("["):
            categories.append(_Category(code[1 : code.index("]")], [], comments, behind))
            comments = []
        elif categories and "=" in code:
            name, _, value = code.partition("=")
            arrow = value.startswith(">")
            line = _Line(name.strip(), value.removeprefix(">").strip(), arrow, comments, behind)
            categories[-1].lines.append(line)
            comments = []
    return categories, comments


def _split(raw: str) -> tuple[str, str]:
    r"""A line without its comment, `\;` read as `;`, and the comment."""
    place = 0
    while (place := raw.find(";", place)) >= 0:
        if place == 0 or raw[place - 1] != "\\":
            return raw[:place].strip(), raw[place:]
        raw = raw[: place - 1] + raw[place:]
    return raw.strip(), ""


def _render(categories: Sequence[_Category], rest: Sequence[str]) -> str:
    lines: list[str] = []
    for category in categories:
        lines += [*category.before, f"[{category.name}]{category.behind}"]
        for line in category.lines:
            value = line.value.replace(";", "\\;")
            behind = f"  {line.behind}" if line.behind else ""
            lines += [*line.before, f"{line.name} {'=>' if line.arrow else '='} {value}{behind}"]
    kept = [line for line in (*lines, *rest) if not line.startswith(";!")]
    return _HEADER + "".join(f"{line}\n" for line in kept)


def _do(categories: list[_Category], fields: Mapping[str, str]) -> str:
    """One action on what was read; gives what is wrong."""
    action, context, name = fields["Action"].lower(), fields["Cat"], fields["Var"]
    found = [category for category in categories if category.name.lower() == context.lower()]
    if action == "newcat":
        if found:
            return "Create category did not complete successfully"
        categories.append(_Category(context))
        return ""
    if not found:
        return "Given category does not exist"
    if not name:
        return "Problem with category, value, or line (if required)"
    return _do_line(action, found, name, fields)


def _do_line(action: str, found: Sequence[_Category], name: str, fields: Mapping[str, str]) -> str:
    value, match = fields["Value"].removeprefix(">"), fields["Match"].lower()
    arrow = fields["Value"].startswith(">")
    if action == "append":
        for category in found:
            category.lines.append(_Line(name, value, arrow))
        return ""
    matching = [
        (category, line)
        for category in found
        for line in category.lines
        if line.name.lower() == name.lower() and match in ("", line.value.lower())
    ]
    if action not in ("update", "delete"):
        return "Unknown action command"
    if not matching:
        return "Update did not complete successfully"
    if action == "update":
        line = matching[-1][1]
        line.name, line.value, line.arrow = name, value, line.arrow or arrow
    else:
        for category, line in matching:
            category.lines.remove(line)
    return ""
