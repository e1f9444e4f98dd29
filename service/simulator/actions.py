"""The AMI actions a simulated PBX knows: who may ask, since which version there are, and what each answers.

The answers are those recorded in tests/fixtures/ami-recordings, down to the bare line feed after `Message move failed`
and to `Success` for what failed. `answer()` is the way in, the table at the end says what there is.
"""

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from service.model import DEFAULT_CONTEXT, Counts, Mailbox
from service.simulator import status
from service.simulator.boxes import AmiUser
from service.simulator.client import Client, stamp
from service.simulator.events import fully_booted_login, request_bad_format, successful_auth
from service.simulator.exchange import Exchange
from service.simulator.voicemail_conf import NAME
from service.simulator.wire import Action, Event, error, respond, success

LOGIN_PENALTY = 1.0
"""Seconds between a refused login and the end of the connection."""

_BEFORE_LOGIN = ("login", "challenge", "logoff")


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back, the event all are told then, and after how many seconds the connection ends, if it does."""

    data: bytes
    event: Event | None = None
    hang_up: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One action, of one client, to one PBX."""

    pbx: Exchange
    client: Client
    action: Action

    def get(self, name: str) -> str:
        """Give a header of the action, "" if there is none."""
        return self.action.get(name)

    @property
    def mailbox(self) -> Mailbox:
        """The mailbox that `Context:` and `Mailbox:` name; it need not be one there is."""
        return Mailbox(self.get("Context"), self.get("Mailbox"))


@dataclass(frozen=True, slots=True)
class Command:
    """An action by its name; `classes` are those of which a user's `write` must have one, none where anybody may."""

    name: str
    summary: str
    classes: tuple[str, ...]
    handle: Callable[[Request], Awaitable[Reply]]
    since: int = 16

    def __str__(self) -> str:
        return f"{self.summary}  (Priv: {','.join((*self.classes, 'all')) if self.classes else '<none>'})"


async def answer(pbx: Exchange, client: Client, action: Action) -> Reply:
    """Do what a client asks, if it may, and give what it is told."""
    name = action.get("Action")
    if not name:
        return Reply(error(action, "Missing action in request"))
    if client.user is None and name.lower() not in _BEFORE_LOGIN:
        return Reply(error(action, "Permission denied"))
    command = next((known for known in commands(pbx.version) if known.name.lower() == name.lower()), None)
    if command is None:
        hint = f"Invalid/unknown command: {name}. Use Action: ListCommands to show available commands."
        account = client.user.name if client.user else ""
        return Reply(error(action, hint), request_bad_format(client.peer, account, name, stamp()))
    if client.user is not None and not client.user.may(command.classes):
        return Reply(error(action, "Permission denied"))
    return await command.handle(Request(pbx, client, action))


def commands(version: int) -> list[Command]:
    """Give the actions of this major version of Asterisk, sorted by name."""
    return [command for command in _COMMANDS if command.since <= version]


async def _login(request: Request) -> Reply:
    user = request.pbx.users.get(request.get("Username"))
    if user is None or not _proves(request, user):
        return Reply(error(request.action, "Authentication failed"), hang_up=LOGIN_PENALTY)
    request.client.user = user
    request.client.want(request.get("Events"))
    booted = fully_booted_login(int(time.time() - request.pbx.started))
    welcome = booted.data if request.pbx.booted and request.client.hears(booted) else b""
    told = successful_auth(request.client.peer, user.name, stamp())
    return Reply(success(request.action, "Authentication accepted") + welcome, told)


def _proves(request: Request, user: AmiUser) -> bool:
    """Whether the client knows the secret: it says so, or answers the challenge."""
    if request.get("AuthType").lower() != "md5":
        return hmac.compare_digest(request.get("Secret").encode(), user.secret.encode())
    expected = hashlib.md5(f"{request.client.challenge}{user.secret}".encode(), usedforsecurity=False).hexdigest()
    return hmac.compare_digest(request.get("Key").lower().encode(), expected.encode())


async def _challenge(request: Request) -> Reply:
    if request.get("AuthType").lower() != "md5":
        return Reply(error(request.action, "Must specify AuthType"))
    return Reply(respond(request.action, "Success", ("Challenge", request.client.challenge)))


