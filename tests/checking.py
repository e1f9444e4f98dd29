"""What the tests of `check` share: settings for a simulated PBX, and its findings by their subject."""

import os
import tempfile
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


def open_to_all(path: Path) -> None:
    """Let everybody read a path of a test, and go to it: pytest's own directories are for their owner alone."""
    below = Path(tempfile.gettempdir())
    for part in (path, *path.parents):
        if part != below and part.is_relative_to(below) and part.stat().st_uid == os.geteuid():
            part.chmod(part.stat().st_mode | (0o055 if part.is_dir() else 0o044))
