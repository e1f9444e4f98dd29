import os
import time
from pathlib import Path

import pytest

from service.check_access import Eyes
from service.check_finding import Level
from service.check_spool import spool
from tests.checking import about, open_to_all, settings

NOBODY = Eyes("nobody", 65534, frozenset({65534}))


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A mailbox's INBOX in a spool that everybody may read, and its owner alone may write."""
    inbox = tmp_path / "spool" / "default" / "100" / "INBOX"
    inbox.mkdir(parents=True)
    open_to_all(inbox)
    return inbox


def found(tmp_path: Path, eyes: Eyes = NOBODY) -> list[tuple[Level, str]]:
    return about(spool(settings(None, tmp_path), eyes), "spool")


def test_a_spool_that_can_be_read_and_not_written_is_ok(inbox: Path, tmp_path: Path) -> None:
    ((level, line),) = found(tmp_path)
    assert level is Level.OK
    assert "1 mailbox," in line
    assert inbox.exists()


def test_a_spool_that_is_not_there_is_bad(tmp_path: Path) -> None:
    ((level, line),) = found(tmp_path, Eyes.own())
    assert level is Level.BAD
    assert "there is no" in line
    assert "spool.path" in line


def test_a_file_is_no_spool(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    ((level, line),) = found(tmp_path, Eyes.own())
    assert (level, "no directory" in line) == (Level.BAD, True)


def test_a_spool_that_is_closed_to_the_service_says_how_to_open_it(inbox: Path, tmp_path: Path) -> None:
    """As Debian makes it: /var/spool/asterisk is asterisk:asterisk 0750."""
    assert inbox.exists()
    (tmp_path / "spool").chmod(0o750)
    ((level, line),) = found(tmp_path)
    assert level is Level.BAD
    assert "then restart the service" in line
    assert "nobody" in line


def test_a_mailbox_that_is_closed_to_the_service_is_bad(inbox: Path, tmp_path: Path) -> None:
    inbox.parent.chmod(0o700)
    ((level, line),) = found(tmp_path)
    assert level is Level.BAD
    assert str(inbox.parent) in line


def test_a_folder_that_is_closed_to_the_service_is_bad(inbox: Path, tmp_path: Path) -> None:
    inbox.chmod(0o700)
    ((level, line),) = found(tmp_path)
    assert (level, str(inbox) in line) == (Level.BAD, True)


def test_a_spool_that_the_service_may_write_is_a_warning(inbox: Path, tmp_path: Path) -> None:
    assert inbox.exists()
    (tmp_path / "spool").chmod(0o777)
    level, line = found(tmp_path)[-1]
    assert (level, "never needed" in line) == (Level.WARN, True)


def test_a_lock_that_nobody_holds_any_more_is_bad(inbox: Path, tmp_path: Path) -> None:
    """Asterisk waits 5 s for it and then throws the new message away."""
    lock = inbox / ".lock"
    lock.touch()
    assert [level for level, _ in found(tmp_path)] == [Level.OK]
    os.utime(lock, (time.time() - 600,) * 2)
    level, line = found(tmp_path)[-1]
    assert level is Level.BAD
    assert f"rm {lock}" in line


def test_of_many_locks_the_first_are_named_and_the_rest_counted(inbox: Path, tmp_path: Path) -> None:
    for number in range(5):
        lock = inbox.parent / f"Cust{number}" / ".lock"
        lock.parent.mkdir()
        lock.touch()
        os.utime(lock, (0, 0))
    assert "and 2 more" in found(tmp_path)[-1][1]


def test_links_are_not_followed(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "100" / "INBOX").mkdir(parents=True)
    (inbox.parents[1] / "link").symlink_to(tmp_path / "elsewhere" / "100")
    assert "1 mailbox," in found(tmp_path)[0][1]
