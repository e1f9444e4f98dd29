"""Scan one mailbox's folders, or find all mailboxes. Synchronous; runs in a thread.

Asterisk renames and copies files while we look. A scan is believed only where nothing moved meanwhile: all folders are
listed, read, and looked at again: nobody holds a lock, and neither their times nor the names in them have changed.
"""

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import InvalidInputError, UnavailableError
from service.model import INODE_BITS, Audio, Envelope, Folder, Found, Known, Mailbox, Stamp, valid_name
from service.opening import Refused, directory, open_regular
from service.spool import listing
from service.spool.envelope import parse_envelope
from service.spool.files import Rejects, message_name, read_txt
from service.spool.listing import Listing, Listings, Moved

HOMES = ("/home", "/root")
"""What systemd/voicemaild.service hides from the daemon."""
SETTLING_S = 1.0
"""So long a `.txt` may lack its msg_id, or be half written, before it is taken as it is."""
WORTH_REMEMBERING = range(100, 4001)
"""So many files a mailbox has whose listing is remembered: fewer are looked at as fast, more would take much room."""
LARGEST_HASHED = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MailboxScan:
    """What one look at a mailbox gave.

    `settled`: nothing moved meanwhile, so what was not found is not there. `pending`: a message is still being written;
    look again soon, and take nothing for gone until then. `looked` is for `Scanner.unchanged`, "" where that would not
    be safe to rely on. `listings` are for `Scanner.news`, None where they are not worth it or not safe.
    """

    mailbox: Mailbox
    found: Sequence[Found] = ()
    settled: bool = True
    pending: bool = False
    looked: str = ""
    listings: Listings | None = None


