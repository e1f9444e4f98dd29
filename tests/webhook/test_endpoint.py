import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from service.call import IntegrationStatus
from service.model import Counts
from service.store import connect, deliveries, journal
from service.store.transaction import Transaction
from tests.hurry import Hurry
from tests.webhook.world import (
    BOX,
    PATIENCE_S,
    SECRET,
    Answering,
    Clock,
    Receiver,
    World,
    endpoint,
    go_on,
    hanging,
    hanging_up,
    leave,
    ring,
    saying,
    until,
    world,
)

HOUR_S = 3600
DAY_S = 24 * HOUR_S


def badge(tx: Transaction) -> None:
    journal.append(tx, "unread", BOX, Counts(new=1), 1)


def gate(opens: asyncio.Event, answering: Answering) -> Answering:
    """Answers as soon as that happens."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await opens.wait()
        return await answering(request)

    return answer


def choosing(choose: Callable[[bytes], Answering]) -> Answering:
    """Answers by what it is told."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await choose(await request.read())(request)

    return answer


def write_down_statuses(tx: Transaction) -> None:
    """Have table `said` hold every status that was ever written."""
    tx.conn.execute("CREATE TABLE said (status TEXT)")
    tx.conn.execute("CREATE TRIGGER saying AFTER UPDATE ON integration BEGIN INSERT INTO said VALUES (new.status); END")


async def pass_time(world: World, name: str, seconds: float, receiver: Receiver) -> None:
    """Let time pass for one that is down, from one moment at which a delivery is due to the next."""
    end = world.clock.now + seconds
    while (due := (await world.outlook(name)).next_ms) is not None and due / 1000 <= end:
        world.clock.now = due / 1000
        before = len(receiver.hits)
        world.deliverer.wake()
        await until(lambda: len(receiver.hits) > before)  # noqa: B023 -- awaited here
        await world.down(name, receiver)
    world.clock.now = end


async def test_a_call_and_a_message_are_told_and_nothing_else(tmp_path: Path, clock: Clock, crm: Receiver) -> None:
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 1)
        await house.happen(badge)
        await house.happen(leave, 2)
        await house.happen(leave, 2, "deleted")
        await crm.got(3)
        call = ("call.new", await house.uuid(1))
        assert sorted(crm.told) == [call, ("message.deleted", "message 2"), ("message.new", "message 2")]
        synced = await house.told(1, "crm", "synced")
        assert synced.error_message is None
        assert synced.updated_us == int(clock.now) * 1_000_000
        await house.settled("crm", pending=0)


@pytest.mark.parametrize(
    ("answering", "words"),
    [
        (saying(500, "oh no"), "500 oh no"),
        (saying(408), "408"),
        (saying(429), "429"),
        (hanging, "no answer within 60 s"),
        (hanging_up, "what it answered is not HTTP|the connection was closed without an answer|no answer"),
        (saying(301, Location="/secret"), "redirects are not followed: 301 to another path there"),
    ],
)
async def test_what_may_get_better_is_tried_again_at_the_times_of_the_contract(
    tmp_path: Path, clock: Clock, crm: Receiver, answering: Answering, words: str
) -> None:
    """It stays pending all the while, and arrives once."""
    crm.usually = answering
    hurry = Hurry()
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 1)
        for tries, seconds in enumerate((5, 30, 120, 600, 1800, 1800), start=1):
            if answering is hanging:
                await crm.got(tries)
                await hurry.on(PATIENCE_S)
            outlook = await house.tried("crm", tries)
            assert outlook.next_ms == (clock.now + seconds) * 1000
            assert len(crm.hits) == tries
            integration = await house.integration(1, "crm")
            assert integration.status is IntegrationStatus.PENDING
            assert any((integration.error_message or "").startswith(one) for one in words.split("|"))
            if tries == 6:
                crm.usually = saying(200)
            house.move(seconds)
        assert (await house.told(1, "crm", "synced")).error_message is None
        await house.settled("crm", pending=0)
    assert crm.accepted == [crm.told[0]]
    assert len({hit.headers["webhook-id"] for hit in crm.hits}) == 1
    assert len({hit.headers["webhook-timestamp"] for hit in crm.hits}) == 7


