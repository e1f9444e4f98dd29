"""What a scan means: the pure comparison of what the store knows of a mailbox with what lies in its spool."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.model import Folder, Found, Known

_RANK = {folder: rank for rank, folder in enumerate((Folder.URGENT, Folder.INBOX, *list(Folder)[2:]))}


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to be written so that the store agrees with the spool.

    `read`: messages whose files were read, new ones or changed ones (then `known` is set). `relocated`: known messages
    that only lie elsewhere now. `gone`: known messages that are in the spool no longer.
    """

    read: Sequence[Found] = ()
    relocated: Sequence[Found] = ()
    gone: Sequence[Known] = ()

    def __bool__(self) -> bool:
        return bool(self.read or self.relocated or self.gone)


def difference(known: Iterable[Known], found: Iterable[Found], *, complete: bool) -> Difference:
    """Compare by msg_id. Unless the scan was `complete`, nothing is taken for gone.

    One msg_id can lie in a mailbox twice, while somebody saves a message and until he hangs up, or when he forwards
    it to himself: it is one message, and unread as long as one copy is, which is what the phone's lamp shows.
    A message that had no msg_id and was given one by Asterisk is recognised by its fingerprint.
    """
    known_by_id = {row.msg_id: row for row in known}
    chosen = _one_each(found)
    nameless = {row.msg_id: row for row in known_by_id.values() if not row.given and row.msg_id not in chosen}
    read: list[Found] = []
    relocated: list[Found] = []
    seen: set[int] = set()
    for one in chosen.values():
        row = known_by_id.get(one.msg_id) or nameless.pop(one.fingerprint, None)  # one of two equals takes over the row
        if row is not None:
            seen.add(row.id)
        if one.envelope is not None:
            if row is None or not _as_it_was(one, row):
                read.append(one if row is None else one._replace(known=row))
        elif one.known is not None and (one.folder, one.msgnum) != (one.known.folder, one.known.msgnum):
            relocated.append(one)
    read.sort(key=_age)
    gone = [row for row in known_by_id.values() if row.id not in seen] if complete else []
    return Difference(read, relocated, gone)


def _as_it_was(one: Found, row: Known) -> bool:
    """Whether files that were read are those the row was read from: so where audio lies there that cannot be read.

    That is tried at every look, lest it is missed when somebody mends it.
    """
    place = (one.msg_id, one.stamp, one.folder, one.msgnum)
    silent = one.audio is None and row.audio_inode is None
    return silent and place == (row.msg_id, row.stamp, row.folder, row.msgnum)


def _one_each(found: Iterable[Found]) -> dict[str, Found]:
    """The copy of each message that counts, by msg_id: in the folder that ranks first, with the lowest number."""
    chosen: dict[str, Found] = {}
    for one in found:
        other = chosen.get(one.msg_id)
        if other is None or (_RANK[one.folder], one.msgnum) < (_RANK[other.folder], other.msgnum):
            chosen[one.msg_id] = one
    return chosen


def _age(one: Found) -> tuple[int, str]:
    """Oldest first, so that ids and times run together."""
    assert one.envelope is not None
    return one.envelope.origtime, one.msg_id
