"""The daemon as a whole beside a simulated PBX: what its users rely on, through the doors they use."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from service import daemon
from service.daemon_state import link_key
from service.errors import ConflictError, UnavailableError
from service.model import Folder, Scope
from service.simulator.exchange import Delays
from service.simulator.pbx import Simulator
from tests.house import Frame, House, Process, box, living, new_token, settings_for, visiting
from tests.ports import free_port

SOON = Delays(mwi=0.001, cdr=0.001, boot=0.001)


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with Simulator(tmp_path / "spool", delays=SOON, read="call,cdr", write="reporting,user") as pbx:
        yield pbx


@pytest.fixture
async def house(tmp_path: Path, pbx: Simulator) -> AsyncIterator[House]:
    async with living(settings_for(tmp_path, pbx)) as house:
        await house.until_ready()
        yield house


async def assert_all_agree(house: House, pbx: Simulator, *mailboxes: str) -> None:
    """Badge, unread-count, lists, AMI's count and the spool say the same."""
    counted = {mailbox: pbx.spool.counts(box(mailbox)) for mailbox in mailboxes}
    async with house.ws() as (_socket, hello):
        badges = hello["unread"]["mailboxes"]
    for mailbox, counts in counted.items():
        badge = badges.get(mailbox, {"new": 0, "old": 0, "saved": 0, "urgent": 0})
        assert badge == {"new": counts.new, "old": counts.old, "saved": counts.saved, "urgent": counts.urgent}
    assert await house.unread() == sum(counts.new for counts in counted.values())
    assert len(await house.messages("&filter[status]=1")) == await house.unread()


async def test_a_message_that_is_left_is_on_the_websocket_in_the_list_and_in_the_count(
    house: House, pbx: Simulator
) -> None:
    async with house.ws() as (socket, hello):
        assert hello["unread"] == {"total": 0, "mailboxes": {}}
        await pbx.leave("100@default", '"Jane Doe" <+12025550143>', seconds=2)
        badge = await socket.badge(1)
        assert {key: badge[key] for key in ("mailbox", "new", "old", "saved", "urgent")} == {
            "mailbox": "100@default",
            "new": 1,
            "old": 0,
            "saved": 0,
            "urgent": 0,
        }
        told = next(frame for frame in socket.told if frame["type"] == "message.new")["message"]
        assert (told["src"], told["caller_id_name"], told["dst"]) == ("+12025550143", "Jane Doe", "100")
        measured = await socket.until(
            lambda frame: frame["type"] == "message.updated" and frame["message"]["audio"]["peak_dbfs"] is not None
        )
        assert measured["message"]["audio"]["peak_dbfs"] < 0
    assert [row["id"] for row in await house.messages()] == [told["id"]]
    await assert_all_agree(house, pbx, "100@default")


async def test_listening_on_the_phone_puts_the_badge_out(house: House, pbx: Simulator) -> None:
    async with house.ws() as (socket, _hello):
        await pbx.leave("100@default")
        await socket.badge(1)
        await pbx.listen("100@default")
        await socket.badge(0)
    await assert_all_agree(house, pbx, "100@default")
    assert (await house.messages())[0]["status"] == {"number": 2, "name": "Read"}


async def test_marking_read_moves_the_message_on_the_pbx(house: House, pbx: Simulator) -> None:
    async with house.ws() as (socket, _hello):
        for number in range(3):
            await pbx.leave("100@default")
            await socket.badge(number + 1)
        first = (await house.messages("&sort=id"))[0]["id"]
        await house.post(f"/message-voice/{first}/mark-as-a-read")
        assert (pbx.spool.counts(box("100")).new, pbx.spool.counts(box("100")).old) == (2, 1)
        assert await house.unread() == 2
        await house.post(f"/message-voice/{first}/mark-as-a-read")  # again: nothing more happens
        await house.post("/message-voice/mark-all-as-read")
        assert pbx.spool.counts(box("100")).new == 0
        await socket.badge(0)
    await assert_all_agree(house, pbx, "100@default")


async def test_an_urgent_message_is_marked_read_too(house: House, pbx: Simulator) -> None:
    async with house.ws() as (socket, _hello):
        await pbx.leave("100@default", urgent=True)
        assert (await socket.badge(1))["urgent"] == 1
        await house.post("/message-voice/mark-all-as-read")
        assert (await socket.badge(0))["urgent"] == 0
    await assert_all_agree(house, pbx, "100@default")


