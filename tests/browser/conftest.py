"""Fixtures with a real browser. Where there is none, its tests are left out, and the summary says so."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.settings import Settings
from service.simulator.exchange import Delays
from service.simulator.pbx import Simulator
from tests.browser.chromium import PROGRAMS, Page, program, running
from tests.house import House, living, new_token, settings_for
from tests.left_out import leave_out

SOON = Delays(mwi=0.001, cdr=0.001, boot=0.001)


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a browser, and leave it out where there is none."""
    needing = [item for item in items if "chromium" in getattr(item, "fixturenames", ())]
    for item in needing:
        item.add_marker(pytest.mark.browser)
    if program() is None:
        leave_out(config, items, needing, f"in a real browser (tests/browser): none of {', '.join(PROGRAMS)} is there")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Chromium, one for the whole session, by the address of its DevTools."""
    with running(tmp_path_factory.mktemp("chromium")) as devtools:
        yield devtools


@pytest.fixture
async def page(chromium: str) -> AsyncIterator[Page]:
    """An empty page, which shares nothing with those of other tests."""
    async with Page.opened(chromium) as page:
        yield page


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with Simulator(tmp_path / "spool", delays=SOON, read="call,cdr", write="reporting,user") as pbx:
        yield pbx


@pytest.fixture
def settings(tmp_path: Path, pbx: Simulator) -> Settings:
    return settings_for(tmp_path, pbx)


@pytest.fixture
def token(settings: Settings) -> str:
    return new_token(settings)


@pytest.fixture
async def house(settings: Settings, token: str) -> AsyncIterator[House]:
    async with living(settings, token) as house:
        await house.until_ready()
        yield house
