"""A spool for the tests of what reads it."""

from pathlib import Path

import pytest

from tests.spool.house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty spool."""
    root = tmp_path / "voicemail"
    root.mkdir()
    return House(root)