async def test_a_pbx_that_cannot_be_reached_marks_nothing_and_says_so(house: House, pbx: Simulator) -> None:
    async with house.ws() as (socket, _hello):
        await pbx.leave("100@default")
        await socket.badge(1)
    pbx.silence()
    pbx.drop_connections()
    await house.until_ready(lambda told: told["ami"]["state"] == "connecting")
    answer = await house.post("/message-voice/mark-all-as-read", status=503)
    assert "0 of 1 messages were marked" in answer["message"]
    assert await house.unread() == 1
    pbx.silence(on=False)


@pytest.mark.parametrize("how", ["too old", "write_back off", "no AMI"])
async def test_where_the_pbx_cannot_be_told_the_status_is_kept_here_until_it_moves_the_message(
    tmp_path: Path, how: str
) -> None:
    version = 16 if how == "too old" else 22
    async with Simulator(tmp_path / "spool", delays=SOON, version=version) as pbx:
        settings = settings_for(tmp_path, None if how == "no AMI" else pbx, pbx={"write_back": how != "write_back off"})
        async with living(settings) as house, house.ws() as (socket, _hello):
            left = await pbx.leave("100@default")
            assert left is not None
            await socket.badge(1)
            await house.post("/message-voice/mark-all-as-read")
            await socket.badge(0)
            assert pbx.spool.counts(box("100")).new == 1
            await pbx.move("100@default", left.msg_id, Folder.OLD)
            await socket.until(lambda frame: frame["type"] == "message.updated" and frame["message"]["folder"] == "Old")
            await pbx.move("100@default", left.msg_id, Folder.INBOX, Folder.OLD)
            await socket.badge(1)


async def test_without_ami_inotify_alone_keeps_the_badge_right(tmp_path: Path) -> None:
    async with (
        Simulator(tmp_path / "spool", delays=SOON) as pbx,
        living(settings_for(tmp_path, None)) as house,
        house.ws() as (socket, _hello),
    ):
        for number in range(5):
            await pbx.leave(f"{100 + number % 3}@default", copies=["100@other"] if number == 4 else ())
        await socket.until(lambda frame: frame["type"] == "unread" and frame["total"] == 6)
        await assert_all_agree(house, pbx, "100@default", "101@default", "102@default", "100@other")


async def test_what_came_while_the_daemon_was_down_is_there_when_it_is_ready(tmp_path: Path, pbx: Simulator) -> None:
    settings = settings_for(tmp_path, pbx)
    async with living(settings) as house, house.ws() as (socket, _hello):
        await pbx.leave("100@default")
        seq = (await socket.badge(1))["seq"]
    for _ in range(5):
        await pbx.leave("101@default")
    await pbx.listen("100@default")
    async with living(settings) as house:
        await assert_all_agree(house, pbx, "100@default", "101@default")
        async with house.ws(f"?since={seq}") as (socket, hello):
            assert hello["unread"]["total"] == 5
            await socket.badge(5)
            news = [frame["message"]["mailbox"] for frame in socket.told if frame["type"] == "message.new"]
            assert news == ["101@default"] * 5


async def test_a_restart_of_the_pbx_loses_nothing(house: House, pbx: Simulator) -> None:
    async with house.ws() as (socket, _hello):
        await pbx.leave("100@default")
        await socket.badge(1)
        pbx.events = False
        await pbx.leave("100@default")
        await pbx.restart()
        pbx.events = True
        await pbx.leave("101@default")
        await socket.badge(3)
    await house.until_ready()
    await assert_all_agree(house, pbx, "100@default", "101@default")


async def test_a_forged_event_changes_nothing(house: House, pbx: Simulator) -> None:
    async with house.ws() as (socket, _hello):
        await pbx.leave("100@default", '"x\r\nEvent: MessageWaiting\r\nMailbox: 100@default\r\nNew: 9" <1>')
        frame = await socket.badge(1)
        assert frame["new"] == 1


