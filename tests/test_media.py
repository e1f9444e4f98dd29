import os
import resource
import signal
import stat
from io import FileIO
from pathlib import Path

import pytest

from service.errors import NotFoundError, UnavailableError
from service.media import Media

NAME = "0b5f6c1e-6a67-5d9b-8f43-2f1f3f4c5d6e.wav"


@pytest.fixture
def media(tmp_path: Path) -> Media:
    return Media(tmp_path / "state" / "media")


def keep(media: Media, content: bytes, name: str = NAME) -> None:
    source = media.root.parent / "source"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(content)
    with FileIO(str(source)) as file:
        file.read(3)  # wherever it stands, all of it is copied
        media.keep(name, file.fileno())


def write_half(media: Media, error: Exception) -> None:
    with media.writing(NAME) as draft:
        draft.write(b"half")
        raise error


def test_what_was_kept_is_there_whole_and_for_our_eyes_only(media: Media) -> None:
    content = bytes(range(256)) * 10_000
    keep(media, content)
    fd, file = media.open(NAME)
    with FileIO(fd) as opened:
        assert opened.read() == content
    assert (file.suffix, file.size) == ("wav", len(content))
    assert stat.S_IMODE((media.root / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(media.root.stat().st_mode) == 0o700


def test_a_file_that_was_not_finished_is_not_there(media: Media) -> None:
    with pytest.raises(ZeroDivisionError):
        write_half(media, ZeroDivisionError())
    assert media.names() == []
    with pytest.raises(NotFoundError):
        media.open(NAME)


def test_what_a_crash_left_half_written_is_named_and_can_be_swept(media: Media) -> None:
    keep(media, b"whole")
    (media.root / f"{NAME}.new").write_bytes(b"half")
    assert media.names() == [NAME, f"{NAME}.new"]
    media.sweep(f"{NAME}.new")
    assert media.names() == [NAME]


def test_what_a_crash_left_half_written_is_discarded_and_nothing_else(media: Media) -> None:
    media.discard_drafts()
    keep(media, b"whole")
    (media.root / f"{NAME}.new").write_bytes(b"half")
    media.discard_drafts()
    assert media.names() == [NAME]


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x.wav", "/etc/passwd", "a.wav", f"{NAME}/x", f"../{NAME}", f"{NAME}\n", NAME.upper(), f"{NAME}\0"],
)
def test_no_name_but_that_of_a_message_is_one(media: Media, name: str) -> None:
    for use in (media.open, media.forget):
        with pytest.raises(NotFoundError):
            use(name)
    with pytest.raises(NotFoundError), media.writing(name):
        pass


def test_a_link_in_place_of_a_file_is_not_followed(media: Media, tmp_path: Path) -> None:
    media.root.mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (media.root / NAME).symlink_to(secret)
    with pytest.raises(NotFoundError):
        media.open(NAME)
    (media.root / f"{NAME}.new").symlink_to(secret)
    with pytest.raises(UnavailableError):
        keep(media, b"x")
    assert secret.read_text() == "secret"


def test_forgetting_is_final_and_what_is_gone_can_be_forgotten(media: Media) -> None:
    keep(media, b"x")
    media.forget(NAME)
    media.forget(NAME)
    assert media.names() == []


def test_where_nothing_can_be_written_it_is_said(media: Media) -> None:
    media.root.parent.mkdir(parents=True)
    media.root.write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot be written"), media.writing(NAME):
        pass


def test_what_goes_wrong_with_whoever_writes_is_no_failure_of_the_disk(media: Media) -> None:
    """A client that goes away is an OSError, too."""
    with pytest.raises(ConnectionResetError):
        write_half(media, ConnectionResetError())
    assert media.names() == []


def test_a_draft_can_be_read_before_it_is_published(media: Media) -> None:
    with media.writing(NAME) as draft:
        draft.write(b"whole")
        assert os.pread(draft.fd, 10, 0) == b"whole"
        assert media.names() == [f"{NAME}.new"]
    assert media.names() == [NAME]


def test_a_disk_that_is_full_is_told_and_leaves_nothing(media: Media) -> None:
    """What a process may write is limited here instead: the same error comes of the same call."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        with pytest.raises(UnavailableError, match="cannot be written"), media.writing(NAME) as draft:
            draft.write(bytes(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)
    assert media.names() == []


def test_who_writes_on_after_the_end_touches_no_other_file(media: Media) -> None:
    with media.writing(NAME) as draft:
        draft.write(b"whole")
    with pytest.raises(UnavailableError):
        draft.write(b"more")
    assert (media.root / NAME).read_bytes() == b"whole"