async def test_after_a_day_it_is_given_up(tmp_path: Path, clock: Clock, crm: Receiver) -> None:
    crm.usually = saying(500, "still no")
    began = clock.now
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 1)
        tries = 1
        while (await house.integration(1, "crm")).status is IntegrationStatus.PENDING:
            outlook = await house.tried("crm", tries)
            if outlook.next_ms is None:
                break
            house.move(outlook.next_ms / 1000 - clock.now)
            tries += 1
        failed = await house.told(1, "crm", "failed")
        await house.settled("crm", pending=0, failed=1)
        assert failed.error_message == "500 still no"
    assert clock.now == began + DAY_S
    assert 45 <= len(crm.hits) == tries <= 60


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_a_4xx_is_given_up_at_once_and_the_rest_goes_on(
    tmp_path: Path, clock: Clock, crm: Receiver, status: int
) -> None:
    crm.answers.append(saying(status, "never"))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 1)
        assert (await house.told(1, "crm", "failed")).error_message == f"{status} never"
        await house.happen(ring, 2)
        await house.told(2, "crm", "synced")
        await house.settled("crm", pending=0, failed=1)
    assert len(crm.hits) == 2


async def test_of_one_call_all_is_told_in_order_and_others_do_not_wait(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    crm.answers.append(saying(500))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 1)
        await house.tried("crm", 1)
        await house.happen(go_on, 1)
        await house.happen(ring, 2)
        await house.told(2, "crm", "synced")
        assert (await house.integration(1, "crm")).status is IntegrationStatus.PENDING
        house.move(5)
        await house.told(1, "crm", "synced")
        first, second = await house.uuid(1), await house.uuid(2)
    assert crm.accepted == [("call.new", second), ("call.new", first), ("call.updated", first)]