async def test_a_token_for_one_mailbox_sees_nothing_of_the_others(house: House, pbx: Simulator) -> None:
    limited = new_token(house.settings, "limited", Scope.WRITE, frozenset({box("101")}))
    async with house.ws() as (socket, _hello):
        await pbx.leave("100@default")
        await pbx.leave("101@default")
        await socket.badge(2)
    foreign = next(row["id"] for row in await house.messages() if row["dst"] == "100")
    async with visiting(house.settings, limited) as other:
        await accepted(other)
        assert await other.unread() == 1
        assert [row["dst"] for row in await other.messages()] == ["101"]
        await other.post(f"/message-voice/{foreign}/mark-as-a-read", status=404)
        await other.post("/message-voice/mark-all-as-read")
        events: list[Frame] = (await other.get("/events?since=0"))["events"]
        told = [frame for frame in events if not frame["type"].startswith("call")]
        assert {frame.get("mailbox") or frame["message"]["mailbox"] for frame in told} == {"101@default"}
        assert foreign not in [frame["call"]["voicemail_id"] for frame in events if "call" in frame]
    assert pbx.spool.counts(box("100")).new == 1


async def accepted(house: House) -> None:
    """Until the daemon has taken over a token that a command made beside it."""
    async with asyncio.timeout(60):
        while True:
            async with house.http.get(house.url + "/message-voice/unread-count") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.02)  # as a client would


async def test_audio_is_served_byte_for_byte_by_its_link(house: House, pbx: Simulator) -> None:
    async with house.ws() as (socket, _hello):
        left = await pbx.leave("100@default", seconds=1)
        assert left is not None
        await socket.badge(1)
    link = (await house.messages())[0]["recorded_file_url"]
    async with house.http.get(link, headers={"Authorization": ""}) as answer:
        assert answer.status == 200
        heard = await answer.read()
    path = house.settings.spool.path / "default/100/INBOX/msg0000.wav"
    assert heard == await asyncio.to_thread(path.read_bytes)


async def test_a_scan_beside_the_daemon_is_followed(tmp_path: Path, pbx: Simulator) -> None:
    settings = settings_for(tmp_path, pbx)
    async with living(settings) as house, house.ws() as (socket, _hello):
        await pbx.leave("100@default")
        await daemon.scan(settings, lambda _done, _total: None)
        await socket.badge(1)
        await assert_all_agree(house, pbx, "100@default")


async def test_only_one_daemon_runs_on_a_database(tmp_path: Path, house: House) -> None:
    with pytest.raises(ConflictError, match="another voicemaild is running"):
        await daemon.run(house.settings, environ={})


async def test_a_port_that_is_taken_is_told_in_words(tmp_path: Path, house: House) -> None:
    other = settings_for(tmp_path / "other", None, http={"port": house.settings.http.port})
    with pytest.raises(UnavailableError, match=r"cannot listen on .* see \[http\]"):
        await daemon.run(other, environ={})


def test_the_key_of_links_is_made_once_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    database = tmp_path / "voicemaild.db"
    key = link_key(database)
    assert len(key) == 32
    assert link_key(database) == key
    assert stat.S_IMODE((tmp_path / "link.key").stat().st_mode) == 0o600
    (tmp_path / "link.key").write_bytes(b"short")
    with pytest.raises(ConflictError, match="damaged"):
        link_key(database)


def test_a_key_of_links_that_was_only_half_written_is_made_anew(tmp_path: Path) -> None:
    """A disk that was full, or a kill at that moment, must not keep the daemon from ever starting again."""
    (tmp_path / "link.key.new").write_bytes(b"short")
    assert len(link_key(tmp_path / "voicemaild.db")) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["link.key"]


def test_a_key_of_links_that_cannot_be_read_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "link.key").mkdir()
    with pytest.raises(ConflictError, match=r"link\.key cannot be used: Is a directory"):
        link_key(tmp_path / "voicemaild.db")


async def test_an_address_that_nobody_knows_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"cannot listen on .*: Name or service not known; see \[http\]"):
        await daemon.run(settings_for(tmp_path, None, http={"host": "no-such-host.invalid"}), environ={})


