"""What `check` finds about the PBX: whether we may log in, ask and hear what is needed, and whether it tells of calls.

A login isn't told what it may read, and no harmless action makes an event that would show it (`VoicemailRefresh` sends
one only where counts have changed), so rights to read are looked up in the PBX's own files, where those can be read.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service import check_boxes, check_pbxconf
from service.ami import Ami, Offer, State
from service.check_finding import Finding, bad, ok, warn
from service.errors import UnavailableError
from service.settings import Ami as AmiSettings
from service.settings import Settings, is_loopback

ASTERISK_ETC = Path("/etc/asterisk")
LOGIN_S = 15.0
SNIPPETS = "config/asterisk/ has the lines"
_YES = frozenset({"yes", "true", "y", "t", "1", "on"})
_MAPPINGS = {
    "linkedid": "the legs of a transferred or forwarded call become calls of their own",
    "sequence": "legs of one second may stand in the wrong order",
}
_LUXURIES = ("did", "outbound_cnum", "recordingfile")
_READ = {"call": "new messages are seen late", "cdr": "no call is recorded"}


@dataclass(frozen=True)
class _PbxFiles:
    """What the PBX's own files say; None where they cannot tell (another machine, not readable, no such login)."""

    rights: frozenset[str] | None
    cdr_manager: bool | None
    mapped: frozenset[str] = frozenset()


async def pbx(settings: Settings, etc: Path = ASTERISK_ETC) -> list[Finding]:
    """Log in to the PBX as the daemon does and look at what it lets us do. Takes at most about half a minute."""
    ami = settings.ami
    if not ami.enabled:
        return [
            warn("AMI: switched off, so marking as read stays here and calls are not recorded", "ami.enabled = true")
        ]
    if not ami.secret.get_secret_value():
        return [
            bad("AMI: no secret is set", "set ami.secret_file; a credential of systemd is seen by the service alone")
        ]
    files = _pbx_files(ami, etc)
    return [*await _asked(settings, files), *_calls(files, etc)]


async def _asked(settings: Settings, files: _PbxFiles) -> list[Finding]:
    entered: asyncio.Queue[tuple[State, str]] = asyncio.Queue()
    ami = Ami(
        host=settings.ami.host,
        port=settings.ami.port,
        username=settings.ami.username,
        secret=settings.ami.secret.get_secret_value(),
        on_event=lambda _event: None,
        on_state=lambda state, detail: entered.put_nowait((state, detail)),
    )
    async with asyncio.TaskGroup() as group:
        connection = group.create_task(ami.run(), name="ami")
        try:
            async with asyncio.timeout(LOGIN_S):
                state, detail = await entered.get()
            if state is not State.CONNECTED:
                return [_not_connected(state, detail)]
            return [ok(f"AMI: {detail}"), *await _rights(ami, settings, files)]
        except TimeoutError:
            return [bad(f"AMI: {ami.address} lets nobody log in within {LOGIN_S:g} s", "look at the PBX: is it hung?")]
        except UnavailableError as error:
            return [bad(f"AMI: {error}", "run check again; if this stays, look at the PBX's log")]
        finally:
            connection.cancel()


def _not_connected(state: State, detail: str) -> Finding:
    what, _, remedy = detail.partition(": ")
    if state is State.REFUSED:
        return bad(f"AMI: {what}", remedy)
    return bad(f"AMI: {detail}", "is Asterisk running, with enabled = yes in manager.conf? compare [ami] host and port")


async def _rights(ami: Ami, settings: Settings, files: _PbxFiles) -> list[Finding]:
    return [
        *_app_voicemail(await ami.offer("VoicemailUsersList")),
        *_moves(await ami.offer("VoicemailMove"), settings),
        *(check_boxes.rights(await ami.offer("UpdateConfig")) if settings.pbx.provision else ()),
        *([_unknown_rights()] if files.rights is None else _missing(files.rights, settings.ami.username)),
    ]


def _app_voicemail(offer: Offer) -> Iterator[Finding]:
    if offer is Offer.FORBIDDEN:
        yield warn(
            "AMI: the PBX may not be asked for its mailboxes", f"add reporting to write in manager.conf; {SNIPPETS}"
        )
    elif offer is Offer.UNKNOWN:
        yield bad(
            "AMI: the PBX has no voicemail", "asterisk -rx 'module load app_voicemail.so'; on Debian it is a package"
        )


