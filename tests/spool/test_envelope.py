from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.model import Envelope
from service.simulator.message import MessageText, read, rewritten
from service.spool import parse_caller_id, parse_envelope

TEXTS = Path(__file__).parents[1] / "fixtures" / "message-texts"
CALLERS = (
    ("Zoë Müller", "15550000040"),
    ("Comma, Inc.", "15550000041"),
    ("Emoji 😀 Ltd", "15550000042"),
    ('O\'Brien "Q" Bob', "15550000043"),
    ("", "15550000044"),
    ("Only Name", ""),
    ("Anonymous", "anonymous"),
    ("", ""),
    ("Semi;colon=x [sect]", "+4415550000045"),
    ("L" * 127, "155500000460000000000000000000000000000000000000000"),
)
"""Who called, in the order of the recordings cid-22-txt.txt and cid-16-txt.txt."""

LATEST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())

FULL = b""";
; Message Information file
;
[message]
origmailbox=100
context=lab
exten=vm100
rdnis=unknown
priority=3
callerchan=Local/vm100@lab-00000000;2
callerid="Jane Doe" <15551234567>
origdate=Fri Nov 20 09:42:32 PM UTC 2026
origtime=1795210952
category=
msg_id=1795210952-00000000
flag=
duration=3
"""


def recorded(name: str) -> Envelope:
    envelope = parse_envelope((TEXTS / name).read_bytes())
    assert envelope is not None
    return envelope


def with_line(key: str, value: str) -> bytes:
    """The text, with another value for a key."""
    lines = (f"{key}={value}" if line.startswith(f"{key}=") else line for line in FULL.decode().split("\n"))
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def messages_of(name: str) -> Iterator[Envelope]:
    """Each of the texts that stand one after the other in a recording."""
    for part in (TEXTS / name).read_bytes().split(b";\n; Message Information file\n;\n")[1:]:
        envelope = parse_envelope(part)
        assert envelope is not None
        yield envelope


# --- what Asterisk wrote


@pytest.mark.parametrize(
    ("name", "first"), [("cid-22-txt.txt", (1795211157, 0x0C)), ("cid-16-txt.txt", (1795211915, 0x0C))]
)
def test_every_form_of_a_caller_s_name_and_number_that_was_recorded_is_read(name: str, first: tuple[int, int]) -> None:
    envelopes = list(messages_of(name))
    assert [(one.caller_id_name, one.caller_id_number) for one in envelopes] == list(CALLERS)
    assert envelopes[0].msg_id == f"{first[0]}-{first[1]:08x}"
    assert [int(one.msg_id.partition("-")[2], 16) for one in envelopes] == list(range(first[1], first[1] + 10))
    assert {one.duration for one in envelopes} == {1}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "msg0000-22-plain.txt",
            Envelope(
                "1795211253-0000001c", 1795211253, 1, "Li2", "15550000062", "Local/vm104@lab-0000001f;2", urgent=False
            ),
        ),
        (
            "msg0000-16-plain.txt",
            Envelope("1795211980-0000001c", 1795211980, 1, "Li2", "15550000062", "Local/vm104@lab-0000001f;2"),
        ),
        (
            "msg0000-22-urgent.txt",
            Envelope(
                "1795211133-00000008",
                1795211133,
                2,
                "Urgent",
                "15550000020",
                "Local/vmurg101@lab-0000000b;2",
                urgent=True,
            ),
        ),
        (
            "msg0001-22-category.txt",
            Envelope(
                "1795211139-00000009",
                1795211139,
                2,
                "Categ",
                "15550000021",
                "Local/vmcat101@lab-0000000c;2",
                category='sales,north "q"',
            ),
        ),
        (
            "msg0000-22-duration0.txt",
            Envelope("1795211718-00000001", 1795211718, 0, "Zero", "15550000090", "Local/vm110@lab-00000000;2"),
        ),
        (
            "msg0001-22-emoji.txt",
            Envelope("1795211164-0000000e", 1795211164, 1, "Emoji 😀 Ltd", "15550000042", "Local/vm108@lab-00000011;2"),
        ),
        (
            "msg0008-22-rewritten-by-summary-latin1.txt",
            Envelope(
                "1795212362-00000001", 1795212357, 1, "Zo\ufffd M\ufffdller", "15550000200", "Local/vm109@lab-00000000"
            ),
        ),
    ],
)
def test_a_recorded_text_is_read(name: str, expected: Envelope) -> None:
    assert recorded(name) == expected


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [
        ('"Jane Doe" <15551234567>', "Jane Doe", "15551234567"),
        ("Jane Doe <15551234567>", "Jane Doe", "15551234567"),
        ("<15551234567>", "", "15551234567"),
        ('"" <15551234567>', "", "15551234567"),
        ("15551234567", "", "15551234567"),
        ("+1 (555) 123-45.67", "", "+1 (555) 123-45.67"),
        ("*97#", "", "*97#"),
        ("Only Name", "Only Name", ""),
        ('"Only Name"', "Only Name", ""),
        ('"Only Name" <>', "Only Name", ""),
        ("R2D2", "R2D2", ""),
        ("***", "***", ""),
        ("Unknown", "", ""),
        ("  Unknown ", "", ""),
        ("<unknown>", "", ""),
        ("", "", ""),
        ('"', '"', ""),
        ('""', "", ""),
        (r'"O\"Brien \\ Co" <1>', r'O"Brien \ Co', "1"),
        ('"a <b> c" <123>', "a <b> c", "123"),
        ('"Jane" <sip:jane@example.com>', "Jane", "sip:jane@example.com"),
        ("١٢٣", "١٢٣", ""),
        ("<<>>", "<", ">"),
    ],
)
def test_a_caller_id_is_taken_apart(text: str, name: str, number: str) -> None:
    assert parse_caller_id(text) == (name, number)


