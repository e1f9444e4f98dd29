"""What tests of audio share."""

import pytest

from tests.audio.processes import Children, started


@pytest.fixture
def children() -> Children:
    """The processes that this test has started and that are still there, beside those of earlier ones (a PBX)."""
    before = set(started())
    return lambda: [pid for pid in started() if pid not in before]
