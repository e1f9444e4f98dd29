import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.check import Finding, Level, check
from service.settings import Cdr, Settings
from service.simulator.pbx import Simulator
from tests.checking import SECRET, settings
from tests.masters import line

SNIPPETS = Path(__file__).parents[1] / "config" / "asterisk"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as context:
        context.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


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
    for name in ("cdr.conf", "cdr_manager.conf"):
        shutil.copyfile(SNIPPETS / name, directory / name)
    return directory


async def findings(settings: Settings, etc: Path, source: Path) -> list[Finding]:
    there = replace(settings, pbx=replace(settings.pbx, config=etc))
    return [finding async for finding in check(there, source)]


async def test_where_all_is_well_every_line_is_ok(pbx: Simulator, etc: Path, tmp_path: Path) -> None:
    (tmp_path / "voicemaild.toml").touch()
    (tmp_path / "monitor").mkdir()
    (tmp_path / "Master.csv").write_bytes(line(1))
    await pbx.leave("100@default")
    right = settings(pbx, tmp_path)
    right = replace(right, cdr=Cdr(csv=tmp_path / "Master.csv", recordings=tmp_path / "monitor"))
    found = await findings(right, etc, tmp_path / "voicemaild.toml")
    assert [str(finding) for finding in found if finding.level is not Level.OK] == []
    subjects = dict.fromkeys(finding.what.split(":")[0] for finding in found)
    assert list(subjects) == [
        "configuration",
        "database",
        "time zone",
        "ffmpeg",
        "spool",
        "Master.csv",
        "recordings",
        "AMI",
        "marking as read",
        "cdr_manager",
    ]


async def test_the_secret_is_in_no_line(pbx: Simulator, etc: Path, tmp_path: Path) -> None:
    right = settings(pbx, tmp_path)
    wrong = replace(right, ami=replace(right.ami, username="somebody"))
    for tried in (right, wrong):
        found = await findings(tried, etc, Path("/nope.toml"))
        assert SECRET not in "\n".join(map(str, found))
