"""What is opened below a root that somebody else writes in, and what is not."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from service.opening import Refused, directory, open_regular
from tests.descriptors import open_files

NAME = "audio.wav"


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def hard_link(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("x")
    path.hardlink_to(other)


def bound(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a path of a socket may be no longer than 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path.name)
    finally:
        os.chdir(here)


def large(path: Path) -> None:
    path.write_bytes(b"x" * 11)


def late(path: Path) -> None:
    """Its time is one that SQLite cannot hold: the year 2554."""
    path.write_text("x")
    os.utime(path, ns=(0, 2**64 - 2**40))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (link, "link"),
        (link_to_itself, "link"),
        (hard_link, "hard_link"),
        (os.mkfifo, "not_regular"),
        (bound, "not_regular"),
        (Path.mkdir, "not_regular"),
        (large, "too_large"),
        (late, "time"),
    ],
)
def test_what_is_no_plain_file_is_refused_and_closed(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    make(tmp_path / NAME)
    before = open_files()
    with directory(tmp_path) as fd, pytest.raises(Refused) as refused:
        open_regular(NAME, fd, 10)
    assert refused.value.reason == reason
    assert open_files() == before


def test_a_device_is_refused() -> None:
    """It would be read for ever."""
    with directory("/dev") as fd, pytest.raises(Refused, match="not_regular"):
        open_regular("zero", fd)


def test_a_plain_file_is_opened_with_what_it_is(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"0123456789")
    with directory(tmp_path) as parent:
        fd, status = open_regular(NAME, parent, 10)
    with os.fdopen(fd, "rb") as file:
        assert file.read() == b"0123456789"
    assert (status.st_size, status.st_ino) == (10, (tmp_path / NAME).stat().st_ino)


def test_what_is_gone_is_no_refusal(tmp_path: Path) -> None:
    with directory(tmp_path) as fd, pytest.raises(FileNotFoundError):
        open_regular(NAME, fd)


def test_below_the_root_no_directory_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    with directory(tmp_path / "linked") as fd:
        assert stat.S_ISDIR(os.fstat(fd).st_mode)
    with directory(tmp_path) as top, pytest.raises(OSError, match="linked"), directory("linked", top):
        pass
