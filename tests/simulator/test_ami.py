"""The simulated AMI against the recordings of a real one, byte for byte but for numbers that differ each time."""

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.simulator.exchange import Delays
from service.simulator.pbx import Simulator
from tests.hurry import Hurry
from tests.simulator.lab import BOX, Client, connected, fill, logged_in, simulator
from tests.simulator.recordings import FIXTURES


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with simulator(tmp_path) as running:
        yield running


SAME = (
    (rb"(EventTV|SessionTV|SessionID|LocalAddress|RemoteAddress|AccountID): .*\r\n", rb"\1: #\r\n"),
    (rb"(Uptime|LastReload|Timestamp|MailCommand): .*\r\n", rb"\1: #\r\n"),
    (rb"(CoreStartupDate|CoreStartupTime|CoreReloadDate|CoreReloadTime|CoreProcessedCalls): .*\r\n", rb"\1: #\r\n"),
    (rb"Challenge: \d+\r\n", rb"Challenge: #\r\n"),
    (rb"ID: \d{10}-[0-9a-f]{8}\r\n", rb"ID: #\r\n"),
    (rb"Event: (TestEvent|CEL|Newchannel)\r\n(?:.+\r\n)+\r\n", rb""),
    (rb"Event: PeerStatus\r\n(?:.+\r\n)+\r\n", rb""),
)


def same(data: bytes) -> bytes:
    """Take out what differs each time, and events of other modules."""
    for pattern, instead in SAME:
        data = re.sub(pattern, instead, data)
    return data


def recorded(version: int, name: str) -> bytes:
    return same((FIXTURES / "ami-recordings" / f"ami-{version}-{name}.txt").read_bytes())


async def goodbye(client: Client) -> bytes:
    client.send("Action: Logoff\r\n\r\n")
    return same(await client.to_the_end())


@pytest.mark.parametrize("version", [22, 16])
async def test_moving_a_message_is_answered_as_recorded(tmp_path: Path, version: int) -> None:
    """22: Success, a bare line feed, then MessageWaiting without a channel; 16 has no such action."""
    async with simulator(tmp_path, version) as pbx:
        await fill(pbx, "100@default", 6)
        async with logged_in(pbx) as client:
            first = pbx.spool.msg_ids(BOX)[0]
            await client.ask(
                "VoicemailMove", Context="default", Mailbox="100", Folder="INBOX", ID=first, ToFolder="Old"
            )
            await client.until("MessageWaiting" if version == 22 else "RequestBadFormat")
            assert await goodbye(client) == recorded(version, "ami-move-first")


async def test_removing_a_message_is_answered_as_recorded(pbx: Simulator) -> None:
    ids = await fill(pbx, "100@default", 6)
    await pbx.move(BOX, ids[0], "Old")
    await pbx.settle()
    async with logged_in(pbx) as client:
        await client.ask("VoicemailRemove", Context="default", Mailbox="100", Folder="INBOX", ID=ids[1])
        await client.until("MessageWaiting")
        assert await goodbye(client) == recorded(22, "ami-remove-first")


async def test_forwarding_a_message_tells_of_the_target_alone(pbx: Simulator) -> None:
    ids = await fill(pbx, "100@default", 2)
    await fill(pbx, "109@default", 1)
    async with logged_in(pbx) as client:
        target = {"ToContext": "default", "ToMailbox": "109", "ToFolder": "INBOX"}
        await client.ask("VoicemailForward", Context="default", Mailbox="100", Folder="INBOX", ID=ids[0], **target)
        await client.until("MessageWaiting")
        assert await goodbye(client) == recorded(22, "ami-forward")


