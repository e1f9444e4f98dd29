"""Calls of the simulated PBX: their records, over AMI and in Master.csv, are those a real one was heard to make."""

import asyncio
import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.simulator import calls
from service.simulator.calls import Way
from service.simulator.events import Caller, Detail, Leg, caller, cdr
from service.simulator.life import COMPANY, furnish
from service.simulator.master_csv import Columns, MasterCsv, line
from service.simulator.pbx import Simulator
from tests.simulator.lab import AT_ONCE, logged_in, simulator
from tests.simulator.recordings import FIXTURES

VERSIONS = ("22", "16")


def recorded(version: str) -> Iterator[tuple[bytes, dict[str, str]]]:
    """The Cdr events of many calls, as they came, and their fields."""
    data = (FIXTURES / f"ami-recordings/ami-{version}-calls.txt").read_bytes()
    for block in data.split(b"\r\n\r\n"):
        if block.startswith(b"Event: Cdr"):
            lines = block.decode().split("\r\n")
            yield block + b"\r\n\r\n", dict(text.split(": ", 1) for text in lines)


def detail_of(told: Mapping[str, str]) -> Detail:
    who = caller(told["CallerID"])
    assert who.number == told["Source"] or not told["Source"]
    start, answer, end = (
        datetime.fromisoformat(told[name]).replace(tzinfo=UTC) if told[name] else None
        for name in ("StartTime", "AnswerTime", "EndTime")
    )
    assert start is not None
    assert end is not None
    late = timedelta(milliseconds=999)  # the PBX reckons with fractions, and tells whole seconds
    if int((end - start).total_seconds()) > int(told["Duration"]):
        start += late
    if answer is not None and int((end - answer).total_seconds()) > int(told["BillableSeconds"]):
        answer += late
    return Detail(
        leg=Leg(
            told["Channel"],
            told["UniqueID"],
            told["LinkedID"],
            Caller(who.name, who.number),
            Caller("", ""),
            told["DestinationContext"],
            told["Destination"],
        ),
        application=told["LastApplication"],
        data=told["LastData"],
        started=start,
        ended=end,
        answered=answer,
        disposition=told["Disposition"],
        destination_channel=told["DestinationChannel"],
        account=told["AccountCode"],
        userfield=told["UserField"],
        sequence=int(told["Sequence"]),
        did=told["DID"],
        outbound_cnum=told["OutboundCNum"],
        recordingfile=told["RecordingFile"],
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_every_record_comes_out_as_recorded_over_ami_and_in_master_csv(version: str) -> None:
    rows = (FIXTURES / f"master-csv/calls-{version}.csv").read_bytes().splitlines(keepends=True)
    events = list(recorded(version))
    assert len(events) == len(rows) == 39
    for (event, told), row in zip(events, rows, strict=True):
        detail = detail_of(told)
        assert cdr(detail, mapped=True).data == event
        assert line(detail) == row


def test_without_the_mappings_nothing_stands_behind_the_userfield() -> None:
    event, told = next(recorded("22"))
    assert cdr(detail_of(told)).data == event.partition(b"LinkedID")[0] + b"\r\n"


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        (Columns(uniqueid=False, userfield=False, new=False), 16),
        (Columns(userfield=False, new=False), 17),
        (Columns(new=False), 18),
        (Columns(), 21),
    ],
)
def test_master_csv_has_as_many_columns_as_cdr_conf_asks_for(columns: Columns, cells: int) -> None:
    _, told = next(recorded("22"))
    whole = line(detail_of(told))
    assert whole.startswith(line(detail_of(told), columns).removesuffix(b"\n"))
    assert line(detail_of(told), columns).count(b",") == cells - 1 + told["LastData"].count(",")


def test_quotes_and_commas_stand_in_master_csv_as_asterisk_writes_them() -> None:
    _, told = next(recorded("22"))
    odd = replace(detail_of(told), userfield='a=1;b="2" Zoë\nnext')
    assert '"a=1;b=""2"" Zoë\nnext"'.encode() in line(odd)


class Heard:
    """What a PBX told of calls while it was listened to, and how much stood in its Master.csv at each event."""

    def __init__(self, pbx: Simulator, csv: Path) -> None:
        self.cdrs: list[dict[str, str]] = []
        self.rows_before: list[int] = []
        self._csv = csv
        pbx.attach(lambda event: self._hear(event.data))

    def _hear(self, data: bytes) -> None:
        if data.startswith(b"Event: Cdr"):
            self.rows_before.append(len(self.rows))
            self.cdrs.append(dict(text.split(": ", 1) for text in data.decode().strip("\r\n").split("\r\n")))

    @property
    def rows(self) -> list[bytes]:
        return self._csv.read_bytes().splitlines() if self._csv.exists() else []

    def shape(self) -> list[tuple[str, ...]]:
        return [shape_of(told) for told in self.cdrs]


