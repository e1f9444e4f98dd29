"""What a PBX is connected to: its phones and the telephone network, played by another Asterisk, over SIP on loopback.

So each call made here is one call in the PBX under test, and nothing else is in its history.
"""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Self

from tests.pbx.ami_client import AmiClient, AmiError, Packet
from tests.pbx.asterisk import Asterisk
from tests.pbx.process import Options
from tests.pbx.telephone import Log
from tests.ports import free_port

WORLD = "22"
"""Which Asterisk plays all that is outside."""

_LONG = 600
"""Seconds that nothing comes to: what ends a call is what happens in it."""

# Beside `[internal]` of conf/extensions.conf. How long is waited for an answer matters with phone 201 alone.
_INSIDE = (
    (
        "extensions.conf",
        """
[from-trunk]
exten => 209,1,Dial(PJSIP/nosuch,10)
exten => 211,1,Dial(PJSIP/201,600)
exten => 213,1,Answer()
 same => n,Wait(600)
exten => 214,1,Dial(PJSIP/201&PJSIP/200,60)
 same => n,Hangup()
exten => 215,1,Dial(Local/200@internal/n,60)
 same => n,Hangup()
exten => 216,1,Answer()
 same => n,Queue(front,,,,60)
 same => n,Hangup()
exten => 217,1,Set(CDR(did)=12025550100)
 same => n,Set(CDR(recordingfile)=external-217-${UNIQUEID}.wav)
 same => n,Dial(PJSIP/200,60)
 same => n,Hangup()
exten => 218,1,Dial(PJSIP/201,1)
 same => n,Dial(PJSIP/202,60)
 same => n,Hangup()
exten => 219,1,Dial(PJSIP/204,60)
 same => n,Hangup()
""",
    ),
    ("queues.conf", "[front]\nstrategy=ringall\ntimeout=60\nmember => PJSIP/200\n"),
)

_WORLD_DIALPLAN = """
[from-trunk]
exten => 15559870001,1,Goto(phone-ok,1)
exten => 15559870002,1,Goto(phone-busy,1)
"""

# Who calls from here is a phone of the PBX, known by its number; what comes from 127.0.0.1 is the trunk.
_WORLD_PHONES = """
[phones]
type=transport
protocol=udp
bind=127.0.0.2:{world}
[phone]
type=endpoint
transport=phones
disallow=all
allow=ulaw
aors=phone
direct_media=no
media_address=127.0.0.1
bind_rtp_to_media_address=yes
from_domain=127.0.0.2
[phone]
type=aor
contact=sip:127.0.0.1:{inside}
"""


