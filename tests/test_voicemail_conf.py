"""The line of a box and the file it stands in, as Asterisk's config.c and app_voicemail.c read them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInputError
from service.model import Mailbox
from service.simulator.boxes import Box
from service.simulator.voicemail_conf import VoicemailConf
from service.voicemail_conf import (
    BoxLine,
    Category,
    Config,
    NotPlainError,
    Wanted,
    check_email,
    check_fullname,
    check_mailbox,
    read_plain,
)

BOX = Mailbox("default", "100")


def category(name: str, **variables: str) -> Category:
    return Category(name, tuple(variables.items()))


# ---- the line of a box


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1234", BoxLine("1234")),
        ("1234,Alice", BoxLine("1234", "Alice")),
        (
            "-1234,A,a@example.com,p@example.com,tz=eu|x=1,2",
            BoxLine("-1234", "A", "a@example.com", "p@example.com", "tz=eu|x=1,2"),
        ),
        (" 1, Alice ,,,a=b|| c", BoxLine(" 1", " Alice ", "", "", "a=b|| c")),
        ("", BoxLine()),
    ],
)
def test_a_line_is_read_field_by_field_and_nothing_of_it_is_lost(text: str, line: BoxLine) -> None:
    assert BoxLine.parse(text) == line
    assert str(line) == text.strip()


@pytest.mark.parametrize(
    ("options", "keeps"),
    [
        ("", True),
        ("delete=yes", False),
        ("attach=no|DELETE=Yes|tz=eu", False),
        ("delete=1", False),
        ("options=delete=yes", False),
        ("delete=yes|delete=no", True),
        ("delete", True),
        ("delete= yes", True),
        (" delete=yes", True),
        ("undelete=yes", True),
    ],
)
def test_messages_are_kept_unless_delete_says_yes_as_asterisk_reads_it(options: str, keeps: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    assert BoxLine("1", options=options).keeps is keeps


def test_other_options_stay_as_they_are_where_delete_comes_and_goes() -> None:
    line = BoxLine("1", options=" a=b|Delete=true|c|emailbody=x, y")
    kept = line.with_keeps(keeps=True)
    assert kept.options == " a=b|c|emailbody=x, y"
    assert kept.with_keeps(keeps=False).options == " a=b|c|emailbody=x, y|delete=yes"
    assert line.with_keeps(keeps=False) is line


def test_a_pin_that_its_owner_may_not_change_stays_so_with_another() -> None:
    assert str(BoxLine.parse("-1234,Alice").with_pin("99999")) == "-99999,Alice"
    assert BoxLine.parse("-1234").digits == BoxLine.parse("1234").digits == "1234"


def test_no_pin_is_shown() -> None:
    config = Config((category("default", **{"100": "7351906,Alice"}),))
    shown = [BoxLine("7351906"), Wanted("7351906"), config, next(config.boxes())]
    assert "7351906" not in repr(shown)


# ---- what a client may send

FULLNAMES = st.text(max_size=79)
EMAILS = st.one_of(st.just(""), st.emails(), st.text(max_size=40))
PINS = st.one_of(st.from_regex(r"\A[0-9]{4,10}\Z"), st.text(max_size=12))


def allowed(wanted: Wanted) -> bool:
    try:
        wanted.check()
    except InvalidInputError:
        return False
    return True


@given(PINS, FULLNAMES, EMAILS, st.sampled_from(["", "attach=no", "a=b;c|delete=yes|x,y"]), st.booleans())
def test_whatever_passes_the_checks_comes_back_from_the_file_and_changes_nothing_else(
    pin: str,
    fullname: str,
    email: str,
    options: str,
    keeps: bool,  # noqa: FBT001 -- an example
) -> None:
    """Through the line, and through Asterisk's writer as the simulator has it."""
    wanted = Wanted(pin, fullname=fullname, email=email, keeps=keeps)
    if not allowed(wanted):
        return
    line = wanted.applied(BoxLine("1234", options=options))
    assert BoxLine.parse(str(line)) == line
    conf = VoicemailConf(
        [Box(BOX, "Alice"), Box(Mailbox("default", "101"), "Bob"), Box(Mailbox("other", "100"), "Else")]
    )
    before = read_plain(conf.content)
    [entry] = before.lines_of(BOX)
    fields = {"Action": "Update", "Cat": "default", "Var": "100", "Value": str(line), "Match": entry.value}
    assert conf.update({f"{name}-000000": value for name, value in fields.items()}) == ""
    assert read_plain(conf.content) == before.changed(entry, str(line))
    assert conf.boxes()[BOX].fullname == fullname


