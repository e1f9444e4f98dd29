"""Fixtures with a real Asterisk. Where none can be had, its tests are left out, and the summary says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.left_out import leave_out
from tests.pbx.asterisk import Asterisk
from tests.pbx.process import Options
from tests.pbx.root import VERSIONS, build, left_out_reason

NewAsterisk = Callable[..., Awaitable[Asterisk]]
"""`await new_asterisk("22", Options(...))`: one of the test's own, started."""

_FIXTURES = {"asterisk22", "asterisk16", "pbx22", "pbx16", "pbx", "new_asterisk", "told", "unmapped"}


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a real Asterisk, and leave it out where there can be none."""
    needing = [item for item in items if _FIXTURES.intersection(getattr(item, "fixturenames", ()))]
    for item in needing:
        item.add_marker(pytest.mark.pbx)
        if not item.get_closest_marker("timeout"):
            # The first test that asks for a version waits for its build, which has its own limit. What a test waits
            # for has its own, too, and says then what did not come: this is the last resort.
            item.add_marker(pytest.mark.timeout(600, func_only=True))
    if needing and (reason := left_out_reason()):
        leave_out(config, items, needing, f"against a real Asterisk (tests/pbx): {reason}")


@pytest.fixture(scope="session")
def asterisk22() -> Iterator[Asterisk]:
    """A running Asterisk 22, one for the whole session. Most tests want `pbx22`: the same, with an empty spool."""
    yield from _running("22")


@pytest.fixture(scope="session")
def asterisk16() -> Iterator[Asterisk]:
    """A running Asterisk 16, one for the whole session. Most tests want `pbx16`: the same, with an empty spool."""
    yield from _running("16")


@pytest.fixture
async def pbx22(asterisk22: Asterisk) -> Asterisk:
    """Asterisk 22: running, without calls, without messages."""
    await asterisk22.reset()
    return asterisk22


@pytest.fixture
async def pbx16(asterisk16: Asterisk) -> Asterisk:
    """Asterisk 16: running, without calls, without messages."""
    await asterisk16.reset()
    return asterisk16


@pytest.fixture(params=VERSIONS)
def shared_asterisk(request: pytest.FixtureRequest) -> Asterisk:
    """Each version in turn."""
    shared: Asterisk = request.getfixturevalue(f"asterisk{request.param}")
    return shared


@pytest.fixture
async def pbx(shared_asterisk: Asterisk) -> Asterisk:
    """Each version in turn: running, without calls, without messages."""
    await shared_asterisk.reset()
    return shared_asterisk


@pytest.fixture
async def new_asterisk() -> AsyncIterator[NewAsterisk]:
    """Start an Asterisk of the test's own, with other options; it is gone after the test."""
    for version in VERSIONS:
        build(version)  # which is no part of the test's time
    async with AsyncExitStack() as stack:

        async def start(version: str, options: Options | None = None) -> Asterisk:
            return await stack.enter_async_context(Asterisk.built(version, options))

        yield start


def _running(version: str) -> Iterator[Asterisk]:
    asterisk = Asterisk.built(version)
    try:
        asyncio.run(asterisk.start())
        yield asterisk
    finally:
        asyncio.run(asterisk.close())
