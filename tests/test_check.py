import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.check import Finding, Level, check
from service.config_schema import Settings
from service.simulator.pbx import Simulator
from tests.checking import SECRET, settings


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
    (directory / "cdr_manager.conf").write_text("[general]\nenabled = yes\n")
    return directory


async def findings(settings: Settings, etc: Path, source: Path) -> list[Finding]:
    return [finding async for finding in check(settings, source, etc)]


async def test_where_all_is_well_every_line_is_ok(pbx: Simulator, etc: Path, tmp_path: Path) -> None:
    (tmp_path / "voicemaild.toml").touch()
    await pbx.leave("100@default")
    found = await findings(settings(pbx, tmp_path), etc, tmp_path / "voicemaild.toml")
    assert [str(finding) for finding in found if finding.level is not Level.OK] == []
    subjects = dict.fromkeys(finding.what.split(":")[0] for finding in found)
    assert list(subjects) == [
        "configuration",
        "database",
        "time zone",
        "ffmpeg",
        "spool",
        "AMI",
        "marking as read",
        "cdr_manager",
    ]


async def test_the_secret_is_in_no_line(pbx: Simulator, etc: Path, tmp_path: Path) -> None:
    right = settings(pbx, tmp_path)
    wrong = right.model_copy(update={"ami": right.ami.model_copy(update={"username": "somebody"})})
    for tried in (right, wrong):
        found = await findings(tried, etc, Path("/nope.toml"))
        assert SECRET not in "\n".join(map(str, found))
