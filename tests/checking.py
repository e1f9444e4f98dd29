"""What the tests of `check` share: settings for a simulated PBX, and its findings by their subject."""

from collections.abc import Iterable
from pathlib import Path

from service.check_finding import Finding, Level
from service.config_schema import checked
from service.settings import Settings
from service.simulator.pbx import Simulator

SECRET = "hunter2-canary"


def settings(pbx: Simulator | None, tmp_path: Path, **pbx_keys: object) -> Settings:
    """Settings of a daemon beside this PBX, or beside none, whose files are below `tmp_path`."""
    return checked(
        {
            "pbx": pbx_keys,
            "ami": {"port": pbx.port, "secret": pbx.secret} if pbx else {"secret": SECRET},
            "spool": {"path": str(tmp_path / "spool")},
            "store": {"path": str(tmp_path / "voicemaild.db")},
        }
    )


def about(found: Iterable[Finding], subject: str) -> list[tuple[Level, str]]:
    """Level and line of the findings about something."""
    return [(finding.level, str(finding)) for finding in found if finding.what.startswith(subject)]
