import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import NotFoundError
from service.model import AudioFile, Folder, Mailbox
from service.opening import Refused, directory
from service.spool import Rejects, open_audio
from service.spool.files import LARGEST_TXT, message_name, read_txt
from tests.descriptors import open_files
from tests.spool.house import BOX, House

NAME = "msg0000.txt"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "INBOX"
    place.mkdir()
    return place


def link(path: Path) -> None:
    secret = path.parents[1] / "secret"
    secret.write_text("root:x:0:0\n")
    path.symlink_to(secret)


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def hard_link(path: Path) -> None:
    secret = path.parents[1] / "secret"
    secret.write_text("root:x:0:0\n")
    path.hardlink_to(secret)


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        here = Path.cwd()
        os.chdir(path.parent)  # a path of a socket may be no longer than 107 bytes
        try:
            sock.bind(path.name)
        finally:
            os.chdir(here)


def large(path: Path) -> None:
    path.write_bytes(b"x" * (LARGEST_TXT + 1))


def late(path: Path) -> None:
    """Its time is one that SQLite cannot hold: the year 2554."""
    path.write_text("x")
    os.utime(path, ns=(0, 2**64 - 2**40))


ODD: list[tuple[Callable[[Path], object], str]] = [
    (link, "link"),
    (dangling, "link"),
    (hard_link, "hard_link"),
    (os.mkfifo, "not_regular"),
    (bound, "not_regular"),
    (Path.mkdir, "not_regular"),
    (large, "too_large"),
    (late, "time"),
]


@pytest.mark.parametrize(("make", "reason"), ODD)
def test_what_is_no_plain_file_of_the_folder_s_own_is_refused(
    place: Path, make: Callable[[Path], object], reason: str
) -> None:
    make(place / NAME)
    with directory(place) as fd, pytest.raises(Refused) as refused:
        read_txt(NAME, fd)
    assert refused.value.reason == reason


def test_a_refused_file_is_closed_again(place: Path) -> None:
    before = open_files()
    for make, _reason in ODD:
        make(place / NAME)
        with directory(place) as fd, pytest.raises(Refused):
            read_txt(NAME, fd)
        (place / NAME).rename(place / f"{make.__name__}")
        (place.parent / "secret").unlink(missing_ok=True)
    assert open_files() == before


@pytest.mark.parametrize("size", [0, 1, LARGEST_TXT])
def test_a_plain_file_is_read_whole_with_what_it_was(place: Path, size: int) -> None:
    (place / NAME).write_bytes(b"x" * size)
    with directory(place) as fd:
        data, status = read_txt(NAME, fd)
    assert data == b"x" * size
    assert (status.st_ino, status.st_size) == ((place / NAME).stat().st_ino, size)


def test_a_file_that_is_gone_is_no_refusal(place: Path) -> None:
    with directory(place) as fd, pytest.raises(FileNotFoundError):
        read_txt(NAME, fd)


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("msg0000.txt", (0, "txt")),
        ("msg0007.wav", (7, "wav")),
        ("msg0007.WAV", (7, "WAV")),
        ("msg9999.gsm", (9999, "gsm")),
        ("msg12345.txt", (12345, "txt")),
        ("msg0001.g726-32", (1, "g726-32")),
        ("msg-001.txt", None),
        ("msg00007.txt", None),
        ("msg007.txt", None),
        ("msg1234567.txt", None),
        ("msg0000.txt\n", None),
        ("msg0000.txt.bak", None),
        ("msg0000.", None),
        ("msg0000", None),
        ("xmsg0000.txt", None),
        ("MSG0000.txt", None),
        ("msg0000.../x", None),
        ("msg\u0660\u0660\u0660\u0660.txt", None),
        ("msg0000.\udcff", None),
        ("msg0000.t\nt", None),
        (".lock", None),
        ("", None),
    ],
)
def test_only_the_names_asterisk_gives_are_messages(name: str, parsed: tuple[int, str] | None) -> None:
    assert message_name(name) == parsed


# --- playing


def ingested(house: House, number: int = 0) -> AudioFile:
    house.message(number)
    (found,) = [one for one in house.scan().found if one.msgnum == number]
    assert found.audio is not None
    return found.audio.file


