import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.ami import Offer, Response, State
from service.errors import InvalidInputError, UnavailableError
from tests.ami.harness import SOON, Heard, client, running
from tests.ami.pbx import GREETING, Peer, Script, event, ping, playing, recording, waiting
from tests.hurry import Hurry


def answering(name: str, raw: bytes) -> Script:
    """A PBX that answers one action, again and again, with recorded bytes."""

    async def script(peer: Peer) -> None:
        await peer.accept(name)
        while True:
            peer.answer_recorded(await peer.expect(name), raw)

    return script


def part(name: str, start: bytes, end: bytes) -> bytes:
    """The piece of a recording from one mark up to and with the end of the message that holds the other."""
    data = recording(name)
    first = data.index(start)
    return data[first : data.index(b"\r\n\r\n", data.index(end, first)) + 4]


@pytest.mark.parametrize(("version", "boxes"), [("16", 12), ("22", 11)])
async def test_a_list_action_is_answered_with_its_entries(version: str, boxes: int) -> None:
    raw = part(f"{version}-actions-status", b"Response: Success\r\nActionID: a2\r\n", b"VoicemailUserEntryComplete")
    entries = raw.count(b"Event: VoicemailUserEntry\r\n")
    assert entries == boxes
    async with playing(answering("VoicemailUsersList", raw)) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        answer = await ami.action("VoicemailUsersList")
        assert answer.ok
        assert answer.message == "Voicemail user list will follow"
        assert len(answer.events) == entries
        assert {entry.name for entry in answer.events} == {"VoicemailUserEntry"}
        assert answer.events[0].fields.get("Fullname") == "Alice Example"
        assert heard.events == []


async def test_a_list_without_entries_and_an_unknown_mailbox_are_answers_without_events() -> None:
    empty = b"Event: VoicemailBoxDetail\r\nActionID: a1\r\nFolder: before its list began\r\n\r\n"
    empty += b"Response: Success\r\nActionID: a1\r\nEventList: start\r\n\r\n"
    empty += b"Event: VoicemailBoxDetailComplete\r\nActionID: a1\r\nEventList: Complete\r\nListItems: 0\r\n\r\n"
    async with playing(answering("VoicemailBoxSummary", empty)) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        assert (await ami.action("VoicemailBoxSummary", {"Mailbox": "100", "Context": "default"})).events == ()
    unknown = part("22-actions-status", b"Response: Success\r\nActionID: a4\r\n", b"There is no voicemail user")
    async with playing(answering("VoicemailUserStatus", unknown)) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        answer = await ami.action("VoicemailUserStatus", {"Mailbox": "999", "Context": "default"})
        assert answer.message == "There is no voicemail user of the given info."


@pytest.mark.parametrize("end", ["cancelled", "endless"])
async def test_a_list_that_is_cut_short_is_not_taken_for_a_whole_one(end: str) -> None:
    raw = b"Response: Success\r\nActionID: a1\r\nEventList: start\r\n\r\n"
    raw += b"Event: Entry\r\nActionID: a1\r\n\r\n" * (3 if end == "cancelled" else 6)
    raw += b"Event: EntryComplete\r\nActionID: a1\r\nEventList: cancelled\r\n\r\n"
    async with (
        playing(answering("VoicemailUsersList", raw)) as pbx,
        running(pbx.port, replace(SOON, max_list=5)) as (ami, heard),
    ):
        await heard.connected()
        answer = await ami.action("VoicemailUsersList")
        assert not answer.ok
        assert "cut short" in answer.message


async def test_a_long_list_is_handed_out_as_it_comes_and_the_pbx_is_taken_for_alive_while_it_comes() -> None:
    """Asterisk answers no ping before it has told the whole list."""

    async def script(peer: Peer) -> None:
        await peer.accept("VoicemailUsersList")
        asked = await peer.expect("VoicemailUsersList")
        peer.answer(asked, EventList="start")
        hurry = Hurry()
        for number in range(4):
            await ping(peer, hurry)
            peer.send(event("Entry", ActionID=asked["ActionID"], Number=str(number)))
        peer.send(event("EntryComplete", ActionID=asked["ActionID"], EventList="Complete"))
        await peer.stay()

    handed: list[str] = []
    async with playing(script) as pbx, running(pbx.port, replace(SOON, max_list=1)) as (ami, heard):
        await heard.connected()
        answer = await ami.action("VoicemailUsersList", each=lambda entry: handed.append(entry.fields.get("Number")))
        assert (answer.ok, answer.events, handed) == (True, (), ["0", "1", "2", "3"])
        assert heard.times(State.CONNECTED) == len(heard.states) == 1


async def test_a_pbx_that_reloads_before_it_answers_is_given_time_and_taken_for_alive() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept("GetConfig")
        asked = await peer.expect("GetConfig")
        hurry = Hurry()
        for _ in range(4):
            await ping(peer, hurry)
        peer.answer(asked)
        await peer.stay()

    async with playing(script) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        assert (await ami.action("GetConfig", {"Filename": "voicemail.conf"}, patient=True)).ok
        assert heard.times(State.CONNECTED) == len(heard.states) == 1


