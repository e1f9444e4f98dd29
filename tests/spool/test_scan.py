import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from service.audio import SUFFIXES, describe
from service.difference import difference
from service.errors import UnavailableError
from service.model import Audio, Envelope, Folder, Mailbox
from service.simulator.disk import run
from service.simulator.spool import SpoolWriter
from service.simulator.tone import voice
from service.spool import MailboxScan, Rejects, Scanner
from service.spool.scan import unreadable
from tests.spool.house import BOX, House, lay_out, listed, remembered, rest

FIRST = "1795210952-00000000"


# --- real spools


@pytest.mark.parametrize("version", [22, 16])
def test_the_spool_of_a_real_pbx_gives_exactly_its_messages(version: int, tmp_path: Path) -> None:
    house = House(lay_out(version, tmp_path))
    expected = listed(version)
    boxes = house.scanner.mailboxes()
    assert {str(box) for box in boxes} >= {line[0] for line in expected}
    found = [(box, one) for box in boxes for one in house.scan(mailbox=box).found]
    rows = []
    for box, one in found:
        assert one.envelope is not None
        assert one.audio is not None
        assert one.audio.file.suffix == "wav"
        said = one.envelope
        row: tuple[object, ...] = (box, one.folder.value, one.msgnum, one.msg_id, said.origtime, said.duration)
        row += ("Urgent" if said.urgent else "", said.caller_id_name, said.caller_id_number, one.audio.duration_ms)
        rows.append(tuple(map(str, row)))
    assert sorted(rows) == sorted(expected)
    assert house.refused == {}


@pytest.mark.parametrize("version", [22, 16])
def test_a_real_spool_is_read_once(version: int, tmp_path: Path) -> None:
    house = House(lay_out(version, tmp_path))
    for box in house.scanner.mailboxes():
        known = [remembered(one, number) for number, one in enumerate(house.scan(mailbox=box).found)]
        again = house.scan(known, box)
        assert not difference(known, again.found, complete=True)
        assert all(one.envelope is None for one in again.found)


# --- mailboxes


def test_every_directory_of_a_context_is_a_mailbox(house: House) -> None:
    for box in ("100@other", "101@default", "100@default"):
        house.folder(mailbox=Mailbox.parse(box))
    (house.root / "file").touch()
    (house.root / "default" / "file").touch()
    (house.root / "empty").mkdir()
    assert [str(box) for box in house.scanner.mailboxes()] == ["100@default", "101@default", "100@other"]
    assert house.refused == {}


