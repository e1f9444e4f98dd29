import asyncio
import hashlib
import logging
import socket
from dataclasses import replace

import pytest

from service.ami import Ami, Limits, State
from service.errors import UnavailableError
from tests.ami.harness import SOON, Heard, running
from tests.ami.pbx import GREETING, SECRET, Peer, Script, event, plain, playing, recording, waiting


async def test_logs_in_by_challenge_so_that_the_secret_is_not_on_the_wire() -> None:
    async with playing(plain) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        peer = pbx.peers[0]
        assert [action["Action"] for action in peer.actions] == ["Challenge", "Login", "ListCommands"]
        login = peer.actions[1]
        assert login["Key"] == hashlib.md5(f"101682668{SECRET}".encode()).hexdigest()
        assert (login["Username"], login["AuthType"], login["Events"]) == ("voicemaild", "MD5", "call,cdr")
        assert SECRET.encode() not in peer.received
        assert ami.greeting == "Asterisk Call Manager/11.0.0"
        assert heard.states == [(State.CONNECTED, ami.detail)]


async def test_logs_in_with_the_secret_where_the_pbx_offers_no_challenge() -> None:
    async def script(peer: Peer) -> None:
        peer.send(GREETING)
        peer.answer(await peer.action(), "Error", Message="Invalid/unknown command: Challenge.")
        peer.answer(await peer.action(), Message="Authentication accepted")
        peer.answer(await peer.action(), Ping="Keepalive command.")
        await peer.stay()

    async with playing(script) as pbx, running(pbx.port) as (_, heard):
        await heard.connected()
        assert pbx.peers[0].actions[1]["Secret"] == SECRET


