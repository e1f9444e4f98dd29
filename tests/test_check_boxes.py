"""What `check` finds about the PBX's boxes: whether they could be changed, and what a PIN set by phone would damage."""

from pathlib import Path

import pytest

from service.check_access import Eyes
from service.check_ami import pbx as look
from service.check_boxes import voicemail_conf
from service.check_finding import Level
from service.simulator.pbx import Simulator
from tests.checking import SECRET, about, settings

NOBODY = Eyes("nobody", 65534, frozenset({65534}))
PLAIN = "[general]\nformat = wav\n[default]\n100 => 1234,Alice\n"
BLOCK = f"{PLAIN};-- off\n101 => 1234,Off\n--;\n"


def looked(etc: Path, text: str | None, *, provision: bool, eyes: Eyes | None = None) -> list[tuple[Level, str]]:
    etc.mkdir(exist_ok=True)
    if text is not None:
        (etc / "voicemail.conf").write_text(text)
    return about(voicemail_conf(settings(None, etc, provision=provision), eyes or Eyes.own(), etc), "boxes")


def test_a_plain_file_is_fine_and_no_matter_where_boxes_are_not_changed(tmp_path: Path) -> None:
    ((level, line),) = looked(tmp_path / "etc", PLAIN, provision=True)
    assert level is Level.OK
    assert "1234" not in line
    assert looked(tmp_path / "etc", PLAIN, provision=False) == []


@pytest.mark.parametrize("more", ["#include x.conf\n", "[t](!)\n"])
def test_a_file_that_is_not_plain_is_bad_where_boxes_are_to_be_changed(tmp_path: Path, more: str) -> None:
    ((level, line),) = looked(tmp_path / "etc", PLAIN + more, provision=True)
    assert level is Level.BAD
    assert "line 5 of" in line
    assert looked(tmp_path / "etc", PLAIN + more, provision=False) == []


@pytest.mark.parametrize(("provision", "expected"), [(True, Level.BAD), (False, Level.WARN)])
def test_a_block_comment_is_told_in_any_case(tmp_path: Path, provision: bool, expected: Level) -> None:  # noqa: FBT001 -- a parameter of the test
    ((level, line),) = looked(tmp_path / "etc", BLOCK, provision=provision)
    assert level is expected
    assert "line 5 of" in line
    assert "block comment" in line


def test_a_file_that_is_not_there_or_not_ours_to_read_is_bad_where_boxes_are_to_be_changed(tmp_path: Path) -> None:
    ((level, line),) = looked(tmp_path / "etc", None, provision=True)
    assert level is Level.BAD
    assert "pbx.config" in line
    assert looked(tmp_path / "etc", None, provision=False) == []
    (tmp_path / "etc/voicemail.conf").touch(0o600)
    (tmp_path / "etc/voicemail.conf").chmod(0o600)
    ((level, line),) = looked(tmp_path / "etc", None, provision=True, eyes=NOBODY)
    assert level is Level.BAD
    assert "then restart the service; " in line


@pytest.mark.parametrize(("write", "expected"), [("reporting,user,config", Level.OK), ("reporting,user", Level.BAD)])
async def test_the_right_to_change_them_is_looked_at_where_they_are_to_be(
    tmp_path: Path, write: str, expected: Level
) -> None:
    async with Simulator(tmp_path / "spool", secret=SECRET, write=write) as pbx:
        ((level, line),) = about(await look(settings(pbx, tmp_path, provision=True), tmp_path), "boxes")
        assert level is expected
        assert level is Level.OK or "add config to write" in line
        assert about(await look(settings(pbx, tmp_path), tmp_path), "boxes") == []