@pytest.mark.parametrize("version", [22, 16])
async def test_what_fails_is_answered_as_recorded(tmp_path: Path, version: int) -> None:
    """Asterisk says Success where it failed, unless a parameter is missing altogether."""
    async with simulator(tmp_path, version) as pbx:
        ids = await fill(pbx, "100@default", 4)
        moved = await fill(pbx, "100@default", 1)
        await pbx.move(BOX, moved[0], "Old")
        await pbx.settle()
        box = {"Context": "default", "Mailbox": "100"}
        inbox = {**box, "Folder": "INBOX"}
        to = {"ToContext": "default", "ToMailbox": "109", "ToFolder": "INBOX"}
        async with logged_in(pbx) as client:
            await client.ask("VoicemailMove", **inbox, ID="1-00000000", ToFolder="Old")
            await client.ask("VoicemailMove", **box, Folder="Inbox", ID=ids[0], ToFolder="old")
            if version == 22:
                await client.until("MessageWaiting")
            await client.ask("VoicemailMove", **box, Folder="0", ID=ids[1], ToFolder="Old")
            await client.ask("VoicemailMove", **inbox, ID=ids[1], ToFolder="Nowhere")
            await client.ask(
                "VoicemailMove", Context="default", Mailbox="999", Folder="INBOX", ID=ids[1], ToFolder="Old"
            )
            await client.ask("VoicemailMove", **inbox, ID=ids[1])
            await client.ask("VoicemailMove", **inbox, ToFolder="Old")
            await client.ask("VoicemailRemove", **inbox, ID="1-00000000")
            await client.ask("VoicemailRemove", **box, Folder="Work", ID=ids[1])
            await client.ask("VoicemailForward", **inbox, ID="1-00000000", **to)
            await client.ask("VoicemailForward", **inbox, ID=ids[1], **{**to, "ToMailbox": "999"})
            if version == 16:
                await client.until("RequestBadFormat")
            assert await goodbye(client) == recorded(version, "ami-errors")


@pytest.mark.parametrize("version", [22, 16])
async def test_bad_input_is_answered_as_recorded(tmp_path: Path, version: int) -> None:
    async with simulator(tmp_path, version) as pbx, connected(pbx) as client:
        client.send("Action: Ping\r\n\r\nno colon\r\n\r\n")
        assert await goodbye(client) == recorded(version, "bad-input")


@pytest.mark.parametrize("version", [22, 16])
async def test_a_wrong_secret_is_answered_as_recorded_and_ends_the_connection(tmp_path: Path, version: int) -> None:
    async with simulator(tmp_path, version) as pbx, connected(pbx) as client:
        await client.ask("Login", Username="lab", Secret="wrong")
        assert same(await client.to_the_end()) == recorded(version, "login-failed")


@pytest.mark.parametrize("version", [22, 16])
async def test_a_challenge_is_answered_as_recorded(tmp_path: Path, version: int) -> None:
    async with simulator(tmp_path, version) as pbx, connected(pbx) as client:
        answer = await client.ask("Challenge", AuthType="MD5")
        challenge = answer.partition(b"Challenge: ")[2].strip().decode()
        key = hashlib.md5(f"{challenge}s".encode()).hexdigest()
        await client.ask("Login", AuthType="MD5", Username="lab", Key=key)
        assert await goodbye(client) == recorded(version, "challenge-md5")


async def test_a_client_that_wants_no_events_gets_none(pbx: Simulator) -> None:
    async with logged_in(pbx, Events="off") as client:
        await fill(pbx, "100@default", 1)
        assert await goodbye(client) == recorded(22, "login-eventsoff")


@pytest.mark.parametrize("version", [22, 16])
async def test_a_reload_and_a_boot_tell_of_every_mailbox(tmp_path: Path, version: int) -> None:
    """At the boot they say Waiting: 0 whatever there is, and come before FullyBooted; login works by then."""
    async with simulator(tmp_path, version) as pbx:
        pbx.delays = Delays(mwi=0, cdr=0, boot=20)
        await fill(pbx, "100@default", 4)
        async with logged_in(pbx) as before:
            await pbx.restart()
            assert b"Event: Shutdown\r\nPrivilege: system,all\r\n" in await before.to_the_end()
        async with logged_in(pbx) as client:
            await Hurry().on(20)
            await client.until("FullyBooted")
            told = [message for message in client.read.split(b"\r\n\r\n") if b"MessageWaiting" in message]
            assert len(told) == len(pbx.boxes)
            assert told[0].endswith(b"Mailbox: 100@default\r\nWaiting: 0\r\nNew: 4\r\nOld: 0")
            booted = same(client.read).partition(b"Event: FullyBooted")[2]
            assert booted in recorded(version, "after-restart")
            await pbx.reload()
            last = await client.until("Mailbox: 100@default")
            assert last.endswith(b"Waiting: 1\r\nNew: 4\r\nOld: 0\r\n\r\n")