# --- texts that are not whole, or not honest


def test_a_text_is_nothing_until_its_last_line_is_there() -> None:
    """A copy is written in place, and a scan may meet any part of it."""
    for size in range(len(FULL)):
        assert parse_envelope(FULL[:size]) is None
    assert parse_envelope(FULL) == Envelope(
        "1795210952-00000000", 1795210952, 3, "Jane Doe", "15551234567", "Local/vm100@lab-00000000;2"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\0" * 500,
        b"\0" * 10 + FULL,
        b"RIFF\x00\x00\x00\x00WAVE\n",
        FULL.replace(b"[message]", b"[massage]"),
        FULL.replace(b"origtime=1795210952\n", b""),
        FULL.replace(b"duration=3\n", b""),
        with_line("origtime", ""),
        with_line("origtime", "-5"),
        with_line("origtime", "1e9"),
        with_line("origtime", "1_000"),
        with_line("origtime", "\u0661\u0662"),
        with_line("duration", "long"),
        with_line("duration", "9" * 5000),
    ],
)
def test_what_is_no_message_is_told_as_such(data: bytes) -> None:
    assert parse_envelope(data) is None


def test_a_number_that_is_too_large_to_be_true_is_bounded() -> None:
    """The last day that a date can show."""
    envelope = parse_envelope(with_line("origtime", "9" * 12))
    assert envelope is not None
    assert envelope.origtime == LATEST
    assert parse_envelope(with_line("origtime", "9" * 13)) is None


@pytest.mark.parametrize("msg_id", ["", " ", "a b", "x" * 129, "\u00e9", "a\x00b"])
def test_a_msg_id_that_cannot_be_one_is_none(msg_id: str) -> None:
    envelope = parse_envelope(with_line("msg_id", msg_id))
    assert envelope is not None
    assert envelope.msg_id == ""


def test_a_text_without_the_keys_of_later_versions_is_read() -> None:
    envelope = parse_envelope(b"[message]\norigtime=1\nduration=2\n")
    assert envelope == Envelope("", 1, 2, "", "")


def test_a_line_break_in_a_caller_s_name_changes_nothing_that_asterisk_writes_itself() -> None:
    """Of a repeated key the last counts, and the caller's own stands before all that matter."""
    name = "x\norigtime=1\ncategory=c\nmsg_id=forged\nflag=Urgent\nduration=9\norigtime =7\n[message]\nduration = 8"
    envelope = parse_envelope(with_line("callerid", f'"{name}" <1>'))
    assert envelope is not None
    assert (envelope.msg_id, envelope.origtime, envelope.duration) == ("1795210952-00000000", 1795210952, 3)
    assert (envelope.urgent, envelope.category) == (False, "")


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    envelope = parse_envelope(FULL.replace(b"Jane Doe", b"J\xe4ne\xff"))
    assert envelope is not None
    assert envelope.caller_id_name == "J\ufffdne\ufffd"