class Scanner:
    """Scans the spool at `root`. `describe` tells what an open file is; `suffixes` are those of audio, best first.

    Of mailboxes that have `worth_remembering` files the listings are given, for `news`.
    """

    def __init__(
        self,
        root: Path,
        describe: Callable[[int, str], Audio | None],
        suffixes: Sequence[str],
        rejects: Rejects,
        *,
        worth_remembering: range = WORTH_REMEMBERING,
    ) -> None:
        self.root = root
        self.rejects = rejects
        self._describe = describe
        self._remember = worth_remembering
        self._rank = {suffix: rank for rank, suffix in enumerate(suffixes)}

    def mailboxes(self) -> list[Mailbox]:
        """Every mailbox the spool has, in order. Raises UnavailableError where the spool cannot be read."""
        found: list[Mailbox] = []
        try:
            with directory(self.root) as root:
                for context in self._directories(root, ""):
                    try:
                        with directory(context, root) as fd:
                            found += [Mailbox(context, extension) for extension in self._directories(fd, context)]
                    except PermissionError:
                        self.rejects.note(context, "permission")
                    except FileNotFoundError:
                        continue
        except OSError as error:
            raise unreadable(self.root, error) from error
        return sorted(found)

    def _directories(self, fd: int, where: str) -> list[str]:
        names = []
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if valid_name(entry.name):
                        names.append(entry.name)
                    else:
                        self.rejects.note(f"{where}/{_printable(entry.name)}", "name")
                elif entry.is_symlink():
                    self.rejects.note(f"{where}/{_printable(entry.name)}", "link")
        return names

    def scan(self, mailbox: Mailbox, known: Sequence[Known]) -> MailboxScan:
        """Look at all folders of a mailbox; what is `known` by its stamp is not read again.

        A mailbox whose directory is gone has no messages, unless all of the spool went with it. Raises
        UnavailableError then, and where the mailbox cannot be read.
        """
        try:
            with contextlib.ExitStack() as stack:
                root = stack.enter_context(directory(self.root))
                try:
                    context = stack.enter_context(directory(mailbox.context, root))
                    box = stack.enter_context(directory(mailbox.extension, context))
                except FileNotFoundError:
                    if known and not self._directories(root, ""):
                        raise empty(self.root) from None
                    return MailboxScan(mailbox)
                return self._scan(mailbox, box, known, stack)
        except Moved:
            return MailboxScan(mailbox, settled=False)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                self.rejects.note(str(mailbox), "link")
            raise unreadable(self.root / mailbox.context / mailbox.extension, error) from error

    def _scan(self, mailbox: Mailbox, box: int, known: Sequence[Known], stack: contextlib.ExitStack) -> MailboxScan:
        looked_at = {"": os.fstat(box)}
        present = listing.folders(box)
        folders = {folder: fd for folder in present if (fd := self._folder(mailbox, folder, box, stack)) is not None}
        looked_at |= {folder.value: os.fstat(fd) for folder, fd in folders.items()}
        rested = {name for name, status in looked_at.items() if listing.rests(status)}
        before = {folder: listing.names(fd) for folder, fd in folders.items()}
        if any(listing.locked(fd, before[folder]) for folder, fd in folders.items()):
            raise Moved
        reader = _Reader(self, mailbox, known)
        for folder, fd in folders.items():
            reader.read(folder, fd, before[folder])
        if present != listing.folders(box) or any(
            listing.changed(fd, looked_at[folder.value], before[folder], rested=folder.value in rested)
            for folder, fd in folders.items()
        ):
            raise Moved
        closed = set(present) - set(folders)
        found = [*reader.found, *(_where_it_was(row) for row in known if row.folder in closed)]
        doubtful = reader.pending or reader.nameless or reader.refused or closed
        safe = not doubtful and all(listing.rests(status) for status in looked_at.values())
        looked = " ".join(listing.seen(name, status) for name, status in looked_at.items()) if safe else ""
        listings = None if doubtful else self._worth_remembering(before)
        return MailboxScan(mailbox, found, pending=reader.pending, looked=looked, listings=listings)

    def news(self, mailbox: Mailbox, remembered: Listings) -> MailboxScan | None:
        """The messages that came since these listings, and they alone; None where a whole `scan` is needed.

        It is where anything but new names is seen, or none, or one that is still being written. What came is read, and
        still has its names afterwards. A message that took the name and the inodes of one that went is not seen, as
        long as another came after it: the next whole scan sees it, and each message is told of more than once.
        """
        try:
            with contextlib.ExitStack() as stack:
                root = stack.enter_context(directory(self.root))
                context = stack.enter_context(directory(mailbox.context, root))
                box = stack.enter_context(directory(mailbox.extension, context))
                if set(listing.folders(box)) != remembered.keys():
                    return None
                folders = {folder: stack.enter_context(directory(folder.value, box)) for folder in remembered}
                return self._news(mailbox, folders, remembered)
        except (Moved, OSError):
            return None

    def _news(self, mailbox: Mailbox, folders: Mapping[Folder, int], remembered: Listings) -> MailboxScan | None:
        listings = {folder: listing.names(fd) for folder, fd in folders.items()}
        reader = _Reader(self, mailbox, ())
        for folder, fd in folders.items():
            before, now = remembered[folder], listings[folder]
            added = {name: inode for name, inode in now.items() if before.get(name) != inode}
            if not added and len(now) == len(before):
                continue
            if listing.locked(fd, now) or not listing.only_new_messages(added, before, now):
                return None
            reader.read(folder, fd, added)
            if any(listing.stat(name, fd).st_ino != inode for name, inode in added.items()):
                return None
        if not reader.found or reader.pending or reader.nameless or reader.refused:
            return None
        return MailboxScan(mailbox, reader.found, listings=self._worth_remembering(listings))

    def _folder(self, mailbox: Mailbox, folder: Folder, box: int, stack: contextlib.ExitStack) -> int | None:
        """A folder, open; None where a link or a file stands in its place, which says nothing of the other folders."""
        try:
            return stack.enter_context(directory(folder.value, box))
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            self.rejects.note(f"{mailbox}/{folder.value}", "link")
            return None

    def _worth_remembering(self, listings: Listings) -> Listings | None:
        locked = any(".lock" in names for names in listings.values())
        return None if locked or sum(map(len, listings.values())) not in self._remember else listings

    def unchanged(self, looked: Mapping[Mailbox, str]) -> list[Mailbox]:
        """Those mailboxes whose directories are as they were when they were `looked` at.

        Every message that comes, moves or goes changes one of them. A `.txt` that is written in place does not:
        where that may happen there is no `looked`.
        """
        return [mailbox for mailbox, then in looked.items() if then and self._now(mailbox, then) == then]

    def _now(self, mailbox: Mailbox, then: str) -> str:
        path = f"{self.root}/{mailbox.context}/{mailbox.extension}"
        names = [part.partition("=")[0] for part in then.split(" ")]
        try:
            there = [(name, os.stat(f"{path}/{name}", follow_symlinks=False)) for name in names]  # noqa: PTH116 -- 50,000 Paths take longer than the looks
            return " ".join(listing.seen(name, status) for name, status in there)
        except OSError:
            return ""

    def best_first(self, files: Mapping[str, int]) -> list[str]:
        """The suffixes of a message's audio files, the best to serve first."""
        found = [suffix for suffix in files if suffix in self._rank]
        return found if len(found) == 1 else sorted(found, key=self._rank.__getitem__)

    def described(self, suffix: str, fd: int) -> Audio | None:
        """What an open audio file is; None where it is nothing we can make sense of."""
        try:
            return self._describe(fd, suffix)
        except InvalidInputError:
            return None


