"""The simulated spool against the recordings of a real one: every file operation, in order."""

from pathlib import Path

import pytest

from service.model import Mailbox
from service.simulator.boxes import Box
from service.simulator.disk import Steps
from service.simulator.message import read
from service.simulator.spool import SpoolWriter
from service.simulator.visit import MailboxVisit
from tests.simulator.recordings import as_inotify, inotify, lay_out, normalised, recording, tree_after

JANE = '"Jane Doe" <15551234567>'
THREE = {"WAV": b"wav49", "gsm": b"gsm", "wav": b"linear"}
BOX = Mailbox("default", "100")
BOX_104 = Mailbox("default", "104")
BOX_106 = Mailbox("default", "106")
BOX_108 = Mailbox("default", "108")


def operations(steps: Steps[object]) -> list[str]:
    """What a recording of system calls shows of these steps."""
    return [step for step in steps if not step.startswith(("write", "close"))]


def recorded(name: str, root: Path) -> list[str]:
    """What the recording shows, without the folders that are there already."""
    steps = recording(name).operations
    return [step for step in steps if not (step.startswith("mkdir ") and (root / step.removeprefix("mkdir ")).is_dir())]


def assert_as_recorded(name: str, root: Path, steps: Steps[object]) -> None:
    """Go through the steps: the operations are the recorded ones, and no lock is left."""
    expected = normalised(recorded(name, root))
    assert expected
    assert normalised(operations(steps)) == expected
    assert not list(root.rglob(".lock*"))


def tree(root: Path) -> set[str]:
    """What lies there, as the recordings tell it."""
    files = (path for path in root.rglob("msg*") if path.is_file())
    return {f"{path.relative_to(root)} {_msg_id(path)}".strip() for path in files}


def _msg_id(path: Path) -> str:
    return read(path.read_bytes()).get("msg_id", "") if path.suffix == ".txt" else ""


@pytest.mark.parametrize(
    ("name", "mailbox", "audio"),
    [
        ("leave", BOX, {"wav": b"linear"}),
        ("leave-3formats", BOX_104, THREE),
        ("leave-urgent", Mailbox("default", "101"), THREE),
        ("leave-deleteyes", Mailbox("default", "103"), THREE),
    ],
)
def test_a_message_is_left_in_the_order_asterisk_leaves_it(
    tmp_path: Path, name: str, mailbox: Mailbox, audio: dict[str, bytes]
) -> None:
    """Audio into tmp, the lock, audio under its number, the text last; delete=yes then deletes the text first."""
    lay_out(tmp_path, name)
    writer = SpoolWriter(tmp_path, [Box(Mailbox("default", "103"), delete=True)])
    steps = writer.leave_steps(mailbox, JANE, audio, duration=2, urgent="urgent" in name)
    assert_as_recorded(name, tmp_path, steps)


def test_a_message_that_is_too_short_vanishes_from_tmp(tmp_path: Path) -> None:
    lay_out(tmp_path, "hangup-early-minsecs1")
    mailbox = Mailbox("default", "109")
    writer = SpoolWriter(tmp_path, [Box(mailbox, minsecs=1)])
    steps = writer.leave_steps(mailbox, JANE, THREE, duration=0)
    assert_as_recorded("hangup-early-minsecs1", tmp_path, steps)
    assert not list(tmp_path.rglob("*.wav"))


@pytest.mark.parametrize("name", ["ami-move-first", "ami-remove-first", "ami-forward"])
def test_an_action_does_to_the_files_what_asterisk_does(tmp_path: Path, name: str) -> None:
    """Copies are written in place, renumbering renames each message's audio first and its text last."""
    lay_out(tmp_path, name)
    writer = SpoolWriter(tmp_path)
    first = writer.msg_ids(BOX)[0]
    steps: dict[str, Steps[bool]] = {
        "ami-move-first": writer.move_steps(BOX, first, "Old"),
        "ami-remove-first": writer.remove_steps(BOX, first),
        "ami-forward": writer.forward_steps(BOX, first, Mailbox("default", "109")),
    }
    assert_as_recorded(name, tmp_path, steps[name])
    assert tree(tmp_path) == tree_after(name)


def visit(writer: SpoolWriter, mailbox: Mailbox, *, deletes: bool) -> Steps[None]:
    """Call the mailbox, hear one message, press 7 or not, hang up."""
    call = MailboxVisit(writer.folders, mailbox)
    msg_id = writer.msg_ids(mailbox)[0]
    yield from call.open_steps()
    call.hear(msg_id)
    if deletes:
        call.delete(msg_id)
    yield from call.hang_up_steps()


@pytest.mark.parametrize(
    ("name", "mailbox"),
    [("listen-first", BOX_104), ("listen-delete-first", BOX_104), ("listen-backupdeleted", BOX_106)],
)
def test_listening_moves_messages_at_hang_up(tmp_path: Path, name: str, mailbox: Mailbox) -> None:
    """What was heard goes to Old, what was deleted is overwritten, and kept in Deleted with backupdeleted."""
    lay_out(tmp_path, name)
    writer = SpoolWriter(tmp_path, [Box(BOX_106, backupdeleted=5)])
    assert_as_recorded(name, tmp_path, visit(writer, mailbox, deletes=name != "listen-first"))
    assert tree(tmp_path) == tree_after(name)


def test_a_summary_closes_a_gap_that_a_new_message_did_not(tmp_path: Path) -> None:
    """Recorded: msg0000 deleted from outside, a message left (it got the number after the last), then BoxSummary."""
    lay_out(tmp_path, "external-delete-gap")
    for path in (tmp_path / "default/108/INBOX").glob("msg0000.*"):
        path.unlink()
    writer = SpoolWriter(tmp_path)

    def both() -> Steps[None]:
        yield from writer.leave_steps(BOX_108, JANE, THREE, duration=1)
        yield from writer.summary_steps(BOX_108)

    assert_as_recorded("external-delete-gap", tmp_path, both())
    assert writer.disk.numbers("default/108/INBOX") == list(range(9))


@pytest.mark.parametrize("name", ["ami-remove-first", "ami-forward"])
def test_a_watcher_sees_the_events_it_would_see_beside_asterisk(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path, name)
    writer = SpoolWriter(tmp_path)
    first = writer.msg_ids(BOX)[0]
    steps = (
        writer.remove_steps(BOX, first)
        if "remove" in name
        else writer.forward_steps(BOX, first, Mailbox("default", "109"))
    )
    assert normalised(as_inotify(tmp_path, steps)) == normalised(inotify(name))


def test_a_new_message_causes_the_events_asterisk_causes(tmp_path: Path) -> None:
    lay_out(tmp_path, "leave-urgent")
    steps = SpoolWriter(tmp_path).leave_steps(Mailbox("default", "101"), JANE, THREE, duration=2, urgent=True)
    assert normalised(as_inotify(tmp_path, steps)) == normalised(inotify("leave-urgent"))
