"""A real Asterisk, and what people and other programs do with it: leave messages, listen, move, remove, restart.

Every method that drives it returns when what it did is over, told by the PBX's own events or by the spool.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from tests.pbx.ami_client import Account, AmiClient, AmiError, Packet
from tests.pbx.process import LAB, AsteriskProcess, Options
from tests.pbx.root import build
from tests.pbx.spool import SpoolMessage, messages
from tests.pbx.telephone import MESSAGE, Log, Telephone, until

JANE = '"Jane Doe" <15551234567>'
"""Who calls, where it does not matter."""

_CALL_LIMIT = 300.0
_FOLDER_KEYS = {"INBOX": "0", "Old": "1", "Work": "2", "Family": "3", "Friends": "4"}


@dataclass(frozen=True, slots=True)
class Counts:
    """What `MailboxCount` answers: Asterisk leaves urgent messages out of `new`."""

    urgent: int
    new: int
    old: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is over. `packets` are its events, and the MessageWaiting events of its time, in the PBX's order."""

    linkedid: str
    packets: tuple[Packet, ...] = field(repr=False)

    def events(self, name: str) -> tuple[Packet, ...]:
        """Give its events of this name."""
        return tuple(packet for packet in self.packets if packet.event == name)


@dataclass(frozen=True, slots=True)
class Recording:
    """A message that is just being spoken; `channel` is the caller's."""

    channel: str
    mailbox: str


