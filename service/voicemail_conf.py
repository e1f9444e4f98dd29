r"""voicemail.conf as Asterisk reads it: its categories, the line of a box, and what its own writer would damage in it.

A box is `EXTENSION => PIN,FULL NAME,EMAIL,PAGER,OPTIONS` in the category of its context; options are `name=value` with
`|` between them. What of a line we don't know stays as it is, byte for byte. The format is that of `config.c`: `;` to
the line's end is a comment unless it is `\;`, names of categories and variables are the same in any case.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from service.errors import ConflictError, InvalidInputError
from service.model import Mailbox, valid_name

NAME = "voicemail.conf"
GENERAL = "general"
ZONES = "zonemessages"
ALIASES = "aliasescontext"
PIN = re.compile(r"[0-9]{4,10}\Z", re.ASCII)

LONGEST_NAME = 79
LONGEST_EMAIL = 79
LONGEST_LINE = 900
"""Bytes of a box's line: Asterisk reads a line of an action up to 1,024, and another has to say what it is to match."""
LONGEST_READ = 8190
"""Bytes of a line of the file; Asterisk passes over longer ones."""

_EXTENSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.+-]{0,78}\Z", re.ASCII)
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+\Z", re.ASCII)
_NEVER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029,|\\<>\[\]]")
_DELETE = "delete"
_TRUE = frozenset({"yes", "true", "y", "t", "1", "on"})
_FIELDS = 5
_BLANKS = bytes(range(33))
_BOM = b"\xef\xbb\xbf"

# ---- the line of a box


@dataclass(frozen=True, slots=True)
class BoxLine:
    """What stands behind `EXTENSION =>`, each field as it stands there."""

    pin: str = field(default="", repr=False)
    fullname: str = ""
    email: str = ""
    pager: str = ""
    options: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a line's value; what it lacks is ""."""
        return cls(*text.split(",", _FIELDS - 1))

    def __str__(self) -> str:
        fields = [self.pin, self.fullname, self.email, self.pager, self.options]
        while len(fields) > 1 and not fields[-1]:
            fields.pop()
        return ",".join(fields).strip(_BLANKS.decode())

    @property
    def digits(self) -> str:
        """The PIN itself: a `-` in front of it says that its owner may not change it."""
        return self.pin.removeprefix("-")

    @property
    def keeps(self) -> bool:
        """Whether messages stay after they were mailed: `delete=yes` says no, and the last one counts."""
        said = [value for name, value in map(_option, self.options.split("|")) if name == _DELETE]
        return not (said and said[-1].lower() in _TRUE)

    def with_keeps(self, *, keeps: bool) -> Self:
        """The same with or without `delete=yes`; every other option stays."""
        if keeps == self.keeps:
            return self
        others = [option for option in self.options.split("|") if option and _option(option)[0] != _DELETE]
        return replace(self, options="|".join(others if keeps else [*others, "delete=yes"]))

    def with_pin(self, pin: str) -> Self:
        """The same with another PIN; whether its owner may change it stays as it is."""
        return replace(self, pin=f"-{pin}" if self.pin.startswith("-") else pin)


