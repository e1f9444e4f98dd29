"""The bytes of AMI: actions are read and messages written as Asterisk's manager.c does it, bare line feed and all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.simulator.message import decode, encode

BANNERS = {16: b"Asterisk Call Manager/5.0.4\r\n", 22: b"Asterisk Call Manager/11.0.0\r\n"}


@dataclass(frozen=True, slots=True)
class Action:
    """What a client asked for; `headers` are in order, names as they were written."""

    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Give a header's value, the first if there are several, "" if there is none. Case of names does not matter."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


@dataclass(frozen=True, slots=True)
class Event:
    """An event as bytes, and the class a user must have in `read` to be sent it."""

    event_class: str
    data: bytes


def parse(lines: Sequence[bytes]) -> Action:
    """Read an action's lines; one without a colon is passed over."""
    parts = (decode(line).strip("\r\n").partition(":") for line in lines)
    return Action(tuple((key.strip(), value.strip()) for key, colon, value in parts if colon))


def render(pairs: Iterable[tuple[str, object]]) -> bytes:
    """Write a message. A line feed at a value's end stays, as in the answers to VoicemailMove; any other goes."""
    lines = (f"{key}: {_plain(str(value))}\r\n" for key, value in pairs)
    return encode("".join(lines) + "\r\n")


def respond(action: Action, outcome: str, *pairs: tuple[str, object]) -> bytes:
    """Write the answer to an action, with its ActionID if it had one."""
    return render((("Response", outcome), *action_id(action), *pairs))


def error(action: Action, message: str) -> bytes:
    """Write the answer to an action that failed."""
    return respond(action, "Error", ("Message", message))


def success(action: Action, message: str, *pairs: tuple[str, object]) -> bytes:
    """Write the answer to an action that Asterisk believes has worked."""
    return respond(action, "Success", ("Message", message), *pairs)


def action_id(action: Action) -> tuple[tuple[str, str], ...]:
    """Give the ActionID as a pair to be put into a message, or nothing."""
    value = action.get("ActionID")
    return (("ActionID", value),) if value else ()


def event(event_class: str, name: str, *pairs: tuple[str, object]) -> Event:
    """Write an event of this class."""
    return Event(event_class, render((("Event", name), ("Privilege", f"{event_class},all"), *pairs)))


def _plain(value: str) -> str:
    """Take out line ends, so that a caller's name can't end a header."""
    inner = value.removesuffix("\n")
    return inner.replace("\r", "").replace("\n", "") + value[len(inner) :]
