import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path

import pytest

from service.ami import Ami, Event, Limits, State
from service.ami.message import Fields
from service.cdr.times import LocalTimes
from service.health import AmiState
from service.intake import Intake
from service.listener import Listener
from service.simulator.exchange import Delays
from service.simulator.pbx import Simulator
from tests.ami.pbx import SECRET, Peer, playing
from tests.parts import BOX, PATIENCE_S, Parts, parts

AT_ONCE = Delays(mwi=0, cdr=0, boot=0)
SOON = Limits(first_retry=0.001, retry_min=0.0, retry_max=0.002, refused_min=0.001, refused_max=0.001)


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Parts]:
    async with asyncio.timeout(60), parts(tmp_path) as made:
        yield made


def listener(it: Parts, *, write_back: bool = True) -> Listener:
    intake = Intake(it.store, LocalTimes(UTC), re.compile(r"^\d{2,6}$"), it.metrics)
    return Listener(it.ingest, intake, it.health, it.metrics, write_back=write_back)


def sample(it: Parts, name: str) -> float | None:
    return it.metrics.registry.get_sample_value(name)


def waiting(mailbox: str) -> Event:
    return Event("MessageWaiting", Fields([("Mailbox", mailbox), ("Waiting", "1"), ("New", "99"), ("Old", "0")]))


@asynccontextmanager
async def following(it: Parts, port: int, secret: str, *, write_back: bool = True) -> AsyncIterator[Ami]:
    """A client of the AMI at this port whose callbacks are the listener's."""
    told = listener(it, write_back=write_back)
    ami = Ami(
        host="127.0.0.1",
        port=port,
        username="voicemaild",
        secret=secret,
        on_event=told.on_event,
        on_state=told.on_state,
        limits=SOON,
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ami.run()), group.create_task(told.run(ami))]
        try:
            yield ami
        finally:
            for task in tasks:
                task.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Nothing tells when the board is written to, so look at every turn of the loop."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0)


async def test_a_lamp_that_changes_makes_us_look_at_its_mailbox_and_nothing_in_it_is_believed(it: Parts) -> None:
    """The event says 99 new messages; there is one."""
    await it.ingest.everything()
    async with it.running():
        it.leave()
        listener(it).on_event(waiting("100@default"))
        await it.told("unread")
    assert (await it.badges())[BOX].new == 1


async def test_a_mailbox_without_its_context_is_one_of_default(it: Parts) -> None:
    await it.ingest.everything()
    async with it.running():
        it.leave()
        listener(it).on_event(waiting("100"))
        await it.told("unread")


@pytest.mark.parametrize("mailbox", ["", "@", "../../etc@passwd", "a\nb", "999@nowhere"])
async def test_an_event_that_names_no_mailbox_is_passed_over(it: Parts, mailbox: str) -> None:
    told = listener(it)
    async with it.running():
        it.leave()
        told.on_event(waiting(mailbox))
        told.on_event(Event("Cdr", Fields([])))
        told.on_event(waiting("100@default"))
        await it.told("unread")
    assert {record.mailbox for record in it.records} == {BOX}
    assert sample(it, "voicemaild_ami_events_total") == 3


async def test_after_every_login_everything_is_looked_at(it: Parts) -> None:
    told = listener(it)
    async with it.running():
        for number in (1, 2):
            it.leave()
            told.on_state(State.CONNECTING, "the PBX is away")
            told.on_state(State.CONNECTED, "Asterisk")
            await it.told("unread", number)
    assert it.health.ami.told() == {"state": "connected", "detail": "Asterisk"}
    assert sample(it, "voicemaild_ami_reconnects_total") == 1


async def test_the_board_and_the_metric_say_where_the_connection_stands(it: Parts) -> None:
    told = listener(it)
    for state in State:
        told.on_state(state, f"it is {state}")
        assert it.health.ami.state.value == state.value
        assert it.health.ami.detail == f"it is {state}"
        assert sample_of_state(it, state.value) == 1
    assert sample(it, "voicemaild_ami_reconnects_total") == 1


def sample_of_state(it: Parts, state: str) -> float | None:
    return it.metrics.registry.get_sample_value("voicemaild_ami_state", {"voicemaild_ami_state": state})


@pytest.mark.parametrize(
    ("version", "write_back", "hint"), [(22, True, ""), (16, True, "cannot move"), (16, False, "")]
)
async def test_that_a_pbx_is_too_old_to_move_messages_stands_on_the_board(
    it: Parts, *, version: int, write_back: bool, hint: str
) -> None:
    async with (
        Simulator(it.root, version=version, delays=AT_ONCE) as pbx,
        following(it, pbx.port, pbx.secret, write_back=write_back) as ami,
    ):
        await until(lambda: it.health.ami.state is AmiState.CONNECTED and hint in it.health.ami.detail)
        await ami.action("Ping")
        assert it.health.ami.detail.startswith("Asterisk Call Manager")
        assert ("; " in it.health.ami.detail) == bool(hint)


async def without_rights(peer: Peer) -> None:
    """A PBX whose list lacks what we may not use, as Asterisk's does."""
    await peer.accept()
    while True:
        action = await peer.expect("ListCommands", "VoicemailMove")
        if action["Action"] == "ListCommands":
            peer.answer(action, Ping="Keepalive command.")
        else:
            peer.answer(action, "Error", Message="Permission denied")


async def test_that_we_may_not_move_messages_stands_on_the_board(it: Parts) -> None:
    async with playing(without_rights) as pbx, following(it, pbx.port, SECRET):
        await until(lambda: "lacks `user`" in it.health.ami.detail)
    assert it.health.ami.state is AmiState.CONNECTED


async def test_where_nothing_is_moved_nobody_asks_for_the_right(it: Parts) -> None:
    async with playing(without_rights) as pbx, following(it, pbx.port, SECRET, write_back=False) as ami:
        await until(lambda: it.health.ami.state is AmiState.CONNECTED)
        for _ in range(5):
            await ami.action("Ping")  # each goes there and back, as a question about rights would
        assert "VoicemailMove" not in [action["Action"] for peer in pbx.peers for action in peer.actions]


async def test_a_message_left_on_the_pbx_is_seen_by_its_event_alone(it: Parts) -> None:
    async with Simulator(it.root, delays=AT_ONCE) as pbx, it.running(), following(it, pbx.port, pbx.secret):
        await until(lambda: it.health.ami.state is AmiState.CONNECTED)
        await it.ingest.everything()
        await pbx.leave("100@default", seconds=0.1)
        await it.told("unread")
        pbx.drop_connections()
        await pbx.leave("101@default", seconds=0.1)
        await it.told("unread", 2)
    assert sample(it, "voicemaild_ami_reconnects_total") == 1
