"""A mailbox's folders as app_voicemail works on them: opened, searched, copied into and closed, under their locks.

Renumbering is all in `close_steps` and `open_steps`: what stays moves up over what goes, so the removed message is
overwritten rather than deleted, unless it was the last.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from service.model import Folder, Mailbox
from service.simulator.boxes import Box
from service.simulator.disk import Disk, Steps, message
from service.simulator.message import read

DELETED = "Deleted"
"""Where a box with `backupdeleted` keeps what was deleted. Not a folder anybody is shown."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What shall become of messages, by number, when their folder is closed.

    `heard` go to Old, `deleted` to Deleted where the box keeps those, `removed` are merely gone.
    """

    heard: frozenset[int] = frozenset()
    deleted: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()


NOTHING = Marks()


def directory(mailbox: Mailbox, folder: str) -> str:
    """Give a folder's path from the spool's root."""
    return f"{mailbox.context}/{mailbox.extension}/{folder}"


class Folders:
    """The folders of all mailboxes on one disk. A mailbox that is not among `boxes` has voicemail.conf's defaults."""

    def __init__(self, disk: Disk, boxes: Iterable[Box]) -> None:
        self._disk = disk
        self._boxes: dict[Mailbox, Box] = {}
        self.know(boxes)

    def know(self, boxes: Iterable[Box]) -> None:
        """Have these mailboxes from now on, and no others."""
        self._boxes = {box.mailbox: box for box in boxes}

    def box(self, mailbox: Mailbox) -> Box:
        """Give a mailbox's settings."""
        return self._boxes.get(mailbox) or Box(mailbox)

    def fields(self, mailbox: Mailbox, folder: str, number: int) -> dict[str, str]:
        """Read a message's text."""
        name = f"{message(directory(mailbox, folder), number)}.txt"
        return read(self._disk.path(name).read_bytes())

    def numbers(self, mailbox: Mailbox, folder: str) -> list[int]:
        """Give the numbers of a folder's messages, ascending."""
        return self._disk.numbers(directory(mailbox, folder))

    def msg_ids(self, mailbox: Mailbox, folder: str) -> list[str]:
        """Give the `msg_id` of each message in a folder, by number; "" for one that has none."""
        return [self.fields(mailbox, folder, number).get("msg_id", "") for number in self.numbers(mailbox, folder)]

    def look_steps(self, mailbox: Mailbox, folder: str) -> Steps[None]:
        """Count, or look for the last number: that it does so under the lock is all that shows of it."""
        place = directory(mailbox, folder)
        yield from self._disk.lock(place)
        yield from self._disk.unlock(place)

    def open_steps(self, mailbox: Mailbox, folder: str) -> Steps[None]:
        """Open a folder: where a number is missing, the messages after it move up."""
        place = directory(mailbox, folder)
        yield from self._disk.make_folder(place)
        yield from self.look_steps(mailbox, folder)
        yield from self.look_steps(mailbox, folder)
        if self._disk.count(place) == self._disk.last(place) + 1:
            return
        yield from self._disk.lock(place)
        for target, number in enumerate(self._disk.numbers(place)):
            if number != target:
                yield from self._disk.renumber(place, number, target)
        yield from self._disk.unlock(place)

    def find_steps(self, mailbox: Mailbox, folder: str, msg_id: str) -> Steps[int | None]:
        """Open a folder and give the message's number; where it is not there the folder is closed again."""
        yield from self.open_steps(mailbox, folder)
        ids = self.msg_ids(mailbox, folder)
        if msg_id and msg_id in ids:
            return self.numbers(mailbox, folder)[ids.index(msg_id)]
        if ids:
            yield from self.close_steps(mailbox, folder)
        return None

    def copy_steps(self, mailbox: Mailbox, folder: str, number: int, target: Mailbox, to_folder: str) -> Steps[bool]:
        """Copy a message to the end of a folder, under that folder's lock. Gives False where it is full.

        In `Deleted` the oldest falls off instead; where the box keeps none (`backupdeleted` 0) the copy gets number -1.
        """
        box, place = self.box(target), directory(target, to_folder)
        yield from self._disk.make_folder(place)
        yield from self._disk.lock(place)
        onto = self._disk.last(place) + 1
        fits = onto < box.maxmsg
        if to_folder == DELETED and onto >= box.backupdeleted:
            fits, onto = True, onto - 1
            for older in range(1, onto + 1):
                yield from self._disk.renumber(place, older, older - 1)
        if fits:
            yield from self._disk.copy(directory(mailbox, folder), number, place, onto)
        yield from self._disk.unlock(place)
        return fits

    def close_steps(self, mailbox: Mailbox, folder: str, marks: Marks = NOTHING) -> Steps[None]:
        """Close a folder: what stays moves up to close the gaps, then what is left over at the end is deleted."""
        place = directory(mailbox, folder)
        yield from self._disk.lock(place)
        there = self._disk.numbers(place)
        kept = 0
        for number in there:
            stays = yield from self._stays(mailbox, folder, number, marks)
            if stays and kept != number:
                yield from self._disk.renumber(place, number, kept)
            kept += stays
        for number in there:
            if number >= kept and self._disk.exists(place, number):
                yield from self._disk.erase(place, number)
        yield from self._disk.unlock(place)

    def _stays(self, mailbox: Mailbox, folder: str, number: int, marks: Marks) -> Steps[bool]:
        """Whether a message keeps its place; one that goes to Old or Deleted is copied there first."""
        if number in marks.removed:
            return False
        if number in marks.deleted:
            keeps = self.box(mailbox).backupdeleted > 0
            return keeps and not (yield from self.copy_steps(mailbox, folder, number, mailbox, DELETED))
        if number in marks.heard:
            return not (yield from self.copy_steps(mailbox, folder, number, mailbox, Folder.OLD))
        return True
