from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.check_pbxconf import read

MANAGER = """
[general]
enabled = yes          ; comment
;[voicemaild]
;-- a block
[hidden]
read = all
--;
[base](!)
deny = 0.0.0.0/0.0.0.0
read => system,call

[voicemaild](base)
secret = a\\;b
read = call,cdr
#include "manager.d/*.conf"
[general](+)
port = 5038
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "manager.d").mkdir()
    (tmp_path / "manager.conf").write_text(MANAGER)
    (tmp_path / "manager.d" / "other.conf").write_text("[other]\nREAD=cdr\n")
    return tmp_path


def test_the_last_of_several_values_counts(etc: Path) -> None:
    assert read(etc, "manager.conf").get("voicemaild", "read") == "call,cdr"


def test_a_template_gives_what_its_user_does_not_say(etc: Path) -> None:
    assert read(etc, "manager.conf").get("voicemaild", "deny") == "0.0.0.0/0.0.0.0"


def test_arrows_and_capitals_are_as_good(etc: Path) -> None:
    found = read(etc, "manager.conf")
    assert found.get("base", "read") == "system,call"
    assert found.get("other", "read") == "cdr"


def test_comments_are_no_lines_and_an_escaped_semicolon_begins_none(etc: Path) -> None:
    found = read(etc, "manager.conf")
    assert found.get("general", "enabled") == "yes"
    assert found.get("voicemaild", "secret") == "a\\;b"
    assert "hidden" not in found


def test_a_category_can_be_gone_on_with(etc: Path) -> None:
    found = read(etc, "manager.conf")
    assert (found.get("general", "enabled"), found.get("general", "port")) == ("yes", "5038")


def test_what_is_not_there_has_no_value(etc: Path) -> None:
    found = read(etc, "manager.conf")
    assert (found.get("nope", "read"), found.get("other", "nope")) == (None, None)


def test_an_absolute_include_below_the_directory_is_followed(etc: Path) -> None:
    (etc / "a.conf").write_text(f'#include "{etc}/manager.d/other.conf"\n')
    assert "other" in read(etc, "a.conf")


def test_a_file_that_includes_itself_comes_to_an_end(etc: Path) -> None:
    (etc / "loop.conf").write_text('[a]\nx = 1\n#include "loop.conf"\n')
    assert read(etc, "loop.conf").get("a", "x") == "1"


def test_our_own_snippets_give_the_rights_that_check_looks_for() -> None:
    snippets = Path(__file__).parents[1] / "config" / "asterisk"
    (name,) = (snippets / "manager.d").iterdir()
    assert read(snippets, f"manager.d/{name.name}").get("voicemaild", "read") == "call,cdr"
    assert read(snippets, "cdr_manager.conf").get("general", "enabled") == "yes"


@given(st.binary(max_size=200) | st.text('[](){}#include "<>=;-+!\n.*/~ab', max_size=80).map(str.encode))
def test_no_file_is_too_odd_to_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.getbasetemp() / "odd"
    directory.mkdir(exist_ok=True)
    (directory / "x.conf").write_bytes(content)
    read(directory, "x.conf")
