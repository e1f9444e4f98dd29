"""The PBX behind the socket: mailboxes, users, calls. Each verb acts on the spool and tells the events Asterisk would.

Work on files runs in a thread; events go out by timers, as late as recorded: MessageWaiting some milliseconds after the
text had its name, the Cdr of the call after that.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from service.model import Counts, Folder, Mailbox
from service.simulator.boxes import HOUSEHOLD, AmiUser, Box
from service.simulator.calls import Made, Numbers, Recorder, Way, to_voicemail
from service.simulator.disk import SpoolLockedError, Steps, run
from service.simulator.events import Caller, Detail, Leg, caller, cdr, message_waiting
from service.simulator.master_csv import MasterCsv
from service.simulator.spool import LISTED, Left, SpoolWriter, Summary
from service.simulator.tone import voice
from service.simulator.visit import MailboxVisit
from service.simulator.voicemail_conf import NAME, VoicemailConf
from service.simulator.wire import Event

MAIL_SECONDS = 0.015
"""How long a message of a box with `delete=yes` lives before it is deleted."""


@dataclass(frozen=True, slots=True)
class Delays:
    """How late events are, in seconds: `mwi` after the text has its name, `cdr` after that, `boot` after a restart."""

    mwi: float = 0.005
    cdr: float = 0.010
    boot: float = 0.2


class Exchange:
    """A PBX without its socket. Messages for mailboxes it has not got are refused, as by Asterisk.

    `events` False: it acts, and AMI says nothing of it; it may be changed at any time. `zone` is that of the times in a
    Cdr; `mapped`, `csv` and `recordings` are what else is told of calls: the mapped fields in the events, lines in
    Master.csv, which come whether or not AMI tells, and a recording of each call that is answered, in this directory.
    `etc` is where voicemail.conf lies, which is read where it is there and else written; without, it is in memory.
    """

    def __init__(
        self,
        spool: Path,
        *,
        boxes: Iterable[Box] = HOUSEHOLD,
        users: Iterable[AmiUser] = (),
        version: int = 22,
        events: bool = True,
        delays: Delays = Delays(),
        zone: tzinfo = UTC,
        mapped: bool = True,
        csv: MasterCsv | None = None,
        recordings: Path | None = None,
        etc: Path | None = None,
    ) -> None:
        given = list(boxes)
        self.conf = VoicemailConf([box for box in given if box.source == NAME], etc)
        self._elsewhere = {box.mailbox: box for box in given if box.source != NAME}
        self.boxes = self.conf.boxes() | self._elsewhere
        self.users = {user.name: user for user in users}
        self.version = version
        self.events = events
        self.spool = SpoolWriter(spool, self.boxes.values(), version)
        self.delays = delays
        self.booted = True
        self.started = time.time()
        self.numbers = Numbers()
        self._zone = zone
        self._mapped = mapped
        self._csv = csv
        self._recorder = None if recordings is None else Recorder(recordings)
        self._locks = {mailbox: asyncio.Lock() for mailbox in self.boxes}
        self._listeners: set[Callable[[Event], None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._voices = itertools.count(1)

    # Telling

    def attach(self, listener: Callable[[Event], None]) -> None:
        """Tell a connection of all events from now on."""
        self._listeners.add(listener)

    def detach(self, listener: Callable[[Event], None]) -> None:
        """Tell a connection nothing any more."""
        self._listeners.discard(listener)

    def tell(self, event: Event) -> None:
        """Tell all connections of an event, unless this PBX keeps silent."""
        if self.events:
            for listener in tuple(self._listeners):
                listener(event)

    def later(self, delay: float, act: Callable[[], None]) -> None:
        """Do something after this many seconds; a restart of the PBX forgets it."""

        def fire() -> None:
            self._timers.discard(timer)
            act()
            if not self._timers:
                self._quiet.set()

        timer = asyncio.get_running_loop().call_later(delay, fire)
        self._timers.add(timer)
        self._quiet.clear()

    def forget(self) -> None:
        """Drop what was still to be told."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._quiet.set()

    async def settle(self) -> None:
        """Wait until all that happened has been told."""
        await self._quiet.wait()

    def _tell_later(self, delay: float, event: Event) -> None:
        self.later(delay, lambda: self.tell(event))

    # A caller

    async def leave(
        self,
        mailbox: Mailbox | str,
        caller_id: str = '"Jane Doe" <+12025550143>',
        seconds: float = 3,
        *,
        audio: Mapping[str, bytes] | None = None,
        copies: Iterable[Mailbox | str] = (),
        urgent: bool = False,
        category: str = "",
        origtime: int | None = None,
        msg_id: str | None = None,
        rang: int = 0,
        did: str = "",
    ) -> Left | None:
        """Let a caller leave a message of `seconds`, for several mailboxes at once with `copies`.

        Returns as soon as the files are there; MessageWaiting and Cdr follow. Gives None where no mailbox has it
        (unknown, full, too short). `audio` maps suffixes to whole files; by default it is a voice of its own, as `wav`.
        `caller_id` is what the message's text says. `rang` is for how many seconds the phone rang first: that makes a
        Cdr of its own. `did` is the number they called, where the dialplan tells it in a Cdr. For `origtime` (default:
        `seconds` ago), `msg_id` and the rest see SpoolWriter.leave_steps.
        """
        box = self._box(mailbox)
        if box is None:
            return None
        others = [other.mailbox for other in map(self._box, copies) if other is not None]
        began = int(time.time() - seconds) if origtime is None else origtime
        who, extension = caller(caller_id), box.mailbox.extension
        leg = self.numbers.leg(Way.INCOMING, who, extension, began - rang, Caller(box.fullname, ""))
        recorded = audio or {"wav": await asyncio.to_thread(voice, seconds, next(self._voices))}
        steps = self.spool.leave_steps(
            box.mailbox,
            caller_id,
            recorded,
            duration=int(seconds),
            origtime=began,
            msg_id=msg_id,
            urgent=urgent,
            category=category,
            callerchan=leg.channel,
            copies=others,
            mail=False,
        )
        left = await asyncio.to_thread(run, steps)
        if left is not None:
            left = await self._mailed(box, replace(left, uniqueid=leg.uniqueid))
            await self._tell_waiting([*others, box.mailbox], leg, since_ns=left.named_ns)
        start, end = self._at(began), self._at(began + int(seconds))
        visit = Detail(leg, "VoiceMail", f"{box.mailbox},u", start, end, start, "ANSWERED", did=did)
        self._tell_call(self.delays.mwi + self.delays.cdr, to_voicemail(visit, rang, self.numbers))
        return left

    async def _mailed(self, box: Box, left: Left) -> Left:
        """Send the mail of a box with `delete=yes`, and delete."""
        if not box.delete:
            return left
        await asyncio.sleep(MAIL_SECONDS)
        await asyncio.to_thread(run, self.spool.erase_steps(left))
        return replace(left, deleted=True)

    def call(
        self,
        caller_id: str = '"Jane Doe" <+12025550143>',
        destination: str = "200",
        *,
        disposition: str = "ANSWERED",
        seconds: int = 3,
        ringing: int = 1,
        ago: int = 0,
        way: Way = Way.INCOMING,
        forked: Sequence[str] = (),
        cancelled: bool = False,
        context: str = "",
        account: str = "",
        userfield: str = "",
        did: str = "",
        outbound_cnum: str = "",
    ) -> str:
        """Tell of a call that needed no voicemail and has just ended; gives its UniqueID.

        It rang for `ringing` seconds; only one that was ANSWERED then went on for `seconds`, and ended `ago` seconds
        ago. The phones `forked` rang as well, in vain. One that is BUSY, in CONGESTION or came to NO ANSWER (unless
        `cancelled` by the caller) has a record of no length after that. `context` "" is the usual one of this way.
        """
        talked = seconds if disposition == "ANSWERED" else 0
        began = int(time.time()) - ringing - talked - ago
        leg = self.numbers.leg(way, caller(caller_id), destination, began, Caller("", destination), context=context)
        start = self._at(began)
        recorded = ""
        if self._recorder is not None and disposition == "ANSWERED":
            recorded = self._recorder.record(way, leg, start, talked)
        extra = Detail(
            leg=leg,
            application="",
            data="",
            started=start,
            ended=start,
            answered=None,
            disposition=disposition,
            account=account,
            userfield=userfield,
            did=did,
            outbound_cnum=outbound_cnum,
            recordingfile=recorded,
        )
        peer = "trunk" if way is Way.OUTGOING else destination
        made = Made(way, leg, peer, disposition, start, ringing, talked, extra, forked, cancelled)
        self._tell_call(self.delays.cdr, made.details(self.numbers))
        return leg.uniqueid

    def _tell_call(self, delay: float, details: Iterable[Detail]) -> None:
        """Tell the records of one call, all at once: each over AMI, then in Master.csv."""

        def tell() -> None:
            for detail in details:
                self.tell(cdr(detail, mapped=self._mapped))
                if self._csv is not None:
                    self._csv.write(detail)

        self.later(delay, tell)

    def _at(self, epoch: int) -> datetime:
        return datetime.fromtimestamp(epoch, self._zone)

    # The owner, and other clients of AMI

    async def listen(
        self,
        mailbox: Mailbox | str,
        *msg_ids: str,
        folder: str = Folder.INBOX,
        delete: Collection[str] = (),
        save: Mapping[str, str] | None = None,
        seconds: float = 0,
    ) -> None:
        """Let the owner call the mailbox and hear these messages; by default all there are in the folder.

        `delete` are deleted and `save` copied to the folder named there while they listen, for `seconds`; what was
        heard goes to Old when they hang up. MessageWaiting follows, whether anything changed or not.
        """
        box = self._box(mailbox)
        if box is None:
            return
        async with self._locks[box.mailbox]:
            visit = MailboxVisit(self.spool.folders, box.mailbox, folder)
            await asyncio.to_thread(run, visit.open_steps())
            for msg_id in msg_ids or self.spool.msg_ids(box.mailbox, folder):
                visit.hear(msg_id)
            for msg_id in delete:
                visit.delete(msg_id)
            for msg_id, to_folder in (save or {}).items():
                await asyncio.to_thread(run, visit.save_steps(msg_id, to_folder))
            await asyncio.sleep(seconds)
            await asyncio.to_thread(run, visit.hang_up_steps())
        extension = box.mailbox.extension
        owner = Caller(box.fullname, extension)
        leg = self.numbers.leg(Way.INTERNAL, owner, "*97", int(time.time()), Caller("", ""))
        await self._tell_waiting([box.mailbox], leg)

    async def move(self, mailbox: Mailbox | str, msg_id: str, to_folder: str, folder: str = Folder.INBOX) -> bool:
        """Move a message to another folder; gives whether that worked. Folders by name, in any case."""
        source, target = folder_name(folder), folder_name(to_folder)
        if not (source and target):
            return False
        return await self._act(mailbox, lambda box: self.spool.move_steps(box, msg_id, target, source))

    async def remove(self, mailbox: Mailbox | str, msg_id: str, folder: str = Folder.INBOX) -> bool:
        """Remove a message; gives whether that worked."""
        source = folder_name(folder)
        return bool(source) and await self._act(mailbox, lambda box: self.spool.remove_steps(box, msg_id, source))

    async def forward(
        self,
        mailbox: Mailbox | str,
        msg_id: str,
        target: Mailbox | str,
        to_folder: str = Folder.INBOX,
        folder: str = Folder.INBOX,
    ) -> bool:
        """Copy a message to another mailbox; gives whether that worked. The event is of the target alone."""
        to, source, onto = self._box(target), folder_name(folder), folder_name(to_folder)
        if not (to and source and onto):
            return False
        there = to.mailbox
        steps = lambda box: self.spool.forward_steps(box, msg_id, there, onto, source)  # noqa: E731 -- one line
        return await self._act(mailbox, steps, tells=there)

    async def summary(self, mailbox: Mailbox) -> list[Summary]:
        """List a mailbox; that renumbers and rewrites where Asterisk would, and tells nothing."""
        async with self.hold(mailbox):
            return await asyncio.to_thread(run, self.spool.summary_steps(mailbox))

    async def reload(self) -> None:
        """`voicemail reload`: the boxes are those of voicemail.conf now; one MessageWaiting for every mailbox."""
        self.boxes = self.conf.boxes() | self._elsewhere
        self.spool.folders.know(self.boxes.values())
        for mailbox in self.boxes:
            self._locks.setdefault(mailbox, asyncio.Lock())
        await self.refresh(*self.boxes)

    async def change_pin(self, mailbox: Mailbox | str, pin: str) -> None:
        """Let the owner change the PIN by phone; with `passwordlocation=spooldir` it goes into the spool."""
        box = self._box(mailbox)
        if box is None:
            return
        if self.conf.general("passwordlocation") == "spooldir":
            secret = f"[general]\npassword = {pin}\n"
            path = self.spool.disk.path(f"{box.mailbox.context}/{box.mailbox.extension}")
            path.mkdir(parents=True, exist_ok=True)
            (path / "secret.conf").write_text(secret)
        else:
            self.conf.set_pin(box.mailbox, pin)

    async def refresh(self, *mailboxes: Mailbox) -> None:
        """VoicemailRefresh: look at the files, and tell MessageWaiting without a channel."""
        await self._tell_waiting(mailboxes, None, delay=0)

    def hold(self, mailbox: Mailbox) -> AbstractAsyncContextManager[object]:
        """Keep all others that renumber from a mailbox; messages are still left in it."""
        return self._locks.get(mailbox) or nullcontext()

    async def _act(
        self, mailbox: Mailbox | str, steps: Callable[[Mailbox], Steps[bool]], *, tells: Mailbox | None = None
    ) -> bool:
        """Change a mailbox and, if that worked, tell MessageWaiting."""
        box = self._box(mailbox)
        if box is None:
            return False
        async with self.hold(box.mailbox):
            try:
                done = await asyncio.to_thread(run, steps(box.mailbox))
            except SpoolLockedError:
                done = False
        if done:
            await self._tell_waiting([tells or box.mailbox], None)
        return done

    async def _tell_waiting(
        self,
        mailboxes: Iterable[Mailbox],
        leg: Leg | None,
        *,
        delay: float | None = None,
        since_ns: int | None = None,
        ready: bool = True,
    ) -> None:
        """MessageWaiting for these mailboxes, in this order, with what lies there now; after a delay `since_ns`."""
        wanted = list(mailboxes)
        counted: list[Counts] = await asyncio.to_thread(lambda: [self.spool.counts(mailbox) for mailbox in wanted])
        for mailbox, counts in zip(wanted, counted, strict=True):
            event = message_waiting(mailbox, counts, leg, ready=ready)
            passed = 0.0 if since_ns is None else (time.monotonic_ns() - since_ns) / 1e9
            self._tell_later(max(0.0, (self.delays.mwi if delay is None else delay) - passed), event)

    def _box(self, mailbox: Mailbox | str) -> Box | None:
        return self.boxes.get(Mailbox.parse(mailbox) if isinstance(mailbox, str) else mailbox)


def folder_name(text: str) -> str:
    """Give a folder's name as its directory has it; any case will do, a number will not. "" if there is none."""
    return next((str(folder) for folder in LISTED if folder.lower() == text.lower()), "")
