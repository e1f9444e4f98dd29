"""Reads what `check` has to know of the PBX's own configuration files: categories and their lines, includes followed.

The format is that of Asterisk's `config.c`: `[name]`, `[name](template)`, `[name](+)`, `key = value` or `key => value`,
comments from `;` to the line's end or between `;--` and `--;`, `#include "file or pattern"`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LARGEST = 1 << 20
DEEPEST = 5
_BLOCK_COMMENT = re.compile(r";--(?!-).*?--;", re.DOTALL)
_CATEGORY = re.compile(r"\[([^]]*)\](?:\(([^)]*)\))?")
_INCLUDE = re.compile(r'#(try)?include\s+[<"]?([^<>"]+)[>"]?')


@dataclass
class Categories:
    """The categories of a file, each with its lines in order; a template's lines come before those of who uses it."""

    found: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def __contains__(self, category: str) -> bool:
        return category in self.found

    def get(self, category: str, key: str) -> str | None:
        """Give the last value of a key, as Asterisk's readers of single values do; None where it has none."""
        values = [value for name, value in self.found.get(category, []) if name.lower() == key.lower()]
        return values[-1] if values else None

    def open(self, name: str, options: str) -> list[tuple[str, str]]:
        """Begin a category, or go on with one (`+`), and give its lines, to be added to."""
        lines = self.found.setdefault(name, [])
        for option in options.split(","):
            lines += self.found.get(option.strip(), []) if option.strip() not in ("", "+", "!") else []
        return lines


def read(directory: Path, name: str) -> Categories:
    """Read a file of the PBX's configuration directory, with what it includes; raises OSError."""
    categories = Categories()
    lines: list[tuple[str, str]] = []
    for line in _lines(directory, directory / name, DEEPEST):
        category = _CATEGORY.match(line)
        if category:
            lines = categories.open(category[1].strip(), category[2] or "")
            continue
        key, equals, value = line.partition("=")
        if equals:
            lines.append((key.strip(), value.removeprefix(">").strip()))
    return categories


def _lines(directory: Path, file: Path, deepest: int) -> Iterator[str]:
    """Give the lines of a file without comments; an `#include` is replaced by the lines of what it names."""
    with file.open("rb") as opened:
        text = opened.read(LARGEST).decode(errors="replace")
    for raw in _BLOCK_COMMENT.sub("", text).splitlines():
        line = re.sub(r"(?<!\\);.*", "", raw).strip()
        include = _INCLUDE.match(line)
        if include and deepest > 0:
            for included in sorted(directory.glob(_relative(directory, include[2].strip()))):
                yield from _lines(directory, included, deepest - 1)
        elif line:
            yield line


def _relative(directory: Path, pattern: str) -> str:
    """Give an include's pattern below the directory; one that points elsewhere matches nothing there."""
    return str(Path(pattern).relative_to(directory)) if Path(pattern).is_relative_to(directory) else pattern.lstrip("/")
