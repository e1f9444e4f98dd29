import asyncio
import logging
from dataclasses import replace

import pytest

from service.ami import Ami, State
from service.errors import UnavailableError
from tests.ami.harness import SOON, Heard, running
from tests.ami.pbx import GREETING, SECRET, Peer, Script, event, ping, plain, playing, recording, waiting
from tests.hurry import Hurry
from tests.ports import free_port


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


async def test_an_accepted_login_ends_the_growing_waits_of_refused_ones() -> None:
    async def refuse(peer: Peer) -> None:
        peer.send(GREETING)
        peer.answer(await peer.action(), Challenge="1")
        peer.answer(await peer.action(), "Error", Message="Authentication failed")

    async def closing(peer: Peer) -> None:
        await peer.accept()

    limits = replace(SOON, refused_min=0.0001, refused_max=3600.0)
    scripts = [*[refuse] * 12, closing, *[refuse] * 12, plain]
    async with playing(*scripts) as pbx, running(pbx.port, limits) as (ami, heard):
        await heard.connected(2)
        assert ami.counters.refusals == 24


async def test_while_refused_an_action_says_why_it_cannot_be_done() -> None:
    async def refuse(peer: Peer) -> None:
        peer.send(GREETING)
        peer.answer(await peer.action(), Challenge="1")
        peer.answer(await peer.action(), "Error", Message="Authentication failed")

    async with playing(refuse) as pbx, running(pbx.port, replace(SOON, refused_min=60, refused_max=60)) as (ami, heard):
        await heard.until(lambda: heard.times(State.REFUSED) == 1)
        with pytest.raises(UnavailableError, match=r"manager\.conf"):
            await ami.action("CoreStatus")


async def test_nothing_listening_is_told_in_words_and_connected_to_once_there() -> None:
    port = free_port()
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


async def test_one_lost_ping_is_forgiven() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        hurry = Hurry()
        for _ in range(3):
            await ping(peer, hurry)
            peer.answer(await ping(peer, hurry), Ping="Pong")
        peer.send(waiting("1@a"))
        await peer.stay()

    async with playing(script) as pbx, running(pbx.port) as (_, heard):
        await heard.until(lambda: heard.mailboxes == ["1@a"])
        assert len(pbx.peers) == 1


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
            await asyncio.wait_for(ami.run(), 60)
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

    async with playing(silent) as pbx, asyncio.timeout(60), running(pbx.port) as (_, heard):
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
