"""Commands for tests: run in this process, as `voicemaild` would run them, or as a process of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.cli import main

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("VOICEMAILD_")} | {"TZ": "UTC"}


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Done]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs a command of these arguments in this process."""

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["voicemaild", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    for name in [name for name in os.environ if name.startswith("VOICEMAILD_")]:
        monkeypatch.delenv(name)
    return run


def configuration(tmp_path: Path) -> Path:
    """A configuration without a PBX, and whose files are below `tmp_path`."""
    file = tmp_path / "voicemaild.toml"
    (tmp_path / "spool").mkdir()
    file.write_text(
        f'[ami]\nenabled = false\n[spool]\npath = "{tmp_path / "spool"}"\n'
        f'[store]\npath = "{tmp_path / "voicemaild.db"}"\n'
    )
    return file


@contextmanager
def process(*arguments: str | Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A command as a process, which is killed at the end of the block if it still runs."""
    command = [sys.executable, "-m", "service", *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT | environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()
