"""Reads what was recorded of a real Asterisk's spool: system calls, inotify events, and the tree before and after."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from service.simulator.disk import Steps
from service.simulator.message import MessageText

FIXTURES = Path(__file__).parents[1] / "fixtures"
SPOOL = "/var/spool/asterisk/voicemail/"
_CALL = re.compile(r"\d+ +[\d.]+ (\w+)\((.*)")
_EVENT = re.compile(r"[\d.]+ (\S+) +(\S+)")
_FILE = re.compile(
    r"(\S+\.\w+) \d+ ino=\d+ \d+ mtime=\S+(?: msg_id=(\S*) origtime=(\d+) cid=(.*) dur=(\d+) flag=(\w*))?"
)


@dataclass(frozen=True)
class Recording:
    """What one run left: the system calls, in order, and which folders were there before."""

    operations: tuple[str, ...]
    folders_before: frozenset[str]


def normalised(steps: Iterable[str]) -> list[str]:
    """Take out what is made up anew each time: the names in tmp and of lock tickets."""
    return [re.sub(r"\.lock-[0-9a-f]{8}", ".lock-#", re.sub(r"tmp/\w{6}", "tmp/#", step)) for step in steps]


def recording(name: str) -> Recording:
    """Read a recording of system calls; reads and what goes to other files than the spool's are left out."""
    operations: list[str] = []
    before: set[str] = set()
    lines = (FIXTURES / "spool-recordings" / f"spool-22-{name}.strace.txt").read_text().splitlines()
    for call, rest in (match.groups() for line in lines if (match := _CALL.match(line))):
        paths = [path.removeprefix(SPOOL) for path in re.findall(r'"([^"]+)"', rest) if path.startswith(SPOOL)]
        if not paths or (call == "openat" and "O_CREAT" not in rest):
            continue
        operation = f"{'create' if call == 'openat' else call} {' -> '.join(paths)}"
        if "EEXIST" not in rest:
            operations.append(operation)
        elif operation not in operations:
            before.add(paths[0])
    return Recording(tuple(operations), frozenset(before))


def inotify(name: str) -> list[str]:
    """Read a recording of inotify events, without MODIFY and the first half of each rename."""
    lines = (FIXTURES / "spool-recordings" / f"spool-22-{name}.inotify.txt").read_text().splitlines()
    events = (f"{match[1]} {match[2]}" for line in lines if (match := _EVENT.match(line)))
    return [event for event in events if not event.startswith(("MODIFY", "MOVED_FROM"))]


def as_inotify(root: Path, steps: Steps[object]) -> Iterator[str]:
    """Go through steps and tell which inotify events they cause."""
    there = {str(path.relative_to(root)) for path in root.rglob("*")}
    for step in steps:
        verb, _, names = step.partition(" ")
        name = names.rpartition(" -> ")[2]
        event = {
            "mkdir": "CREATE,ISDIR",
            "create": "" if name in there else "CREATE",
            "close": "CLOSE_WRITE",
            "link": "CREATE",
            "unlink": "DELETE",
            "rename": "MOVED_TO",
            "chmod": "ATTRIB",
            "write": "",
        }[verb]
        (there.discard if verb == "unlink" else there.add)(name)
        if event:
            yield f"{event} {name}"


def lay_out(root: Path, name: str) -> None:
    """Lay out the folders and messages that were there before the recording. The audio is made up."""
    for folder in recording(name).folders_before:
        (root / folder).mkdir(parents=True, exist_ok=True)
    tree = FIXTURES / "spool-recordings" / f"spool-22-{name}.tree.txt"
    if not tree.exists():
        return
    for line in tree.read_text().partition("## after")[0].splitlines():
        if match := _FILE.match(line):
            path = root / match[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_content(match))


def tree_after(name: str) -> set[str]:
    """Give the files the recording ended with: each message's files with its msg_id behind its text."""
    after = (FIXTURES / "spool-recordings" / f"spool-22-{name}.tree.txt").read_text().partition("## after")[2]
    return {f"{match[1]} {match[2] or ''}".strip() for line in after.splitlines() if (match := _FILE.match(line))}


def _content(match: re.Match[str]) -> bytes:
    path, msg_id, origtime, callerid, duration, flag = match.groups()
    if not path.endswith(".txt"):
        return path.encode()
    text = MessageText(path.split("/")[1], callerid, int(origtime), int(duration), msg_id, flag=flag)
    return text.render()
