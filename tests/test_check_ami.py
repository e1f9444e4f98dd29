import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.check_ami import pbx as look
from service.check_finding import Level
from service.config_schema import checked
from service.simulator.pbx import Simulator
from tests.ami.pbx import Peer, playing
from tests.checking import SECRET, about, settings

SNIPPET = Path(__file__).parents[1] / "config" / "asterisk" / "cdr_manager.conf"


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with Simulator(tmp_path / "spool", secret=SECRET, read="call,cdr", write="reporting,user") as simulator:
        yield simulator


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """The PBX's configuration directory, as our own snippets make it."""
    directory = tmp_path / "etc"
    (directory / "manager.d").mkdir(parents=True)
    (directory / "manager.conf").write_text('[general]\nenabled = yes\n#include "manager.d/*.conf"\n')
    (directory / "manager.d" / "voicemaild.conf").write_text(
        "[voicemaild]\nsecret = x\nread = call,cdr\nwrite = reporting,user\n"
    )
    shutil.copyfile(SNIPPET, directory / "cdr_manager.conf")
    return directory


async def test_a_pbx_that_refuses_the_login_is_bad_and_the_user_is_named(
    pbx: Simulator, etc: Path, tmp_path: Path
) -> None:
    wrong = settings(pbx, tmp_path)
    pbx.users = {name: user for name, user in pbx.users.items() if name != "voicemaild"}
    ((level, line),) = about(await look(wrong, etc), "AMI")
    assert level is Level.BAD
    assert "voicemaild" in line
    assert "manager.conf" in line


async def test_a_port_where_nobody_listens_is_bad(etc: Path, tmp_path: Path) -> None:
    async with Simulator(tmp_path / "spool") as gone:
        tried = settings(gone, tmp_path)
    ((level, line),) = about(await look(tried, etc), "AMI")
    assert level is Level.BAD
    assert str(tried.ami.port) in line


async def test_ami_switched_off_is_a_warning(pbx: Simulator, etc: Path, tmp_path: Path) -> None:
    off = checked({"ami": {"enabled": False}, "spool": {"path": str(tmp_path)}})
    ((level, line),) = about(await look(off, etc), "AMI")
    assert level is Level.WARN
    assert "ami.enabled = true" in line
    assert pbx.connections == 0


async def may_not_move(peer: Peer) -> None:
    """An Asterisk 22 whose user has no write = user: it lists what that may do, and refuses the rest."""
    await peer.accept("VoicemailUsersList")
    peer.answer(await peer.expect("ListCommands"), VoicemailUsersList="List All Voicemail User Information.")
    peer.answer(await peer.expect("VoicemailMove"), "Error", Message="Permission denied")
    await peer.stay()


async def test_without_the_right_to_move_marking_as_read_is_bad(etc: Path, tmp_path: Path) -> None:
    async with playing(may_not_move) as peer:
        keys = {"ami": {"port": peer.port, "secret": "x"}, "spool": {"path": str(tmp_path)}}
        ((level, line),) = about(await look(checked(keys), etc), "marking as read")
    assert level is Level.BAD
    assert "add user to write" in line


async def test_what_is_not_to_be_written_back_needs_no_right(pbx: Simulator, etc: Path, tmp_path: Path) -> None:
    ((level, line),) = about(await look(settings(pbx, tmp_path, write_back=False), etc), "marking as read")
    assert level is Level.OK
    assert "here alone" in line


async def test_an_old_pbx_keeps_status_here_alone_which_is_a_warning(etc: Path, tmp_path: Path) -> None:
    async with Simulator(tmp_path / "spool", version=16) as pbx:
        ((level, line),) = about(await look(settings(pbx, tmp_path), etc), "marking as read")
    assert level is Level.WARN
    assert "kept here alone" in line


@pytest.mark.parametrize("right", ["call", "cdr"])
async def test_a_right_to_read_that_manager_conf_lacks_is_bad(
    pbx: Simulator, etc: Path, tmp_path: Path, right: str
) -> None:
    file = etc / "manager.d" / "voicemaild.conf"
    file.write_text(file.read_text().replace("read = call,cdr", f"read = {({'call', 'cdr'} - {right}).pop()}"))
    bad = [line for level, line in about(await look(settings(pbx, tmp_path), etc), "AMI") if level is Level.BAD]
    assert len(bad) == 1
    assert f"no read = {right}" in bad[0]


async def test_without_the_pbxs_files_rights_to_read_cannot_be_told(pbx: Simulator, tmp_path: Path) -> None:
    found = about(await look(settings(pbx, tmp_path), tmp_path / "nothing"), "AMI")
    assert [level for level, _ in found] == [Level.OK, Level.WARN]
    assert "call, cdr" in found[1][1]


async def test_what_cannot_be_told_of_calls_is_a_warning(pbx: Simulator, tmp_path: Path) -> None:
    ((level, _),) = about(await look(settings(pbx, tmp_path), tmp_path / "nothing"), "cdr_manager")
    assert level is Level.WARN


@pytest.mark.parametrize("text", [None, "", "[general]\nenabled = no\n", "[general]\n;enabled = yes\n"])
async def test_a_pbx_that_tells_of_no_calls_is_bad(pbx: Simulator, etc: Path, tmp_path: Path, text: str | None) -> None:
    (etc / "cdr_manager.conf").unlink()
    if text is not None:
        (etc / "cdr_manager.conf").write_text(text)
    ((level, line),) = about(await look(settings(pbx, tmp_path), etc), "cdr_manager")
    assert level is Level.BAD
    assert "enabled = yes" in line


@pytest.mark.parametrize(
    ("missing", "level", "told"),
    [
        ((), Level.OK, "enabled in"),
        (("linkedid",), Level.WARN, "does not map linkedid, so the legs of a transferred"),
        (("sequence",), Level.WARN, "does not map sequence"),
        (("linkedid", "sequence", "did"), Level.WARN, "linkedid and sequence"),
        (("did", "recordingfile"), Level.OK, "did, recordingfile could be mapped"),
    ],
)
async def test_columns_that_are_not_mapped_are_told(
    pbx: Simulator, etc: Path, tmp_path: Path, *, missing: tuple[str, ...], level: Level, told: str
) -> None:
    text = SNIPPET.read_text()
    for name in missing:
        text = re.sub(f"(?m)^{name} => .*\n", "", text)
    (etc / "cdr_manager.conf").write_text(text)
    ((found, line),) = about(await look(settings(pbx, tmp_path), etc), "cdr_manager")
    assert found is level
    assert told in line


async def test_a_column_under_a_name_that_nobody_reads_is_not_mapped(pbx: Simulator, etc: Path, tmp_path: Path) -> None:
    (etc / "cdr_manager.conf").write_text(SNIPPET.read_text().replace("=> LinkedID", "=> LinkedIdentity"))
    ((found, line),) = about(await look(settings(pbx, tmp_path), etc), "cdr_manager")
    assert found is Level.WARN
    assert "linkedid" in line
