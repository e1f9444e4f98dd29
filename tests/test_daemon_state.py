import asyncio
import stat
from pathlib import Path

import pytest

from service.daemon_state import alone, follow_link_key, link_key, rotate_link_key
from service.errors import ConflictError


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "voicemaild.db"


def test_a_key_lasts_until_it_is_rotated(database: Path) -> None:
    key = link_key(database)
    assert link_key(database) == key
    rotate_link_key(database)
    assert link_key(database) != key
    assert stat.S_IMODE(database.with_name("link.key").stat().st_mode) == 0o600


def test_a_key_can_be_rotated_before_there_is_one(database: Path) -> None:
    rotate_link_key(database)
    assert len(link_key(database)) == 32


def test_where_a_key_cannot_be_written_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="cannot be written"):
        rotate_link_key(tmp_path / "nowhere" / "voicemaild.db")


async def test_who_signs_is_told_of_another_key_and_not_of_one_that_is_damaged(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: asyncio.Queue[bytes] = asyncio.Queue()
    link_key(database)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(follow_link_key(database, told.put_nowait, every_s=0))
        await asyncio.sleep(0)  # it has read the first
        database.with_name("link.key").write_bytes(b"damaged")
        while "cannot be read" not in caplog.text:
            await asyncio.sleep(0)
        assert told.empty()
        rotate_link_key(database)
        assert await told.get() == link_key(database)
        task.cancel()


def test_only_one_daemon_can_have_a_database(database: Path) -> None:
    with alone(database), pytest.raises(ConflictError, match="another voicemaild"), alone(database):
        pass
    with alone(database):
        pass
