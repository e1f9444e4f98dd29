"""A site for the tests of the HTTP side."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.site import Site, running


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running(tmp_path) as site:
        yield site