def _option(text: str) -> tuple[str, str]:
    """An option's name and value; `options=delete=yes` is `delete=yes`. No name where there is no `=`."""
    name, equals, value = text.partition("=")
    if name.lower() == "options":
        return _option(value)
    return (name.lower(), value) if equals else ("", "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a box is to be; None leaves a field as it is. Where `keeps` is false messages are mailed and deleted."""

    pin: str = field(repr=False)
    enabled: bool = True
    fullname: str | None = None
    email: str | None = None
    keeps: bool | None = None

    def check(self) -> None:
        """Raises InvalidInputError where a field cannot stand in a line; `field` is its name in document 002."""
        check_pin(self.pin)
        check_fullname(self.fullname or "")
        check_email(self.email or "")

    def applied(self, line: BoxLine) -> BoxLine:
        """The line with what is wanted in it, its PIN too."""
        fullname = line.fullname if self.fullname is None else self.fullname
        email = line.email if self.email is None else self.email
        changed = replace(line.with_pin(self.pin), fullname=fullname, email=email)
        return changed if self.keeps is None else changed.with_keeps(keeps=self.keeps)


def check_mailbox(mailbox: Mailbox) -> None:
    """Raises InvalidInputError where a new box cannot be called this."""
    if _EXTENSION.match(mailbox.extension) is None or _EXTENSION.match(mailbox.context) is None:
        raise InvalidInputError(
            "the extension must have 1 to 79 letters, digits and _ . + -, and begin with a letter or digit; so must the"
            " context behind its @, if there is one",
            "extension",
        )


def check_pin(text: str) -> None:
    """Raises InvalidInputError where this is no PIN."""
    if PIN.match(text) is None:
        raise InvalidInputError("the password must have 4 to 10 digits", "password")


def check_fullname(text: str) -> None:
    """Raises InvalidInputError where this cannot stand as a full name in a line."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInputError("the description holds characters that are no valid text", "description")
    if _NEVER.search(text) or len(text.encode()) > LONGEST_NAME or text != text.strip():
        raise InvalidInputError(
            f"the description must have at most {LONGEST_NAME} bytes in one line, without , | \\ < > [ ] and without"
            " spaces at its ends",
            "description",
        )


def check_email(text: str) -> None:
    """Raises InvalidInputError where this is neither an email address nor ""."""
    if text and (len(text) > LONGEST_EMAIL or _EMAIL.match(text) is None):
        raise InvalidInputError("the mail_to must be an email address, or empty", "mail_to")


# ---- the file


@dataclass(frozen=True, slots=True)
class Category:
    """A category, and its variables in order; their values may be PINs."""

    name: str
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A box's line, and where it stands: the number of its category, and its own in there."""

    category: int
    number: int
    context: str
    extension: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """All of voicemail.conf, without comments."""

    categories: tuple[Category, ...]

    @classmethod
    def told(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """What the lines of an answer to `GetConfig` say."""
        names: dict[str, str] = {}
        lines: dict[str, list[tuple[str, str]]] = {}
        for key, text in pairs:
            kind, _, number = key.partition("-")
            if kind == "Category":
                names[number] = text
            elif kind == "Line":
                name, _, value = text.partition("=")
                lines.setdefault(number.partition("-")[0], []).append((name, value))
        return cls(tuple(Category(name, tuple(lines.get(number, ()))) for number, name in names.items()))

    def general(self, name: str) -> str:
        """A setting of `[general]`; "" where it is not there. The last one counts, as in Asterisk."""
        values = [
            value
            for category in self.categories
            if category.name.lower() == GENERAL
            for variable, value in category.variables
            if variable.lower() == name
        ]
        return values[-1] if values else ""

    def switched_on(self, name: str) -> bool:
        """Whether a setting of `[general]` says yes."""
        return self.general(name).lower() in _TRUE

    def may_hold_boxes(self, context: str) -> bool:
        """Whether the lines of a category of this name are boxes."""
        return context.lower() not in {GENERAL, ZONES, self.general(ALIASES).lower()}

    def context(self, name: str) -> str | None:
        """The name of this context as the file writes it; None where it has no such category."""
        return next((category.name for category in self.categories if category.name.lower() == name.lower()), None)

    def boxes(self) -> Iterator[Entry]:
        """Every line of a box, in order; of two of one name Asterisk takes the first."""
        for place, category in enumerate(self.categories):
            if self.may_hold_boxes(category.name):
                for number, (name, value) in enumerate(category.variables):
                    yield Entry(place, number, category.name, name, value)

    def lines_of(self, mailbox: Mailbox) -> list[Entry]:
        """The lines of a box: none, one, or several where somebody has made a mistake."""
        context, extension = mailbox.context.lower(), mailbox.extension.lower()
        return [
            entry for entry in self.boxes() if entry.context.lower() == context and entry.extension.lower() == extension
        ]

    def appended(self, context: str, extension: str, value: str) -> "Config":
        """The same with another box at the end of a context, which is made where it is not there."""
        name = self.context(context)
        if name is None:
            return Config((*self.categories, Category(context, ((extension, value),))))
        place = next(place for place, category in enumerate(self.categories) if category.name == name)
        return self._with(place, (*self.categories[place].variables, (extension, value)))

    def changed(self, entry: Entry, value: str) -> "Config":
        """The same with another value in this line."""
        variables = self.categories[entry.category].variables
        line = (entry.extension, value)
        return self._with(entry.category, (*variables[: entry.number], line, *variables[entry.number + 1 :]))

    def without(self, entry: Entry) -> "Config":
        """The same without this line."""
        variables = self.categories[entry.category].variables
        return self._with(entry.category, (*variables[: entry.number], *variables[entry.number + 1 :]))

    def _with(self, place: int, variables: tuple[tuple[str, str], ...]) -> "Config":
        category = Category(self.categories[place].name, variables)
        return Config((*self.categories[:place], category, *self.categories[place + 1 :]))

    def difference(self, other: "Config") -> list[str]:
        """The lines that only one of the two has, as `[default] 100`; never their values."""
        ours, theirs = _counted(self), _counted(other)
        differing = dict.fromkeys((*(ours - theirs), *(theirs - ours)))
        return sorted({f"[{category}] {variable}".strip() for category, variable, _ in differing})


def _counted(config: Config) -> Counter[tuple[str, str, str]]:
    """How often each line stands in the file, whatever the order; a category counts as a line without a name."""
    counted = Counter((category.name, "", "") for category in config.categories)
    counted.update((category.name, *line) for category in config.categories for line in category.variables)
    return counted


class NotPlainError(ConflictError):
    """A line of the file (`number`, from 1) that Asterisk's own writer would damage, and `what` it is."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(
            f"line {number} of {NAME} is {what}: Asterisk's own writer would damage the file, so change it by hand, or"
            " write that line in another way"
        )
        self.number = number
        self.what = what


def read_plain(content: bytes) -> Config:
    """Read a file that Asterisk's writer leaves as it is, but for the layout of lines. Raises NotPlainError.

    Not plain are block comments, `#include` and other directives, templates and categories that inherit or are added
    to, two categories of one name, `+=`, and what Asterisk reads without understanding it: its writer leaves that out.
    """
    categories: list[tuple[str, list[tuple[str, str]]]] = []
    seen: set[bytes] = set()
    for number, raw in enumerate(content.removeprefix(_BOM).split(b"\n"), 1):
        line, what = _without_comment(raw)
        if not what and line.startswith(b"["):
            name, what = _category(line)
            what = what or ("a second category of this name" if name.lower() in seen else "")
            seen.add(name.lower())
            categories.append((_text(name), []))
        elif not what and line:
            variable, value, what = _variable(line)
            what = what or ("" if categories else "in no category")
            if not what:
                categories[-1][1].append((_text(variable), _text(value)))
        if what:
            raise NotPlainError(number, what)
    return Config(tuple(Category(name, tuple(variables)) for name, variables in categories))


def _without_comment(raw: bytes) -> tuple[bytes, str]:
    """A line without its comment and without blanks at its ends; and what stands in the way, "" for nothing."""
    if len(raw) > LONGEST_READ or b"\0" in raw:
        return b"", "too long, or holds a byte 0"
    line, start = bytearray(raw), 0
    while (place := line.find(b";", start)) >= 0:
        if place > start and line[place - 1] == ord("\\"):
            del line[place - 1]
            start = place
        elif line[place + 1 : place + 3] == b"--" and line[place + 3 : place + 4] != b"-":
            return b"", "the beginning of a block comment"
        elif place >= start + 2 and line[place - 2 : place] == b"--":
            return b"", "the end of a block comment"
        else:
            del line[place:]
            break
    return bytes(line).strip(_BLANKS), ""


def _category(line: bytes) -> tuple[bytes, str]:
    name, closed, rest = line[1:].partition(b"]")
    if not closed:
        return name, "a category whose name does not end"
    if rest.startswith(b"("):
        return name, "a template, or a category that inherits or is added to"
    return name, "text behind the name of a category" if rest else ""


def _variable(line: bytes) -> tuple[bytes, bytes, str]:
    if line.startswith(b"#"):
        return b"", b"", f"a directive ({_text(line.split()[0])[:20]})"
    name, equals, value = line.partition(b"=")
    if line.startswith(b"\\"):
        return b"", b"", "a name that begins with a backslash"
    if not equals or not name.strip(_BLANKS):
        return b"", b"", "nothing that Asterisk understands"
    if name.endswith(b"+"):
        return b"", b"", "an addition to another line (+=)"
    return name.strip(_BLANKS), value.removeprefix(b">").strip(_BLANKS), ""


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def known_box(context: str, extension: str) -> Mailbox | None:
    """The mailbox of this name; None for one that we do not handle, for it is no name of a directory."""
    return Mailbox(context, extension) if valid_name(context) and valid_name(extension) else None
