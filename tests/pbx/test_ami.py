"""The AMI client against a real Asterisk, with the rights of the snippet in config/asterisk."""

from service.ami import Event, Limits, Offer, State
from tests.ami.harness import Heard, running
from tests.pbx.ami_client import Account
from tests.pbx.asterisk import Asterisk
from tests.pbx.process import DAEMON, NOBODY

LIMITS = Limits(retry_min=0.05, retry_max=0.2, refused_min=0.05, refused_max=0.05)


def as_user(account: Account) -> dict[str, str]:
    return {"username": account.username, "secret": account.secret}


def of_channel(heard: Heard, name: str) -> list[Event]:
    """What it heard of calls; events at start and reload carry no channel."""
    return [event for event in heard.events if event.name == name and event.fields.get("Channel")]


async def test_a_left_message_is_told_with_its_mailbox_and_its_cdrs(pbx: Asterisk) -> None:
    async with running(pbx.ami_port, LIMITS, **as_user(DAEMON)) as (ami, heard):
        await heard.connected()
        assert ami.greeting.startswith("Asterisk Call Manager/")
        await pbx.leave("100")
        await heard.until(lambda: bool(of_channel(heard, "MessageWaiting")) and bool(of_channel(heard, "Cdr")))
        [waiting] = of_channel(heard, "MessageWaiting")
        assert (waiting.fields.get("Mailbox"), waiting.fields.get("New")) == ("100@default", "1")


async def test_lists_and_counts_are_answered_whole(pbx: Asterisk) -> None:
    async with running(pbx.ami_port, LIMITS, **as_user(DAEMON)) as (ami, heard):
        await heard.connected()
        await pbx.leave("100")
        count = await ami.action("MailboxCount", {"Mailbox": "100@default"})
        assert count.fields.get("NewMessages") == "1"
        users = await ami.action("VoicemailUsersList")
        assert "100" in [user.fields.get("VoiceMailbox") for user in users.events]


async def test_the_daemons_user_may_do_what_the_pbx_can(pbx: Asterisk) -> None:
    async with running(pbx.ami_port, LIMITS, **as_user(DAEMON)) as (ami, heard):
        await heard.connected()
        expected = Offer.OFFERED if pbx.version == "22" else Offer.UNKNOWN
        assert await ami.offer("VoicemailMove") is expected
        assert await ami.offer("VoicemailUsersList") is Offer.OFFERED


async def test_a_user_without_rights_learns_that_it_has_none(pbx: Asterisk) -> None:
    async with running(pbx.ami_port, LIMITS, **as_user(NOBODY)) as (ami, heard):
        await heard.connected()
        assert ami.actions is not None
        assert await ami.offer("MailboxCount") is Offer.FORBIDDEN
        assert await ami.offer("VoicemailMove") is (Offer.FORBIDDEN if pbx.version == "22" else Offer.UNKNOWN)


async def test_a_message_moved_by_action_is_moved(pbx22: Asterisk) -> None:
    await pbx22.leave("100")
    [message] = pbx22.messages("100")
    async with running(pbx22.ami_port, LIMITS, **as_user(DAEMON)) as (ami, heard):
        await heard.connected()
        fields = {"Mailbox": "100", "Context": "default", "Folder": "INBOX", "ID": message.msg_id, "ToFolder": "Old"}
        answer = await ami.action("VoicemailMove", fields)
        assert answer.message == "Message move successful"
        assert [moved.folder for moved in pbx22.messages("100")] == ["Old"]


async def test_a_wrong_secret_is_refused(pbx: Asterisk) -> None:
    async with running(pbx.ami_port, LIMITS, username=DAEMON.username, secret="another") as (_, heard):
        await heard.until(lambda: heard.times(State.REFUSED) >= 1)
        assert "Authentication failed" in heard.states[0][1]


async def test_a_restart_of_the_pbx_is_survived(pbx22: Asterisk) -> None:
    async with running(pbx22.ami_port, LIMITS, **as_user(DAEMON)) as (_, heard):
        await heard.connected()
        await pbx22.restart_now()
        await heard.connected(2)
        await pbx22.leave("100")
        await heard.until(lambda: bool(of_channel(heard, "MessageWaiting")))