class Asterisk(AsteriskProcess):
    """A real Asterisk to be driven. Mailboxes are written `100` or `100@other`."""

    @classmethod
    def built(cls, version: str, options: Options | None = None) -> Self:
        """Prepare an Asterisk ("22" or "16") in the folder that is built for it, if need be; it is not started yet."""
        return cls(version, build(version), options)

    def ami(self, account: Account = LAB, events: str = "off") -> AbstractAsyncContextManager[AmiClient]:
        """Connect and log in, as the harness, as the daemon (`DAEMON`) or as `NOBODY`."""
        return AmiClient.connect(self.ami_port, account, events)

    async def cli(self, command: str) -> str:
        """Run a command of Asterisk's command line and give its output."""
        async with self.ami() as ami:
            answer = await ami.action("Command", Command=command)
        return "\n".join(answer.all("Output"))

    # -- the spool

    def mailbox_dir(self, mailbox: str) -> Path:
        """Give a mailbox's directory, whether or not it is there."""
        extension, _, context = mailbox.partition("@")
        return self.spool / (context or "default") / extension

    def messages(self, mailbox: str, folder: str | None = None) -> tuple[SpoolMessage, ...]:
        """Give what lies in a mailbox, or in one folder of it."""
        found = messages(self.mailbox_dir(mailbox))
        return tuple(message for message in found if folder in {None, message.folder})

    def empty(self) -> None:
        """Throw all messages away. Only at rest."""
        for context in self.spool.iterdir():
            shutil.rmtree(context)

    async def reset(self) -> None:
        """Make it as new for the next test: running, without calls, without messages. Options and files else stay."""
        if not self.running:
            await self.start()
        async with self.ami() as ami:
            channels = [packet["Channel"] for packet in await ami.listing("CoreShowChannels")]
            for channel in channels:
                await ami.action("Hangup", Channel=channel)
            while await ami.listing("CoreShowChannels"):
                await asyncio.sleep(0.01)
        self.empty()

    async def count(self, mailbox: str) -> Counts:
        """Ask the PBX how many messages a mailbox has."""
        async with self.ami() as ami:
            answer = await ami.action("MailboxCount", Mailbox=_full(mailbox))
        return Counts(int(answer["UrgMessages"]), int(answer["NewMessages"]), int(answer["OldMessages"]))

    # -- telephones

    async def leave(
        self,
        mailbox: str = "100",
        *,
        caller: str | bytes = JANE,
        seconds: float = 1.2,
        urgent: bool = False,
        variables: Mapping[str, str] | None = None,
        talk: str = "talk",
        into: str = "leave@mailbox",
    ) -> Call:
        """Call, leave a message, hang up so many seconds after the PBX began to record; return when it closed the call.

        On a busy machine some tenths of a second less are recorded, or more. Several mailboxes are written
        `100&101&100@other`. `caller` may be `bytes` that are no UTF-8, or "" for none. `variables` are set on the
        channel (`VM_CATEGORY`). `talk="silent"` calls without sending any audio. `into` is the extension that answers.
        """
        told = {**_leaving(mailbox, urgent=urgent), **(variables or {})}
        async with self._telephone(into, f"{talk}@phone", told, caller) as (phone, over):
            await phone.speaks(seconds)
            return await over()

    async def speak(self, mailbox: str = "100", *, caller: str | bytes = JANE) -> Recording:
        """Call and begin to speak, for ten minutes at most; return when the PBX records. End it with `hang_up()`."""
        temporary = self.mailbox_dir(mailbox) / "tmp"
        before = set(temporary.glob("*"))
        async with self.ami(events="call") as ami:
            channel = await self._originate(ami, "leave@mailbox", "talk@phone", caller, _leaving(mailbox))
        await until(lambda: any(file.suffix for file in set(temporary.glob("*")) - before), "recording")
        return Recording(channel["Channel"], mailbox)

    async def hang_up(self, recording: Recording) -> SpoolMessage:
        """Hang up; return the message when it lies in its folder."""
        before = {message.msg_id for message in self.messages(recording.mailbox)}
        async with self.ami(events="call") as ami:
            await ami.action("Hangup", Channel=recording.channel)
            extension, _, context = recording.mailbox.partition("@")
            name = f"{extension}@{context or 'default'}"
            await ami.wait_for(
                lambda packet: packet.event == "MessageWaiting" and packet["Mailbox"] == name, "MessageWaiting"
            )
        [new] = [message for message in self.messages(recording.mailbox) if message.msg_id not in before]
        return new

    async def hear(self, mailbox: str = "100", *, count: int = 1) -> Call:
        """Hear the first `count` new messages by phone: they go to Old as it hangs up."""
        async with self._listening(mailbox) as (phone, over):
            for _ in range(count - 1):
                await phone.presses("6")  # the next
                await phone.hears(MESSAGE)
            await phone.hangs_up()
            return await over()

    async def hear_with_pin(self, pin: str, mailbox: str = "100") -> Call:
        """Log in to a mailbox with a PIN and hear its first new message; where the PIN is wrong, none is heard."""
        told = {"BOX": _full(mailbox), "PIN": pin}
        async with self._telephone("login@mailbox", "pin@phone", told) as (phone, over):
            if await phone.hears("vm-youhave", "vm-incorrect") == "vm-youhave":
                await phone.presses("1")
                await phone.hears(MESSAGE)
            await phone.hangs_up()
            return await over()

    async def delete_by_phone(self, mailbox: str = "100") -> Call:
        """Hear and delete the first new message by phone: it goes at the hang-up."""
        async with self._listening(mailbox) as (phone, over):
            await phone.presses("7")
            await phone.hears("vm-deleted")
            await phone.hangs_up()
            return await over()

    async def save_by_phone(self, mailbox: str = "100", *, folder: str = "Work") -> Call:
        """Hear the first new message by phone and save it: a copy at once, the original goes at the hang-up."""
        async with self._listening(mailbox) as (phone, over):
            await phone.presses("9")
            await phone.hears("vm-savefolder")
            await phone.presses(_FOLDER_KEYS[folder])
            await phone.hears("vm-savedto")
            await phone.hangs_up()
            return await over()

    async def call(
        self, first: str, second: str, *, caller: str | bytes = JANE, variables: Mapping[str, str] | None = None
    ) -> Call:
        """Make a call between two extensions of the dialplan (`leave@mailbox`); return when all of it is over.

        `first` has to answer (else AmiError), then `second` is run. `caller` is what `first` is shown. Of a call of a
        phone's to somewhere the phone is `first`: `call("talk@phone", "201@internal", variables={"SECONDS": "5"})`.
        """
        values = variables or {}
        async with self.ami(events="call,cdr") as ami:
            channel = await self._originate(ami, first, second, caller, values)
            return await self._over(ami, channel)

    @asynccontextmanager
    async def _listening(self, mailbox: str) -> AsyncIterator[tuple[Telephone, Callable[[], Awaitable[Call]]]]:
        """Call a mailbox as its owner and begin to hear its first message."""
        async with self._telephone("listen@mailbox", "keys@phone", {"BOX": _full(mailbox)}) as (phone, over):
            await phone.hears("vm-youhave")
            await phone.presses("1")
            await phone.hears(MESSAGE)
            yield phone, over

    @asynccontextmanager
    async def _telephone(
        self, first: str, second: str, variables: Mapping[str, str], caller: str | bytes = JANE
    ) -> AsyncIterator[tuple[Telephone, Callable[[], Awaitable[Call]]]]:
        """A telephone that has called, and what waits for the end of the call."""
        log = Log(self.log_file)
        async with self.ami(events="call,cdr") as ami:
            channel = await self._originate(ami, first, second, caller, variables)
            yield Telephone(ami, channel["Channel"], log), partial(self._over, ami, channel)

    async def _over(self, ami: AmiClient, channel: Packet) -> Call:
        """Wait until the call that began with this channel is over."""
        return await _until_over(ami, channel["Linkedid"], cdrs=self.options.cdr_manager)

    async def _originate(
        self, ami: AmiClient, first: str, second: str, caller: str | bytes, variables: Mapping[str, str]
    ) -> Packet:
        """Start a call; give the event its first channel was made with, once `first` has answered."""
        start = len(ami.packets)
        exten, _, context = second.partition("@")
        accepted = await ami.action(
            "Originate",
            Channel=f"Local/{first}/n",
            Context=context,
            Exten=exten,
            Priority="1",
            CallerID=caller.decode("utf-8", "surrogateescape") if isinstance(caller, bytes) else caller,
            Async="true",
            Variable=[f"{name}={value}" for name, value in variables.items()],
        )
        if not accepted.ok:
            raise AmiError(f"Originate refused: {accepted}")
        done = await ami.wait_for(
            lambda packet: packet.event == "OriginateResponse" and packet.get("ActionID") == accepted["ActionID"],
            "OriginateResponse",
            since=start,
        )
        if done["Response"] != "Success":
            raise AmiError(f"{first} did not answer: {done}")
        return await ami.wait_for(
            lambda packet: packet.event == "Newchannel" and packet["Uniqueid"] == done["Uniqueid"],
            "the call's first channel",
            since=start,
        )

    # -- other programs

    async def move(self, mailbox: str, msg_id: str, folder: str, to: str) -> str:
        """Move a message as another AMI client would; give the PBX's `Message`. Asterisk 16 raises AmiError."""
        return await self._voicemail("VoicemailMove", mailbox, msg_id, folder, ToFolder=to)

    async def remove(self, mailbox: str, msg_id: str, folder: str) -> str:
        """Remove a message as another AMI client would; give the PBX's `Message`. Asterisk 16 raises AmiError."""
        return await self._voicemail("VoicemailRemove", mailbox, msg_id, folder)

    async def restart_now(self) -> None:
        """`core restart now`: calls are cut off. Returns when the PBX is fully booted again."""
        async with self.ami() as ami:
            await ami.send("Command", Command="core restart now")  # answered only when the PBX is slow to go
            await ami.wait_closed()
        await self.booted()

    async def _voicemail(self, action: str, mailbox: str, msg_id: str, folder: str, **more: str) -> str:
        extension, _, context = mailbox.partition("@")
        async with self.ami() as ami:
            answer = await ami.action(
                action, Mailbox=extension, Context=context or "default", ID=msg_id, Folder=folder, **more
            )
        if not answer.ok:
            raise AmiError(f"{action} refused: {answer}")
        return answer["Message"]