async def test_a_move_that_failed_is_told_in_the_words_of_the_pbx() -> None:
    raw = part("22-ami-errors", b"Response: Success\r\nActionID: a2\r\n", b"Message move failed")
    async with playing(answering("VoicemailMove", raw)) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        answer = await ami.action("VoicemailMove", {"Mailbox": "100", "ToFolder": "Old"})
        assert (answer.ok, answer.message) == (True, "Message move failed")
        assert pbx.peers[0].actions[-1] | {"Mailbox": "100", "ToFolder": "Old"} == pbx.peers[0].actions[-1]


async def test_an_error_is_an_answer() -> None:
    raw = part("22-ami-errors", b"Response: Error\r\nActionID: a7\r\n", b"ToFolder not specified")
    async with playing(answering("VoicemailMove", raw)) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        answer = await ami.action("VoicemailMove")
        assert (answer.ok, answer.message) == (False, "ToFolder not specified, required")


async def test_answers_find_their_actions_in_whatever_order_they_come() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        asked = [await peer.expect("MailboxCount") for _ in range(10)]
        for action in reversed(asked):
            peer.answer(action, Mailbox=action["Mailbox"])
        await peer.stay()

    async with playing(script) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        boxes = [f"{number}@default" for number in range(10)]
        answers = await asyncio.gather(*(ami.action("MailboxCount", {"Mailbox": box}) for box in boxes))
        assert [answer.fields.get("Mailbox") for answer in answers] == boxes


async def test_an_action_without_answer_is_given_up_and_its_late_answer_disturbs_nothing() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        late = await peer.expect("MailboxCount")
        second = await peer.expect("MailboxStatus")
        peer.answer(late, Mailbox="late")
        peer.answer(second, Mailbox="second")
        await peer.stay()

    async with playing(script) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        asked = asyncio.ensure_future(ami.action("MailboxCount", {"Mailbox": "1"}))
        await Hurry().until(asked.done, step=0.5)
        with pytest.raises(UnavailableError, match="did not answer MailboxCount within 10 s"):
            await asked
        assert (await ami.action("MailboxStatus", {"Mailbox": "1"})).fields.get("Mailbox") == "second"
        assert ami.counters.timeouts == 1
        assert len(pbx.peers) == 1


async def test_an_action_cut_off_by_a_lost_connection_fails_at_once_and_is_not_sent_again() -> None:
    async def closing(peer: Peer) -> None:
        await peer.accept()
        move = await peer.expect("VoicemailMove")
        peer.send(f"Response: Success\r\nActionID: {move['ActionID']}\r\nMess".encode())

    async def second(peer: Peer) -> None:
        await peer.accept()
        peer.answer(await peer.expect("CoreStatus"))
        await peer.stay()

    async with playing(closing, second) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        with pytest.raises(UnavailableError, match="closed the connection"):
            await ami.action("VoicemailMove", {"Mailbox": "1"})
        with pytest.raises(UnavailableError, match="closed the connection"):
            await ami.action("CoreStatus")
        await heard.connected(2)
        assert (await ami.action("CoreStatus")).ok
        assert "VoicemailMove" not in [action["Action"] for action in pbx.peers[1].actions]


async def test_no_more_actions_are_under_way_than_allowed() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        for _ in range(3):
            await peer.expect("MailboxCount")
        peer.send(waiting("1@a"))
        await peer.stay()

    async with (
        playing(script) as pbx,
        running(pbx.port, replace(SOON, max_actions=3, ping_interval=0.02)) as (ami, heard),
    ):
        await heard.connected()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ami.action("MailboxCount")) for _ in range(3)]
            await heard.until(lambda: heard.mailboxes == ["1@a"])
            with pytest.raises(UnavailableError, match="under way"):
                await ami.action("MailboxCount")
            for task in asked:
                task.cancel()


@pytest.mark.parametrize(
    "name", ["Originate", "Command", "CreateConfig", "updateconfig", "Ping\r\nAction: Originate", "Logoff"]
)
async def test_an_action_that_nothing_here_needs_is_never_sent(name: str) -> None:
    ami = client(1, Heard())
    with pytest.raises(InvalidInputError):
        await ami.action(name)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("GetConfig", {"Filename": "manager.conf"}),
        ("GetConfig", {"Filename": "voicemail.conf", "filename": "manager.conf"}),
        ("GetConfig", {"Filename": "../asterisk/voicemail.conf"}),
        ("UpdateConfig", {"SrcFilename": "voicemail.conf", "DstFilename": "extensions.conf"}),
        ("UpdateConfig", {"SrcFilename": "manager.conf", "DstFilename": "voicemail.conf"}),
        ("UpdateConfig", {"SrcFilename": "voicemail.conf", "DstFilename": "voicemail.conf", "RELOAD": "yes"}),
    ],
)
async def test_no_configuration_file_but_that_of_the_boxes_is_asked_for(name: str, fields: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError, match="may only be"):
        await client(1, Heard()).action(name, fields)