def played(house: House, file: AudioFile, number: int = 0, folder: Folder = Folder.INBOX, box: Mailbox = BOX) -> bytes:
    fd = open_audio(house.root, box, folder, number, file)
    with os.fdopen(fd, "rb") as audio:
        return audio.read()


def test_the_audio_that_was_ingested_is_opened(house: House) -> None:
    file = ingested(house)
    assert played(house, file) == (house.folder() / "msg0000.wav").read_bytes()


def test_wherever_a_message_was_renamed_to_its_audio_is_opened_there(house: House) -> None:
    file = ingested(house)
    (house.folder() / "msg0000.wav").rename(house.folder("Old") / "msg0003.wav")
    assert played(house, file, 3, Folder.OLD).startswith(b"RIFF")
    with pytest.raises(NotFoundError):
        played(house, file)


def put_another(audio: Path) -> None:
    other = audio.with_name("other")
    other.write_bytes(audio.read_bytes())
    os.utime(other, ns=(0, audio.stat().st_mtime_ns))
    other.rename(audio)


def write_in_place(audio: Path) -> None:
    data, before = audio.read_bytes(), audio.stat().st_mtime_ns
    audio.write_bytes(data)
    os.utime(audio, ns=(0, before + 1))


def lengthen(audio: Path) -> None:
    before = audio.stat().st_mtime_ns
    with audio.open("ab") as file:
        file.write(b"more")
    os.utime(audio, ns=(0, before))


def replace_with(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(audio: Path) -> None:
        audio.rename(audio.with_name("aside"))
        make(audio)

    return change


def link_to_it(audio: Path) -> None:
    audio.rename(audio.with_name("aside"))
    audio.symlink_to("aside")


def link_twice(audio: Path) -> None:
    audio.with_name("again").hardlink_to(audio)


def link_the_folder(audio: Path) -> None:
    folder = audio.parent
    folder.rename(folder.with_name("real"))
    folder.symlink_to("real")


def link_the_box(audio: Path) -> None:
    box = audio.parents[1]
    box.rename(box.with_name("real"))
    box.symlink_to("real")


def link_the_context(audio: Path) -> None:
    context = audio.parents[2]
    context.rename(context.with_name("real"))
    context.symlink_to("real")


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        put_another,
        write_in_place,
        lengthen,
        link_to_it,
        link_twice,
        link_the_folder,
        link_the_box,
        link_the_context,
        replace_with(link),
        replace_with(os.mkfifo),
        replace_with(Path.mkdir),
    ],
)
def test_nothing_but_the_very_file_that_was_ingested_is_opened(house: House, change: Callable[[Path], object]) -> None:
    file = ingested(house)
    before = open_files()
    change(house.folder() / "msg0000.wav")
    with pytest.raises(NotFoundError):
        played(house, file)
    assert open_files() == before


def test_another_message_that_took_its_number_is_not_played_as_it(house: House) -> None:
    first, second = ingested(house, 0), ingested(house, 1)
    (house.folder() / "msg0001.wav").rename(house.folder() / "msg0000.wav")
    with pytest.raises(NotFoundError, match="moved"):
        played(house, first)
    assert played(house, second, 0)


def test_each_of_inode_size_and_time_must_be_as_it_was(house: House) -> None:
    file = ingested(house)
    for other in (
        replace(file, inode=file.inode + 1),
        replace(file, size=file.size + 1),
        replace(file, mtime_ns=file.mtime_ns + 1),
    ):
        with pytest.raises(NotFoundError):
            played(house, other)


# --- what is refused


def test_a_refusal_is_counted_each_time_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[str] = []
    rejects = Rejects(counted.append)
    for where, reason in [("a\nb", "link"), ("a\nb", "link"), ("a\nb", "too_large"), ("c", "link")]:
        rejects.note(where, reason)
    assert counted == ["link", "link", "too_large", "link"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        r"spool file refused file='a\nb' reason=link",
        r"spool file refused file='a\nb' reason=too_large",
        "spool file refused file='c' reason=link",
    ]


def test_what_was_logged_is_remembered_within_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    rejects = Rejects()
    for number in range(1001):
        rejects.note(f"file{number}", "link")
    caplog.clear()
    rejects.note("file1000", "link")
    rejects.note("file0", "link")
    assert [record.getMessage() for record in caplog.records] == ["spool file refused file='file0' reason=link"]
