import asyncio
import itertools
import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.call import Leg
from service.cdr.event import leg_of_event
from service.cdr.master_csv import fields
from service.store import calls
from tests.masters import (
    EPOCH,
    INTERNAL,
    PACKERS,
    TIMES,
    Desk,
    copy_and_truncate,
    desk,
    line,
    lines,
    pack,
    rename,
    shift,
)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as made:
        yield made


@pytest.fixture
async def following(at: Desk) -> Desk:
    """One that has read calls 1 and 2, and was stopped then; so that what comes is news."""
    await at.look()
    at.append(1, 2)
    await at.look()
    at.restart()
    return at


async def test_what_is_there_at_the_first_start_is_history_and_what_comes_is_news(at: Desk) -> None:
    at.append(*range(2000))
    await at.look()
    assert await at.numbers() == list(range(2000))
    assert set(at.news()) == {"calls.imported"}
    at.records.clear()
    at.append(2000)
    await at.look()
    assert at.news() == ["call.new"]


async def test_a_first_start_that_was_broken_off_is_gone_on_with_as_history(at: Desk) -> None:
    at.append(*range(3000))
    task = asyncio.create_task(at.look())
    while not at.records:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(await at.numbers()) < 3000
    at.restart()
    at.append(3000)
    await at.look()
    assert await at.numbers() == list(range(3001))
    assert (at.news().count("call.new"), at.news()[-1]) == (1, "call.new")


async def test_half_a_line_at_the_first_start_is_a_call_that_is_still_to_come(at: Desk) -> None:
    at.path.write_bytes(line(1) + line(2)[:50])
    await at.look()
    assert await at.numbers() == [1]
    at.path.write_bytes(lines(1, 2))
    await at.look()
    assert at.news() == ["calls.imported", "call.new"]


async def test_the_first_lines_of_a_file_that_was_not_there_are_news(at: Desk) -> None:
    for _ in range(3):
        await at.look()
    assert "not there yet" in at.master.problem
    at.restart()
    at.append(1)
    await at.look()
    assert at.news() == ["call.new"]
    assert at.master.problem == ""


