from pathlib import Path

from service.call import IntegrationStatus
from tests.webhook.world import (
    Clock,
    Receiver,
    endpoint,
    hanging,
    leave,
    ring,
    saying,
    world,
)

DAY_S = 24 * 3600


async def test_an_endpoint_is_told_what_it_wants_alone(
    tmp_path: Path, clock: Clock, crm: Receiver, other: Receiver
) -> None:
    wants_calls = endpoint("crm", crm.url, events=["call"])
    wants_messages = endpoint("other", other.url, events=["message"])
    async with world(tmp_path, clock, wants_calls, wants_messages) as house, house.running():
        await house.happen(ring, 1)
        await house.happen(leave, 2)
        await crm.got(1)
        await other.got(1)
        assert [crm.told[0][0], other.told[0][0]] == ["call.new", "message.new"]
        (call,) = await house.calls()
        assert [one.name for one in call.integration] == ["crm"]


async def test_what_was_before_an_endpoint_is_not_told(tmp_path: Path, clock: Clock, crm: Receiver) -> None:
    async with world(tmp_path, clock) as house, house.running():
        await house.happen(ring, 1)
        await house.happen(leave, 2)
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 3)
        await crm.got(1)
        assert crm.told == [("call.new", await house.uuid(3))]


async def test_one_that_is_down_does_not_delay_another(
    tmp_path: Path, clock: Clock, crm: Receiver, other: Receiver
) -> None:
    crm.usually = hanging
    both = endpoint("crm", crm.url), endpoint("other", other.url)
    async with world(tmp_path, clock, *both) as house, house.running():
        for number in range(1, 31):
            await house.happen(ring, number)
        for number in range(1, 31):
            await house.told(number, "other", "synced")
            assert (await house.integration(number, "crm")).status is IntegrationStatus.PENDING
        await other.got(30)
        assert len(crm.hits) == crm.most_at_once == 4


async def test_an_endpoint_that_is_removed_has_failed_and_one_that_is_back_goes_on_from_now(
    tmp_path: Path, clock: Clock, crm: Receiver
) -> None:
    crm.answers.append(saying(500))
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 1)
        await house.tried("crm", 1)
    async with world(tmp_path, clock) as house, house.running():
        gone = await house.integration(1, "crm")
        assert (gone.status, gone.error_message) == (IntegrationStatus.FAILED, "no longer configured")
        await house.happen(ring, 2)
    async with world(tmp_path, clock, endpoint("crm", crm.url)) as house, house.running():
        await house.happen(ring, 3)
        await house.told(3, "crm", "synced")
        house.move(DAY_S)
        await house.settled("crm", pending=0)
        assert crm.accepted == [("call.new", await house.uuid(3))]
        assert [len(call.integration) for call in await house.calls()] == [1, 0, 1]


async def test_without_webhooks_there_is_nothing_to_run(tmp_path: Path, clock: Clock) -> None:
    async with world(tmp_path, clock) as house:
        await house.deliverer.run()
