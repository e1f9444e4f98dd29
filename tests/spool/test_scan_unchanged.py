"""Which mailboxes need no look: those whose directories are as they were."""

from collections.abc import Callable

import pytest

from tests.spool.house import BOX, House, remembered, rest


def test_a_mailbox_whose_directories_rest_is_unchanged(house: House) -> None:
    house.message(0)
    house.folder("Old")
    then = house.looked()
    assert then[BOX] != ""
    assert house.scanner.unchanged(then) == [BOX]


@pytest.mark.parametrize(
    "act",
    [
        lambda house: house.message(1),
        lambda house: house.message(0, "Work"),
        lambda house: house.message(0, "Old"),
        lambda house: (house.folder() / "msg0000.txt").unlink(),
        lambda house: (house.folder() / "msg0000.txt").rename(house.folder() / "msg0001.txt"),
        lambda house: (house.folder() / "msg0000.txt").rename(house.folder("Old") / "msg0000.txt"),
        lambda house: house.folder("Old").rmdir(),
        lambda house: (house.root / "default" / "100").rename(house.root / "default" / "101"),
    ],
)
def test_whatever_comes_moves_or_goes_is_a_change(house: House, act: Callable[[House], object]) -> None:
    house.message(0)
    house.folder("Old")
    then = house.looked()
    act(house)
    assert house.scanner.unchanged(then) == []


def test_what_nobody_has_looked_at_is_not_unchanged(house: House) -> None:
    house.message(0)
    assert house.scanner.unchanged({BOX: ""}) == []
    assert house.scanner.unchanged({}) == []


def test_directories_that_changed_this_moment_cannot_be_relied_on(house: House) -> None:
    """Another change in the same tick of the file system's clock would not show."""
    house.message(0)
    house.looked()
    house.message(1)
    rest(house.folder(), -60)  # however long the next step takes
    assert house.scan().looked == ""


def refused_for_now(house: House) -> None:
    (house.folder() / "again").hardlink_to(house.folder() / "msg0000.txt")


def nameless(house: House) -> None:
    house.message(0, msg_id="")


def half_written(house: House) -> None:
    (house.folder() / "msg0000.txt").write_bytes(b"[message]\n")
    rest(house.folder() / "msg0000.txt")


def audio_refused(house: House) -> None:
    (house.folder() / "msg0000.wav").write_bytes(b"RIFF")


@pytest.mark.parametrize("make", [refused_for_now, nameless, half_written, audio_refused])
def test_what_may_be_mended_without_a_trace_in_its_directory_is_looked_at_again(
    house: House, make: Callable[[House], object]
) -> None:
    house.message(0)
    make(house)
    assert house.looked() == {BOX: ""}


def test_a_message_known_without_a_msg_id_may_be_given_one_any_time(house: House) -> None:
    house.message(0, msg_id="")
    known = [remembered(house.one())._replace(audio_inode=(house.folder() / "msg0000.wav").stat().st_ino)]
    house.looked()
    assert house.scan(known).looked == ""
