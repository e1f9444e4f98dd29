import contextlib
import multiprocessing
import os
import re
from collections import Counter
from datetime import UTC
from pathlib import Path

import pytest

from service.errors import ConflictError
from service.master_history import AT_ONCE, LARGE, History, Part, ahead
from service.store.call_judged import judged
from tests.masters import line, lines

INTERNAL = re.compile(r"^\d{2,6}$")


def history(*files: Path) -> History:
    return History(files, "pbx1", INTERNAL, UTC)


def rejects(parts: list[Part]) -> Counter[str]:
    return sum((part.rejects for part in parts), Counter[str]())


@pytest.fixture
def rotated(tmp_path: Path) -> History:
    """Two files of more than a part, in which one line is no CDR."""
    (tmp_path / "Master.csv.1").write_bytes(lines(*range(AT_ONCE)) + b'"nonsense"\n')
    (tmp_path / "Master.csv").write_bytes(line(AT_ONCE) + line(AT_ONCE + 1))
    return history(tmp_path / "Master.csv.1", tmp_path / "Master.csv")


def test_a_part_has_its_legs_what_each_says_alone_and_how_far_it_was_read(rotated: History) -> None:
    parts = list(rotated.parts())
    legs = [leg for part in parts for leg in part.legs]
    assert [leg.sequence for leg in legs] == list(range(AT_ONCE + 2))
    assert [one for part in parts for one in part.alone] == [judged("pbx1", (leg,), INTERNAL) for leg in legs]
    assert max(len(part.legs) for part in parts) == AT_ONCE
    assert sum(part.rows for part in parts) == AT_ONCE + 3
    assert rejects(parts).total() == 1
    assert parts[-1].place == rotated.size() == sum(file.stat().st_size for file in rotated.files)


def test_another_process_reads_the_same_and_what_it_finds_wrong_is_raised_here(
    rotated: History, tmp_path: Path
) -> None:
    (tmp_path / "bad").write_bytes(b"\x89PNG\r\n\x1a\nwhat is this\n")
    read = list[Part]()
    with pytest.raises(ConflictError, match=r"bad is no Master\.csv"):
        read.extend(ahead(history(*rotated.files, tmp_path / "bad")))
    assert read[: len(rotated.files) + 1] == list(rotated.parts())


@pytest.mark.parametrize("within_s", [60, 0])
def test_the_other_process_ends_with_whoever_wants_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within_s: float
) -> None:
    """By itself; and where it takes too long to, all the same."""
    monkeypatch.setattr("service.master_history.END_S", within_s)
    (tmp_path / "Master.csv").write_bytes(lines(1, 2))
    parts = ahead(history(tmp_path / "Master.csv", tmp_path / "Master.csv"))
    assert next(parts).legs
    parts.close()
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_in_the_middle_of_a_part_is_told_of_in_words(tmp_path: Path) -> None:
    (tmp_path / "Master.csv").write_bytes(lines(*range(2 * AT_ONCE)))
    with contextlib.closing(ahead(history(tmp_path / "Master.csv"))) as parts:
        assert next(parts).legs
        (process,) = multiprocessing.active_children()
        while not sleeping(process.pid):  # it does once the pipe is full, and that is long before the next part is told
            os.sched_yield()
        process.kill()
        with pytest.raises(ConflictError, match=r"was ended.*run this again"):
            next(parts)


def sleeping(pid: int | None) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize(("size", "processors", "large"), [(LARGE - 1, 2, False), (LARGE, 2, True), (LARGE, 1, False)])
def test_a_large_history_is_read_by_another_process_where_there_is_a_processor_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, processors: int, *, large: bool
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(processors)))
    with (tmp_path / "Master.csv").open("wb") as file:
        file.truncate(size)
    assert history(tmp_path / "Master.csv").large() is large


def test_a_file_that_cannot_be_read_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match=r"nowhere cannot be read: No such file"):
        history(tmp_path / "nowhere").size()
