import hashlib
from dataclasses import replace

import pytest

from service.ami import Limits, State
from tests.ami.harness import SOON, running
from tests.ami.pbx import GREETING, SECRET, Peer, plain, playing, recording, waiting


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


def test_refused_logins_are_tried_at_most_eight_times_in_ten_minutes() -> None:
    waits = [Limits().refused_wait(refusals) for refusals in range(40)]
    assert waits[:5] == [30, 60, 120, 240, 300]
    assert max(waits) == 300
    assert sum(1 for count in range(40) if sum(waits[:count]) <= 600) <= 8


def test_the_first_new_try_comes_within_a_second_and_the_others_spread_up_to_half_a_minute() -> None:
    ranges = [Limits().retry_range(attempt) for attempt in range(2_000)]
    assert ranges[:4] == [(0, 1), (0.5, 2), (0.5, 4), (0.5, 8)]
    assert ranges[-1] == (0.5, 30)


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
        assert "beyond 8704" in heard.states[1][1]


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


def test_a_dead_connection_is_noticed_within_fifteen_seconds() -> None:
    limits = Limits()
    assert limits.ping_interval * limits.ping_misses + limits.ping_timeout <= 15
    assert limits.ping_timeout <= limits.ping_interval
