"""app_voicemail's spool: what leaving, moving, removing and the rest do to the files, in Asterisk's recorded order.

Every operation is a generator that yields after each file operation (see disk.py); `run()` goes through one at once:
`run(writer.move_steps(mailbox, msg_id, "Old"))`. Nothing here knows AMI or a loop.
"""

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from service.model import Counts, Folder, Mailbox
from service.simulator.boxes import Box
from service.simulator.disk import AUDIO_SUFFIXES, Disk, SpoolLockedError, Steps, message
from service.simulator.folders import DELETED, Folders, Marks, directory
from service.simulator.message import MessageText, rewritten

LISTED = (*(folder for folder in Folder if folder is not Folder.URGENT), DELETED, Folder.URGENT)
"""The folders VoicemailBoxSummary goes through and makes, in its order."""


@dataclass(frozen=True, slots=True)
class Left:
    """A message that was left. `named_ns` is `time.monotonic_ns()` from just before its text had its final name.

    `copies` are the other mailboxes it was left for. `deleted`: the box has `delete=yes`, so it is gone again.
    `uniqueid` is that of the call it was left in, or "".
    """

    mailbox: Mailbox
    folder: str
    msgnum: int
    msg_id: str
    named_ns: int
    copies: tuple[Mailbox, ...] = ()
    deleted: bool = False
    uniqueid: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """One message as VoicemailBoxSummary lists it; the values are those of its text, cut at a semicolon."""

    folder: str
    callerid: str
    date: str
    duration: str
    flag: str
    msg_id: str


