"""What `check` finds about the PBX's boxes: whether voicemail.conf can be changed, where that is to be."""

from collections.abc import Iterator
from pathlib import Path

from service.ami import Offer
from service.check_access import READ, Eyes, letting_in, shown
from service.check_finding import Finding, bad, ok, warn
from service.settings import Settings
from service.voicemail_conf import NAME, NotPlainError, read_plain

LARGEST = 16 << 20
BLOCK = "block comment"
_OFF = "or set pbx.provision = false"


def voicemail_conf(settings: Settings, eyes: Eyes, etc: Path) -> Iterator[Finding]:
    """Whether the file can be read and is plain, where boxes are to be changed; block comments are told anyway."""
    provision = settings.pbx.provision
    path = etc / NAME
    try:
        stopped = eyes.stopped_at(path, READ) if provision else None
        if stopped is not None:
            yield _closed(path, stopped, eyes)
            return
        with path.open("rb") as file:
            content = file.read(LARGEST)
    except OSError as error:
        if provision:
            yield bad(
                f"boxes: {path} cannot be read: {error.strerror}",
                f"set pbx.config to the directory of the PBX's configuration on this machine, {_OFF}",
            )
        return
    yield from _content(path, content, provision=provision)


def _closed(path: Path, stopped: Path, eyes: Eyes) -> Finding:
    info = stopped.stat()
    return bad(
        f"boxes: {eyes.user} may not read {path}, so no box can be changed: {stopped} is {shown(info)}",
        f"{letting_in(eyes, stopped, info)}; {_OFF}",
    )


def _content(path: Path, content: bytes, *, provision: bool) -> Iterator[Finding]:
    try:
        read_plain(content)
    except NotPlainError as obstacle:
        where = f"line {obstacle.number} of {path} is {obstacle.what}"
        if provision:
            yield bad(f"boxes: {where}, so no box can be changed: the PBX would damage it", f"write it plainly, {_OFF}")
        elif BLOCK in obstacle.what:
            yield warn(
                f"boxes: {where}: the PBX's own writer takes its marks off, so a PIN changed by phone brings to life"
                " what it hides",
                "put a ; in front of each of its lines instead",
            )
    else:
        if provision:
            yield ok(f"boxes: {path} can be changed")


def rights(offer: Offer) -> Iterator[Finding]:
    """Whether the PBX lets us change the file: what it said of `UpdateConfig`."""
    if offer is Offer.OFFERED:
        yield ok("boxes: the PBX lets us change them (UpdateConfig)")
    else:
        yield bad(
            "boxes: the PBX does not let us change them (UpdateConfig)",
            f"add config to write in manager.conf, then `manager reload`; {_OFF}",
        )
