"""What the simulated spool's operations do, beyond the order of their file operations."""

from pathlib import Path

import pytest

from service.model import Counts, Mailbox
from service.simulator import disk
from service.simulator.boxes import Box
from service.simulator.disk import SpoolLockedError, run
from service.simulator.message import read
from service.simulator.spool import Left, SpoolWriter
from service.simulator.tone import voice
from service.simulator.visit import MailboxVisit
from tests.simulator.recordings import FIXTURES

JANE = '"Jane Doe" <15551234567>'
BOX = Mailbox("default", "100")
OTHER = Mailbox("other", "100")
TEXTS = FIXTURES / "message-texts"


def leave(writer: SpoolWriter, mailbox: Mailbox = BOX, callerid: str = JANE, *, urgent: bool = False) -> str:
    """Leave a message whose audio is its caller id; gives its msg_id."""
    left = run(writer.leave_steps(mailbox, callerid, {"wav": callerid.encode()}, duration=3, urgent=urgent))
    assert left is not None
    return left.msg_id


def audio(root: Path, mailbox: Mailbox = BOX, folder: str = "INBOX") -> list[str]:
    files = sorted((root / mailbox.context / mailbox.extension / folder).glob("msg*.wav"))
    return [file.read_text() for file in files]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_message_keeps_its_own_voice_through_moves_and_renumbering(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    ids = [leave(writer, callerid=f"Caller {number}") for number in range(4)]
    assert run(writer.move_steps(BOX, ids[1], "Old"))
    assert run(writer.remove_steps(BOX, ids[0]))
    assert writer.msg_ids(BOX) == ids[2:]
    assert audio(tmp_path) == ["Caller 2", "Caller 3"]
    assert writer.msg_ids(BOX, "Old") == [ids[1]]
    assert audio(tmp_path, folder="Old") == ["Caller 1"]


def test_removing_the_last_message_deletes_its_text_first(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    leave(writer)
    last = leave(writer)
    gone = [step for step in writer.remove_steps(BOX, last) if step.startswith("unlink") and "msg" in step]
    assert gone == ["unlink default/100/INBOX/msg0001.txt", "unlink default/100/INBOX/msg0001.wav"]


def test_in_the_middle_of_renumbering_audio_and_text_belong_to_different_messages(tmp_path: Path) -> None:
    """Between any two steps a reader may look: this is the moment it must not serve."""
    writer = SpoolWriter(tmp_path)
    first, second = leave(writer, callerid="First"), leave(writer, callerid="Second")
    for step in writer.remove_steps(BOX, first):
        if step.startswith("rename") and step.endswith("msg0000.wav"):
            assert writer.msg_ids(BOX)[0] == first
            assert audio(tmp_path)[0] == "Second"
    assert writer.msg_ids(BOX) == [second]


def test_a_message_for_several_mailboxes_is_copied_under_one_msg_id(tmp_path: Path) -> None:
    """The copies are written in place with mode 0644; the original is renamed and 0666. All name the first mailbox."""
    writer = SpoolWriter(tmp_path)
    left = run(writer.leave_steps(BOX, JANE, {"wav": b"voice"}, duration=3, copies=[OTHER]))
    assert isinstance(left, Left)
    assert writer.msg_ids(OTHER) == writer.msg_ids(BOX) == [left.msg_id]
    original, copy = (tmp_path / box / "INBOX/msg0000.txt" for box in ("default/100", "other/100"))
    assert copy.read_bytes() == original.read_bytes()
    assert original.stat().st_mode & 0o777 == 0o666
    assert copy.stat().st_mode & 0o111 == 0
    assert copy.stat().st_ino != original.stat().st_ino


def test_counts_are_asterisks(tmp_path: Path) -> None:
    """New includes Urgent, saved are Work and the rest, Deleted counts nowhere."""
    writer = SpoolWriter(tmp_path, [Box(BOX, backupdeleted=9)])
    ids = [leave(writer) for _ in range(4)]
    leave(writer, urgent=True)
    run(writer.move_steps(BOX, ids[0], "Old"))
    run(writer.move_steps(BOX, ids[1], "Work"))
    run(writer.remove_steps(BOX, ids[2]))
    assert writer.counts(BOX) == Counts(new=2, old=1, saved=1, urgent=1)
    assert writer.msg_ids(BOX, "Deleted") == [ids[2]]


def test_a_saved_message_exists_twice_until_the_owner_hangs_up(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    first, second = leave(writer), leave(writer)
    visit = MailboxVisit(writer.folders, BOX)
    run(visit.open_steps())
    assert run(visit.save_steps(first, "Work"))
    assert writer.msg_ids(BOX) == [first, second]
    assert writer.msg_ids(BOX, "Work") == [first]
    run(visit.hang_up_steps())
    assert writer.msg_ids(BOX) == [second]


def test_deleted_keeps_no_more_than_backupdeleted(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, [Box(BOX, backupdeleted=2)])
    ids = [leave(writer) for _ in range(3)]
    for msg_id in ids:
        run(writer.remove_steps(BOX, msg_id))
    assert writer.msg_ids(BOX, "Deleted") == ids[1:]


def test_moving_to_deleted_without_backupdeleted_writes_msg_minus_one(tmp_path: Path) -> None:
    """Asterisk says it worked and can then neither list nor move it."""
    writer = SpoolWriter(tmp_path)
    msg_id = leave(writer)
    assert run(writer.move_steps(BOX, msg_id, "Deleted"))
    assert names(tmp_path / "default/100/Deleted") == ["msg-001.txt", "msg-001.wav"]
    assert not run(writer.move_steps(BOX, msg_id, "INBOX", "Deleted"))
    assert run(writer.summary_steps(BOX)) == []


def test_a_full_mailbox_takes_nothing_and_leaves_no_files(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, [Box(BOX, maxmsg=1)])
    leave(writer)
    assert run(writer.leave_steps(BOX, JANE, {"wav": b""}, duration=3)) is None
    assert names(tmp_path / "default/100/tmp") == []


def test_a_stale_lock_loses_the_voicemail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asterisk tries for five seconds, then deletes what was recorded."""
    monkeypatch.setattr(disk, "LOCK_WAITS", 2)
    writer = SpoolWriter(tmp_path)
    steps = writer.leave_steps(BOX, JANE, {"wav": b"voice"}, duration=3)
    while not next(steps).startswith("close default/100/tmp"):
        pass
    (tmp_path / "default/100/INBOX/.lock").touch()
    with pytest.raises(SpoolLockedError):
        run(steps)
    assert names(tmp_path / "default/100/tmp") == []
    assert names(tmp_path / "default/100/INBOX") == [".lock"]


def test_an_operation_waits_while_another_holds_the_lock(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    first = leave(writer)
    removing = writer.remove_steps(BOX, first)
    while not next(removing).startswith("unlink default/100/INBOX/msg0000.txt"):
        pass
    leaving = writer.leave_steps(BOX, JANE, {"wav": b"voice"}, duration=3)
    assert any(step.startswith("wait ") for step in (next(leaving) for _ in range(10)))
    run(removing)
    run(leaving)
    assert len(writer.msg_ids(BOX)) == 1


def test_a_killed_asterisk_leaves_its_recording_in_tmp(tmp_path: Path) -> None:
    steps = SpoolWriter(tmp_path).leave_steps(BOX, JANE, {"wav": b"voice"}, duration=3)
    while not next(steps).endswith(".wav"):
        pass
    steps.close()
    assert [name.endswith(".wav") for name in names(tmp_path / "default/100/tmp")] == [False, True]


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mp3"):
        run(SpoolWriter(tmp_path).leave_steps(BOX, JANE, {"mp3": b""}, duration=3))


def test_a_summary_gives_a_message_without_msg_id_one_in_place(tmp_path: Path) -> None:
    """As recorded: another style of file, the same inode, and callerchan cut at its semicolon."""
    recorded = (TEXTS / "msg0008-22-rewritten-by-summary-latin1.txt").read_bytes()
    writer = SpoolWriter(tmp_path)
    steps = writer.leave_steps(
        BOX,
        '"Zo\udceb M\udcfcller" <15550000200>',
        {"wav": b"voice"},
        duration=1,
        origtime=1795212357,
        msg_id="",
        callerchan="Local/vm109@lab-00000000;2",
    )
    run(steps)
    text = tmp_path / "default/100/INBOX/msg0000.txt"
    inode = text.stat().st_ino
    assert b"msg_id" not in text.read_bytes()
    writes = [step for step in writer.summary_steps(BOX) if step.startswith("write") and "msg" in step]
    assert len(writes) == 15
    assert text.stat().st_ino == inode
    assert writer.msg_ids(BOX) != [""]
    assert changed_lines(text.read_bytes(), recorded) == {
        "Filename", "Creation Date", "origmailbox", "context", "exten", "msg_id"
    }  # fmt: skip


def changed_lines(one: bytes, other: bytes) -> set[str]:
    """The keys of the lines that differ; both must have the same lines otherwise."""
    pairs = zip(one.splitlines(), other.splitlines(), strict=True)
    different = (line.decode("latin-1") for line, expected in pairs if line != expected)
    return {line.removeprefix(";! ").replace(" = ", ":").partition(":")[0] for line in different}


@pytest.mark.parametrize(
    ("name", "version"),
    [("msg0000-22-plain", 22), ("msg0000-22-urgent", 22), ("msg0001-22-category", 22), ("msg0000-16-plain", 16)],
)
def test_a_text_is_asterisks_but_for_the_dialplan(tmp_path: Path, name: str, version: int) -> None:
    expected = (TEXTS / f"{name}.txt").read_bytes()
    fields = read(expected.replace(b";2", b""))
    writer = SpoolWriter(tmp_path, version=version)
    mailbox = Mailbox("default", fields["origmailbox"])
    left = run(
        writer.leave_steps(
            mailbox,
            fields["callerid"],
            {},
            duration=int(fields["duration"]),
            origtime=int(fields["origtime"]),
            msg_id=fields["msg_id"],
            urgent=fields["flag"] == "Urgent",
            category=fields["category"],
            callerchan=fields["callerchan"] + ";2",
        )
    )
    assert left is not None
    text = tmp_path / "default" / mailbox.extension / left.folder / "msg0000.txt"
    mine = [line.partition("=")[0] + "=" if line.startswith(("context", "exten", "priority")) else line
            for line in text.read_text().splitlines()]  # fmt: skip
    theirs = [line.partition("=")[0] + "=" if line.startswith(("context", "exten", "priority")) else line
              for line in expected.decode().splitlines()]  # fmt: skip
    assert mine == theirs


def test_voices_differ_and_are_not_silent() -> None:
    one, other = voice(1.5, 1), voice(1.5, 2)
    assert one != other
    assert one == voice(1.5, 1)
    assert len(one) == 44 + 2 * 12000
    assert max(one[45::2]) > 20


def test_a_restart_begins_msg_ids_anew(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    assert [writer.next_msg_id(7), writer.next_msg_id(7)] == ["7-00000000", "7-00000001"]
    writer.restart()
    assert writer.next_msg_id(8) == "8-00000000"