class SpoolWriter:
    """Writes the voicemail spool below `root` (which must exist) as Asterisk of this major version does.

    `boxes` give the settings of mailboxes; one that is not among them has voicemail.conf's defaults.
    """

    def __init__(self, root: Path, boxes: Iterable[Box] = (), version: int = 22) -> None:
        self.disk = Disk(root)
        self.folders = Folders(self.disk, boxes)
        self._version = version
        self._serial = itertools.count()

    def restart(self) -> None:
        """Begin anew as Asterisk does when it starts: the counter in `msg_id` is back at 0."""
        self._serial = itertools.count()

    def next_msg_id(self, epoch: int) -> str:
        """Give a new `msg_id`: `1795210952-00000000`."""
        return f"{epoch}-{next(self._serial):08x}"

    def counts(self, mailbox: Mailbox) -> Counts:
        """Count what lies in a mailbox, by files, as Asterisk does at any moment. `new` includes Urgent."""
        found = {folder: self.disk.count(directory(mailbox, folder)) for folder in Folder}
        new, urgent, old = found[Folder.INBOX], found[Folder.URGENT], found[Folder.OLD]
        saved = sum(number for folder, number in found.items() if folder.saved)
        return Counts(new=new + urgent, old=old, saved=saved, urgent=urgent)

    def msg_ids(self, mailbox: Mailbox, folder: str = Folder.INBOX) -> list[str]:
        """Give the `msg_id` of each message in a folder, by number; "" for one that has none."""
        return self.folders.msg_ids(mailbox, folder)

    def leave_steps(
        self,
        mailbox: Mailbox,
        callerid: str,
        audio: Mapping[str, bytes],
        *,
        duration: int,
        origtime: int | None = None,
        msg_id: str | None = None,
        urgent: bool = False,
        category: str = "",
        callerchan: str = "PJSIP/trunk-00000000",
        copies: Sequence[Mailbox] = (),
        mail: bool = True,
    ) -> Steps[Left | None]:
        """VoiceMail(): record, rename into INBOX or Urgent, copy to the other mailboxes.

        `audio` maps suffixes (disk.AUDIO_SUFFIXES) to the bytes of whole files, in the order of `format=` in
        voicemail.conf; `duration` is in whole seconds, `origtime` in epoch seconds and now by default. `msg_id` None
        gives a new one, "" none, as an old Asterisk does. A box with `delete=yes` deletes it again at the end, unless
        `mail` is False.

        Gives None where nothing is left behind: the box is full, or the message shorter than its `minsecs`. Raises
        ValueError for a suffix that is not known and SpoolLockedError where a stale `.lock` made Asterisk lose it.
        """
        if unknown := set(audio) - set(AUDIO_SUFFIXES):
            raise ValueError(f"no such audio suffix: {', '.join(sorted(unknown))}")
        yield from self.disk.make_folder(directory(mailbox, "tmp"))
        yield from self.disk.make_folder(directory(mailbox, Folder.INBOX))
        yield from self.folders.look_steps(mailbox, Folder.INBOX)
        if self.disk.count(directory(mailbox, Folder.INBOX)) >= self.folders.box(mailbox).maxmsg:
            return None
        started = int(time.time()) if origtime is None else origtime
        envelope = MessageText(
            origmailbox=mailbox.extension,
            callerid=callerid,
            origtime=started,
            duration=duration,
            msg_id=self.next_msg_id(started) if msg_id is None else msg_id,
            callerchan=callerchan,
            category=category,
            flag="Urgent" if urgent else "",
        )
        left = yield from self._keep(mailbox, envelope, audio)
        return None if left is None else (yield from self._spread(left, copies, mail=mail))

    def _keep(self, mailbox: Mailbox, envelope: MessageText, audio: Mapping[str, bytes]) -> Steps[Left | None]:
        """Record, and give the recording its place, or throw it away."""
        folder = Folder.URGENT if envelope.flag else Folder.INBOX
        tmp, place = directory(mailbox, "tmp"), directory(mailbox, folder)
        stem = yield from self.disk.record(tmp, audio, place, envelope.render(self._version))
        if envelope.duration < self.folders.box(mailbox).minsecs:
            yield from self.disk.discard(stem)
            return None
        try:
            yield from self.disk.lock(place)
        except SpoolLockedError:
            yield from self.disk.discard(stem)
            raise
        number = self.disk.last(place) + 1
        named_ns = yield from self.disk.publish(stem, place, number)
        yield from self.disk.unlock(place)
        return Left(mailbox, folder, number, envelope.msg_id, named_ns)

    def _spread(self, left: Left, copies: Sequence[Mailbox], *, mail: bool) -> Steps[Left]:
        """Copy a message that was left to the other mailboxes; mail and delete it where the box wants that."""
        for mailbox in copies:
            yield from self.folders.copy_steps(left.mailbox, left.folder, left.msgnum, mailbox, left.folder)
        deleted = mail and self.folders.box(left.mailbox).delete
        if deleted:
            yield from self.erase_steps(left)
        return replace(left, copies=tuple(copies), deleted=deleted)

    def erase_steps(self, left: Left) -> Steps[None]:
        """What `delete=yes` does once the mail is sent, about 15 ms after the message had its name."""
        yield from self.disk.erase(directory(left.mailbox, left.folder), left.msgnum)

    def move_steps(self, mailbox: Mailbox, msg_id: str, to_folder: str, folder: str = Folder.INBOX) -> Steps[bool]:
        """VoicemailMove: copy to the other folder, then close up the gap in this one. Gives whether it did.

        To `Deleted` without `backupdeleted` it writes `msg-001`, which Asterisk itself can't find again.
        """
        number = yield from self.folders.find_steps(mailbox, folder, msg_id)
        if number is None:
            return False
        moved = yield from self.folders.copy_steps(mailbox, folder, number, mailbox, to_folder)
        yield from self.folders.close_steps(mailbox, folder, Marks(removed=frozenset({number} if moved else ())))
        return moved

    def forward_steps(
        self,
        mailbox: Mailbox,
        msg_id: str,
        target: Mailbox,
        to_folder: str = Folder.INBOX,
        folder: str = Folder.INBOX,
    ) -> Steps[bool]:
        """VoicemailForward: copy to another mailbox under the same `msg_id`; the source stays. Gives whether it did."""
        number = yield from self.folders.find_steps(mailbox, folder, msg_id)
        if number is None:
            return False
        copied = yield from self.folders.copy_steps(mailbox, folder, number, target, to_folder)
        yield from self.folders.close_steps(mailbox, folder)
        return copied

    def remove_steps(self, mailbox: Mailbox, msg_id: str, folder: str = Folder.INBOX) -> Steps[bool]:
        """VoicemailRemove: close up over the message, or delete it where it is the last. Gives whether it did."""
        number = yield from self.folders.find_steps(mailbox, folder, msg_id)
        if number is None:
            return False
        yield from self.folders.close_steps(mailbox, folder, Marks(deleted=frozenset({number})))
        return True

    def summary_steps(self, mailbox: Mailbox) -> Steps[list[Summary]]:
        """VoicemailBoxSummary: makes all folders, closes gaps in the numbers, rewrites a text that has no `msg_id`."""
        found: list[Summary] = []
        for folder in LISTED:
            yield from self.folders.open_steps(mailbox, folder)
            numbers = self.folders.numbers(mailbox, folder)
            for number in numbers:
                fields = yield from self._identified(mailbox, folder, number)
                values = (fields.get(key, "") for key in ("callerid", "origdate", "duration", "flag", "msg_id"))
                found.append(Summary(folder, *values))
            if numbers:
                yield from self.folders.close_steps(mailbox, folder)
        return found

    def _identified(self, mailbox: Mailbox, folder: str, number: int) -> Steps[dict[str, str]]:
        """Read a text; one without `msg_id` is given one, in place."""
        fields = self.folders.fields(mailbox, folder, number)
        if "msg_id" not in fields:
            name, now = f"{message(directory(mailbox, folder), number)}.txt", time.time()
            msg_id = self.next_msg_id(int(now))
            yield from self.disk.write(name, *rewritten(fields, msg_id, str(self.disk.path(name)), now))
            fields["msg_id"] = msg_id
        return fields
