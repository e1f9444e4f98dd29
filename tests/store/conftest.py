"""A database for the tests of the store's verbs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.transaction import Transaction
from tests.store.shelf import transaction


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Transaction]:
    """A transaction on a database that nobody has written to."""
    with transaction(tmp_path / "voicemaild.db") as tx:
        yield tx
