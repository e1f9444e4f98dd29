"""The unit as systemd reads it, its exposure as `systemd-analyze security` counts it, and the user and directories."""

import re
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[1] / "systemd"
UNIT = SYSTEMD / "voicemaild.service"
EXPOSURE_TENTHS = 10
"""Exposure 1.0 of 10; the best network daemon that Debian packages, redis-server, has 1.2."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=240, check=False, env={"LC_ALL": "C"}
    )


def security(unit: Path, threshold: int) -> int:
    return analyze("security", "--offline=true", f"--threshold={threshold}", str(unit)).returncode


def settings(unit: Path = UNIT) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE))


@pytest.fixture
def loosened(tmp_path: Path) -> Path:
    """The same unit with one protection taken away."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("PrivateDevices=yes\n", ""))
    return unit


@pytest.mark.systemd
def test_the_exposure_is_no_more_than_it_was() -> None:
    assert security(UNIT, EXPOSURE_TENTHS) == 0


@pytest.mark.systemd
def test_the_exposure_of_a_loosened_unit_is_seen(loosened: Path) -> None:
    assert security(loosened, EXPOSURE_TENTHS) != 0


@pytest.mark.systemd
def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    """Verified as a copy whose programs are there."""
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"^(Exec(?:Start|Reload))=\S+", r"\1=/bin/true", UNIT.read_text(), flags=re.MULTILINE))
    done = analyze("verify", "--man=no", str(copy))
    assert UNIT.name not in done.stderr
    copy.write_text(copy.read_text().replace("WatchdogSec=", "WatchdogSeconds="))
    assert "Unknown key" in analyze("verify", "--man=no", str(copy)).stderr


def test_the_user_and_the_state_directory_are_the_same_in_all_three_files() -> None:
    unit = settings()
    user, state = unit["User"], f"/var/lib/{unit['StateDirectory']}"
    people = (SYSTEMD / "voicemaild.sysusers").read_text()
    directories = (SYSTEMD / "voicemaild.tmpfiles").read_text()
    assert re.search(rf'^u {user} - ".*" {state}$', people, re.MULTILINE)
    assert re.search(rf"^m {user} {unit['SupplementaryGroups']}$", people, re.MULTILINE)
    assert re.search(rf"^d {state} {unit['StateDirectoryMode']} {user} {unit['Group']} -$", directories, re.MULTILINE)


def test_the_daemon_is_told_to_report_and_to_show_signs_of_life() -> None:
    unit = settings()
    assert (unit["Type"], unit["ExecStart"]) == ("notify", "/opt/voicemaild/bin/voicemaild run")
    assert 0 < int(unit["WatchdogSec"]) <= 30
