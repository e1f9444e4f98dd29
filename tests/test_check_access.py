import grp
import os
import stat
from pathlib import Path

import pytest

from service.check_access import READ, SEARCH, WRITE, Eyes, group_of, letting_in, shown, whose
from tests.checking import open_to_all

OTHERS, MEMBERS = 4321, 4322
SOMEBODY = Eyes("somebody", OTHERS, frozenset({MEMBERS}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "a" / "b"
    found.mkdir(parents=True)
    open_to_all(found)
    return found


@pytest.mark.parametrize(
    ("mode", "wanted", "permitted"),
    [
        (0o755, READ | SEARCH, True),
        (0o755, WRITE, False),
        (0o750, READ, False),
        (0o754, READ | SEARCH, False),
        (0o702, WRITE, True),
    ],
)
def test_others_have_what_the_last_bits_say(path: Path, mode: int, wanted: int, *, permitted: bool) -> None:
    path.chmod(mode)
    assert SOMEBODY.may(path, wanted) is permitted


def test_a_member_of_the_group_has_what_the_groups_bits_say(path: Path) -> None:
    path.chmod(0o750)
    member = Eyes("member", OTHERS, frozenset({path.stat().st_gid}))
    assert member.may(path, READ | SEARCH)
    assert not member.may(path, WRITE)


def test_what_stops_somebody_is_the_first_closed_part_of_the_path(path: Path) -> None:
    assert SOMEBODY.stopped_at(path, READ | SEARCH) is None
    assert SOMEBODY.stopped_at(path, WRITE) == path
    path.parent.chmod(0o700)
    assert SOMEBODY.stopped_at(path, READ) == path.parent


def test_this_process_sees_with_its_own_eyes(path: Path) -> None:
    assert Eyes.own().uid == os.geteuid()
    assert Eyes.own().may(path, READ | WRITE | SEARCH)


def test_there_are_no_eyes_of_an_unknown_user() -> None:
    assert Eyes.of("no-such-user-here") is None
    root = Eyes.of("root")
    assert root is not None
    assert root.uid == 0


def test_root_looks_with_the_eyes_of_the_services_user_where_there_is_one() -> None:
    service = Eyes.of("voicemaild") if os.geteuid() == 0 else None
    assert whose() == (service or Eyes.own())


def test_a_group_is_told_by_its_name(path: Path) -> None:
    assert group_of(path.stat()) == grp.getgrgid(path.stat().st_gid).gr_name


def info_of(mode: int, gid: int) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, 0, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "gid", "remedy"),
    [
        (stat.S_IFDIR | 0o2750, 4323, "usermod -aG 4323 somebody, then restart the service"),
        (stat.S_IFDIR | 0o700, MEMBERS, "chmod g+rX /x, then restart the service"),
        (stat.S_IFREG | 0o600, 4323, "usermod -aG 4323 somebody, chmod g+rX /x, then restart the service"),
        (stat.S_IFREG | 0o640, 0, "chgrp asterisk /x, then restart the service"),
        (stat.S_IFREG | 0o640, MEMBERS, "look at who may read it: ls -ld /x"),
    ],
)
def test_who_may_not_read_is_let_in_by_what_is_missing_and_never_by_roots_group(
    mode: int, gid: int, remedy: str
) -> None:
    assert letting_in(SOMEBODY, Path("/x"), info_of(mode, gid)) == remedy


def test_what_stands_in_the_way_is_shown_as_ls_does() -> None:
    assert shown(info_of(stat.S_IFDIR | 0o2750, 4323)) == "drwxr-s---, group 4323"
