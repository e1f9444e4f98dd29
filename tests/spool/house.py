"""A spool for tests: messages in it, a scanner over it, and what the scanner refused."""

import os
import tarfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from service.audio import SUFFIXES, describe
from service.model import Found, Known, Mailbox
from service.simulator.message import MessageText
from service.simulator.tone import voice
from service.spool import MailboxScan, Rejects, Scanner

BOX = Mailbox("default", "100")
FIXTURES = Path(__file__).parents[1] / "fixtures" / "spool-recordings"


class House:
    """A spool at `root` and a scanner; `refused` counts by reason."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.refused: Counter[str] = Counter()
        self.scanner = Scanner(root, describe, SUFFIXES, Rejects(lambda reason: self.refused.update([reason])))

    def folder(self, folder: str = "INBOX", mailbox: Mailbox = BOX) -> Path:
        path = self.root / mailbox.context / mailbox.extension / folder
        path.mkdir(parents=True, exist_ok=True)
        return path

    def message(
        self,
        number: int,
        folder: str = "INBOX",
        *,
        mailbox: Mailbox = BOX,
        msg_id: str | None = None,
        sound: bytes | None = None,
        suffixes: Sequence[str] = ("wav",),
        name: str = "Jane",
    ) -> Path:
        """Put a message there that has rested for a minute, and give the path of its text."""
        place = self.folder(folder, mailbox)
        for suffix in suffixes:
            (place / f"msg{number:04d}.{suffix}").write_bytes(voice(0.5, number) if sound is None else sound)
        text = place / f"msg{number:04d}.txt"
        given = f"1795210952-{number:08x}" if msg_id is None else msg_id
        text.write_bytes(MessageText("100", f'"{name}" <{number}>', 1_795_210_952 + number, 9, given).render())
        rest(text)
        return text

    def scan(self, known: Sequence[Known] = (), mailbox: Mailbox = BOX) -> MailboxScan:
        return self.scanner.scan(mailbox, known)

    def found(self, known: Sequence[Known] = (), mailbox: Mailbox = BOX) -> list[tuple[str, int, str]]:
        """What lies where, in order: folder, number, msg_id; of a scan that can be relied on."""
        scan = self.scan(known, mailbox)
        assert (scan.settled, scan.pending) == (True, False)
        return sorted((one.folder.value, one.msgnum, one.msg_id) for one in scan.found)

    def one(self, known: Sequence[Known] = ()) -> Found:
        (found,) = self.scan(known).found
        return found

    def looked(self) -> dict[Mailbox, str]:
        """What a scan notes of the box's directories, which have rested for some seconds."""
        box = self.root / BOX.context / BOX.extension
        for directory in (box, *box.iterdir()):
            rest(directory, 5)
        return {BOX: self.scan().looked}


def rest(path: Path, seconds: float = 60) -> None:
    """Make it so old."""
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


def remembered(found: Found, number: int = 1) -> Known:
    """What the store would know of a message that a scan found."""
    assert found.envelope is not None
    inode = None if found.audio is None else found.audio.file.inode
    return Known(number, found.msg_id, bool(found.envelope.msg_id), found.folder, found.msgnum, *found.stamp, inode)


def lay_out(version: int, root: Path) -> Path:
    """Unpack the spool that was recorded of a real PBX of this version; gives where it is."""
    with tarfile.open(FIXTURES / f"spool-{version}.tar.gz") as archive:
        archive.extractall(root, filter="data")
    return root / "voicemail"


def listed(version: int) -> list[tuple[str, ...]]:
    """What lies in it, as a shell has listed it: mailbox, folder, number, msg_id, origtime, ..., milliseconds."""
    lines = (FIXTURES / f"spool-{version}.tsv").read_text().splitlines()
    return [tuple(line.split("\t")) for line in lines]