def _full(mailbox: str) -> str:
    """Write a mailbox with its context."""
    return mailbox if "@" in mailbox else f"{mailbox}@default"


def _leaving(mailbox: str, *, urgent: bool = False) -> dict[str, str]:
    """Give the variables of a call that leaves a message: no instructions are played."""
    boxes = "&".join(_full(box) for box in mailbox.split("&"))
    return {"BOX": boxes, "VMOPTIONS": "sU" if urgent else "s"}


async def _until_over(ami: AmiClient, linkedid: str, *, cdrs: bool) -> Call:
    """Read events until every channel of a call has hung up, and its CDRs have come where they do."""
    channels: set[str] = set()
    missing: set[tuple[str, str]] = set()

    def over(packet: Packet) -> bool:
        uniqueid = packet.get("Uniqueid")
        if packet.event == "Newchannel" and packet["Linkedid"] == linkedid:
            channels.add(uniqueid)
            missing.update({("Hangup", uniqueid), ("Cdr", uniqueid)} if cdrs else {("Hangup", uniqueid)})
        if packet.event == "DialBegin" and uniqueid:  # what a channel dials stands in that channel's CDR
            missing.discard(("Cdr", packet["DestUniqueid"]))
        missing.discard((packet.event, uniqueid))
        return bool(channels) and not missing

    await ami.wait_for(over, f"the end of call {linkedid}", limit=_CALL_LIMIT)
    await ami.action("Ping")  # a channel may have several CDRs, sent together

    def ours(packet: Packet) -> bool:
        in_call = packet.get("Uniqueid") in channels
        return packet.get("Linkedid", linkedid) == linkedid and (in_call or packet.event == "MessageWaiting")

    return Call(linkedid, tuple(packet for packet in ami.packets if ours(packet)))