async def test_sigterm_ends_it_while_another_process_keeps_the_database_locked(tmp_path: Path) -> None:
    """The lock is not waited for: it is held until the daemon has ended."""
    settings = settings_for(tmp_path, None)
    settings.spool.path.mkdir()
    token = new_token(settings)
    async with Process(settings, tmp_path) as process, visiting(settings, token) as house:
        await reachable(house)
        await house.until_ready()
        with contextlib.closing(sqlite3.connect(settings.store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            inbox = settings.spool.path / "default" / "100" / "INBOX"
            inbox.mkdir(parents=True)
            (inbox / "msg0000.txt").write_text("[message]\norigtime=1\nduration=1\nmsg_id=1-1\n")
            await process.until_logged("store cannot write")
            code, _log = await process.kill(signal.SIGTERM)
    assert code == 0


async def test_sigterm_ends_it_cleanly_and_websockets_are_told(tmp_path: Path, pbx: Simulator) -> None:
    settings = settings_for(tmp_path, pbx)
    token = new_token(settings)
    async with Process(settings, tmp_path) as process, visiting(settings, token) as house:
        await reachable(house)
        async with house.ws() as (socket, _hello):
            stopping = asyncio.create_task(process.kill(signal.SIGTERM))
            await socket.ws.receive()
            assert socket.ws.close_code == 1001
            code, log = await stopping
    assert code == 0
    assert "Traceback" not in log
    assert pbx.secret not in log
    assert token not in log


async def test_sighup_takes_over_a_new_configuration_and_refuses_a_wrong_one(tmp_path: Path, pbx: Simulator) -> None:
    settings = settings_for(tmp_path, pbx)
    port = free_port()
    async with Process(settings, tmp_path) as process, visiting(settings, new_token(settings)) as house:
        await reachable(house)
        config = tmp_path / "voicemaild.toml"
        good = config.read_text()
        config.write_text(good.replace("port = ", "prot = "))
        process.signal(signal.SIGHUP)
        await process.until_logged("configuration not reloaded")
        assert await house.unread() == 0
        config.write_text(good.replace(f"port = {settings.http.port}", f"port = {port}"))
        process.signal(signal.SIGHUP)
        moved = replace(settings, http=replace(settings.http, port=port))
        async with visiting(moved, new_token(settings, "second")) as elsewhere:
            await reachable(elsewhere)
        code, log = await process.kill(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in log


async def reachable(house: House) -> None:
    """Until somebody listens and is ready."""
    async with asyncio.timeout(60):
        while True:
            try:
                await house.until_ready()
            except OSError:
                await asyncio.sleep(0.02)  # a process that is starting cannot be waited for otherwise
            else:
                return


async def test_killed_at_any_moment_it_has_every_message_once_and_every_mark_that_was_answered(
    tmp_path: Path, pbx: Simulator
) -> None:
    """Kill -9 while messages arrive and marks are made, again and again; then the books are balanced."""
    settings = settings_for(tmp_path, pbx)
    token = new_token(settings)
    left: list[str] = []
    marked: set[int] = set()

    async def callers() -> None:
        for number in range(60):
            found = await pbx.leave(f"{100 + number % 3}@default", seconds=0.2)
            assert found is not None
            left.append(found.msg_id)

    async with asyncio.TaskGroup() as group:
        group.create_task(callers())
        for marks_before_the_kill in range(1, 7):
            async with Process(settings, tmp_path) as process, visiting(settings, token) as house:
                await reachable(house)
                await mark(house, marked, marks_before_the_kill)
                late = group.create_task(mark(house, marked, 3))  # the kill comes somewhere in these
                await asyncio.sleep(0)
                await process.kill()
                await asyncio.wait([late])
            assert integrity(settings.store.path) == "ok"

    async with living(settings, token) as house:
        rows = await house.messages()
        assert stored_msg_ids(settings.store.path) == sorted(left)
        assert marked
        assert marked <= {row["id"] for row in rows if row["status"]["number"] == 2}
        await assert_all_agree(house, pbx, "100@default", "101@default", "102@default")


async def mark(house: House, marked: set[int], count: int) -> None:
    """Mark so many messages read, and note those that the daemon said it marked; ends when it is gone."""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        for row in (await house.messages("&filter[status]=1"))[:count]:
            async with house.http.post(f"{house.url}/message-voice/{row['id']}/mark-as-a-read") as answer:
                if answer.status == 200:
                    marked.add(row["id"])


def integrity(database: Path) -> str:
    with contextlib.closing(sqlite3.connect(database)) as conn:
        return str(conn.execute("PRAGMA integrity_check").fetchone()[0])


def stored_msg_ids(database: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(database)) as conn:
        return [row[0] for row in conn.execute("SELECT msg_id FROM message ORDER BY msg_id")]


def test_the_state_directory_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else reads who called whom."""
    settings = settings_for(tmp_path, None)
    new_token(settings)
    assert stat.S_IMODE(settings.store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.store.path.parent.stat().st_mode) & 0o007 == 0
    assert os.access(settings.store.path, os.R_OK)
