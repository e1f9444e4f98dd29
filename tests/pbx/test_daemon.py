"""The daemon beside a real Asterisk: every way a message comes, is heard, moves and goes, on 22 and on 16."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.settings import Settings
from tests.house import PATIENCE_S, Frame, House, Process, Socket, living, new_token, settings_for, visiting
from tests.pbx.ami_client import AmiError
from tests.pbx.asterisk import Asterisk
from tests.pbx.conftest import NewAsterisk
from tests.pbx.process import DAEMON, Options
from tests.test_daemon import reachable

BOXES = ("100@default", "101@default", "103@default", "108@default", "100@other")


def settings_beside(pbx: Asterisk, state: Path, **sections: dict[str, object]) -> Settings:
    ami = {"enabled": True, "port": pbx.ami_port, "username": DAEMON.username, "secret": DAEMON.secret}
    return settings_for(state, None, pbx.spool, ami=ami | sections.pop("ami", {}), **sections)


@pytest.fixture
async def house(pbx: Asterisk, tmp_path: Path) -> AsyncIterator[House]:
    """A daemon with the least rights beside this PBX, 22 and 16 in turn."""
    async with living(settings_beside(pbx, tmp_path)) as house:
        await house.until_ready()
        yield house


@pytest.fixture
async def house22(pbx22: Asterisk, tmp_path: Path) -> AsyncIterator[House]:
    async with living(settings_beside(pbx22, tmp_path)) as house:
        await house.until_ready()
        yield house


@contextlib.asynccontextmanager
async def listening_to(house: House) -> AsyncIterator[Socket]:
    async with house.ws() as (socket, _hello):
        yield socket


async def assert_all_agree(house: House, pbx: Asterisk) -> None:
    """The badges, unread-count, the list, AMI's MailboxCount and the spool say the same."""
    async with house.ws() as (_socket, hello):
        badges = hello["unread"]["mailboxes"]
    total = 0
    for mailbox in BOXES:
        counted = await pbx.count(mailbox)
        badge = badges.get(mailbox, {"new": 0, "old": 0, "urgent": 0})
        assert (badge["urgent"], badge["new"] - badge["urgent"], badge["old"]) == (
            counted.urgent,
            counted.new,
            counted.old,
        ), mailbox
        files = {folder: len(pbx.messages(mailbox, folder)) for folder in ("INBOX", "Urgent", "Old")}
        assert (files["Urgent"], files["INBOX"], files["Old"]) == (counted.urgent, counted.new, counted.old), mailbox
        total += badge["new"]
    assert await house.unread() == total
    assert len(await house.messages("&filter[status]=1")) == total


def news(socket: Socket) -> list[Frame]:
    return [frame["message"] for frame in socket.told if frame["type"] == "message.new"]


@pytest.mark.parametrize(
    ("caller", "name", "number"),
    [
        ('"Jane Doe" <15551234567>', "Jane Doe", "15551234567"),
        ("15550000044", "", "15550000044"),
        ("Only Name <>", "Only Name", ""),
        ('"Zoë Müller 😀" <15550000040>', "Zoë Müller 😀", "15550000040"),
        (b'"Ren\xe9e" <15550000041>', "Ren�e", "15550000041"),
        ('"Comma, Inc.;x=y" <+4415550000045>', "Comma, Inc.;x=y", "+4415550000045"),
        ("", "", ""),
    ],
)
async def test_a_message_is_told_with_its_caller_whoever_he_says_he_is(
    house22: House, pbx22: Asterisk, caller: str | bytes, name: str, number: str
) -> None:
    async with listening_to(house22) as socket:
        await pbx22.leave("100", caller=caller)
        await socket.badge(1)
        [told] = news(socket)
    assert (told["caller_id_name"], told["src"], told["dst"]) == (name, number, "100")
    [message] = pbx22.messages("100")
    assert (told["duration"], told["audio"]["content_type"]) == (message.seconds, "audio/wav")
    await assert_all_agree(house22, pbx22)


async def test_a_plain_and_an_urgent_message_are_counted_as_the_phone_counts_them(house: House, pbx: Asterisk) -> None:
    async with listening_to(house) as socket:
        await pbx.leave("100")
        await socket.badge(1)
        await pbx.leave("100", urgent=True)
        badge = await socket.badge(2)
    assert (badge["new"], badge["urgent"]) == (2, 1)
    assert [row["urgent"] for row in news(socket)] == [False, True]
    await assert_all_agree(house, pbx)