async def _logoff(request: Request) -> Reply:
    return Reply(respond(request.action, "Goodbye", ("Message", "Thanks for all the fish.")), hang_up=0)


async def _ping(request: Request) -> Reply:
    return Reply(respond(request.action, "Success", ("Ping", "Pong"), ("Timestamp", f"{time.time():.6f}")))


async def _events(request: Request) -> Reply:
    request.client.want(request.get("EventMask"))
    return Reply(
        respond(request.action, "Success", ("Events", "Off" if request.client.wanted == frozenset() else "On"))
    )


async def _core_settings(request: Request) -> Reply:
    return Reply(respond(request.action, "Success", *status.core_settings(request.pbx.version)))


async def _core_status(request: Request) -> Reply:
    return Reply(respond(request.action, "Success", *status.core_status(request.pbx.version, request.pbx.started)))


async def _list_commands(request: Request) -> Reply:
    user = request.client.user
    assert user is not None  # nobody asks for it before the login
    offered = [command for command in commands(request.pbx.version) if user.may(command.classes)]
    return Reply(respond(request.action, "Success", *((command.name, str(command)) for command in offered)))


async def _mailbox_status(request: Request) -> Reply:
    name = request.get("Mailbox")
    if not name:
        return Reply(error(request.action, "Mailbox not specified"))
    waiting = int(_counts(request, name).new > 0)
    return Reply(success(request.action, "Mailbox Status", ("Mailbox", name), ("Waiting", waiting)))


async def _mailbox_count(request: Request) -> Reply:
    name = request.get("Mailbox")
    if not name:
        return Reply(error(request.action, "Mailbox not specified"))
    counts = _counts(request, name)
    numbers = (
        ("Mailbox", name),
        ("UrgMessages", counts.urgent),
        ("NewMessages", counts.new - counts.urgent),
        ("OldMessages", counts.old),
    )
    return Reply(success(request.action, "Mailbox Message Count", *numbers))


def _counts(request: Request, name: str) -> Counts:
    """Count a mailbox as these two actions name it, `104@default` or `104`; one there is not has nothing."""
    extension, _, context = name.partition("@")
    mailbox = Mailbox(context or DEFAULT_CONTEXT, extension)
    return request.pbx.spool.counts(mailbox) if mailbox in request.pbx.boxes else Counts()


async def _users_list(request: Request) -> Reply:
    if not request.pbx.boxes:
        return Reply(success(request.action, "There are no voicemail users currently defined."))
    listed = (box for box in request.pbx.boxes.values() if box.source != "realtime")
    boxes = ((box, request.pbx.spool.counts(box.mailbox)) for box in listed)
    return Reply(status.user_list(request.action, boxes, request.pbx.version))


async def _user_status(request: Request) -> Reply:
    if not (request.get("Context") and request.get("Mailbox")):
        return Reply(error(request.action, "Need 'Context' and 'Mailbox' parameters."))
    box = request.pbx.boxes.get(request.mailbox)
    if box is None:
        return Reply(success(request.action, "There is no voicemail user of the given info."))
    return Reply(status.user_detail(request.action, box, request.pbx.spool.counts(box.mailbox), request.pbx.version))


async def _box_summary(request: Request) -> Reply:
    if not (request.get("Context") and request.get("Mailbox")):
        return Reply(error(request.action, "Need 'Context' and 'Mailbox' parameters."))
    if request.mailbox not in request.pbx.boxes:
        return Reply(success(request.action, "There is no voicemail user matching the given user."))
    return Reply(status.box_summary(request.action, await request.pbx.summary(request.mailbox)))


async def _move(request: Request) -> Reply:
    if refused := _missing(request, "Mailbox", "Context", "Folder", "ID", "ToFolder"):
        return refused
    get = request.get
    return _done(
        request, "move", done=await request.pbx.move(request.mailbox, get("ID"), get("ToFolder"), get("Folder"))
    )


async def _remove(request: Request) -> Reply:
    if refused := _missing(request, "Mailbox", "Context", "Folder", "ID"):
        return refused
    done = await request.pbx.remove(request.mailbox, request.get("ID"), request.get("Folder"))
    return _done(request, "remove", done=done)