@given(st.text(max_size=90))
def test_a_description_that_passes_stays_within_its_field(text: str) -> None:
    try:
        check_fullname(text)
    except InvalidInputError:
        return
    assert re.search(r"[\x00-\x1f,|\\]", text) is None
    assert len(text.encode()) <= 79
    assert text == text.strip()


@pytest.mark.parametrize("text", ["", "a@example.com", "a.b+c'd@sub.example.co.uk", "x@1.2"])
def test_an_email_address_or_none_is_taken(text: str) -> None:
    check_email(text)


@pytest.mark.parametrize(
    "text",
    [
        *("a", "@example.com", "a@b", "a@b@c.de", "a,b@example.com", "a@example.com\n", "a b@example.com"),
        *("ü@example.com", "a@exa mple.com", "a|b@example.com", "<a@example.com>", "a@example.com,x=1", "a;b@c.de"),
        "a" * 70 + "@example.com",
    ],
)
def test_what_is_no_email_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        check_email(text)


@pytest.mark.parametrize("name", ["100", "alice.b", "9_-+", "a" * 79])
def test_a_box_may_be_called_this(name: str) -> None:
    check_mailbox(Mailbox("default", name))
    check_mailbox(Mailbox(name, "100"))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-1", "_x", "*97", "a b", "a/b", "a\n", "a" * 80, "ü", "100]", "a=b", "#1"]
)
def test_a_box_may_not_be_called_this(name: str) -> None:
    for mailbox in (Mailbox("default", name), Mailbox(name, "100")):
        with pytest.raises(InvalidInputError):
            check_mailbox(mailbox)


# ---- the file

PLAIN = b"""\xef\xbb\xbf; a comment ;-- that is none --; of a block
[general] ; where all begins
format = wav49|gsm|wav
emailbody=Dear ${VM_NAME}\\; you were left a message
\t
;--- a rule, not a block ---
[default]
 100 =>  1234,Alice Example,alice@example.com  ; hers
101=1234,Ren\xe9e\r
102 =>
[other]
100 => 5678,A\\;B
"""


def test_a_plain_file_is_read_as_asterisk_reads_it() -> None:
    assert read_plain(PLAIN) == Config(
        (
            category("general", format="wav49|gsm|wav", emailbody="Dear ${VM_NAME}; you were left a message"),
            category("default", **{"100": "1234,Alice Example,alice@example.com", "101": "1234,Ren\ufffde", "102": ""}),
            category("other", **{"100": "5678,A;B"}),
        )
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b";-- hidden", "block comment"),
        (b"100 => 1234 ;-- hidden --;", "block comment"),
        (b";--", "block comment"),
        (b"100 => 1234,a--;b", "block comment"),
        (b'#include "more.conf"', "#include"),
        (b"  #exec /bin/x", "#exec"),
        (b"#100 => 1234", "directive"),
        (b"#", "directive"),
        (b"[one](!)", "template"),
        (b"[one](two,three)", "template"),
        (b"[default](+)", "template"),
        (b"[one] two", "behind"),
        (b"[one", "does not end"),
        (b"[DEFAULT]", "second category"),
        (b"100 1234", "nothing that Asterisk understands"),
        (b"= 1234", "nothing that Asterisk understands"),
        (b"100 += 1234", "addition"),
        (b"\\#100 => 1234", "backslash"),
        (b"100 => 12\x0034", "byte 0"),
        (b"100 => " + b"x" * 8190, "too long"),
    ],
)
def test_what_asterisks_writer_would_damage_is_named_with_its_line(line: bytes, what: str) -> None:
    with pytest.raises(NotPlainError, match=re.escape(what)) as found:
        read_plain(b"[default]\n; nothing\n" + line + b"\n[last]\n")
    assert found.value.number == 3


