"""What `check` finds about Master.csv and recordings: a line for each thing, with what to do about it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.check_access import Eyes
from service.check_cdr import csv, recordings
from service.check_finding import Finding, Level
from service.config_schema import checked
from service.settings import Settings
from tests.checking import about, open_to_all
from tests.masters import EPOCH, line

NOBODY = Eyes("nobody", 65534, frozenset({65534}))
OK_CONF = "[csv]\nusegmtime = no\nloguniqueid = yes\nnewcdrcolumns = yes\n"


def settings(tmp_path: Path, **cdr: Path) -> Settings:
    given = {name: str(path) for name, path in cdr.items()}
    return checked({"cdr": given, "pbx": {"timezone": "UTC"}})


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    directory = tmp_path / "etc"
    directory.mkdir()
    (directory / "cdr.conf").write_text(OK_CONF)
    return directory


@pytest.fixture
def master(tmp_path: Path) -> Path:
    directory = tmp_path / "cdr-csv"
    directory.mkdir()
    (directory / "Master.csv").write_bytes(line(1) + line(2))
    return directory / "Master.csv"


def looked(master: Path, etc: Path, eyes: Eyes | None = None, zone: str = "UTC") -> list[tuple[Level, str]]:
    told = checked({"cdr": {"csv": str(master)}, "pbx": {"timezone": zone}})
    return about(csv(told, eyes or Eyes.own(), etc), "Master.csv")


def test_a_file_with_all_its_columns_is_fine(master: Path, etc: Path) -> None:
    ((level, text),) = looked(master, etc)
    assert level is Level.OK
    assert "2026-11-20 18:42:00" in text


def test_what_is_lost_without_it_is_told(tmp_path: Path, etc: Path) -> None:
    ((level, text),) = about(csv(settings(tmp_path), Eyes.own(), etc), "Master.csv")
    assert level is Level.WARN
    assert "while AMI is not connected" in text
    assert "cdr.csv" in text


def test_a_file_that_is_not_there_yet_is_a_warning_and_one_in_no_directory_bad(master: Path, etc: Path) -> None:
    master.unlink()
    ((level, text),) = looked(master, etc)
    assert (level, "first call" in text) == (Level.WARN, True)
    ((level, text),) = looked(master.parent / "nowhere" / "Master.csv", etc)
    assert (level, "nowhere" in text) == (Level.BAD, True)


def test_before_the_first_call_the_configuration_tells_what_will_be_wrong(master: Path, etc: Path) -> None:
    master.unlink()
    (etc / "cdr.conf").write_text("[csv]\nusegmtime=yes    ; as Debian has it\nloguniqueid=yes\n")
    _missing, columns, times = looked(master, etc, zone="Asia/Tashkent")
    assert (columns[0], "newcdrcolumns = yes" in columns[1]) == (Level.WARN, True)
    assert (times[0], "usegmtime = no" in times[1]) == (Level.BAD, True)


def test_a_file_that_the_service_may_not_read_is_bad(master: Path, etc: Path) -> None:
    open_to_all(master)
    master.chmod(0o640)
    ((level, text),) = looked(master, etc, NOBODY)
    assert level is Level.BAD
    assert "then restart the service" in text
    master.chmod(0o644)
    master.parent.chmod(0o711)
    ((level, text),) = looked(master, etc, NOBODY)
    assert (level, "rotated" in text) == (Level.WARN, True)


def test_a_directory_is_no_file(master: Path, etc: Path) -> None:
    ((level, text),) = looked(master.parent, etc)
    assert (level, "no plain file" in text) == (Level.BAD, True)


def test_what_cannot_even_be_looked_at_is_bad(master: Path, etc: Path) -> None:
    master.unlink()
    master.symlink_to(master)
    ((level, text),) = looked(master, etc)
    assert (level, "cannot be looked at" in text) == (Level.BAD, True)


def test_a_file_without_calls_is_told_by_the_pbxs_configuration(master: Path, etc: Path) -> None:
    master.write_bytes(b"")
    ((level, text),) = looked(master, etc)
    assert (level, "no call in it yet" in text) == (Level.OK, True)
    (etc / "cdr.conf").write_text("[csv]\n")
    assert [level for level, _ in looked(master, etc)] == [Level.BAD, Level.WARN]
    (etc / "cdr.conf").unlink()
    assert [level for level, _ in looked(master, etc)] == [Level.OK]


def test_what_is_no_master_csv_is_bad_and_its_content_not_shown(master: Path, etc: Path) -> None:
    master.write_text("canary,and,so,on\n" * 3)
    ((level, text),) = looked(master, etc)
    assert level is Level.BAD
    assert "canary" not in text


def _cut(whole: bytes, keep: int) -> bytes:
    cells = whole.rstrip(b"\n").replace(b"PJSIP/200,15", b"PJSIP/200;15").split(b",")
    return b",".join(cells[:keep]) + b"\n"


@pytest.mark.parametrize(
    ("keep", "told"), [(16, ["loguniqueid = yes", "newcdrcolumns = yes"]), (18, ["newcdrcolumns = yes"])]
)
def test_missing_columns_are_told_with_the_setting_that_adds_them(
    master: Path, etc: Path, keep: int, told: list[str]
) -> None:
    master.write_bytes(_cut(line(1), keep))
    found = looked(master, etc)
    assert len(found) == len(told)
    for (level, text), setting in zip(found, told, strict=True):
        assert level is not Level.OK
        assert setting in text
        assert "cdr.conf" in text


def test_only_the_last_line_has_to_have_the_columns(master: Path, etc: Path) -> None:
    master.write_bytes(_cut(line(1), 16) * 1000 + line(2))
    assert [level for level, _ in looked(master, etc)] == [Level.OK]


@pytest.mark.parametrize(
    ("zone", "fits"),
    [("Asia/Tashkent", "UTC+00:00, but pbx.timezone = Asia/Tashkent is UTC+05:00"), ("America/New_York", "UTC+00:00")],
)
def test_a_wrong_time_zone_is_told_with_the_offset_that_fits(master: Path, etc: Path, zone: str, fits: str) -> None:
    ((level, text),) = looked(master, etc, zone=zone)
    assert level is Level.BAD
    assert fits in text


def test_the_offset_is_that_of_the_day_of_the_call(master: Path, etc: Path) -> None:
    """New York is four hours behind in summer and five in winter."""
    for wall, epoch in (("2026-07-01 12:00:00", 1_782_921_600), ("2026-12-01 12:00:00", 1_796_144_400)):
        assert datetime.fromtimestamp(epoch, UTC).hour in (16, 17)
        start = f'"{wall}"'.encode()
        cells = _cut(line(1), 21).replace(f"{EPOCH + 60}".encode(), str(epoch).encode()).split(b",")
        cells[9:12] = [start, b"", start]
        master.write_bytes(b",".join(cells))
        assert [level for level, _ in looked(master, etc, zone="America/New_York")] == [Level.OK]


def test_a_leg_that_began_long_after_its_channel_tells_of_no_other_zone(master: Path, etc: Path) -> None:
    """As one after a long talk; any other line tells better."""
    late = line(20).replace(f"{EPOCH + 60 * 20}".encode(), f"{EPOCH + 60}".encode())
    master.write_bytes(line(1) + late * 3)
    assert [level for level, _ in looked(master, etc)] == [Level.OK]


def test_times_in_utc_are_told_by_the_setting_that_makes_them(master: Path, etc: Path) -> None:
    (etc / "cdr.conf").write_text(OK_CONF.replace("usegmtime = no", "usegmtime = yes"))
    ((level, text),) = looked(master, etc, zone="Asia/Tashkent")
    assert level is Level.BAD
    assert "usegmtime = no" in text
    assert [level for level, _ in looked(master, etc)] == [Level.OK]


def test_a_name_of_a_channel_without_a_time_tells_of_no_zone(master: Path, etc: Path) -> None:
    master.write_bytes(line(1).replace(f"{EPOCH + 60}.1".encode(), b"pbx-a"))
    assert [level for level, _ in looked(master, etc, zone="Asia/Tashkent")] == [Level.OK]


def of_recordings(path: Path, eyes: Eyes | None = None) -> list[Finding]:
    return list(recordings(checked({"cdr": {"recordings": str(path)}}), eyes or Eyes.own()))


def test_recordings_need_a_directory_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "monitor").mkdir(mode=0o700)
    for path, level in (("monitor", Level.OK), ("nowhere", Level.BAD), ("file", Level.BAD), ("file/x", Level.BAD)):
        (finding,) = of_recordings(tmp_path / path)
        assert finding.level is level, finding
        assert path.split("/")[0] in finding.what
    (finding,) = of_recordings(tmp_path / "monitor", NOBODY)
    assert "then restart the service" in finding.remedy
    assert list(recordings(Settings(), Eyes.own())) == []