async def test_a_message_for_several_mailboxes_is_one_in_each(house: House, pbx: Asterisk) -> None:
    async with listening_to(house) as socket:
        await pbx.leave("100&101&100@other")
        await socket.badge(3)
    assert sorted(row["mailbox"] for row in news(socket)) == ["100@default", "100@other", "101@default"]
    assert len({row["uuid"] for row in news(socket)}) == 3
    await assert_all_agree(house, pbx)


async def test_of_three_formats_the_one_a_browser_plays_is_served(new_asterisk: NewAsterisk, tmp_path: Path) -> None:
    pbx = await new_asterisk("22", Options(formats="wav49|gsm|wav"))
    async with living(settings_beside(pbx, tmp_path)) as house:
        async with listening_to(house) as socket:
            await pbx.leave("100")
            await socket.badge(1)
        [row] = await house.messages()
        async with house.http.get(row["recorded_file_url"]) as answer:
            assert (answer.status, answer.content_type) == (200, "audio/wav")
            assert await answer.read() == (pbx.mailbox_dir("100") / "INBOX" / "msg0000.wav").read_bytes()
        await assert_all_agree(house, pbx)


async def test_a_message_that_is_mailed_and_deleted_leaves_no_badge(house: House, pbx: Asterisk) -> None:
    """delete=yes: it lives some 15 ms; whether we saw it or not, nothing is left."""
    async with listening_to(house) as socket:
        await pbx.leave("103")
        await pbx.leave("100")
        await socket.until(lambda frame: frame["type"] == "unread" and frame["mailbox"] == "100@default")
        await house.get("/message-voice")
    await settled(house, pbx)


async def settled(house: House, pbx: Asterisk) -> None:
    """Until the badges are those of the PBX; then all must agree."""
    async with asyncio.timeout(PATIENCE_S):
        while await house.unread() != await in_pbx(pbx):
            await asyncio.sleep(0.01)  # what is waited for may have happened before
    await assert_all_agree(house, pbx)


async def in_pbx(pbx: Asterisk) -> int:
    counts = [await pbx.count(mailbox) for mailbox in BOXES]
    return sum(count.new + count.urgent for count in counts)


async def test_listening_on_the_phone_puts_lamp_and_badge_out(house: House, pbx: Asterisk) -> None:
    async with listening_to(house) as socket:
        await pbx.leave("100")
        await socket.badge(1)
        await pbx.hear("100")
        await socket.badge(0)
    await assert_all_agree(house, pbx)


async def test_what_is_deleted_or_saved_on_the_phone_goes_or_moves_here(house: House, pbx: Asterisk) -> None:
    async with listening_to(house) as socket:
        for number in range(2):
            await pbx.leave("100", caller=f'"Caller {number}" <1555000000{number}>')
            await socket.badge(number + 1)
        await pbx.delete_by_phone("100")
        gone = await socket.until(lambda frame: frame["type"] == "message.deleted")
        await socket.badge(1)
        assert gone["message"]["caller_id_name"] == "Caller 0"
        await pbx.save_by_phone("100")
        await socket.badge(0)
    [row] = await house.messages()
    assert row["status"] == {"number": 2, "name": "Read"}
    await assert_all_agree(house, pbx)


async def test_what_another_client_of_ami_moves_and_removes_is_seen(house22: House, pbx22: Asterisk) -> None:
    async with listening_to(house22) as socket:
        for number in range(3):
            await pbx22.leave("100", caller=f'"Caller {number}" <1555000000{number}>')
            await socket.badge(number + 1)
        first, second, third = pbx22.messages("100", "INBOX")
        await pbx22.move("100", first.msg_id, "INBOX", "Work")
        await socket.badge(2)
        await pbx22.remove("100", second.msg_id, "INBOX")
        await socket.badge(1)
        await pbx22.move("100", first.msg_id, "Work", "INBOX")
        await socket.badge(2)
    assert {row["src"] for row in await house22.messages()} == {"15550000000", "15550000002"}
    assert third.msg_id in {message.msg_id for message in pbx22.messages("100", "INBOX")}
    await assert_all_agree(house22, pbx22)