@pytest.mark.parametrize(
    "line",
    [
        b"; see ;-- there",
        b";---",
        b"; --;",
        b"100 => a\\;-- b",
        b"100 => 1 ; x --; y",
        b"100 => a\\;b\\;c ; d",
        b"x=[y](z)",
    ],
)
def test_what_only_looks_like_it_is_plain(line: bytes) -> None:
    read_plain(b"[default]\n" + line + b"\n")


def test_a_line_before_any_category_is_none_asterisk_takes() -> None:
    with pytest.raises(NotPlainError, match="line 1 of"):
        read_plain(b"100 => 1234\n")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        config = read_plain(content)
    except NotPlainError:
        return
    assert all(name for found in config.categories for name, _ in found.variables)


NAMES = st.from_regex(r"\A[a-z0-9]{1,6}\Z")
VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"], exclude_characters="\\"), max_size=20)
CONFIGS = st.lists(
    st.builds(
        Category, NAMES, st.lists(st.tuples(NAMES, VALUES.filter(lambda text: text[:1] != ">")), max_size=4).map(tuple)
    ),
    max_size=4,
    unique_by=lambda found: found.name,
).map(lambda found: Config(tuple(found)))


@given(CONFIGS)
def test_what_the_pbx_tells_and_what_the_file_says_are_the_same(config: Config) -> None:
    lines = [
        f"[{found.name}]\n"
        + "".join(f"{name} => {value.replace(';', chr(92) + ';')}\n" for name, value in found.variables)
        for found in config.categories
    ]
    pairs = [("Response", "Success")]
    for place, found in enumerate(config.categories):
        pairs.append((f"Category-{place:06d}", found.name))
        pairs += [(f"Line-{place:06d}-{at:06d}", f"{name}={value}") for at, (name, value) in enumerate(found.variables)]
    assert read_plain("".join(lines).encode()) == Config.told(pairs) == config


# ---- boxes in it

CONFIG = Config(
    (
        category("general", format="wav", searchcontexts="no", SearchContexts="Yes", aliasescontext="also"),
        category("zonemessages", eu="Europe/Copenhagen|x"),
        category("Default", **{"100": "1234,Alice", "101": "1,Bob"}),
        category("also", **{"200@default": "100@default"}),
    )
)


def test_boxes_are_the_lines_of_contexts_alone() -> None:
    assert [(box.context, box.extension) for box in CONFIG.boxes()] == [("Default", "100"), ("Default", "101")]
    assert CONFIG.switched_on("searchcontexts")
    assert not CONFIG.may_hold_boxes("ALSO")


def test_names_are_the_same_in_any_case_and_the_first_line_is_the_first() -> None:
    twice = CONFIG.appended("default", "100", "9,Second")
    assert [entry.value for entry in twice.lines_of(BOX)] == ["1234,Alice", "9,Second"]
    assert CONFIG.context("DEFAULT") == "Default"


def test_a_difference_is_told_by_names_alone() -> None:
    [entry] = CONFIG.lines_of(BOX)
    assert CONFIG.difference(CONFIG) == []
    assert CONFIG.difference(CONFIG.changed(entry, "9,Alice")) == ["[Default] 100"]
    assert CONFIG.difference(CONFIG.without(entry)) == ["[Default] 100"]
    assert CONFIG.without(entry).difference(CONFIG) == ["[Default] 100"]
    assert CONFIG.difference(CONFIG.appended("new", "5", "1")) == ["[new]", "[new] 5"]