STATUS: tuple[tuple[str, dict[str, str]], ...] = (
    ("VoicemailUsersList", {}),
    ("VoicemailUserStatus", {"Context": "default", "Mailbox": "104"}),
    ("VoicemailUserStatus", {"Context": "default", "Mailbox": "999"}),
    ("VoicemailBoxSummary", {"Context": "default", "Mailbox": "104"}),
    ("VoicemailBoxSummary", {"Context": "default", "Mailbox": "108"}),
    ("VoicemailBoxSummary", {"Context": "default", "Mailbox": "109"}),
    ("VoicemailBoxSummary", {"Context": "default", "Mailbox": "999"}),
    ("VoicemailBoxSummary", {"Context": "default"}),
    ("MailboxStatus", {"Mailbox": "104@default"}),
    ("MailboxCount", {"Mailbox": "104@default"}),
    ("MailboxStatus", {"Mailbox": "104"}),
    ("MailboxCount", {"Mailbox": "104"}),
    ("MailboxStatus", {"Mailbox": "101@default"}),
    ("MailboxCount", {"Mailbox": "101@default"}),
    ("MailboxStatus", {"Mailbox": "100@other"}),
    ("MailboxCount", {"Mailbox": "100@other"}),
    ("MailboxStatus", {"Mailbox": "999@default"}),
    ("MailboxCount", {"Mailbox": "999@default"}),
    ("MWIGet", {}),
    ("MWIGet", {}),
    ("VoicemailRefresh", {"Context": "default", "Mailbox": "999"}),
    ("VoicemailRefresh", {"Context": "default", "Mailbox": "101"}),
    ("Bogus", {}),
    ("Ping", {}),
    ("CoreSettings", {}),
    ("CoreStatus", {}),
)
CALLERS = re.compile(r"callerid=(.*)\norigdate=.*\norigtime=(\d+)\n(?:.*\n)*?duration=(\d+)")


async def lab_as_it_was(pbx: Simulator) -> None:
    """Leave the messages that lay in the lab's mailboxes when the answers were recorded."""
    await pbx.leave("100@default", seconds=3)
    await pbx.leave("100@default", seconds=3)
    await pbx.leave("101@default", seconds=2)
    await pbx.leave("101@default", seconds=2)
    await pbx.leave("101@default", seconds=2, urgent=True)
    await fill(pbx, "102@default", 3)
    await pbx.leave("104@default", '"Jane Doe" <15551234567>', 3, origtime=1795211073)
    texts = (FIXTURES / "message-texts" / "cid-22-txt.txt").read_text()
    for text in re.split(r"\n\n", texts):
        if match := CALLERS.search(text):
            await pbx.leave("108@default", match[1], int(match[3]), origtime=int(match[2]))
    await pbx.leave("109@default", '"Hash" <15550000032>', 2, origtime=1795211150)
    await pbx.leave("100@other", seconds=1)
    await pbx.settle()


@pytest.mark.parametrize("version", [22, 16])
async def test_all_that_can_be_asked_is_answered_as_recorded(tmp_path: Path, version: int) -> None:
    """User lists, summaries, counts, refreshes, unknown actions, settings; of the list of commands those it has."""
    async with simulator(tmp_path, version) as pbx:
        await lab_as_it_was(pbx)
        async with logged_in(pbx) as client:
            for name, headers in STATUS:
                await client.ask(name, **headers)
                if version == 22 and headers.get("Mailbox") == "101" and name == "VoicemailRefresh":
                    await client.until("MessageWaiting")
            answers = same(client.read)
            commands = await client.ask("ListCommands")
        expected, _, listed = recorded(version, "actions-status").partition(b"Response: Success\r\nActionID: a28\r\n")
        assert answers == expected
        assert set(commands.splitlines()) <= {*listed.splitlines(), b"Response: Success", b"ActionID: a28"}


async def test_what_a_user_may_not_ask_for_is_not_on_the_list_of_actions(tmp_path: Path) -> None:
    """`action_listcommands()` in manager.c leaves out what the session has no right to write."""
    async with simulator(tmp_path) as pbx, logged_in(pbx, Username="daemon", Secret="d") as client:
        commands = await client.ask("ListCommands")
    assert b"MailboxCount: " in commands
    assert b"Ping: " in commands
    assert b"VoicemailMove: " not in commands