async def test_marking_read_here_puts_the_lamp_out_there(house22: House, pbx22: Asterisk) -> None:
    async with listening_to(house22) as socket:
        for number in range(3):
            await pbx22.leave("100", urgent=number == 2)
            await socket.badge(number + 1)
        first = min(row["id"] for row in await house22.messages())
        await house22.post(f"/message-voice/{first}/mark-as-a-read")
        assert (await pbx22.count("100")).old == 1
        await house22.post("/api/v1/message-voice/mark-all-as-read")
        assert await in_pbx(pbx22) == 0
        await socket.badge(0)
    await assert_all_agree(house22, pbx22)


async def test_a_pbx_too_old_to_move_messages_keeps_them_and_the_badge_still_goes_out(
    pbx16: Asterisk, tmp_path: Path
) -> None:
    async with living(settings_beside(pbx16, tmp_path)) as house, listening_to(house) as socket:
        await house.until_ready(lambda told: "cannot move messages" in told["ami"]["detail"])
        await pbx16.leave("100")
        await socket.badge(1)
        await house.post("/message-voice/mark-all-as-read")
        await socket.badge(0)
        assert (await pbx16.count("100")).new == 1
        await pbx16.hear("100")  # the PBX has the last word, and says the same
        await socket.until(lambda frame: frame["type"] == "message.updated" and frame["message"]["folder"] == "Old")
        await assert_all_agree(house, pbx16)
        with pytest.raises(AmiError):
            await pbx16.move("100", "x", "INBOX", "Old")


async def test_without_ami_the_badge_is_right_all_the_same(pbx: Asterisk, tmp_path: Path) -> None:
    async with (
        living(settings_beside(pbx, tmp_path, ami={"enabled": False})) as house,
        listening_to(house) as socket,
    ):
        await pbx.leave("108")
        await socket.badge(1)
        await pbx.hear("108")
        await socket.badge(0)
        await assert_all_agree(house, pbx)


async def test_a_restart_of_the_pbx_in_the_middle_of_a_message_loses_nothing(
    new_asterisk: NewAsterisk, tmp_path: Path
) -> None:
    pbx = await new_asterisk("22")
    async with living(settings_beside(pbx, tmp_path)) as house, listening_to(house) as socket:
        await pbx.leave("100")
        await socket.badge(1)
        await pbx.speak("100")
        await pbx.restart_now()
        await socket.badge(2)
        await pbx.leave("101")
        await socket.badge(3)
        await house.until_ready()
        await assert_all_agree(house, pbx)


async def test_a_backlog_is_there_after_a_restart_of_the_daemon(pbx: Asterisk, tmp_path: Path) -> None:
    settings = settings_beside(pbx, tmp_path)
    async with living(settings) as house, listening_to(house) as socket:
        await pbx.leave("100")
        await socket.badge(1)
    await asyncio.gather(*(pbx.leave(box) for box in ("100", "101", "108", "100@other")))
    await pbx.hear("101")
    async with living(settings) as house:
        assert await house.unread() == 4
        await assert_all_agree(house, pbx)


async def test_killed_while_messages_arrive_it_has_each_of_them_once(pbx: Asterisk, tmp_path: Path) -> None:
    settings = settings_beside(pbx, tmp_path)
    token = new_token(settings)
    for _ in range(3):
        async with Process(settings, tmp_path) as process, visiting(settings, token) as house:
            await reachable(house)
            arriving = [asyncio.create_task(pbx.leave(box)) for box in ("100", "101", "100@other")]
            await asyncio.wait(arriving, return_when=asyncio.FIRST_COMPLETED)
            await process.kill()
            await asyncio.gather(*arriving)
    async with living(settings, token) as house:
        assert await house.unread() == 9
        await assert_all_agree(house, pbx)


async def test_a_voicemail_reload_is_no_news(house: House, pbx: Asterisk) -> None:
    """It sends MessageWaiting for every mailbox; nothing changed, so nothing is told."""
    async with listening_to(house) as socket:
        await pbx.leave("100")
        seq = (await socket.badge(1))["seq"]
        await pbx.cli("voicemail reload")
        await pbx.leave("101")
        await socket.badge(2)
    mailboxes = [
        frame.get("mailbox") or frame["message"]["mailbox"] for frame in socket.told if frame.get("seq", 0) > seq
    ]
    measured = [frame for frame in socket.told if frame["type"] == "message.updated"]
    assert set(mailboxes) - {frame["message"]["mailbox"] for frame in measured} <= {"101@default"}
