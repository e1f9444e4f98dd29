"""What `check` says: one line about one thing, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a thing stands: fine; worth knowing; in the way."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: the level, what was found, and what to do about it; never a secret."""

    level: Level
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<4}  {self.what}" + (f" - {self.remedy}" if self.remedy else "")
        return "".join(character if character.isprintable() else "?" for character in line)


def ok(what: str) -> Finding:
    """Give a finding that all is well with something."""
    return Finding(Level.OK, what)


def warn(what: str, remedy: str) -> Finding:
    """Give a finding that a person should know of, with what can be done about it."""
    return Finding(Level.WARN, what, remedy)


def bad(what: str, remedy: str) -> Finding:
    """Give a finding of something that keeps voicemaild from its work, with what to do about it."""
    return Finding(Level.BAD, what, remedy)
