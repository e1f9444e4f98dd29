import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInputError
from service.model import (
    Audio,
    AudioFile,
    Counts,
    Envelope,
    Folder,
    Imported,
    Mailbox,
    Message,
    Principal,
    Record,
    Scope,
    Status,
    View,
    sight,
    valid_name,
)
from tests.calls import call, party

NAMES = st.from_regex(r"[A-Za-z0-9_.+-]{1,80}", fullmatch=True).filter(lambda name: name.strip(".") != "")


def message(
    folder: Folder, *, local: Status | None = None, duration_ms: int | None = None, audio: bool = True
) -> Message:
    sound = Audio(AudioFile("wav", 44, 1, 1, "00"), "audio/wav", duration_ms, 8000, 1) if audio else None
    envelope = Envelope("1795210952-00000000", 1795210952, 7, "Jane Doe", "15551234567")
    return Message(
        1, "uuid", "pbx1", Mailbox("default", "100"), envelope.msg_id, folder, 0, envelope, None, sound, local
    )


@pytest.mark.parametrize(
    ("folder", "unread", "saved"),
    [
        (Folder.INBOX, True, False),
        (Folder.URGENT, True, False),
        (Folder.OLD, False, False),
        (Folder.WORK, False, True),
        (Folder.CUST5, False, True),
    ],
)
def test_a_folder_tells_what_its_messages_count_as(folder: Folder, *, unread: bool, saved: bool) -> None:
    assert (folder.unread, folder.saved) == (unread, saved)


def test_the_folders_are_those_of_app_voicemail_without_deleted() -> None:
    names = "INBOX Urgent Old Work Family Friends Cust1 Cust2 Cust3 Cust4 Cust5"
    assert [folder.value for folder in Folder] == names.split()


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("100@default", Mailbox("default", "100")),
        ("100", Mailbox("default", "100")),
        ("100@other", Mailbox("other", "100")),
        ("front-desk_2+a.b@sales.north", Mailbox("sales.north", "front-desk_2+a.b")),
    ],
)
def test_a_mailbox_is_read_with_or_without_its_context(text: str, mailbox: Mailbox) -> None:
    assert Mailbox.parse(text) == mailbox


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "100@",
        "@default",
        "100@default@default",
        "..",
        "100@..",
        ".",
        "a/b",
        "../etc@default",
        "100@a/b",
        "100\n",
        "100@default\n",
        "100\r\nAction: Originate",
        "100 ",
        "\x00",
        "\u0661\u0660\u0660",
        "1" * 81,
        "100@" + "c" * 81,
    ],
)
def test_what_cannot_be_a_directory_or_an_ami_header_is_no_mailbox(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is no mailbox"):
        Mailbox.parse(text)


@given(NAMES, NAMES)
def test_a_mailbox_reads_back_what_it_is_written_as(context: str, extension: str) -> None:
    mailbox = Mailbox(context, extension)
    assert Mailbox.parse(str(mailbox)) == mailbox


@given(st.text())
def test_a_mailbox_that_is_accepted_is_safe_in_a_path_and_in_a_header(text: str) -> None:
    try:
        mailbox = Mailbox.parse(text)
    except InvalidInputError:
        return
    for name in (mailbox.context, mailbox.extension):
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set("/\\@ ")
        assert name not in (".", "..")


def test_mailboxes_sort_by_context_then_extension() -> None:
    boxes = [Mailbox("other", "100"), Mailbox("default", "101"), Mailbox("default", "100")]
    assert [str(box) for box in sorted(boxes)] == ["100@default", "101@default", "100@other"]


def test_a_name_may_begin_with_a_dot_but_not_be_dots_alone() -> None:
    assert valid_name(".a")
    assert not valid_name("...")


def test_a_scope_includes_those_before_it() -> None:
    includes = {(one.value, other.value) for one in Scope for other in Scope if one.includes(other)}
    assert includes == {
        ("read", "read"),
        ("write", "read"),
        ("write", "write"),
        ("admin", "read"),
        ("admin", "write"),
        ("admin", "admin"),
    }


def test_a_principal_sees_its_own_mailboxes_or_all() -> None:
    mine, foreign = Mailbox("default", "100"), Mailbox("other", "100")
    limited, everybody = Principal("a", Scope.READ, frozenset({mine})), Principal("b", Scope.READ, None)
    assert [limited.may_see(mine), limited.may_see(foreign), everybody.may_see(foreign)] == [True, False, True]
    assert not Principal("c", Scope.ADMIN, frozenset()).may_see(mine)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (None, [True, True, True, True]),
        (frozenset({Mailbox("default", "100"), Mailbox("default", "101")}), [True, True, False, False]),
        (frozenset({Mailbox("sales", "100")}), [False, False, True, False]),
        (frozenset({Mailbox("default", "300")}), [False, False, False, False]),
        (frozenset(), [False, False, False, False]),
    ],
)
def test_a_record_is_seen_by_those_whom_its_mailbox_or_its_call_concerns(view: View, expected: list[bool]) -> None:
    known = ("default", "sales")
    records = [
        Record(1, 0, "unread", "pbx1", Mailbox("default", "101"), Counts(new=1)),
        Record(2, 0, "call.new", "pbx1", None, call(1, "5", party("100", "default", known=known), dst="100")),
        Record(3, 0, "call.new", "pbx1", None, call(2, "5", party("100", "sales", known=known), dst="100")),
        Record(4, 0, "calls.imported", "pbx1", None, Imported(2)),
    ]
    assert [sight(view)(record) for record in records] == expected


@pytest.mark.parametrize(
    ("folder", "local", "status"),
    [
        (Folder.INBOX, None, Status.UNREAD),
        (Folder.URGENT, None, Status.UNREAD),
        (Folder.OLD, None, Status.READ),
        (Folder.WORK, None, Status.READ),
        (Folder.INBOX, Status.READ, Status.READ),
        (Folder.OLD, Status.UNREAD, Status.UNREAD),
    ],
)
def test_our_own_mark_wins_over_what_the_folder_says(folder: Folder, local: Status | None, status: Status) -> None:
    assert message(folder, local=local).status is status


@pytest.mark.parametrize(("duration_ms", "seconds"), [(0, 0), (999, 0), (1220, 1), (5000, 5)])
def test_the_duration_is_that_of_the_audio_floored(duration_ms: int, seconds: int) -> None:
    assert message(Folder.INBOX, duration_ms=duration_ms).duration == seconds


def test_without_audio_or_where_its_length_cannot_be_told_the_text_tells_the_duration() -> None:
    assert message(Folder.INBOX, audio=False).duration == 7
    assert message(Folder.INBOX, duration_ms=None).duration == 7


def test_an_empty_badge_is_all_zeros() -> None:
    assert Counts() == Counts(new=0, old=0, saved=0, urgent=0)
