"""A clock and receivers for the tests of webhooks."""

from collections.abc import AsyncIterator

import pytest

from tests.webhook.world import Clock, Receiver, receiver


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def crm(clock: Clock) -> AsyncIterator[Receiver]:
    async with receiver(clock) as made:
        yield made


@pytest.fixture
async def other(clock: Clock) -> AsyncIterator[Receiver]:
    async with receiver(clock) as made:
        yield made