def test_a_name_that_no_mailbox_can_have_costs_a_refusal_and_no_more(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.folder()
    for name in (b"a b", b"new\nline", b"\xff\xfe", b"...", b"x" * 100):
        Path(os.fsdecode(os.fsencode(house.root / "default") + b"/" + name)).mkdir()
        Path(os.fsdecode(os.fsencode(house.root) + b"/" + name)).mkdir()
    (house.root / "default" / "link").symlink_to("/etc")
    (house.root / "link").symlink_to("/")
    assert house.scanner.mailboxes() == [BOX]
    assert house.refused == {"name": 10, "link": 2}
    assert any(r"default/\\xff\\xfe" in message for message in caplog.messages)


def test_a_spool_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    house = House(tmp_path / "nowhere")
    with pytest.raises(UnavailableError, match=r"cannot read .*nowhere: No such file or directory; see \[spool\] path"):
        house.scanner.mailboxes()
    with pytest.raises(UnavailableError):
        house.scan()


def test_the_root_may_be_a_link_that_the_administrator_made(house: House, tmp_path: Path) -> None:
    house.message(0)
    (tmp_path / "link").symlink_to(house.root)
    assert House(tmp_path / "link").found() == [("INBOX", 0, FIRST)]


# --- what a scan finds


@pytest.mark.parametrize("mailbox", ["999@default", "100@nowhere"])
def test_a_mailbox_that_is_not_there_has_no_messages(house: House, mailbox: str) -> None:
    house.folder()
    assert house.scan(mailbox=Mailbox.parse(mailbox)) == MailboxScan(Mailbox.parse(mailbox))


def test_all_folders_asterisk_shows_are_looked_at_and_no_other(house: House) -> None:
    for number, folder in enumerate((*Folder, "Deleted", "tmp", "Greetings")):
        house.message(number, folder)
    assert {place[0] for place in house.found()} == {folder.value for folder in Folder}


def test_a_message_is_told_with_what_its_files_hold(house: House) -> None:
    text = house.message(7, "Urgent", name="Zoë")
    one = house.one()
    status = text.stat()
    assert (one.folder, one.msgnum, one.msg_id) == (Folder.URGENT, 7, "1795210952-00000007")
    assert one.stamp == (status.st_ino, status.st_mtime_ns, status.st_size)
    assert one.envelope == Envelope(one.msg_id, 1_795_210_959, 9, "Zoë", "7")
    assert one.audio is not None
    assert (one.audio.duration_ms, one.audio.file.inode) == (500, text.with_suffix(".wav").stat().st_ino)


def test_of_several_formats_the_best_that_can_be_read_is_taken(house: House) -> None:
    text = house.message(0, suffixes=("gsm", "WAV", "wav"))
    audio = house.one().audio
    assert audio is not None
    assert audio.file.suffix == "wav"
    text.with_suffix(".wav").write_bytes(b"RIFF")
    audio = house.one().audio
    assert audio is not None
    assert (audio.file.suffix, house.refused) == ("WAV", {"no_audio": 1})


def test_a_message_without_audio_is_a_message(house: House) -> None:
    house.message(0, suffixes=())
    assert (house.one().msg_id, house.one().audio) == (FIRST, None)


def test_audio_without_a_text_is_no_message_yet(house: House) -> None:
    house.message(0).unlink()
    assert house.found() == []


def test_audio_that_comes_later_is_seen(house: House) -> None:
    text = house.message(0, suffixes=())
    known = [remembered(house.one())]
    assert house.one(known).known is not None
    text.with_suffix(".wav").write_bytes(voice(1, 1))
    assert house.one(known).audio is not None


def test_a_known_message_is_recognised_wherever_it_was_renamed_to(house: House) -> None:
    text = house.message(3)
    known = [remembered(house.one())]
    for suffix in (".wav", ".txt"):
        text.with_suffix(suffix).rename(house.folder("Old") / f"msg0000{suffix}")
    one = house.one(known)
    assert (one.folder, one.msgnum, one.known, one.envelope) == (Folder.OLD, 0, known[0], None)


def test_a_text_that_was_changed_or_copied_is_read_again(house: House) -> None:
    text = house.message(0)
    known = [remembered(house.one())]
    text.write_bytes(text.read_bytes().replace(b"Jane", b"John"))
    one = house.one(known)
    assert one.envelope is not None
    assert (one.known, one.envelope.caller_id_name) == (None, "John")


def test_another_recording_under_the_same_text_is_read_again(house: House) -> None:
    """In the midst of a renumbering, the audio of one message may lie beside the text of another."""
    text = house.message(0)
    known = [remembered(house.one())]
    other = text.with_name("other")
    other.write_bytes(voice(1, 2))
    other.rename(text.with_suffix(".wav"))
    one = house.one(known)
    assert one.audio is not None
    assert one.audio.duration_ms == 1000


# --- what moves meanwhile


def test_a_lock_means_that_nothing_is_settled(house: House) -> None:
    house.message(0)
    lock = house.folder("Old") / ".lock"
    lock.touch()
    assert house.scan() == MailboxScan(BOX, settled=False)
    lock.unlink()
    assert house.scan().settled


@pytest.mark.parametrize("seconds", [1000, -1000])
def test_a_lock_that_nobody_can_be_holding_is_passed_over(house: House, seconds: float) -> None:
    """One of a PBX that was killed; or from before the clock was set back."""
    house.message(0)
    lock = house.folder() / ".lock"
    lock.touch()
    rest(lock, seconds)
    assert house.found() == [("INBOX", 0, FIRST)]
    rest(lock, seconds / 1000)
    assert not house.scan().settled


def meanwhile(house: House, act: Callable[[], object]) -> MailboxScan:
    """A scan during which something happens, once."""
    acts = [act]

    def describing(fd: int, suffix: str) -> Audio:
        if acts:
            acts.pop()()
        return describe(fd, suffix)

    return Scanner(house.root, describing, SUFFIXES, Rejects()).scan(BOX, [])


def swap(house: House) -> None:
    """What a renumbering does to message 1: onto the place of message 0."""
    for suffix in (".wav", ".txt"):
        (house.folder() / f"msg0001{suffix}").rename(house.folder() / f"msg0000{suffix}")


@pytest.mark.parametrize(
    "act",
    [
        swap,
        lambda house: (house.folder() / "msg0001.txt").unlink(),
        lambda house: house.message(2),
        lambda house: house.message(0, "Work"),
        lambda house: (house.folder() / ".lock").touch(),
        lambda house: (house.folder() / "msg0001.gsm").touch(),
    ],
)
def test_a_scan_under_which_something_moves_is_not_settled(house: House, act: Callable[[House], object]) -> None:
    house.message(0)
    house.message(1)
    house.folder("Old")
    assert meanwhile(house, lambda: act(house)) == MailboxScan(BOX, settled=False)
    (house.folder() / ".lock").unlink(missing_ok=True)
    assert house.scan().settled


def test_what_goes_on_in_tmp_or_in_another_mailbox_moves_nothing(house: House) -> None:
    house.message(0)

    def others() -> None:
        (house.folder("tmp") / "a1b2c3.wav").touch()
        house.message(0, mailbox=Mailbox("default", "101"))

    house.folder("tmp")
    scan = meanwhile(house, others)
    assert (scan.settled, len(scan.found)) == (True, 1)


# --- messages that are being written, or have no msg_id


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fresh for a second is so for half a minute, in which a slow machine looks."""
    monkeypatch.setattr("service.spool.scan.SETTLING_S", 30)


def fresh(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@pytest.mark.usefixtures("_patient")
def test_a_text_that_is_half_written_is_waited_for_and_then_refused(house: House) -> None:
    text = house.message(0)
    whole = text.read_bytes()
    fresh(text, whole[:-5])
    assert (house.scan().pending, house.scan().found) == (True, [])
    assert house.refused == {}
    rest(text)
    assert (house.scan().pending, house.scan().found) == (False, [])
    assert house.refused == {"no_message": 2}
    fresh(text, whole)
    assert house.found() == [("INBOX", 0, FIRST)]


@pytest.mark.usefixtures("_patient")
def test_while_a_message_is_pending_the_others_are_found_and_none_is_taken_for_gone(house: House) -> None:
    house.message(0)
    known = [remembered(house.one())]
    fresh(house.message(1), b"")
    scan = house.scan(known)
    assert (scan.pending, [one.msg_id for one in scan.found]) == (True, [FIRST])


@pytest.mark.usefixtures("_patient")
def test_a_message_without_a_msg_id_has_its_fingerprint_for_one_once_it_rests(house: House) -> None:
    text = house.message(0, msg_id="")
    fresh(text, text.read_bytes())
    assert (house.scan().pending, house.scan().found) == (True, [])
    rest(text)
    one = house.one()
    assert one.envelope is not None
    assert (one.msg_id, one.envelope.msg_id) == (one.fingerprint, "")
    assert one.msg_id.startswith("fp-")


def test_a_text_of_the_future_is_not_waited_for_for_ever(house: House) -> None:
    text = house.message(0, msg_id="")
    rest(text, -3600)
    assert (house.scan().pending, len(house.scan().found)) == (False, 1)


def test_a_fingerprint_is_of_what_was_said_and_when_and_not_of_where_it_lies(house: House) -> None:
    def fingerprint(number: int, folder: str = "INBOX", *, sound: bytes | None = None, name: str = "Jane") -> str:
        text = house.message(number, folder, msg_id="", sound=sound, name=name)
        print_ = house.one().msg_id
        text.unlink()
        return print_

    first = fingerprint(0)
    assert fingerprint(0, "Old") == first
    assert fingerprint(0, name="John") == first
    assert fingerprint(1) != first
    assert fingerprint(0, sound=voice(0.5, 99)) != first


def test_without_audio_the_caller_belongs_to_the_fingerprint(house: House) -> None:
    prints = set()
    for name in ("Jane", "John"):
        house.message(0, msg_id="", suffixes=(), name=name)
        prints.add(house.one().msg_id)
    assert len(prints) == 2


def test_a_message_that_asterisk_gives_a_msg_id_is_recognised(house: House) -> None:
    """VoicemailBoxSummary rewrites the text in place."""
    house.message(0, msg_id="")
    known = [remembered(house.one())]
    (listed_,) = run(SpoolWriter(house.root).summary_steps(BOX))
    change = difference(known, house.scan(known).found, complete=True)
    assert [(one.msg_id, one.known) for one in change.read] == [(listed_.msg_id, known[0])]
    assert not change.gone


@pytest.mark.parametrize(("path", "told"), [("/home/pbx/voicemail", True), ("/homes/voicemail", False)])
def test_what_the_unit_hides_is_told_by_the_name_of_its_setting(path: str, *, told: bool) -> None:
    error = unreadable(Path(path), PermissionError(errno.EACCES, "Permission denied"))
    assert "in the group asterisk?" in str(error)
    assert ("ProtectHome=tmpfs" in str(error)) is told