class Outside:
    """The world around one PBX. Calls may be made at the same time; `quiet()` waits for the end of all of them."""

    def __init__(self, pbx: Asterisk, world: AmiClient) -> None:
        self.pbx = pbx
        self._world = world
        self._numbers = itertools.count(1)

    @classmethod
    @contextlib.asynccontextmanager
    async def around(cls, version: str, options: Options = Options()) -> AsyncIterator[Self]:  # noqa: B008 -- frozen
        """Start a PBX of this version, with these options, and the world around it."""
        inside, world = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
        mine = replace(options, sip=True, sip_port=inside, outside=world, extra_conf=(*options.extra_conf, *_INSIDE))
        phones = _WORLD_PHONES.format(world=world, inside=inside)
        conf = (("extensions.conf", _WORLD_DIALPLAN), ("pjsip.conf", phones))
        theirs = Options(sip=True, sip_port=world, outside=inside, extra_conf=conf)
        async with (
            Asterisk.built(version, mine) as pbx,
            Asterisk.built(WORLD, theirs) as other,
            other.ami(events="call") as ami,
        ):
            yield cls(pbx, ami)

    async def calls(self, number: str, caller: str, *, talk: float = _LONG) -> str:
        """Let somebody outside call a number of the PBX; gives his channel, out there, when there is a call.

        If it is answered they talk, until the other end or `hangs_up` ends it, or for `talk` seconds.
        """
        return await self._originate(f"PJSIP/{number}@trunk", caller, talk)

    async def phone_calls(self, number: str, phone: str = "200", *, talk: float = 2) -> str:
        """Let a phone of the PBX call a number."""
        return await self._originate(f"PJSIP/{number}@phone", f'"Phone {phone}" <{phone}>', talk)

    async def hangs_up(self, channel: str) -> None:
        """Let this caller hang up."""
        await self._do(self._world, "Hangup", Channel=channel)

    async def gives_up(self, number: str, name: str, caller: str) -> None:
        """Let somebody outside call a number and hang up while phone 201 rings."""
        async with self.pbx.ami(events="call") as ami:
            channel = await self.calls(number, f'"{name}" <{caller}>')
            await ami.wait_for(_rings("PJSIP/201-", caller), "the phone's ringing")
            await self.hangs_up(channel)

    async def speaks(self, channel: str, log: Log, *, seconds: float = 2) -> None:
        """Let this caller hang up so long after the mailbox he comes to began to record; `log` is from before."""
        await log.records(r"PJSIP/trunk-\w+")
        await self._do(self._world, "AbsoluteTimeout", Channel=channel, Timeout=f"{seconds:g}")

    async def transferred(self, caller: str, to: str, *, attended: bool) -> None:
        """Let somebody outside call phone 204 (by 219), which transfers the call to another phone.

        Attended it calls that phone itself first, as telephones do it: a call of its own; the caller hangs up when they
        are connected. (`Atxfer`, which is the PBX's way of doing it, makes Asterisk 22 crash now and then.)
        """
        async with self.pbx.ami(events="call") as ami:
            channel = await self.calls("219", f"{caller} <{caller}>")
            # Both have to be in the bridge: a phone that is there alone has nobody to transfer.
            phone = await ami.wait_for(_enters("PJSIP/204-", caller), "the phone's answer")
            waiting = await ami.wait_for(_enters("PJSIP/trunk-", "204"), "the caller")
            if not attended:
                await self._do(ami, "BlindTransfer", Channel=phone["Channel"], Exten=to, Context="internal")
                return
            await self.phone_calls(to, "204", talk=_LONG)
            other = await ami.wait_for(_enters(f"PJSIP/{to}-", "204"), "the other phone's answer")
            await ami.wait_for(_enters("PJSIP/204-", to), "the phone itself")
            connected = len(ami.packets)
            await self._do(ami, "Bridge", Channel1=waiting["Channel"], Channel2=other["Channel"])
            for one in (waiting, other):
                await ami.wait_for(_enters(one["Channel"]), "both", since=connected)
            await self.hangs_up(channel)

    async def quiet(self, caller: str) -> None:
        """Return when all calls are over and the PBX has told all it has to tell of them.

        A last call shows that it has, for records are told one after the other: `caller` leaves a message in 109.
        """
        async with self.pbx.ami() as inside:
            for ami in (self._world, inside):
                while await ami.listing("CoreShowChannels"):
                    await asyncio.sleep(0.02)
        await self.pbx.leave("109", caller=caller)

    async def _originate(self, channel: str, caller: str, talk: float) -> str:
        uniqueid = f"call-{next(self._numbers)}"
        await self._do(
            self._world,
            "Originate",
            Channel=channel,
            ChannelId=uniqueid,
            Context="phone",
            Exten="talk",
            Priority="1",
            CallerID=caller,
            Timeout=str(_LONG * 1000),
            Async="true",
            Variable=f"SECONDS={talk:g}",
        )
        made = await self._world.wait_for(
            lambda packet: packet.event == "Newchannel" and packet["Uniqueid"] == uniqueid, f"a call by {caller}"
        )
        return made["Channel"]

    async def _do(self, ami: AmiClient, action: str, **headers: str) -> None:
        answer = await ami.action(action, **headers)
        if not answer.ok:
            raise AmiError(f"{action} refused: {answer}")


def _enters(channel: str, other: str = "") -> Callable[[Packet], bool]:
    """Tell the event with which a phone comes to talk, to this number where it is given."""

    def tells(packet: Packet) -> bool:
        mine = packet.get("Channel").startswith(channel) and other in {"", packet.get("ConnectedLineNum")}
        return packet.event == "BridgeEnter" and mine

    return tells


def _rings(channel: str, other: str) -> Callable[[Packet], bool]:
    """Tell the event with which a phone rings for this number."""

    def tells(packet: Packet) -> bool:
        mine = packet.get("Channel").startswith(channel) and packet.get("ConnectedLineNum") == other
        return packet.event == "Newstate" and packet["ChannelStateDesc"] == "Ringing" and mine

    return tells
