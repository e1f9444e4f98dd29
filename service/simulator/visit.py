"""Somebody listens to a mailbox by phone, VoiceMailMain(): what was heard or deleted moves when they hang up."""

from service.model import Folder, Mailbox
from service.simulator.disk import Steps
from service.simulator.folders import Folders, Marks


class MailboxVisit:
    """One call to VoiceMailMain(), in one folder: `open_steps()`, then any of the rest, at last `hang_up_steps()`.

    Messages are named by `msg_id`; ValueError where the folder has none of that name (any more).
    """

    def __init__(self, folders: Folders, mailbox: Mailbox, folder: str = Folder.INBOX) -> None:
        self._folders = folders
        self._mailbox = mailbox
        self._folder = folder
        self._heard: set[int] = set()
        self._deleted: set[int] = set()
        self._removed: set[int] = set()

    def open_steps(self) -> Steps[None]:
        """Announce how many there are: Old, INBOX and Urgent are opened for that, then the folder itself."""
        for folder in (Folder.OLD, Folder.INBOX, Folder.URGENT, self._folder):
            yield from self._folders.open_steps(self._mailbox, folder)

    def hear(self, msg_id: str) -> None:
        """Listen to a message; one from INBOX or Urgent goes to Old at the end."""
        if self._folder in (Folder.INBOX, Folder.URGENT):
            self._heard.add(self._number(msg_id))

    def delete(self, msg_id: str) -> None:
        """Press 7: the message goes at the end."""
        self._deleted.add(self._number(msg_id))

    def save_steps(self, msg_id: str, to_folder: str) -> Steps[bool]:
        """Press 9: the message is copied at once and removed here at the end, so for that time there are two of it."""
        number = self._number(msg_id)
        saved = yield from self._folders.copy_steps(self._mailbox, self._folder, number, self._mailbox, to_folder)
        if saved:
            self._removed.add(number)
        return saved

    def hang_up_steps(self) -> Steps[None]:
        """Close the folder: all that was decided during the call happens now, together."""
        marks = Marks(frozenset(self._heard), frozenset(self._deleted), frozenset(self._removed))
        if self._folders.numbers(self._mailbox, self._folder):
            yield from self._folders.close_steps(self._mailbox, self._folder, marks)

    def _number(self, msg_id: str) -> int:
        ids = self._folders.msg_ids(self._mailbox, self._folder)
        return self._folders.numbers(self._mailbox, self._folder)[ids.index(msg_id)]