async def _forward(request: Request) -> Reply:
    if refused := _missing(request, "Mailbox", "Context", "Folder", "ID", "ToMailbox", "ToContext", "ToFolder"):
        return refused
    get = request.get
    target = Mailbox(get("ToContext"), get("ToMailbox"))
    done = await request.pbx.forward(request.mailbox, get("ID"), target, get("ToFolder"), get("Folder"))
    return _done(request, "forward", done=done)


def _missing(request: Request, *names: str) -> Reply | None:
    """Refuse an action that lacks a parameter, naming the first."""
    absent = next((name for name in names if not request.get(name)), None)
    return None if absent is None else Reply(error(request.action, f"{absent} not specified, required"))


def _done(request: Request, verb: str, *, done: bool) -> Reply:
    """Say whether it worked as Asterisk does: `Success` either way, and a line feed too many."""
    return Reply(success(request.action, f"Message {verb} {'successful' if done else 'failed'}\n"))


async def _refresh(request: Request) -> Reply:
    """Version 16 tells an event only for mailboxes that a phone subscribes to, and here there are no phones."""
    named = Mailbox(request.get("Context") or DEFAULT_CONTEXT, request.get("Mailbox"))
    wanted = [box for box in request.pbx.boxes if not request.get("Mailbox") or box == named]
    if request.pbx.version >= _REFRESH_TELLS:
        await request.pbx.refresh(*wanted)
    return Reply(success(request.action, "Refresh sent"))


async def _get_config(request: Request) -> Reply:
    if request.get("Filename") != NAME:
        return Reply(error(request.action, "Config file not found"))
    return Reply(respond(request.action, "Success", *request.pbx.conf.told(request.get("Category"))))


async def _update_config(request: Request) -> Reply:
    """The answer comes first, then the reload; what the client asks next waits for that."""
    if {request.get("SrcFilename"), request.get("DstFilename")} != {NAME}:
        return Reply(error(request.action, "File requires escalated privileges"))
    wrong = request.pbx.conf.update(dict(request.action.headers))
    if wrong:
        return Reply(error(request.action, wrong))
    if request.get("Reload"):
        await request.pbx.reload()
    return Reply(respond(request.action, "Success"))


_REFRESH_TELLS = 20
_LOOK = ("call", "reporting")
_ACTIONS_SINCE = 20

_COMMANDS = (
    Command("Challenge", "Generate Challenge for MD5 Auth.", (), _challenge),
    Command("CoreSettings", "Show PBX core settings (version etc).", ("system", "reporting"), _core_settings),
    Command("CoreStatus", "Show PBX core status variables.", ("system", "reporting"), _core_status),
    Command("Events", "Control Event Flow.", (), _events),
    Command("GetConfig", "Retrieve configuration.", ("system", "config"), _get_config),
    Command("ListCommands", "List available manager commands.", (), _list_commands),
    Command("Login", "Login Manager.", (), _login),
    Command("Logoff", "Logoff Manager.", (), _logoff),
    Command("MailboxCount", "Check Mailbox Message Count.", _LOOK, _mailbox_count),
    Command("MailboxStatus", "Check mailbox.", _LOOK, _mailbox_status),
    Command("Ping", "Keepalive command.", (), _ping),
    Command("UpdateConfig", "Update basic configuration.", ("config",), _update_config),
    Command(
        "VoicemailBoxSummary", "Show the mailbox contents of given voicemail user.", _LOOK, _box_summary, _ACTIONS_SINCE
    ),
    Command(
        "VoicemailForward",
        "Forward Voicemail from one mailbox folder to another between given users.",
        ("user",),
        _forward,
        _ACTIONS_SINCE,
    ),
    Command("VoicemailMove", "Move Voicemail between mailbox folders of given user.", ("user",), _move, _ACTIONS_SINCE),
    Command("VoicemailRefresh", "Tell Asterisk to poll mailboxes for a change", ("user",), _refresh),
    Command("VoicemailRemove", "Remove Voicemail from mailbox folder.", ("user",), _remove, _ACTIONS_SINCE),
    Command("VoicemailUsersList", "List All Voicemail User Information.", _LOOK, _users_list),
    Command("VoicemailUserStatus", "Show the status of given voicemail user's info.", _LOOK, _user_status),
)