def shape_of(told: Mapping[str, str]) -> tuple[str, ...]:
    """What a record says of the kind of call: no names, no times."""
    return (
        told["LastApplication"],
        told["Disposition"],
        told["Channel"].rpartition("-")[0],
        told["DestinationChannel"].rpartition("-")[0],
        told["DestinationContext"],
        "answered" if told["AnswerTime"] else "",
    )


def recorded_shapes(version: str, *, src: str, dst: str) -> list[tuple[str, ...]]:
    """The records of the call that this number made to that; the halves of a transfer are another matter."""
    made = [told for _, told in recorded(version) if told["Channel"].startswith("PJSIP/")]
    found = [told for told in made if (told["Source"], told["Destination"]) == (src, dst)]
    return [shape_of(told) for told in sorted(found, key=lambda told: int(told["Sequence"]))]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("src", "dst", "how"),
    [
        ("15550000001", "200", {}),
        ("15550000002", "201", {"disposition": "NO ANSWER"}),
        ("15550000003", "202", {"disposition": "BUSY"}),
        ("200", "200", {"way": Way.INTERNAL}),
        ("200", "201", {"way": Way.INTERNAL, "disposition": "NO ANSWER"}),
        ("200", "202", {"way": Way.INTERNAL, "disposition": "BUSY"}),
        ("200", "915559870001", {"way": Way.OUTGOING}),
        ("200", "915559870002", {"way": Way.OUTGOING, "disposition": "BUSY"}),
    ],
)
async def test_a_call_makes_the_records_that_a_real_one_made(
    tmp_path: Path, version: str, src: str, dst: str, how: dict[str, Any]
) -> None:
    async with Simulator(tmp_path / "spool", delays=AT_ONCE) as pbx:
        heard = Heard(pbx, tmp_path / "Master.csv")
        pbx.call(src, dst, **how)
        await pbx.settle()
    assert heard.shape() == recorded_shapes(version, src=src, dst=dst) != []


@pytest.mark.parametrize("version", VERSIONS)
async def test_other_kinds_of_calls_make_the_records_that_real_ones_made(tmp_path: Path, version: str) -> None:
    """A phone there is not, a caller who hung up, two phones of which the second answers, and voicemail."""
    async with Simulator(tmp_path / "spool", delays=AT_ONCE) as pbx:
        heard = Heard(pbx, tmp_path / "Master.csv")
        pbx.call(disposition="FAILED", destination="209")
        pbx.call(disposition="NO ANSWER", destination="201", cancelled=True)
        pbx.call(destination="200", forked=["201"])
        await pbx.settle()
        await pbx.leave("100@default", rang=2)
        await pbx.settle()
    failed, cancelled, *forked = heard.shape()[:-2]
    dial, voicemail = heard.shape()[-2:]
    assert [failed] == recorded_shapes(version, src="15550000005", dst="209")
    assert [cancelled] == recorded_shapes(version, src="+4915550001", dst="211")
    assert forked == recorded_shapes(version, src="15550000007", dst="214")
    real = recorded_shapes(version, src="15550000012", dst="12025550199")
    assert [voicemail] == real[1:]
    assert dial[:3] == real[0][:3]
    assert {told["LinkedID"] for told in heard.cdrs[-2:]} == {heard.cdrs[-1]["UniqueID"]}


async def test_the_records_of_a_call_are_numbered_in_order_and_anew_after_a_restart(tmp_path: Path) -> None:
    async with Simulator(tmp_path / "spool", delays=AT_ONCE) as pbx:
        heard = Heard(pbx, tmp_path / "Master.csv")
        pbx.call(disposition="BUSY", forked=["201"])
        await pbx.settle()
        await pbx.restart()
        pbx.call()
        await pbx.settle()
    assert [told["Sequence"] for told in heard.cdrs] == ["0", "1", "2", "0"]
    assert len({told["UniqueID"] for told in heard.cdrs}) == 2


async def test_each_record_is_told_over_ami_and_stands_in_master_csv_right_after(tmp_path: Path) -> None:
    csv = tmp_path / "Master.csv"
    async with Simulator(tmp_path / "spool", delays=AT_ONCE, csv=MasterCsv(csv)) as pbx:
        heard = Heard(pbx, csv)
        pbx.call(disposition="BUSY")
        await pbx.leave("100@default", rang=5)
        await pbx.settle()
    assert heard.rows_before == [0, 1, 2, 3]
    assert len(heard.rows) == 4
    for told, row in zip(heard.cdrs, heard.rows, strict=True):
        assert f'"{told["UniqueID"]}","","","{told["LinkedID"]}",{told["Sequence"]}'.encode() in row


