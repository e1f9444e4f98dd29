"""What lies in a spool may be anything: it costs a refusal, hides no message, and takes none for gone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import UnavailableError
from service.simulator.tone import voice
from tests.spool.house import BOX, House, remembered, rest


def test_hostile_files_cost_a_refusal_each_and_hide_no_message(house: House, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(house.message(9).read_bytes())
    place = house.folder()
    (place / "msg0001.txt").symlink_to(secret)
    os.mkfifo(place / "msg0002.txt")
    (place / "msg0003.txt").mkdir()
    (place / "msg0004.txt").write_bytes(b"[message]\n" + b"x" * 100_000)
    (place / "msg0005.txt").hardlink_to(secret)
    (place / "msg0006.txt").write_bytes(b"\0" * 300)
    rest(place / "msg0006.txt")
    for name in (b"msg-001.txt", b"msg00007.txt", b"msg0008.txt\n", b"msg0008.\xff", b"\xff" * 200):
        Path(os.fsdecode(os.fsencode(place) + b"/" + name)).write_bytes(secret.read_bytes())
    assert house.found() == [("INBOX", 9, "1795210952-00000009")]
    assert house.refused == {
        "link": 1, "not_regular": 2, "too_large": 1, "hard_link": 1, "no_message": 1
    }  # fmt: skip


def test_hostile_audio_costs_its_message_the_audio_alone(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(voice(0.5, 1))
    place = house.folder()
    house.message(0, suffixes=())
    (place / "msg0000.wav").symlink_to(secret)
    house.message(1, suffixes=())
    os.mkfifo(place / "msg0001.wav")
    house.message(2, sound=b"\xff" * 5000)
    house.message(3, suffixes=())
    (place / "msg0003.wav").hardlink_to(secret)
    assert [(one.msgnum, one.audio) for one in sorted(house.scan().found, key=lambda one: one.msgnum)] == [
        (number, None) for number in range(4)
    ]
    assert house.refused == {"link": 1, "not_regular": 1, "no_audio": 1, "hard_link": 1}
    assert "spool file refused file='100@default/INBOX/msg0000.wav' reason=link" in caplog.messages


def test_a_refused_format_leaves_the_others(house: House) -> None:
    house.message(0, suffixes=("gsm",), sound=b"\xd0" * 33)
    (house.folder() / "msg0000.wav").symlink_to("/etc/passwd")
    audio = house.one().audio
    assert audio is not None
    assert audio.file.suffix == "gsm"


@pytest.mark.parametrize("depth", ["default", "default/100"])
def test_a_mailbox_reached_over_a_link_is_not_read_and_not_empty_either(
    house: House, tmp_path: Path, depth: str
) -> None:
    house.message(0)
    aside = tmp_path / "aside"
    (house.root / depth).rename(aside)
    (house.root / depth).symlink_to(aside)
    with pytest.raises(UnavailableError):
        house.scan()
    assert house.refused == {"link": 1}


def link(place: Path) -> None:
    place.symlink_to("/etc")


@pytest.mark.parametrize("make", [link, Path.touch, os.mkfifo])
def test_what_stands_where_a_folder_should_be_hides_no_other_folder(
    house: House, make: Callable[[Path], object]
) -> None:
    """One hostile name must not stop a mailbox; what was known to lie there is not taken for gone."""
    house.message(0)
    old = house.message(1, "Old")
    known = [remembered(found, number) for number, found in enumerate(house.scan().found)]
    old.parent.rename(house.root / "aside")
    make(old.parent)
    house.message(2)
    assert house.found(known) == [
        ("INBOX", 0, "1795210952-00000000"),
        ("INBOX", 2, "1795210952-00000002"),
        ("Old", 1, "1795210952-00000001"),
    ]
    assert house.refused == {"link": 1}
    assert house.looked() == {BOX: ""}


def test_when_all_of_the_spool_is_gone_no_message_is_gone_for_that(house: House) -> None:
    """It is not mounted."""
    house.message(0)
    known = [remembered(house.one())]
    (house.root / "default").rename(house.root.with_name("aside"))
    with pytest.raises(UnavailableError, match="is it mounted"):
        house.scan(known)
    (house.root / "other").mkdir()
    assert house.found(known) == []