async def test_a_file_is_waited_for_until_the_first_call_without_a_warning(
    at: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(3):
        await at.look()
    at.append(1)
    await at.look()
    told = [(record.levelname, record.message.partition(" path=")[0]) for record in caplog.records]
    assert told == [("INFO", "calls are filled in once there is a file"), ("INFO", "calls are filled in from now on")]


async def test_a_file_that_was_followed_and_is_gone_is_warned_of_once(
    following: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    following.path.unlink()
    for _ in range(3):
        await following.look()
    assert following.master.problem == "it is not there"
    assert [record.levelname for record in caplog.records if "not filled in" in record.message] == ["WARNING"]


async def test_a_file_that_comes_back_is_told_of(following: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    following.path.unlink()
    await following.look()
    following.append(1)
    await following.look()
    assert "filled in again" in caplog.messages[-1]


@pytest.mark.parametrize(
    "field",
    ["a, b", 'say "hi"', "two\nlines", '\n",\r\n"', "\udcff".encode("utf-8", "surrogateescape").decode("latin1")],
)
async def test_a_field_may_hold_anything(following: Desk, field: str) -> None:
    with following.path.open("ab") as file:
        file.write(line(3, clid=field, userfield=field) + line(4))
    await following.look()
    assert await following.numbers() == [1, 2, 3, 4]
    assert following.rejects() == 0


@pytest.mark.parametrize("cut", range(0, len(line(3)) + 1, 7))
async def test_half_a_line_waits_for_its_rest(following: Desk, cut: int) -> None:
    whole = line(3, userfield="a\nb")
    for piece in (whole[:cut], whole[cut:]):
        with following.path.open("ab") as file:
            file.write(piece)
        await following.look()
    assert await following.numbers() == [1, 2, 3]
    assert following.rejects() == 0


async def test_a_torn_line_costs_itself_and_is_told_without_its_content(
    following: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with following.path.open("ab") as file:
        file.write(line(3)[:60] + line(4) + b'"","canary","200"\n' + b'"","15557654321\n' + lines(5))
    await following.look()
    assert await following.numbers() == [1, 2, 4, 5]
    assert following.rejects() >= 2
    assert any("not understood" in message for message in caplog.messages)
    assert not any("canary" in message or "1555" in message for message in caplog.messages)


async def test_a_mistake_that_fills_the_file_is_told_once(following: Desk, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with following.path.open("ab") as file:
            file.write(b'"what",is,"this"\n' * 1000)
        await following.look()
    assert following.rejects() == 3000
    assert len(caplog.messages) == 1


async def test_a_file_without_a_line_end_is_given_up_in_bounded_pieces(following: Desk) -> None:
    with following.path.open("ab") as file:
        file.write(b"x" * (1 << 20) + b"\n" + line(3))
    await following.look()
    assert await following.numbers() == [1, 2, 3]


# --- rotation


async def test_a_renamed_file_is_read_to_its_end_also_while_there_is_no_other(following: Desk) -> None:
    following.append(3)
    rename(following.path)
    await following.look()
    assert await following.numbers() == [1, 2, 3]
    assert following.master.problem == ""
    following.append(4)
    await following.look()
    assert await following.numbers() == [1, 2, 3, 4]


async def test_who_had_the_file_open_when_it_was_renamed_may_write_on(tmp_path: Path) -> None:
    late = []

    async def settle() -> None:
        late.append(tmp_path)
        with (tmp_path / "cdr-csv" / "Master.csv.1").open("ab") as file:
            file.write(line(2))

    async with desk(tmp_path, settle) as at:
        at.append(1)
        await at.look()
        rename(at.path)
        at.append(3)
        await at.look()
        assert await at.numbers() == [1, 2, 3]
        assert len(late) == 1


@pytest.mark.parametrize("there", [(), (4,)])
async def test_a_file_that_is_truncated_while_an_older_one_is_read_loses_nothing(
    tmp_path: Path, there: tuple[int, ...]
) -> None:
    async def settle() -> None:
        if not here.path.with_name("Master.csv.2").exists():
            here.append(5)
            shift(here.path, copy_and_truncate)
            here.append(6)

    async with desk(tmp_path, settle) as here:
        here.append(3)
        await here.look()
        rename(here.path)
        here.append(*there)
        await here.look()
        await here.look()
        assert await here.numbers() == [3, *there, 5, 6]


async def test_a_file_that_is_compressed_while_an_older_one_is_read_is_nothing_to_warn_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def settle() -> None:
        plain = here.path.with_name("Master.csv.1")
        if plain.exists():
            pack(plain)

    async with desk(tmp_path, settle) as here:
        here.append(1)
        await here.look()
        for number in (2, 3):
            here.append(number)
            shift(here.path)
        here.append(4)
        await here.look()
        await here.look()
        assert await here.numbers() == [1, 2, 3, 4]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("name", ["Master.csv.1", "Master.csv-20261121", "Master-20261121.csv", "Master.csv.old"])
@pytest.mark.parametrize("packed", ["", *PACKERS])
async def test_a_file_that_was_rotated_while_the_daemon_was_down_is_found(
    following: Desk, name: str, packed: str
) -> None:
    following.append(3, 4)
    old = rename(following.path, name)
    if packed:
        pack(old, packed)
    following.append(5)
    await following.look()
    assert await following.numbers() == [1, 2, 3, 4, 5]
    assert set(following.news()) == {"call.new"}


async def test_all_that_was_rotated_while_the_daemon_was_down_is_read(
    following: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3, 9):
        following.append(number)
        shift(following.path)
        if number < 7:
            pack(following.path.with_name("Master.csv.1"), ("gz", "bz2", "xz")[number % 3])
    following.append(9)
    await following.look()
    assert await following.numbers() == list(range(1, 10))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("after", [(), (4,), (4, 5, 6, 7, 8)])
async def test_what_was_copied_and_truncated_is_read_from_the_copy(following: Desk, after: tuple[int, ...]) -> None:
    following.append(3)
    copy_and_truncate(following.path)
    following.append(*after)
    await following.look()
    assert await following.numbers() == [1, 2, 3, *after]
    following.append(10)
    await following.look()
    assert await following.numbers() == [1, 2, 3, *after, 10]


async def test_an_empty_file_that_was_filled_and_copied_while_the_daemon_was_down_is_missed_by_nobody(at: Desk) -> None:
    at.path.touch()
    await at.look()
    at.append(1)
    copy_and_truncate(at.path)
    at.append(2)
    at.restart()
    await at.look()
    assert await at.numbers() == [1, 2]


async def test_a_file_that_was_moved_and_copied_back_is_gone_on_with(
    following: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shutil.copyfile(rename(following.path, "elsewhere"), following.path)
    following.append(3)
    await following.look()
    assert await following.numbers() == [1, 2, 3]
    assert caplog.messages == []


@pytest.mark.parametrize("keep", [0, 1])
async def test_where_a_file_is_gone_a_warning_says_what_to_do(
    following: Desk, caplog: pytest.LogCaptureFixture, keep: int
) -> None:
    following.append(3)
    rename(following.path).unlink()
    for number in range(4, 4 + keep):
        following.append(number)
        shift(following.path)
    following.append(5)
    await following.look()
    assert await following.numbers() == [1, 2, *range(4, 4 + keep), 5]
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "import-cdr" in warning
    following.append(6)
    await following.look()
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


async def test_a_line_that_was_cut_out_by_hand_loses_no_later_one(following: Desk) -> None:
    """The first kilobyte is the same as before, and the file is no shorter."""
    following.append(*range(3, 50))
    await following.look()
    following.path.write_bytes(lines(*range(1, 30), *range(31, 52)))
    await following.look()
    assert await following.numbers() == list(range(1, 52))


async def test_a_copy_that_is_still_being_compressed_is_left_alone(
    following: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    following.append(3)
    old = rename(following.path)
    old.with_name("Master.csv.1.gz").write_bytes(b"\x1f\x8b\x08")
    following.append(4)
    await following.look()
    assert await following.numbers() == [1, 2, 3, 4]
    assert caplog.messages == []


async def test_an_old_file_is_not_needed_any_more_once_it_was_read(
    following: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where no call came since."""
    old = rename(following.path)
    following.path.touch()
    await following.look()
    old.unlink()
    following.append(3)
    following.restart()
    await following.look()
    assert await following.numbers() == [1, 2, 3]
    assert caplog.messages == []


async def test_a_damaged_file_costs_its_rest_and_holds_nothing_up(
    following: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    following.append(3)
    shift(following.path)
    following.append(4)
    shift(following.path)
    pack(following.path.with_name("Master.csv.1"))
    packed = following.path.with_name("Master.csv.1.gz")
    packed.write_bytes(packed.read_bytes()[:-12])
    following.append(5)
    await following.look()
    assert {1, 2, 3, 5} <= set(await following.numbers())
    assert any("import-cdr" in message for message in caplog.messages)


async def test_what_is_no_rotated_file_is_not_read(following: Desk) -> None:
    for name in ("Master.csv.bak", "Master2.csv", "other.csv.1", "Master.csv.1.tmp"):
        following.path.with_name(name).write_bytes(lines(90))
    following.path.with_name("Master.csv.2").symlink_to("Master.csv.bak")
    rename(following.path)
    following.append(3)
    await following.look()
    assert await following.numbers() == [1, 2, 3]


async def test_the_path_may_be_a_link(at: Desk) -> None:
    real = at.path.parent.parent / "real"
    real.mkdir()
    at.path.symlink_to(real / "calls.csv")
    await at.look()
    at.append(1)
    await at.look()
    (real / "calls.csv").rename(real / "calls.csv.1")
    at.append(2)
    await at.look()
    assert await at.numbers() == [1, 2]
    at.path.unlink()
    at.path.symlink_to(real / "next.csv")
    at.append(3)
    await at.look()
    assert await at.numbers() == [1, 2, 3]


async def test_what_is_no_plain_file_is_not_waited_for(at: Desk, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(at.path)
    for _ in range(2):
        await at.look()
    assert "no plain file" in at.master.problem
    assert len(caplog.messages) == 1
    at.path.unlink()
    at.append(1)
    await at.look()
    assert await at.numbers() == [1]


async def test_a_file_that_may_not_be_read_is_tried_again(
    following: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    following.append(3)
    with monkeypatch.context() as closed:
        closed.setattr(os, "open", _refuse)  # root may read anything
        for _ in range(3):
            await following.look()
    assert "may not be read" in following.master.problem
    assert len(caplog.messages) == 1
    await following.look()
    assert await following.numbers() == [1, 2, 3]
    assert following.master.problem == ""


def _refuse(*_arguments: object, **_named: object) -> int:
    raise PermissionError(13, "Permission denied")


async def test_what_could_not_be_written_is_read_again(following: Desk) -> None:
    following.append(3)
    following.store.hurry()
    with closing(sqlite3.connect(following.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await following.look()
    await following.look()
    assert await following.numbers() == [1, 2, 3]


# --- any order


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_fed_in_any_pieces_with_any_restarts_every_call_is_there_once(data: st.DataObject) -> None:
    whole = b"".join(line(number, userfield=field) for number, field in enumerate(["", "a\nb", '","', '"', "\n"] * 3))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    restarts = data.draw(st.sets(st.sampled_from([0, *cuts])))

    async def play(folder: Path) -> None:
        async with desk(folder) as at:
            await at.look()
            for begin, end in itertools.pairwise([0, *cuts, len(whole)]):
                if begin in restarts:
                    at.restart()
                with at.path.open("ab") as file:
                    file.write(whole[begin:end])
                await at.look()
            assert await at.numbers() == list(range(15))
            assert at.rejects() == 0

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


STEPS = st.sampled_from(["append", "append", "half", "look", "restart", "rename", "create", "copy", "pack"])


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_whatever_becomes_of_the_file_every_call_is_there_once(steps: list[str]) -> None:
    """Only a line of which half is written has to be ended before the file is anything else."""

    async def play(folder: Path) -> None:
        async with desk(folder) as at:
            await at.look()
            written, half = 0, b""
            for step in [*steps, "append", "look"]:
                if step == "look":
                    await at.look()
                elif step == "restart":
                    at.restart()
                elif half or step in ("append", "half"):
                    whole, written = (half, written) if half else (line(written), written + 1)
                    cut = len(whole) // 2 if step == "half" and not half else len(whole)
                    write(at.path, whole[:cut])
                    half = whole[cut:]
                else:
                    become(at.path, step)
            write(at.path, half)
            await at.look()
            assert await at.numbers() == list(range(written))
            assert at.rejects() == 0

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


def write(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def become(path: Path, step: str) -> None:
    """Let it happen to the file, where it can."""
    if step == "create":
        path.touch()
    elif step == "pack":
        for old in path.parent.glob("Master.csv.[0-9]"):
            pack(old)
    elif path.exists():
        shift(path, {"rename": rename, "copy": copy_and_truncate}[step])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["file", "ami", "mapped"]), st.integers(0, 9)), max_size=40))
def test_ami_and_the_file_give_the_same_calls_in_any_order(told: list[tuple[str, int]]) -> None:
    """What either tells, doubled or not, is there once; and the same as the file alone gives."""

    async def play(told: list[tuple[str, int]]) -> list[tuple[object, ...]]:
        with tempfile.TemporaryDirectory() as folder:
            async with desk(Path(folder)) as at:
                await at.look()
                for source, number in told:
                    if source == "file":
                        at.append(number)
                        await at.look()
                    else:
                        leg = by_ami(number, mapped=source == "mapped")
                        await at.store.write(partial(calls.record, legs=[leg], internal=INTERNAL))
                at.append(*range(10))
                await at.look()
                return await at.store.read(everything)

    assert asyncio.run(play(told)) == asyncio.run(play([]))


def everything(conn: sqlite3.Connection) -> list[tuple[object, ...]]:
    """All that is known of calls, but for the ids that came with their order."""
    rows = conn.execute(
        "SELECT uuid, key, call.start, call.end, call.src, call.dst, external_number, type, status, leg.*"
        " FROM call JOIN leg ON leg.call_id = call.id ORDER BY key"
    )
    return [row[:9] + row[11:] for row in rows]


def by_ami(number: int, *, mapped: bool) -> Leg:
    """The same call as its line, from an event."""
    names = list(EVENT) if mapped else [name for name in EVENT if name not in ("LinkedID", "Sequence")]
    values = dict(zip(EVENT, fields(line(number).rstrip(b"\n")), strict=True))
    return leg_of_event(lambda name: values[name] if name in names else "", TIMES)


EVENT = (
    *("AccountCode", "Source", "Destination", "DestinationContext", "CallerID", "Channel", "DestinationChannel"),
    *("LastApplication", "LastData", "StartTime", "AnswerTime", "EndTime", "Duration", "BillableSeconds"),
    *("Disposition", "AMAFlags", "UniqueID", "UserField", "PeerAccount", "LinkedID", "Sequence"),
)


def test_the_lines_of_these_tests_are_what_they_say() -> None:
    for number in (0, 319, 320, 2000):
        row = fields(line(number).rstrip(b"\n"))
        start, _, _ = TIMES.read("", row[9], row[10], row[11], None, None)
        assert start == EPOCH + 60 * number