class _Reader:
    """One scan's way through the folders of a mailbox."""

    def __init__(self, scanner: Scanner, mailbox: Mailbox, known: Sequence[Known]) -> None:
        self.found: list[Found] = []
        self.pending = False
        self.nameless = any(not row.given for row in known)
        self.refused = False  # what was may be mended without another time of its directory: chmod, unlink elsewhere
        self._scanner = scanner
        self._mailbox = mailbox
        self._by_stamp = {(row.inode & INODE_BITS, row.mtime_ns, row.size): row for row in known}
        self._now = time.time()

    def read(self, folder: Folder, fd: int, names: Listing) -> None:
        """Look at every message of a folder; one that is known costs a look at its `.txt`, and nothing else."""
        inodes = set(names.values())
        unknown: list[tuple[int, os.stat_result | None]] = []
        texts = [(parsed[0], name) for name in names if (parsed := message_name(name)) and parsed[1] == "txt"]
        for msgnum, name in texts:
            if not self._by_stamp:
                unknown.append((msgnum, None))
                continue
            now = listing.stat(name, fd)
            stamp = (now.st_ino, now.st_mtime_ns, now.st_size)
            row = self._by_stamp.get(stamp)
            if row is not None and row.audio_inode is not None and row.audio_inode & INODE_BITS in inodes:
                self.found.append(Found(folder, msgnum, stamp, row.msg_id, row))
            else:
                unknown.append((msgnum, now))
        if unknown:
            files = _by_number(names)
            for msgnum, status in unknown:
                found = self._message(folder, fd, msgnum, files[msgnum], status)
                if found is not None:
                    self.found.append(found)

    def _message(
        self, folder: Folder, fd: int, msgnum: int, files: Mapping[str, int], status: os.stat_result | None
    ) -> Found | None:
        """Read a message, unless it is known and has no audio; `status` is that of its `.txt` where any is known."""
        name = f"msg{msgnum:04d}.txt"
        audio = self._scanner.best_first(files)
        if status is not None and not audio:
            stamp: Stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            row = self._by_stamp.get(stamp)
            if row is not None and row.audio_inode is None:
                return Found(folder, msgnum, stamp, row.msg_id, row)
        try:
            return self._read(folder, fd, msgnum, audio)
        except Refused as refused:
            self._refuse(f"{folder}/{name}", refused.reason)
            return None
        except FileNotFoundError:
            raise Moved from None
        except PermissionError:
            self._wait(listing.stat(name, fd).st_mtime, f"{folder}/{name}", "permission")
            return None

    def _read(self, folder: Folder, fd: int, msgnum: int, suffixes: Sequence[str]) -> Found | None:
        name = f"msg{msgnum:04d}.txt"
        data, status = read_txt(name, fd)
        envelope = parse_envelope(data)
        if envelope is None:
            self._wait(status.st_mtime, f"{folder}/{name}", "no_message")
            return None
        if not envelope.msg_id and abs(self._now - status.st_mtime) < SETTLING_S:
            self.pending = True  # Asterisk may be about to write one in
            return None
        audio, digest = self._audio(folder, fd, msgnum, suffixes, hashed=self.nameless or not envelope.msg_id)
        self.nameless = self.nameless or not envelope.msg_id
        fingerprint = _fingerprint(envelope, digest) if digest is not None else ""
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        msg_id = envelope.msg_id or fingerprint
        return Found(folder, msgnum, stamp, msg_id, None, envelope, audio, fingerprint)

    def _wait(self, mtime: float, where: str, reason: str) -> None:
        """A file that is fresh may become readable in a moment; an older one is refused."""
        if abs(self._now - mtime) < SETTLING_S:
            self.pending = True
        else:
            self._refuse(where, reason)

    def _refuse(self, where: str, reason: str) -> None:
        self.refused = True
        self._scanner.rejects.note(f"{self._mailbox}/{where}", reason)

    def _audio(
        self, folder: Folder, place: int, msgnum: int, suffixes: Iterable[str], *, hashed: bool
    ) -> tuple[Audio | None, bytes | None]:
        """The best audio that can be read, and the hash of its content where that is wanted (b"" of none)."""
        for suffix in suffixes:
            name = f"msg{msgnum:04d}.{suffix}"
            try:
                fd, _status = open_regular(name, place)
            except Refused as refused:
                self._refuse(f"{folder}/{name}", refused.reason)
                continue
            except PermissionError:  # the message counts all the same, as it does for Asterisk
                self._refuse(f"{folder}/{name}", "permission")
                continue
            try:
                audio = self._scanner.described(suffix, fd)
                if audio is not None:
                    return audio, _digest(fd) if hashed else None
                self._refuse(f"{folder}/{name}", "no_audio")
            finally:
                os.close(fd)
        return None, b"" if hashed else None