def test_a_huge_text_of_many_lines_is_read_in_no_time() -> None:
    junk = b"".join(b"key%d=value\n" % number for number in range(4000))
    envelope = parse_envelope(junk + FULL + junk)
    assert envelope is not None
    assert envelope.msg_id == "1795210952-00000000"


@given(st.binary())
@example(b"[message]\norigtime=1\nduration=1\ncallerid=\xff\n")
def test_no_bytes_make_it_fail(data: bytes) -> None:
    for whole in (data, b"[message]\n" + data + b"\n", FULL[:-1] + data + b"\n", data + FULL):
        envelope = parse_envelope(whole)
        if envelope is not None:
            assert 0 <= envelope.origtime <= LATEST
            envelope.caller_id_name.encode()  # no half characters


@given(st.text())
def test_no_caller_id_makes_it_fail(text: str) -> None:
    name, number = parse_caller_id(text)
    assert len(name) + len(number) <= len(text)


# --- both styles, there and back

PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=40).map(str.strip)
WORDS = PLAIN.filter(lambda text: text not in ("Unknown", "<unknown>"))


def quoted(name: str, number: str) -> str:
    """As ast_callerid_merge() joins them."""
    escaped = name.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}" <{number}>'


@given(
    name=WORDS,
    number=WORDS.filter(lambda text: not set(text) & set("<>")),
    origtime=st.integers(0, LATEST),
    duration=st.integers(0, 10**6),
    msg_id=st.from_regex(r"[0-9]{10}-[0-9a-f]{8}", fullmatch=True) | st.just(""),
    urgent=st.booleans(),
    category=PLAIN,
    version=st.sampled_from([16, 22]),
)
def test_what_asterisk_writes_is_what_is_read(
    *,
    name: str,
    number: str,
    origtime: int,
    duration: int,
    msg_id: str,
    urgent: bool,
    category: str,
    version: int,
) -> None:
    text = MessageText(
        "100",
        quoted(name, number),
        origtime,
        duration,
        msg_id,
        callerchan="PJSIP/trunk-00000001",
        category=category,
        flag="Urgent" if urgent else "",
    )
    expected = Envelope(msg_id, origtime, duration, name, number, "PJSIP/trunk-00000001", urgent, category)
    assert parse_envelope(text.render(version)) == expected


@example(name="a = b = c", origtime=5, urgent=False)
@given(name=WORDS.filter(lambda text: ";" not in text), origtime=st.integers(0, LATEST), urgent=st.booleans())
def test_a_text_that_asterisk_has_rewritten_says_the_same_and_its_new_msg_id(
    *, name: str, origtime: int, urgent: bool
) -> None:
    text = MessageText("100", quoted(name, "123"), origtime, 7, "", flag="Urgent" if urgent else "")
    before = parse_envelope(text.render())
    pieces = rewritten(read(text.render()), "1795212362-00000001", "/spool/msg0008.txt", 0)
    after = parse_envelope(b"".join(pieces))
    assert before is not None
    assert after == Envelope("1795212362-00000001", origtime, 7, name, "123", urgent=urgent)
    assert before == Envelope("", origtime, 7, name, "123", urgent=urgent)


def test_a_text_that_is_being_rewritten_never_tells_another_message() -> None:
    """After any of its fifteen writes: the whole of it, all but its msg_id, or nothing yet."""
    text = MessageText("100", quoted("Jane", "123"), 5, 7, "", flag="Urgent")
    pieces = rewritten(read(text.render()), "id", "/spool/msg0008.txt", 0)
    told = [parse_envelope(b"".join(pieces[:count])) for count in range(len(pieces) + 1)]
    assert {one for one in told if one is not None} == {
        Envelope("", 5, 7, "Jane", "123", urgent=True),
        Envelope("id", 5, 7, "Jane", "123", urgent=True),
    }
