"""What is installed: the wheel as it is built, and the lock files against what pyproject.toml asks for."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what goes into it, with the locked setuptools."""
    made = tmp_path_factory.mktemp("wheel")
    source = made / "source"
    shutil.copytree(ROOT / "service", source / "service", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(made), str(source)], check=True, timeout=240)
    (found,) = made.glob("voicemaild-*.whl")
    return found


def test_the_wheel_holds_every_file_of_the_service_and_nothing_else(wheel: Path) -> None:
    files = (path for path in (ROOT / "service").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {str(path.relative_to(ROOT)) for path in files}


def test_the_wheel_brings_the_command_and_the_licence(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = {name.partition(".dist-info/")[2]: name for name in archive.namelist()}
        assert b"voicemaild = service.cli:main" in archive.read(names["entry_points.txt"])
        assert b"MIT License" in archive.read(names["licenses/LICENSE"])


def test_the_command_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert done.stdout == f"voicemaild {wheel.name.split('-')[1]}\n"


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def project() -> dict[str, Any]:
    found: dict[str, Any] = pyproject()["project"]
    return found


def wanted(lock: str) -> list[Requirement]:
    """What this lock file is for: what voicemaild runs on and is built with, and, for development, the tools."""
    groups = pyproject()["dependency-groups"]
    extra = groups["build"] + (groups["dev"] if lock == "requirements-dev.lock" else [])
    return [Requirement(line) for line in (*project()["dependencies"], *extra) if isinstance(line, str)]


def pins(lock: str) -> dict[str, str]:
    """Package name to the one version that is locked."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_holds_what_pyproject_asks_for(lock: str) -> None:
    """Where this fails, pyproject.toml has changed since: `make lock`."""
    locked = pins(lock)
    assert [
        str(need) for need in wanted(lock) if locked.get(canonicalize_name(need.name), "") not in need.specifier
    ] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_its_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    packages = [block for block in re.split(r"\n(?=\S)", text.strip()) if not block.startswith("#")]
    assert [block for block in packages if not re.match(r"\S+==\S+ .*\\\n\s+--hash=sha256:[0-9a-f]{64}", block)] == []
    assert re.search(r"://|--index|--find-links|--extra| @ ", text) is None


def test_the_tests_run_on_the_versions_that_are_installed() -> None:
    runtime, dev = (pins(lock) for lock in LOCKS)
    assert {name: dev.get(name) for name in runtime} == runtime