async def test_a_call_is_not_said_to_be_told_while_what_changed_since_is_on_its_way(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    crm.answers += [gate(first, saying(200)), gate(second, saying(200))]
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(write_down_statuses)
        await house.happen(ring, 1)
        await crm.got(1)
        house.store.on_commit(lambda _records: None)  # it does not hear of what comes next
        await house.happen(go_on, 1)
        first.set()
        await crm.got(2)
        second.set()
        await house.told(1, "crm", "synced")
        said = await house.store.read(lambda conn: [status for (status,) in conn.execute("SELECT * FROM said")])
    assert said == [*["pending"] * (len(said) - 1), "synced"]


async def test_an_earlier_record_that_was_given_up_is_told_by_a_later_one(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    crm.answers.append(saying(400))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 1)
        await house.told(1, "crm", "failed")
        await house.happen(go_on, 1)
        await house.told(1, "crm", "synced")
        await house.settled("crm", pending=0, failed=0)


@pytest.mark.parametrize(("value", "seconds"), [("120", 120), ("86400", 3600), ("0", 5)])
async def test_an_endpoint_that_asks_for_time_is_left_alone_so_long(
    tmp_path: Path, clock: Clock, crm: Receiver, value: str, seconds: int
) -> None:
    crm.answers.append(saying(429, Retry_After=value))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(leave, 1)
        assert (await house.tried("crm", 1)).next_ms == (clock.now + seconds) * 1000
        await house.happen(leave, 2)
        for pause in (seconds - 1, 1):
            for _ in range(10):  # time enough to send something else
                await house.happen(badge)
            assert len(crm.hits) == 1
            house.move(pause)
        await house.settled("crm", pending=0)
        await crm.got(3)
    asked = int(crm.hits[0].headers["webhook-timestamp"])
    assert all(int(hit.headers["webhook-timestamp"]) >= asked + seconds for hit in crm.hits[1:])


async def test_who_comes_back_after_an_hour_is_told_everything_once_and_in_order(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    crm.usually = saying(503)
    numbers = range(1, 41)
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        for number in numbers:
            await house.happen(ring, number)
            await house.happen(go_on, number)
        await house.down("crm", crm)
        assert len(crm.hits) <= 8  # it is not flooded
        await pass_time(house, "crm", HOUR_S, crm)
        assert len(crm.hits) < 60
        statuses = {(await house.integration(number, "crm")).status for number in numbers}
        assert statuses == {IntegrationStatus.PENDING}
        crm.usually = saying(204)
        due_ms = (await house.outlook("crm")).next_ms
        assert due_ms is not None
        house.move(due_ms / 1000 - clock.now)  # it is not waited for longer than for the first that is due
        for number in numbers:
            await house.told(number, "crm", "synced")
        await house.settled("crm", pending=0)
        assert (await house.state("crm")).down_ms is None
        uuids = [await house.uuid(number) for number in numbers]
    assert len(crm.accepted) == 80
    for uuid in uuids:
        assert [kind for kind, of in crm.accepted if of == uuid] == ["call.new", "call.updated"]


async def test_no_more_than_four_are_sent_at_once(tmp_path: Path, clock: Clock, crm: Receiver) -> None:
    opens = asyncio.Event()
    crm.usually = gate(opens, saying(200))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        for number in range(1, 21):
            await house.happen(leave, number)
        await crm.got(4)
        opens.set()
        await crm.got(20)
        await house.settled("crm", pending=0)
    assert crm.most_at_once == 4


async def test_what_can_never_be_taken_does_not_keep_the_rest_from_an_endpoint(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    crm.usually = choosing(lambda body: saying(500) if b'"message.deleted"' in body else saying(204))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        for number in range(1, 6):
            await house.happen(leave, number, "deleted")
        for number in range(50, 54):
            await house.happen(leave, number)
        began = clock.now
        while len(crm.accepted) < 4:
            for _ in range(5):
                await until(lambda: house.counted == len(crm.hits))
                await house.happen(badge)
            house.move(1)
        assert clock.now < began + 600
        assert (await house.state("crm")).failed == 0
    assert sorted(crm.accepted) == [("message.new", f"message {number}") for number in range(50, 54)]
    assert len(crm.hits) < 60


async def test_what_an_endpoint_could_not_be_told_for_a_day_fails_though_it_was_never_tried(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    crm.usually = saying(503, "closed")
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        for number in range(1, 21):
            await house.happen(ring, number)
        await house.down("crm", crm)
        house.move(DAY_S + 60)
        await house.settled("crm", pending=1, failed=19)  # one was tried for the first time to see whether it is back
        house.move(DAY_S)
        await house.settled("crm", pending=0, failed=20)
        for number in range(1, 21):
            failed = await house.integration(number, "crm")
            assert failed.status is IntegrationStatus.FAILED
            assert failed.error_message in ("503 closed", "not answered for a day: 503 closed")
        assert len(crm.hits) <= 20
        crm.usually = saying(204)
        house.move(HOUR_S)
        await house.happen(ring, 21)
        await house.told(21, "crm", "synced")


async def test_a_restart_in_between_loses_nothing_and_keeps_the_times(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    crm.answers += [saying(500), saying(500)]
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 1)
        await house.tried("crm", 1)
        house.move(5)
        await house.tried("crm", 2)
        await house.happen(go_on, 1)
    clock.now += 10
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        assert (await house.outlook("crm")).next_ms == (clock.now + 20) * 1000
        assert len(crm.hits) == 2
        house.move(20)
        await house.told(1, "crm", "synced")
        await house.settled("crm", pending=0)
    assert [kind for kind, _ in crm.accepted] == ["call.new", "call.updated"]
    assert len({hit.headers["webhook-id"] for hit in crm.hits}) == 2


async def test_what_was_sent_and_not_known_to_have_arrived_is_sent_again_under_the_same_id(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    crm.answers.append(hanging)
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 1)
        await crm.got(1)
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.told(1, "crm", "synced")
    one, again = crm.hits
    assert one.headers["webhook-id"] == again.headers["webhook-id"]
    assert one.body == again.body


async def test_one_that_was_down_is_still_taken_to_be_down_after_a_restart(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    crm.usually = saying(503)
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        for number in range(1, 41):
            await house.happen(leave, number)
        await house.down("crm", crm)
    before = len(crm.hits)
    crm.usually = hanging
    clock.now += HOUR_S
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await until(lambda: len(crm.hits) > before)
        for _ in range(10):  # time enough to send something else
            await house.happen(badge)
        assert len(crm.hits) == before + 1
    crm.usually = saying(204)
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.settled("crm", pending=0)
        assert (await house.state("crm")).down_ms is None
    assert len(crm.accepted) == 40


async def test_a_clock_that_is_set_back_does_not_delay_for_ever(tmp_path: Path, clock: Clock, crm: Receiver) -> None:
    crm.answers.append(saying(500))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(leave, 1)
        await house.tried("crm", 1)
        house.move(-365 * DAY_S)
        await crm.got(2)
        await house.settled("crm", pending=0)


async def test_what_was_given_up_is_sent_when_somebody_asks_for_it(tmp_path: Path, clock: Clock, crm: Receiver) -> None:
    crm.usually = saying(404)
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        for number in (1, 2, 3):
            await house.happen(ring, number)
            await house.told(number, "crm", "failed")
        crm.usually = saying(200)
        await house.happen(deliveries.retry, "crm", int(clock.now * 1000))
        house.deliverer.wake()
        for number in (1, 2, 3):
            await house.told(number, "crm", "synced")
        await house.settled("crm", pending=0)
    assert sorted(crm.accepted) == sorted(crm.told[:3])
    assert len({hit.headers["webhook-id"] for hit in crm.hits}) == 3


async def test_who_asks_for_what_was_given_up_need_not_wait_until_it_is_seen_that_it_answers_again(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    crm.usually = saying(503)
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        for number in range(1, 21):
            await house.happen(leave, number)
        await house.down("crm", crm)
        house.move(DAY_S + 60)
        await house.settled("crm", pending=1, failed=19)
        crm.usually = saying(200)
        await house.happen(deliveries.retry, "crm", int(clock.now * 1000))
        house.deliverer.wake()
        await house.settled("crm", pending=1)
        house.move(5)
        await house.settled("crm", pending=0)
    assert sorted(crm.accepted) == sorted(("message.new", f"message {number}") for number in range(1, 21))


async def test_what_the_journal_no_longer_has_is_given_up(tmp_path: Path, clock: Clock, crm: Receiver) -> None:
    crm.answers.append(saying(500))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(leave, 1)
        await house.tried("crm", 1)
        await house.happen(lambda tx: journal.prune(tx, tx.now_ms + 1))
        house.move(5)
        state = await house.settled("crm", pending=0, failed=1)
        assert state.error == "the journal no longer has what was to be told"
        await crm.got(1)


async def test_what_there_is_no_room_for_waits_in_the_journal(
    tmp_path: Path, clock: Clock, crm: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_PENDING", 3)
    opens = asyncio.Event()
    crm.usually = gate(opens, saying(200))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        for number in range(1, 11):
            await house.happen(leave, number)
        await crm.got(3)
        state = await house.state("crm")
        assert (state.pending, state.behind) == (3, 7)
        opens.set()
        await house.settled("crm", pending=0)
    assert sorted(crm.told) == sorted(("message.new", f"message {number}") for number in range(1, 11))


async def test_what_arrived_is_not_sent_again_though_the_store_could_not_be_written_then(
    tmp_path: Path, clock: Clock, crm: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.schema.BUSY_TIMEOUT_S", 0.01)
    monkeypatch.setattr("service.webhook.endpoint.AGAIN_S", 0.01)
    opens = asyncio.Event()
    crm.answers.append(gate(opens, saying(200)))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(leave, 1)
        await crm.got(1)
        with closing(connect(house.store.path)) as locking:
            locking.execute("BEGIN IMMEDIATE")
            opens.set()
            await until(lambda: house.store.failure)
            locking.execute("ROLLBACK")
        await house.settled("crm", pending=0)
        await crm.got(1)


async def test_everything_is_counted(tmp_path: Path, clock: Clock, crm: Receiver) -> None:
    crm.answers += [saying(500), saying(400)]
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(leave, 1)
        await house.tried("crm", 1)
        await until(lambda: b'voicemaild_webhook_pending{name="crm"} 1.0' in house.metrics.render())
        await house.happen(leave, 2)
        await house.settled("crm", pending=1, failed=1)
        house.move(5)
        await until(lambda: b'voicemaild_webhook_pending{name="crm"} 0.0' in house.metrics.render())
        counted = [
            f'voicemaild_webhook_deliveries_total{{name="crm",outcome="{outcome}"}} 1.0'.encode()
            for outcome in ("delivered", "failed", "postponed")
        ]
        await until(lambda: all(line in house.metrics.render() for line in counted))


@pytest.mark.parametrize(("down", "unit"), [(saying(503), False), (hanging_up, True)])
async def test_the_log_tells_of_changes_once_and_holds_no_secret(
    tmp_path: Path, clock: Clock, crm: Receiver, caplog: pytest.LogCaptureFixture, down: Answering, *, unit: bool
) -> None:
    caplog.set_level("INFO", "service.webhook")
    crm.usually = down
    configured = endpoint("crm", crm.url + "?key=geheim")
    async with world(tmp_path, clock, configured) as house, house.running():
        for number in range(1, 11):
            await house.happen(leave, number)
        await until(lambda: "does not answer" in caplog.text)
        crm.usually = saying(204)
        house.move(HOUR_S)
        await until(lambda: "answers again" in caplog.text)
        await house.settled("crm", pending=0)
    words = [record.getMessage().split(" name=")[0] for record in caplog.records]
    assert words == ["webhook not delivered, tried again", "webhook does not answer", "webhook answers again"]
    assert ("IPAddressAllow=" in caplog.text) is unit
    assert "geheim" not in caplog.text
    assert SECRET not in caplog.text