def _by_number(names: Listing) -> dict[int, dict[str, int]]:
    """The files of each message: suffix to inode."""
    groups: dict[int, dict[str, int]] = {}
    for name, inode in names.items():
        parsed = message_name(name)
        if parsed is not None:
            groups.setdefault(parsed[0], {})[parsed[1]] = inode
    return groups


def _where_it_was(row: Known) -> Found:
    """A known message whose folder cannot be looked into: nothing says that it is gone."""
    return Found(Folder(row.folder), row.msgnum, row.stamp, row.msg_id, row)


def _digest(fd: int) -> bytes:
    """A hash of at most the first 16 MiB of an open file."""
    digest = hashlib.sha256()
    position = 0
    while position < LARGEST_HASHED and (chunk := os.pread(fd, 1 << 18, position)):
        digest.update(chunk)
        position += len(chunk)
    return digest.digest()


def _fingerprint(envelope: Envelope, audio: bytes) -> str:
    """The identity of a message that has no msg_id: its time, its length, its sound; without sound, its caller."""
    parts = [str(envelope.origtime), str(envelope.duration), audio.hex()]
    if not audio:
        parts += [envelope.caller_id_name, envelope.caller_id_number]
    return "fp-" + hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def empty(root: Path) -> UnavailableError:
    """The words for a spool that holds nothing at all: before anything is taken for gone, somebody should look."""
    return UnavailableError(f"the spool {root} is empty: is it mounted, and does [spool] path name it?")


def unreadable(path: Path, error: OSError) -> UnavailableError:
    """The words for a part of the spool that cannot be read."""
    remedy = "see [spool] path"
    if isinstance(error, PermissionError):
        remedy = "is voicemaild in the group asterisk?"
        if any(path.is_relative_to(home) for home in HOMES):
            remedy += " And has the unit a drop-in with ProtectHome=tmpfs that shows it?"
    return UnavailableError(f"cannot read {path}: {error.strerror}; {remedy}")
