import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import time_machine

from service.check_access import Eyes
from service.check_files import clock, configuration, database, ffmpeg
from service.check_finding import Level
from service.config_schema import checked
from service.store.schema import connect
from tests.checking import SECRET, about, open_to_all, settings

NOBODY = Eyes("nobody", 65534, frozenset({65534}))


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as context:
        context.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_looking_at_the_database_does_not_make_it(tmp_path: Path) -> None:
    ((level, line),) = about(database(settings(None, tmp_path), Eyes.own()), "database")
    assert (level, "will be made" in line) == (Level.OK, True)
    assert not (tmp_path / "voicemaild.db").exists()


def test_a_database_of_a_newer_version_is_bad(tmp_path: Path) -> None:
    conn = connect(tmp_path / "voicemaild.db")
    conn.execute("PRAGMA user_version = 999")
    conn.close()
    ((level, line),) = about(database(settings(None, tmp_path), Eyes.own()), "database")
    assert level is Level.BAD
    assert "999" in line


def test_a_file_that_is_no_database_is_bad(tmp_path: Path) -> None:
    (tmp_path / "voicemaild.db").write_bytes(b"x" * 4096)
    ((level, _),) = about(database(settings(None, tmp_path), Eyes.own()), "database")
    assert level is Level.BAD


def test_a_damaged_database_is_bad(tmp_path: Path) -> None:
    """Its head alone may be whole."""
    path = tmp_path / "voicemaild.db"
    connect(path).close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"x" * (len(content) - 4096)
    path.write_bytes(content)
    ((level, line),) = about(database(settings(None, tmp_path), Eyes.own()), "database")
    assert level is Level.BAD
    assert "damaged" in line


def test_a_missing_ffmpeg_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ((level, line),) = about(ffmpeg(), "ffmpeg")
    assert level is Level.WARN
    assert "apt-get install ffmpeg" in line


def test_another_time_zone_than_this_machines_is_a_warning(tmp_path: Path) -> None:
    ((level, line),) = about(clock(settings(None, tmp_path, timezone="Asia/Tashkent")), "time zone")
    assert level is Level.WARN
    assert "pbx.timezone" in line


@pytest.mark.parametrize(("mode", "level"), [(0o644, Level.WARN), (0o640, Level.OK)])
def test_a_secret_that_everybody_can_read_is_a_warning(tmp_path: Path, mode: int, level: Level) -> None:
    source = tmp_path / "voicemaild.toml"
    source.write_text(f'[ami]\nsecret = "{SECRET}"\n')
    source.chmod(mode)
    ((found, _),) = about(configuration(settings(None, tmp_path), source), "configuration")
    assert found is level


def test_settings_without_effect_are_warnings(tmp_path: Path) -> None:
    given = settings(None, tmp_path, provision=True)
    off = replace(given, ami=replace(given.ami, enabled=False))
    ((level, line),) = about(configuration(off, Path("/nope.toml")), "configuration")
    assert level is Level.WARN
    assert "pbx.provision" in line


def test_another_machines_pbx_may_have_another_time_zone(tmp_path: Path) -> None:
    keys = {"ami": {"host": "192.0.2.1"}, "pbx": {"timezone": "Asia/Tashkent"}}
    ((level, _),) = about(clock(checked(keys)), "time zone")
    assert level is Level.OK


def test_a_clock_that_was_never_set_is_bad(tmp_path: Path) -> None:
    with time_machine.travel("1970-01-02T00:00:00Z"):
        ((level, line),) = about(clock(settings(None, tmp_path)), "clock")
    assert (level, "1970-01-02" in line) == (Level.BAD, True)


def test_a_database_that_the_service_may_not_write_is_bad(tmp_path: Path) -> None:
    connect(tmp_path / "voicemaild.db").close()
    open_to_all(tmp_path)
    ((level, line),) = about(database(settings(None, tmp_path), NOBODY), "database")
    assert level is Level.BAD
    assert "nobody may not write" in line


def test_a_database_in_use_is_looked_at_without_waiting_for_it(tmp_path: Path) -> None:
    path = tmp_path / "voicemaild.db"
    connect(path).close()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    ((level, _),) = about(database(settings(None, tmp_path), Eyes.own()), "database")
    writer.close()
    assert level is Level.OK


def test_a_disk_that_is_nearly_full_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.check_files.LEAST_FREE", shutil.disk_usage(tmp_path).total + 1)
    level, line = about(database(settings(None, tmp_path), Eyes.own()), "database")[-1]
    assert (level, "make room" in line) == (Level.BAD, True)