async def test_a_call_that_ends_in_voicemail_has_the_uniqueid_that_message_waiting_told(tmp_path: Path) -> None:
    async with simulator(tmp_path) as pbx, logged_in(pbx) as client:
        left = await pbx.leave("100@default", rang=5, did="12025550100")
        waiting, dial, voicemail = [await client.until(name) for name in ("MessageWaiting", "Cdr", "Cdr")]
    assert left is not None
    for told in (dial, voicemail):
        assert f"UniqueID: {left.uniqueid}\r\n".encode() in told
        assert b"DID: 12025550100\r\n" in told
    assert f"Uniqueid: {left.uniqueid}\r\n".encode() in waiting


async def test_what_ami_did_not_tell_stands_in_master_csv(tmp_path: Path) -> None:
    csv = tmp_path / "Master.csv"
    async with Simulator(tmp_path / "spool", secret="s", user="lab", delays=AT_ONCE, csv=MasterCsv(csv)) as pbx:
        async with pbx.unreachable():
            with pytest.raises(ConnectionError):
                await asyncio.open_connection(pbx.host, pbx.port)
            pbx.call(destination="201")
            await pbx.settle()
        async with logged_in(pbx) as client:
            pbx.events = False
            pbx.call(destination="202")
            await pbx.settle()
            pbx.events = True
            pbx.call(destination="203")
            told = await client.until("Event: Cdr")
    assert b"\r\nDestination: 203\r\n" in told
    assert [row.split(b",")[2] for row in csv.read_bytes().splitlines()] == [b'"201"', b'"202"', b'"203"']


async def test_an_unreachable_pbx_cuts_who_was_connected(tmp_path: Path) -> None:
    async with simulator(tmp_path) as pbx, logged_in(pbx) as client:
        async with pbx.unreachable():
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await client.until("never")
        async with logged_in(pbx) as again:
            assert b"Pong" in await again.ask("Ping")


async def test_who_rotates_master_csv_need_not_tell(tmp_path: Path) -> None:
    csv = tmp_path / "Master.csv"
    async with Simulator(tmp_path / "spool", delays=AT_ONCE, csv=MasterCsv(csv)) as pbx:
        pbx.call(destination="201")
        await pbx.settle()
        csv.rename(tmp_path / "Master.csv.1")
        pbx.call(destination="202")
        await pbx.settle()
    assert len(csv.read_bytes().splitlines()) == 1


async def test_an_answered_call_is_recorded_where_its_record_says_and_only_so_many_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MOST_RECORDINGS", 2)
    async with Simulator(tmp_path / "spool", delays=AT_ONCE, recordings=tmp_path / "monitor") as pbx:
        heard = Heard(pbx, tmp_path / "Master.csv")
        pbx.call("15550000001", "100", seconds=2)
        pbx.call("100", "+12025550142", way=Way.OUTGOING, seconds=1)
        pbx.call(disposition="BUSY")
        await pbx.settle()
        [incoming, outgoing] = [told for told in heard.cdrs if told["RecordingFile"]]
        assert incoming["RecordingFile"].startswith("external-100-15550000001-")
        assert outgoing["RecordingFile"].startswith("out-+12025550142-100-")
        day = incoming["StartTime"][:10].replace("-", "/")
        wav = tmp_path / "monitor" / day / incoming["RecordingFile"]
        assert wav.stat().st_size == 44 + 2 * 16_000
        pbx.call()
        assert not wav.exists()
        assert (wav.parent / outgoing["RecordingFile"]).stat().st_size == 44 + 16_000


async def test_the_demo_is_furnished_with_calls_of_every_kind(tmp_path: Path) -> None:
    csv = tmp_path / "Master.csv"
    async with Simulator(tmp_path / "spool", boxes=COMPANY, delays=AT_ONCE, csv=MasterCsv(csv)) as pbx:
        heard = Heard(pbx, csv)
        await furnish(pbx, random.Random(1), 0, calls=200)
    assert {told["Disposition"] for told in heard.cdrs} == {"ANSWERED", "NO ANSWER", "BUSY", "CONGESTION", "FAILED"}
    assert {told["Channel"][:9] for told in heard.cdrs} >= {"PJSIP/tru", "PJSIP/100"}
    ended = [told["EndTime"] for told, _ in itertools.groupby(heard.cdrs)]
    assert len(heard.rows) == len(heard.cdrs) >= 200
    assert len(set(ended)) > 100