async def test_a_configuration_of_ten_thousand_boxes_is_one_answer_and_no_pin_of_it_is_shown() -> None:
    lines = "".join(f"Line-000001-{n:06d}: {n + 10_000}=9182736,Box {n},box{n}@example.com\r\n" for n in range(10_000))
    raw = f"Response: Success\r\nActionID: a1\r\nCategory-000001: default\r\n{lines}\r\n".encode()
    async with playing(answering("GetConfig", raw)) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        answer = await ami.action("GetConfig", {"Filename": "voicemail.conf"})
        assert answer.fields.get("Line-000001-009999") == "19999=9182736,Box 9999,box9999@example.com"
        assert "9182736" not in repr(answer)


@given(st.text(max_size=12), st.text(max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_whatever_a_field_holds_it_reaches_the_pbx_as_it_is_or_not_at_all(key: str, value: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        while True:
            peer.answer(await peer.expect("MailboxCount", "CoreStatus"))

    async with playing(script) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        sent = True
        try:
            await ami.action("MailboxCount", {f"X{key}": value})
        except InvalidInputError:
            sent = False
        await ami.action("CoreStatus")
        actions = pbx.peers[0].actions[3:]
        assert [action["Action"] for action in actions] == ["MailboxCount"] * sent + ["CoreStatus"]
        assert pbx.peers[0].received.count(b"\r\n\r\n") == 3 + len(actions)
        if sent:
            assert actions[0][f"X{key}"] == value


def test_a_login_that_would_carry_a_second_action_is_refused_before_anything_runs() -> None:
    with pytest.raises(InvalidInputError) as refused:
        client(1, Heard(), secret="x\r\n\r\nAction: Originate")
    assert "Originate" not in str(refused.value)


async def test_the_actions_on_offer_are_known_and_why_others_are_not() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept("VoicemailBoxSummary")
        while True:
            action = await peer.expect("ListCommands", "VoicemailMove", "VoicemailRefresh", "VoicemailForward")
            if action["Action"] == "ListCommands":
                peer.answer(action, Ping="Keepalive command.", VoicemailBoxSummary="x", VoicemailForward="x")
            elif action["Action"] == "VoicemailMove":
                peer.answer(action, "Error", Message="Permission denied")
            else:
                peer.answer(
                    action, "Error", Message="Invalid/unknown command: VoicemailRefresh. Use Action: ListCommands"
                )

    async with playing(script) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        assert ami.actions == frozenset({"Ping", "VoicemailBoxSummary"})
        assert await ami.offer("VoicemailBoxSummary") is Offer.OFFERED
        assert await ami.offer("VoicemailMove") is Offer.FORBIDDEN
        assert await ami.offer("VoicemailRefresh") is Offer.UNKNOWN
        assert await ami.offer("VoicemailForward") is Offer.OFFERED


async def test_a_real_list_of_actions_is_understood() -> None:
    data = recording("22-actions-status")
    listing = data[data.index(b"Response: Success\r\nActionID: a28") : data.index(b"Response: Goodbye")]

    async def script(peer: Peer) -> None:
        peer.send(GREETING)
        peer.answer(await peer.action(), Challenge="1")
        peer.answer(await peer.action(), Message="Authentication accepted")
        peer.answer_recorded(await peer.action(), listing)
        await peer.stay()

    async with playing(script) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        assert ami.actions is not None
        assert {"VoicemailMove", "VoicemailRemove", "VoicemailBoxSummary", "MailboxCount"} < ami.actions
        assert "Response" not in ami.actions


async def test_a_pbx_that_lists_no_actions_is_asked_all_the_same() -> None:
    async def script(peer: Peer) -> None:
        peer.send(GREETING)
        peer.answer(await peer.action(), Challenge="1")
        peer.answer(await peer.action(), Message="Authentication accepted")
        while True:
            peer.answer(await peer.expect("ListCommands"), "Error", Message="Permission denied")

    async with playing(script) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        assert ami.actions is None
        assert await ami.offer("VoicemailMove") is Offer.OFFERED


async def test_an_action_given_up_by_its_caller_takes_no_place_any_more() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.expect("MailboxCount")
        peer.send(waiting("1@a"))
        peer.answer(await peer.expect("CoreStatus"))
        await peer.stay()

    async with playing(script) as pbx, running(pbx.port, replace(SOON, max_actions=1)) as (ami, heard):
        await heard.connected()
        async with asyncio.TaskGroup() as group:
            given_up = group.create_task(ami.action("MailboxCount"))
            await heard.until(lambda: bool(heard.events))
            given_up.cancel()
        answer = await ami.action("CoreStatus")
        assert isinstance(answer, Response)
