import bz2
import gzip
import lzma
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from service.store import connect
from tests.commands import Run, configuration, process, runner
from tests.masters import line, lines


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return configuration(tmp_path)


@pytest.fixture
def voicemaild(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.fixture
def master(tmp_path: Path) -> Path:
    file = tmp_path / "Master.csv"
    file.write_bytes(lines(*range(5000)))
    return file


def stored(config: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(connect(config.parent / "voicemaild.db", readonly=True)) as conn:
        return conn.execute(sql).fetchall()


def test_every_line_becomes_a_call_of_which_nobody_is_told(voicemaild: Run, config: Path, master: Path) -> None:
    done = voicemaild("import-cdr", "--config", config, master)
    assert (done.code, done.lines) == (0, ["5000 rows read, 5000 calls new or changed, 0 rows not understood"])
    assert stored(config, "SELECT count(*), count(DISTINCT uniqueid) FROM leg") == [(5000, 5000)]
    assert stored(config, "SELECT DISTINCT type FROM journal") == [("calls.imported",)]
    assert stored(config, "SELECT count(*) FROM integration") == [(0,)]


def test_to_import_again_changes_nothing(voicemaild: Run, config: Path, master: Path) -> None:
    voicemaild("import-cdr", "--config", config, master)
    before = stored(config, "SELECT * FROM call JOIN leg ON leg.call_id = call.id ORDER BY leg.id")
    done = voicemaild("import-cdr", "--config", config, master, master)
    assert done.lines == ["10000 rows read, 0 calls new or changed, 0 rows not understood"]
    assert stored(config, "SELECT * FROM call JOIN leg ON leg.call_id = call.id ORDER BY leg.id") == before


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_rotated_file_may_be_compressed(
    voicemaild: Run, config: Path, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "Master.csv.1").write_bytes(pack(lines(1, 2)))
    (tmp_path / "Master.csv").write_bytes(lines(3))
    done = voicemaild("import-cdr", "--config", config, tmp_path / "Master.csv.1", tmp_path / "Master.csv")
    assert done.lines == ["3 rows read, 3 calls new or changed, 0 rows not understood"]


def test_rows_that_are_not_understood_are_counted_and_cost_nothing_else(
    voicemaild: Run, config: Path, tmp_path: Path
) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(line(1) + b'"canary",1\n' + line(2)[:60] + line(3) + b'"canary\n' + line(4).rstrip(b"\n"))
    done = voicemaild("import-cdr", "--config", config, file)
    assert done.code == 0
    assert done.lines == ["5 rows read, 3 calls new or changed, 2 rows not understood"]
    assert "not understood in 1 of them" in done.err
    assert "canary" not in done.err


def test_progress_is_told_in_tenths_where_there_is_no_terminal(voicemaild: Run, config: Path, master: Path) -> None:
    done = voicemaild("import-cdr", "--config", config, master)
    told = done.err.splitlines()
    assert told[-1] == "100 % of Master.csv"
    assert len(told) <= 11


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"\x89PNG\r\n\x1a\nwhat is this\n", "no Master.csv"),
        (gzip.compress(lines(*range(2000)))[:-20], "damaged"),
    ],
)
def test_a_bad_file_ends_it_with_one_line(
    voicemaild: Run, config: Path, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "bad"
    if content is not None:
        file.write_bytes(content)
    done = voicemaild("import-cdr", "--config", config, file)
    assert (done.code, done.out) == (1, "")
    (told,) = [text for text in done.err.splitlines() if "%" not in text]
    assert told.startswith(f"voicemaild: {file}")
    assert reason in told


def test_a_directory_is_no_file(voicemaild: Run, config: Path, tmp_path: Path) -> None:
    done = voicemaild("import-cdr", "--config", config, tmp_path)
    assert done.code == 1
    assert "directory" in done.err.splitlines()[-1]


def test_a_bad_file_is_told_before_anything_is_read(voicemaild: Run, config: Path, master: Path) -> None:
    assert voicemaild("import-cdr", "--config", config, master, "/nowhere").code == 1
    assert not (config.parent / "voicemaild.db").exists()


def test_without_a_file_the_usage_is_wrong(voicemaild: Run, config: Path) -> None:
    assert voicemaild("import-cdr", "--config", config).code == 2


def test_times_are_those_of_the_pbx(voicemaild: Run, config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + '[pbx]\ntimezone = "Asia/Tashkent"\n')
    (tmp_path / "Master.csv").write_bytes(line(0))
    voicemaild("import-cdr", "--config", config, tmp_path / "Master.csv")
    assert stored(config, "SELECT datetime(start, 'unixepoch') FROM call") == [("2026-11-20 13:40:00",)]


def test_it_takes_turns_with_whoever_else_writes(config: Path, tmp_path: Path) -> None:
    """The other is in the middle of something when it starts, and gets in between while it is at work."""
    file = tmp_path / "Master.csv"
    file.write_bytes(lines(*range(10_000)))
    with closing(connect(tmp_path / "voicemaild.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with process("import-cdr", "--config", config, file) as running:
            other.execute("COMMIT")
            other.execute("PRAGMA busy_timeout = 20")  # asked again and again, as the daemon does
            turns = 0
            while running.poll() is None:
                try:
                    other.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    continue
                seen = other.execute("SELECT count(*) FROM leg").fetchone()[0]
                other.execute("INSERT INTO meta VALUES ('other', '') ON CONFLICT DO UPDATE SET value = value || '.'")
                other.execute("COMMIT")
                turns += 0 < seen < 10_000
            assert running.wait() == 0
            assert turns > 0
        assert other.execute("SELECT count(*) FROM call").fetchone() == (10_000,)


def test_a_database_that_stays_locked_is_told(
    voicemaild: Run, config: Path, master: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.commands.PATIENCE_S", 0)
    connect(config.parent / "voicemaild.db").close()
    with closing(sqlite3.connect(config.parent / "voicemaild.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = voicemaild("import-cdr", "--config", config, master)
    assert done.code == 1
    assert "try again" in done.err.splitlines()[-1]
