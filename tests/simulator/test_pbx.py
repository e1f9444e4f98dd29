"""The simulated PBX as a whole: what happens in it, on disk and on AMI."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.model import Counts, Mailbox
from service.simulator import life, session
from service.simulator.boxes import AmiUser, classes
from service.simulator.events import Caller, Detail, Leg, caller, cdr, message_waiting
from service.simulator.exchange import Delays
from service.simulator.life import COMPANY, furnish, happen, live
from service.simulator.pbx import MOST_CONNECTIONS, Simulator
from tests.simulator.lab import AT_ONCE, BOX, connected, fill, logged_in, simulator
from tests.simulator.recordings import FIXTURES

VOICEMAIL = Leg(
    "Local/vm109@lab-00000006;2",
    "1795211771.25",
    "1795211771.24",
    caller('"Perm4" <15550000103>'),
    Caller("Perm4", "15550000103"),
    "lab",
    "vm109",
    3,
)


def recorded(name: str) -> bytes:
    return (FIXTURES / "ami-recordings" / f"ami-22-{name}.txt").read_bytes()


def test_message_waiting_and_cdr_of_a_voicemail_are_as_recorded() -> None:
    """One after the other, as they came."""
    waiting = message_waiting(Mailbox("default", "109"), Counts(new=6), VOICEMAIL)
    start, end = (datetime(2026, 11, 20, 21, 56, second, tzinfo=UTC) for second in (11, 13))
    call = cdr(Detail(VOICEMAIL, "VoiceMail", "109@default,s", start, end, start, "ANSWERED"))
    assert waiting.data + call.data in recorded("filter")


@pytest.mark.parametrize(
    ("callerid", "name"),
    [
        ('"O\'Brien \\"Q\\" Bob" <15550000043>', "cid-3"),
        ("15550000044", "cid-4"),
        ("Only Name", "cid-5"),
        ("Unknown", "cid-7"),
    ],
)
def test_every_form_of_caller_comes_out_as_recorded(callerid: str, name: str) -> None:
    """Quotes, no name, no number, neither: each looks different in MessageWaiting and in a Cdr."""
    who = caller(callerid)
    leg = Leg("x", "1.1", "1.1", who, who, "lab", "vm108", 3)
    start = datetime(2026, 11, 20, tzinfo=UTC)
    waiting = message_waiting(BOX, Counts(), leg).data.splitlines()
    call = cdr(Detail(leg, "VoiceMail", "", start, start, start, "ANSWERED")).data.splitlines()
    lines = set(recorded(name).splitlines())
    assert {line for line in waiting if line.startswith((b"CallerID", b"ConnectedLine"))} <= lines
    assert {line for line in call if line.startswith((b"CallerID", b"Source"))} <= lines


def test_a_long_caller_is_cut_in_a_cdr_where_asterisk_cuts_it() -> None:
    who = Caller("L" * 250, "1" * 51)
    start = datetime(2026, 11, 20, tzinfo=UTC)
    call = cdr(Detail(Leg("x", "1.1", "1.1", who, who, "lab", "s"), "Dial", "", start, start, None, "NO ANSWER"))
    cut = next(line for line in call.data.splitlines() if line.startswith(b"CallerID"))
    assert cut in recorded("cid-9").splitlines()


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with simulator(tmp_path) as running:
        yield running


async def test_a_message_left_is_told_with_its_channel_and_then_the_call(pbx: Simulator) -> None:
    async with logged_in(pbx) as client:
        left = await pbx.leave("100@default", '"Jane Doe" <15551234567>', 3)
        waiting = await client.until("MessageWaiting")
        call = await client.until("Event: Cdr")
    assert left is not None
    assert f"Uniqueid: {left.uniqueid}\r\n".encode() in waiting
    assert waiting.endswith(b"Mailbox: 100@default\r\nWaiting: 1\r\nNew: 1\r\nOld: 0\r\n\r\n")
    assert f"UniqueID: {left.uniqueid}\r\n".encode() in call
    assert b"LastApplication: VoiceMail\r\nLastData: 100@default,u\r\n" in call


async def test_a_phone_that_rang_first_makes_two_cdrs_of_one_uniqueid(pbx: Simulator) -> None:
    async with logged_in(pbx) as client:
        await pbx.leave("100@default", seconds=3, rang=15)
        dial, voicemail = [await client.until("Event: Cdr") for _ in range(2)]
    assert b"Disposition: NO ANSWER" in dial
    assert b"Duration: 15\r\nBillableSeconds: 0" in dial
    uniqueids = {cdr.split(b"UniqueID: ")[1].split(b"\r\n")[0] for cdr in (dial, voicemail)}
    assert len(uniqueids) == 1


async def test_of_several_mailboxes_the_first_named_is_told_last(pbx: Simulator) -> None:
    async with logged_in(pbx) as client:
        await pbx.leave("100@default", copies=["101@default", "100@other"])
        await client.until("Event: Cdr")
        mailboxes = [line for line in client.read.splitlines() if line.startswith(b"Mailbox: ")]
    assert mailboxes == [b"Mailbox: 101@default", b"Mailbox: 100@other", b"Mailbox: 100@default"]


async def test_a_mailbox_with_delete_yes_is_empty_when_it_is_told(pbx: Simulator) -> None:
    async with logged_in(pbx) as client:
        left = await pbx.leave("103@default")
        assert (await client.until("MessageWaiting")).endswith(b"Waiting: 0\r\nNew: 0\r\nOld: 0\r\n\r\n")
    assert left is not None
    assert left.deleted


async def test_listening_is_told_even_if_nothing_changed(pbx: Simulator) -> None:
    await fill(pbx, "100@default", 2)
    async with logged_in(pbx) as client:
        await pbx.listen("100@default")
        assert b"New: 0\r\nOld: 2\r\n" in await client.until("MessageWaiting")
        await pbx.listen("100@default")
        assert b"New: 0\r\nOld: 2\r\n" in await client.until("MessageWaiting")


async def test_a_mailbox_there_is_not_takes_no_message(pbx: Simulator) -> None:
    assert await pbx.leave("999@default") is None
    assert not list(pbx.spool.disk.path("").rglob("*999*"))


async def test_a_pbx_told_to_keep_quiet_answers_actions_and_sends_no_events(tmp_path: Path) -> None:
    async with simulator(tmp_path, events=False) as pbx, logged_in(pbx) as client:
        await fill(pbx, "100@default", 1)
        assert b"NewMessages: 1" in await client.ask("MailboxCount", Mailbox="100@default")
        assert b"Event: MessageWaiting" not in client.read
        assert b"Event: Cdr" not in client.read


async def test_a_user_hears_and_may_do_only_what_manager_conf_says(pbx: Simulator) -> None:
    """Without read=system there is no FullyBooted; a mask on login takes more away."""
    async with logged_in(pbx, Username="daemon", Secret="d", Events="call") as client:
        await fill(pbx, "100@default", 1)
        assert b"Permission denied" in await client.ask("CoreSettings")
        assert b"Permission denied" in await client.ask("VoicemailMove")
        assert b"NewMessages: 1" in await client.ask("MailboxCount", Mailbox="100")
        assert {line for line in client.read.splitlines() if line.startswith(b"Event: ")} == {b"Event: MessageWaiting"}
        await client.ask("Events", EventMask="cdr")
        pbx.call()
        await pbx.settle()
        assert b"Event: Cdr" in await client.until("Event: ")


async def test_a_silent_pbx_keeps_the_connection_and_answers_when_it_is_over(pbx: Simulator) -> None:
    async with logged_in(pbx) as client:
        pbx.silence()
        client.send("Action: Ping\r\nActionID: slow\r\n\r\n")
        await fill(pbx, "100@default", 1)
        assert pbx.connections == 1
        over = time.time()
        pbx.silence(on=False)
        answer = await client.until("slow")
        assert answer.startswith(b"Response: Success\r\nActionID: slow\r\nPing: Pong\r\n")
        assert float(answer.partition(b"Timestamp: ")[2]) > over
        assert b"Event: MessageWaiting" not in client.read


async def test_dropped_connections_are_cut_and_new_ones_taken(pbx: Simulator) -> None:
    async with logged_in(pbx) as client:
        pbx.drop_connections()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.until("never")
    async with logged_in(pbx) as again:
        assert b"Pong" in await again.ask("Ping")


async def test_a_restart_comes_back_on_the_same_port_without_what_was_still_to_be_told(pbx: Simulator) -> None:
    port = pbx.port
    pbx.delays = Delays(mwi=600, cdr=600, boot=0)
    await pbx.leave("100@default")
    await pbx.restart()
    await pbx.settle()
    assert pbx.port == port
    async with logged_in(pbx) as client:
        assert b"Pong" in await client.ask("Ping")
        assert b"Event: Cdr" not in client.read
        assert b"FullyBooted" in client.read


async def test_while_it_is_down_nobody_can_connect(pbx: Simulator) -> None:
    async with asyncio.TaskGroup() as group:
        restart = group.create_task(pbx.restart(600))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(pbx.host, pbx.port)
        restart.cancel()


@pytest.mark.parametrize("rubbish", ["x" * 100_000, "a: b\r\n" * 1_000])
async def test_an_action_without_end_costs_its_connection_alone(pbx: Simulator, rubbish: str) -> None:
    async with logged_in(pbx) as other:
        async with logged_in(pbx) as client:
            client.send(rubbish)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await client.until("never")
        assert b"Pong" in await other.ask("Ping")


async def test_there_are_no_more_connections_than_it_can_bear(pbx: Simulator) -> None:
    async with AsyncExitStack() as opened:
        for _ in range(MOST_CONNECTIONS):
            client = await opened.enter_async_context(connected(pbx))
            assert client.read.startswith(b"Asterisk Call Manager")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await opened.enter_async_context(connected(pbx))


async def test_who_never_logs_in_is_cut_off(pbx: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOGIN_SECONDS", 0)
    async with connected(pbx) as client:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.until("never")


async def test_an_error_in_the_body_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Simulator(tmp_path):
            raise KeyError("mine")


async def test_life_goes_on_in_the_demo_and_stops_when_told(tmp_path: Path) -> None:
    """All that happens fits together: what the counts say lies there, and no folder grows without end."""
    dice = random.Random(1)
    pace = life.Pace(pause=(0, 0), message=(1, 2))
    async with asyncio.timeout(60), Simulator(tmp_path, boxes=COMPANY, delays=AT_ONCE) as pbx:
        await furnish(pbx, dice, pace=pace)
        assert sum(pbx.spool.counts(mailbox).new for mailbox in pbx.boxes) == 6
        await furnish(pbx, dice, 60, pace)
        for _ in range(20):
            await happen(pbx, dice, pace)
        assert sum(pbx.spool.counts(mailbox).old for mailbox in pbx.boxes) > 0
        assert max(len(pbx.spool.msg_ids(mailbox)) for mailbox in pbx.boxes) <= 13
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await live(pbx, dice, pace)


def test_users_are_told_and_may_do_what_their_classes_say() -> None:
    user = AmiUser("x", "y", classes("call, cdr"), classes("all"))
    assert user.hears("cdr")
    assert not user.hears("system")
    assert user.may(("system",))
    assert not AmiUser("x", "y", write=frozenset()).may(("system",))
    assert AmiUser("x", "y", write=frozenset()).may(())