def _moves(offer: Offer, settings: Settings) -> Iterator[Finding]:
    if not settings.pbx.write_back:
        yield ok("marking as read: kept here alone, as pbx.write_back = false")
    elif offer is Offer.OFFERED:
        yield ok("marking as read: reaches the PBX (VoicemailMove)")
    elif offer is Offer.FORBIDDEN:
        yield bad(
            "marking as read: the PBX does not let us move messages (VoicemailMove)",
            f"add user to write in manager.conf, then `manager reload`; {SNIPPETS}; or set pbx.write_back = false",
        )
    else:
        yield warn(
            "marking as read: the PBX has no VoicemailMove (it is older than 18.20 or 20.5), so status is kept here "
            "alone and the phone's lamp stays on",
            "update Asterisk, or set pbx.write_back = false to hear of it no more",
        )


def _missing(rights: frozenset[str], username: str) -> Iterator[Finding]:
    missing = [right for right in _READ if right not in rights and "all" not in rights]
    for right in missing:
        yield bad(
            f"AMI: user {username} has no read = {right} in manager.conf, so {_READ[right]}",
            f"add {right} to read there, then `manager reload`; {SNIPPETS}",
        )
    if not missing:
        yield ok("AMI: events of messages and calls are ours to read (call, cdr)")


def _unknown_rights() -> Finding:
    return warn(
        "AMI: whether events of messages and calls may be read cannot be told from here",
        f"see that read in manager.conf has {', '.join(_READ)}; {SNIPPETS}",
    )


def _calls(files: _PbxFiles, etc: Path) -> Iterator[Finding]:
    if files.cdr_manager is None:
        yield warn(
            "cdr_manager: whether the PBX tells of calls cannot be told from here",
            f"see that its cdr_manager.conf has enabled = yes; {SNIPPETS}",
        )
    elif files.cdr_manager:
        yield from _mapped(files.mapped, etc / "cdr_manager.conf")
    else:
        yield bad(
            f"cdr_manager: not enabled in {etc / 'cdr_manager.conf'}, so no call is recorded",
            f"enabled = yes in [general] there, then `module reload cdr_manager.so`; {SNIPPETS}",
        )


def _mapped(mapped: frozenset[str], file: Path) -> Iterator[Finding]:
    missing = [name for name in _MAPPINGS if name not in mapped]
    without = [name for name in _LUXURIES if name not in mapped]
    if missing:
        yield warn(
            f"cdr_manager: {file} does not map {' and '.join(missing)}, so {_MAPPINGS[missing[0]]}",
            f"add what is missing to [mappings] there, then `module reload cdr_manager.so`; {SNIPPETS}",
        )
    elif without:
        yield ok(f"cdr_manager: enabled in {file}; {', '.join(without)} could be mapped where the dialplan sets them")
    else:
        yield ok(f"cdr_manager: enabled in {file}")


def _pbx_files(ami: AmiSettings, etc: Path) -> _PbxFiles:
    if not is_loopback(ami.host) or not etc.is_dir():
        return _PbxFiles(None, None)
    return _PbxFiles(_read_rights(ami.username, etc), *_cdr_manager(etc))


def _read_rights(username: str, etc: Path) -> frozenset[str] | None:
    try:
        manager = check_pbxconf.read(etc, "manager.conf")
    except OSError:
        return None
    if username not in manager:
        return None
    return frozenset(right.strip().lower() for right in (manager.get(username, "read") or "").split(","))


def _cdr_manager(etc: Path) -> tuple[bool | None, frozenset[str]]:
    """Whether it is enabled, and which columns its events have under the name that we read."""
    try:
        categories = check_pbxconf.read(etc, "cdr_manager.conf")
    except FileNotFoundError:
        return False, frozenset()
    except OSError:
        return None, frozenset()
    enabled = (categories.get("general", "enabled") or "no").lower() in _YES
    names = {name: categories.get("mappings", name) or "" for name in (*_MAPPINGS, *_LUXURIES)}
    return enabled, frozenset(name for name, told in names.items() if told.lower() == name.replace("_", ""))