@pytest.mark.parametrize("version", ["16", "22"])
async def test_a_refused_login_is_told_with_what_to_do_and_tried_again(
    version: str, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = recording(f"{version}-login-failed").partition(b"\r\n")[2]

    async def refuse(peer: Peer) -> None:
        peer.send(GREETING)
        peer.answer(await peer.action(), Challenge="1")
        peer.answer_recorded(await peer.action(), refusal)

    caplog.set_level(logging.DEBUG)
    async with playing(refuse, refuse, plain) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        assert ami.counters.refusals == 2
        assert [state for state, _ in heard.states] == [State.REFUSED, State.CONNECTED]
        detail = heard.states[0][1]
        for word in ("'voicemaild'", "Authentication failed", "manager.conf", "secret"):
            assert word in detail
    assert SECRET not in caplog.text
    assert SECRET not in detail


async def test_while_refused_an_action_says_why_it_cannot_be_done() -> None:
    async def refuse(peer: Peer) -> None:
        peer.send(GREETING)
        peer.answer(await peer.action(), Challenge="1")
        peer.answer(await peer.action(), "Error", Message="Authentication failed")

    async with playing(refuse) as pbx, running(pbx.port, replace(SOON, refused_min=60, refused_max=60)) as (ami, heard):
        await heard.until(lambda: heard.times(State.REFUSED) == 1)
        with pytest.raises(UnavailableError, match=r"manager\.conf"):
            await ami.action("CoreStatus")


def test_refused_logins_are_tried_at_most_eight_times_in_ten_minutes() -> None:
    waits = [Limits().refused_wait(refusals) for refusals in range(40)]
    assert waits[:5] == [30, 60, 120, 240, 300]
    assert max(waits) == 300
    assert sum(1 for count in range(40) if sum(waits[:count]) <= 600) <= 8


def test_the_first_new_try_comes_within_a_second_and_the_others_spread_up_to_half_a_minute() -> None:
    ranges = [Limits().retry_range(attempt) for attempt in range(2_000)]
    assert ranges[:4] == [(0, 1), (0.5, 2), (0.5, 4), (0.5, 8)]
    assert ranges[-1] == (0.5, 30)


async def test_nothing_listening_is_told_in_words_and_connected_to_once_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with running(port) as (ami, heard):
        await heard.until(lambda: bool(heard.states))
        assert heard.states == [(State.CONNECTING, f"no connection to 127.0.0.1:{port}: Connection refused")]
        with pytest.raises(UnavailableError, match="Connection refused"):
            await ami.action("CoreStatus")


async def test_a_host_name_that_is_none_is_a_failure_like_others() -> None:
    heard = Heard()
    ami = Ami(
        host="a..b", port=1, username="u", secret="s", on_event=heard.on_event, on_state=heard.on_state, limits=SOON
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ami.run())
        await heard.until(lambda: bool(heard.states))
        task.cancel()
    assert heard.states[0][0] is State.CONNECTING


async def test_a_pbx_that_stays_long_unreachable_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async def shut(peer: Peer) -> None:
        """Close at once."""

    async with playing(*[shut] * 12, plain) as pbx, running(pbx.port) as (_, heard):
        await heard.connected()
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


async def test_what_answers_but_is_no_pbx_gets_no_login() -> None:
    async def ssh(peer: Peer) -> None:
        peer.send(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
        await peer.reader.read()

    async with playing(ssh, plain) as pbx, running(pbx.port) as (_, heard):
        await heard.connected()
        assert "not an Asterisk Manager Interface" in heard.states[0][1]
        assert pbx.peers[0].actions == []


@pytest.mark.parametrize("greeting", [b"", GREETING])
async def test_a_login_that_nobody_answers_is_given_up(greeting: bytes) -> None:
    async def silent(peer: Peer) -> None:
        peer.send(greeting)
        await peer.fall_silent()

    async with playing(silent, plain) as pbx, running(pbx.port, replace(SOON, login=0.1)) as (_, heard):
        await heard.connected()
        assert "within 0.1 s" in heard.states[0][1]


async def test_no_event_is_delivered_before_the_login_is_accepted() -> None:
    async def script(peer: Peer) -> None:
        peer.send(GREETING + waiting("1@early"))
        challenge = await peer.action()
        peer.answer(challenge, Challenge="1")
        login = await peer.action()
        peer.send(waiting("2@early"))
        peer.answer(login, Message="Authentication accepted")
        peer.send(waiting("3@there"))
        peer.answer(await peer.action(), Ping="x")
        await peer.stay()

    async with playing(script) as pbx, running(pbx.port) as (ami, heard):
        await heard.connected()
        assert heard.mailboxes == ["3@there"]
        assert (ami.counters.handled, ami.counters.skipped) == (1, 2)


@pytest.mark.parametrize("name", ["16-filter", "22-filter", "22-ami-move-first", "16-voicemail-reload"])
async def test_a_recorded_session_arrives_whole_when_its_bytes_come_one_at_a_time(name: str) -> None:
    data = recording(name)
    events = data[data.index(b"\r\n\r\n") + 4 :]

    async def script(peer: Peer) -> None:
        await peer.accept()
        for byte in events:
            peer.send(bytes([byte]))
            await peer.writer.drain()
        peer.send(waiting("999@last"))
        await peer.stay()

    async with playing(script) as pbx, running(pbx.port) as (ami, heard):
        await heard.until(lambda: "999@last" in heard.mailboxes)
        names = [b"\r\nEvent: %s\r\n" % name for name in (b"Cdr", b"MessageWaiting", b"FullyBooted", b"Shutdown")]
        assert len(heard.events) == sum(data.count(name) for name in names) + 1
        assert ami.counters.malformed == 0
        assert len(pbx.peers) == 1


async def test_a_bad_message_costs_a_counter_and_not_the_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(
            b"what?\r\n\r\n\xff\xfe: \xfd\r\n\r\nEvent: \xff\r\n\r\nResponse: Error\r\nMessage: Missing action\r\n\r\n"
        )
        peer.send(waiting("1@a"))
        await peer.stay()

    async with playing(script) as pbx, running(pbx.port) as (ami, heard):
        await heard.until(lambda: heard.mailboxes == ["1@a"])
        assert (ami.counters.malformed, len(pbx.peers)) == (2, 1)


async def test_a_line_beyond_the_limit_ends_the_connection_and_a_new_one_is_made() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(b"Event: Cdr\r\nUserField: " + b"x" * 10_000)
        await peer.reader.read()

    async with playing(script, plain) as pbx, running(pbx.port) as (_, heard):
        await heard.connected(2)
        assert "beyond 8192" in heard.states[1][1]


async def test_wherever_the_pbx_closes_the_client_comes_back_and_ends_up_connected() -> None:
    session = recording("22-login-eventsoff").partition(b"Response: Goodbye")[0]

    def closing_after(count: int) -> Script:
        async def script(peer: Peer) -> None:
            sent = session[:count]
            peer.send(sent[: len(GREETING)])
            if count > len(GREETING):
                await peer.action()
                peer.send(sent[len(GREETING) :])

        return script

    scripts = [closing_after(count) for count in range(len(session))]
    async with playing(*scripts, plain) as pbx, running(pbx.port) as (_, heard):
        await heard.connected()
        assert len(pbx.peers) == len(session) + 1


async def test_a_pbx_restart_is_a_loss_and_a_new_connection() -> None:
    boot = recording("22-after-restart")
    boot = boot[boot.index(b"Event: PeerStatus") : boot.index(b"Response: Goodbye")]

    async def restarting(peer: Peer) -> None:
        await peer.accept()
        peer.send(event("Shutdown", Privilege="system,all", Shutdown="Cleanly", Restart="True"))

    async def booting(peer: Peer) -> None:
        await peer.accept()
        peer.send(boot)
        await peer.stay()

    async with playing(restarting, booting) as pbx, running(pbx.port) as (ami, heard):
        await heard.until(lambda: "FullyBooted" in [event.name for event in heard.events])
        states = [state for state, _ in heard.states]
        assert states == [State.CONNECTED, State.CONNECTING, State.CONNECTED]
        assert "closed the connection" in heard.states[1][1]
        assert [event.name for event in heard.events] == ["Shutdown", *["MessageWaiting"] * 12, "FullyBooted"]
        assert ami.counters.reconnects == 1


@pytest.mark.parametrize("reads", [True, False])
async def test_a_half_open_connection_is_noticed_by_its_pings(reads: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    async def silent(peer: Peer) -> None:
        await peer.accept()
        if not reads:
            await peer.fall_silent()
        await peer.reader.read()

    limits = replace(SOON, ping_interval=0.02, ping_timeout=0.02)
    async with playing(silent, plain) as pbx, running(pbx.port, limits) as (_, heard):
        await heard.connected(2)
        assert "no longer answers: 2 pings" in heard.states[1][1]


async def test_one_lost_ping_is_forgiven() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        for _ in range(3):
            await peer.action()
            peer.answer(await peer.action(), Ping="Pong")
        peer.send(waiting("1@a"))
        await peer.stay()

    limits = replace(SOON, ping_interval=0.01, ping_timeout=0.2)
    async with playing(script) as pbx, running(pbx.port, limits) as (_, heard):
        await heard.until(lambda: heard.mailboxes == ["1@a"])
        assert {action["Action"] for action in pbx.peers[0].actions[3:]} == {"Ping"}


def test_a_dead_connection_is_noticed_within_fifteen_seconds() -> None:
    limits = Limits()
    assert limits.ping_interval * limits.ping_misses + limits.ping_timeout <= 15
    assert limits.ping_timeout <= limits.ping_interval


@pytest.mark.parametrize("callback", ["on_event", "on_state"])
async def test_a_bug_in_a_callback_ends_run_with_its_exception(callback: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(waiting("1@a") * 3)
        await peer.stay()

    def broken(*_: object) -> None:
        calls.append(1)
        raise OSError(callback)

    calls: list[int] = []
    heard = Heard()
    callbacks = {"on_event": heard.on_event, "on_state": heard.on_state, callback: broken}
    async with playing(script) as pbx:
        ami = Ami(host="127.0.0.1", port=pbx.port, username="u", secret="s", limits=SOON, **callbacks)  # type: ignore[arg-type] # one of them is broken
        with pytest.raises(OSError, match=callback):
            await asyncio.wait_for(ami.run(), 10)
    assert calls == [1]


async def test_a_connection_that_held_begins_the_retries_anew() -> None:
    async def closing(peer: Peer) -> None:
        await peer.accept()

    limits = replace(SOON, stable_after=0.0, retry_min=3600.0, retry_max=3600.0)
    async with playing(closing, closing, closing, plain) as pbx, running(pbx.port, limits) as (ami, heard):
        await heard.connected(4)
        assert ami.counters.reconnects == 3


async def test_an_action_under_way_when_it_is_stopped_fails_and_says_so() -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.expect("CoreStatus")
        asked.set()
        await peer.stay()

    async def ask(ami: Ami) -> None:
        with pytest.raises(UnavailableError, match="ended from this side"):
            await ami.action("CoreStatus")

    async with playing(script) as pbx, asyncio.TaskGroup() as group, running(pbx.port) as (ami, heard):
        await heard.connected()
        group.create_task(ask(ami))
        await asked.wait()


async def test_stopping_logs_off_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with playing(plain) as pbx:
        async with running(pbx.port) as (ami, heard):
            await heard.connected()
        assert asyncio.all_tasks() - before <= pbx.tasks
        await asyncio.wait(pbx.tasks)
        assert pbx.peers[0].actions[-1]["Action"] == "Logoff"
        with pytest.raises(UnavailableError):
            await ami.action("CoreStatus")


async def test_stopping_takes_no_answer_from_a_pbx_that_fell_silent() -> None:
    async def silent(peer: Peer) -> None:
        await peer.accept()
        await peer.fall_silent()

    async with playing(silent) as pbx, asyncio.timeout(5), running(pbx.port) as (_, heard):
        await heard.connected()


async def test_stopping_while_it_waits_to_come_back_is_at_once_and_for_good() -> None:
    async def closing(peer: Peer) -> None:
        await peer.accept()

    limits = replace(SOON, first_retry=3600.0, retry_min=3600.0, retry_max=3600.0)
    async with playing(closing) as pbx:
        async with running(pbx.port, limits) as (_, heard):
            await heard.until(lambda: heard.times(State.CONNECTING) == 1)
        assert len(pbx.peers) == 1


async def test_stopping_in_the_middle_of_the_login_is_at_once() -> None:
    there = asyncio.Event()

    async def silent(peer: Peer) -> None:
        peer.send(GREETING)
        await peer.action()
        there.set()
        await peer.reader.read()

    async with playing(silent) as pbx, running(pbx.port) as (_, heard):
        await there.wait()
    assert heard.states == []
