"""The call history beside a real Asterisk: real calls of every kind, over SIP, one row each, whichever source told.

All calls of a version are made once, most of them at the same time, while several daemons stand beside the PBX; each
test then looks at what those had in the end.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest

from service.settings import Settings
from tests.house import PATIENCE_S, Frame, House, living
from tests.pbx.ami_client import Packet
from tests.pbx.asterisk import Asterisk
from tests.pbx.outside import WORLD, Outside
from tests.pbx.process import Options
from tests.pbx.root import VERSIONS, build
from tests.pbx.telephone import Log
from tests.pbx.test_daemon import settings_beside

INCOMING, OUTGOING, INTERNAL = "Incoming", "Outgoing", "Internal"
ANSWERED, NOT_ANSWERED, BUSY, FAILED = "Answered", "Not answered", "Busy", "Failed"
LAST = ("15559990001", "15559990002")
"""Who called last in each half, so that it was known when all had been told."""

BLINDLY_TRANSFERRED = "15550000017"
"""Who called 219 and was transferred to 200. Asterisk records either as what he called at first: mostly 200, and 219
where it wrote the record before he was on his way.
"""


@dataclass(frozen=True)
class Expected:
    """A call and what the history has to say of it. `did` is told by AMI's mapped fields alone."""

    src: str
    dst: str
    type: str
    status: str
    did: str = ""
    voicemail: bool = False

    @property
    def outside(self) -> str | None:
        """The number of who is not of this PBX."""
        return {INCOMING: self.src, OUTGOING: self.dst, INTERNAL: None}[self.type]


IN_FIRST_HALF = (
    Expected("15550000001", "200", INCOMING, ANSWERED),
    Expected("15550000002", "201", INCOMING, NOT_ANSWERED),
    Expected("15550000003", "202", INCOMING, BUSY),
    Expected("15550000004", "203", INCOMING, FAILED),
    Expected("15550000005", "209", INCOMING, FAILED),
    Expected("15550000006", "211", INCOMING, NOT_ANSWERED),
    Expected("15550000007", "213", INCOMING, ANSWERED),
    Expected("15550000008", "12025550199", INCOMING, NOT_ANSWERED, voicemail=True),
    Expected("15550000009", "219", INCOMING, ANSWERED),
    Expected("15550000010", "217", INCOMING, ANSWERED, did="12025550100"),
    Expected("204", "205", INTERNAL, ANSWERED),  # before the one who transferred the call above let go of it
    Expected("200", "201", INTERNAL, NOT_ANSWERED),
    Expected(LAST[0], "leave", INCOMING, NOT_ANSWERED, voicemail=True),
)
IN_SECOND_HALF = (
    Expected("15550000011", "214", INCOMING, ANSWERED),
    Expected("15550000012", "215", INCOMING, ANSWERED),
    Expected("15550000013", "216", INCOMING, ANSWERED),
    Expected("15550000015", "218", INCOMING, BUSY),
    Expected("15550000016", "12025550199", INCOMING, NOT_ANSWERED, voicemail=True),
    Expected(BLINDLY_TRANSFERRED, "200", INCOMING, ANSWERED),
    Expected("202", "200", INTERNAL, ANSWERED),
    Expected("200", "202", INTERNAL, BUSY),
    Expected("200", "915559870001", OUTGOING, ANSWERED),
    Expected("201", "915559870002", OUTGOING, BUSY),
    Expected(LAST[1], "leave", INCOMING, NOT_ANSWERED, voicemail=True),
)
EVERY_CALL = (*IN_FIRST_HALF, *IN_SECOND_HALF)


async def first_half(outside: Outside) -> None:
    log = Log(outside.pbx.log_file)
    speaker = await outside.calls("12025550199", "15550000008")
    for number, caller in (
        ("200", "15550000001"),
        ("201", "15550000002"),
        ("202", "15550000003"),
        ("203", "15550000004"),
        ("209", "15550000005"),
        ("217", "15550000010"),
    ):
        await outside.calls(number, caller)
    await outside.calls("213", '"Zoë \\"Z\\" Müller, Inc." <15550000007>', talk=2)
    await outside.gives_up("211", "Caller who cannot wait", "15550000006")
    await outside.phone_calls("201")
    await outside.transferred("15550000009", "205", attended=True)
    await outside.speaks(speaker, log)
    await outside.quiet(LAST[0])


async def second_half(outside: Outside) -> None:
    log = Log(outside.pbx.log_file)
    speaker = await outside.calls("12025550199", "15550000016")
    for number, caller in (
        ("214", "15550000011"),
        ("215", "15550000012"),
        ("216", "15550000013"),
        ("218", "15550000015"),
    ):
        await outside.calls(number, caller)
    for number, phone in (("200", "202"), ("202", "200"), ("915559870001", "200"), ("915559870002", "201")):
        await outside.phone_calls(number, phone)
    await outside.transferred(BLINDLY_TRANSFERRED, "200", attended=False)
    await outside.speaks(speaker, log)
    await outside.quiet(LAST[1])


@dataclass
class Told:
    """What was told of all calls: by Asterisk's own events, and by each daemon in its history in the end.

    `by_both` was down in the second half. `live` and `later` are what it sent of calls: as they happened in the first
    half, and when it was there again.
    """

    cdrs: list[Packet] = field(default_factory=list)
    by_ami: list[Frame] = field(default_factory=list)
    by_csv: list[Frame] = field(default_factory=list)
    by_both: list[Frame] = field(default_factory=list)
    at_half_time: list[Frame] = field(default_factory=list)
    live: list[Frame] = field(default_factory=list)
    later: list[Frame] = field(default_factory=list)

    def calls(self) -> list[Expected]:
        """Every call, with the number that Asterisk recorded first of who was transferred blindly."""
        records = [cdr for cdr in self.cdrs if cdr["Source"] == BLINDLY_TRANSFERRED]
        first = min(records, key=lambda cdr: int(cdr["Sequence"]))["Destination"]
        assert first in {"200", "219"}
        return [replace(call, dst=first) if call.src == BLINDLY_TRANSFERRED else call for call in EVERY_CALL]

    def source(self, name: str) -> list[Frame]:
        """The rows of one daemon."""
        return {"ami": self.by_ami, "csv": self.by_csv, "both": self.by_both}[name]

    def legs(self, row: Frame) -> list[Packet]:
        """Asterisk's own records of the call that a row is about; of a Local channel, what its `;2` half did."""
        mine = [cdr for cdr in self.cdrs if (cdr["Source"], cdr["Destination"]) == (row["src"], row["dst"])]
        whole = [cdr for cdr in self.cdrs if cdr["LinkedID"] in {one["LinkedID"] for one in mine}]
        return [cdr for cdr in whole if not cdr["Channel"].endswith(";1")]


async def history(house: House) -> list[Frame]:
    """All calls by caller, with who left a message in it, and in which mailbox, as `voicemail`."""
    events = (await house.get("/events?since=0&limit=1000"))["events"]
    messages = {
        event["message"]["id"]: (event["message"]["src"], event["message"]["mailbox"])
        for event in events
        if event["type"].startswith("message.")
    }
    rows: list[Frame] = (await house.get("/call-history?per_page=300"))["data"]
    told = [{**row, "voicemail": messages.get(row["voicemail_id"])} for row in rows]
    return sorted(told, key=lambda row: (row["src"], row["dst"]))


async def history_once(house: House, complete: Callable[[list[Frame]], bool]) -> list[Frame]:
    """The history once it is complete; what there is if it never is, for the tests to say what is wrong."""
    rows = await history(house)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not complete(rows):
                await asyncio.sleep(0.02)
                rows = await history(house)
    return rows


def has_all(expected: Iterable[Expected]) -> Callable[[list[Frame]], bool]:
    """Whether there are as many calls as were made, and the messages left in them: the last call's comes last."""
    wanted = list(expected)

    def complete(rows: list[Frame]) -> bool:
        left = sum(row["voicemail"] is not None for row in rows)
        return len(rows) == len(wanted) and left == sum(call.voicemail for call in wanted)

    return complete


async def make_calls(version: str, state: Path) -> Told:
    """Make all calls. One daemon hears AMI alone, one both sources but misses the second half, one reads later."""
    told = Told()
    async with Outside.around(version) as outside, outside.pbx.ami(events="cdr") as ami:
        by_both = beside(outside.pbx, state / "both", csv=True)
        async with living(beside(outside.pbx, state / "ami")) as hearing:
            await hearing.until_ready()
            async with living(by_both) as house:
                await house.until_ready()
                position = await first_half_live(house, outside, told)
            await second_half(outside)
            async with living(by_both) as house:
                told.by_both = await history_once(house, has_all(EVERY_CALL))
                told.later = await news_of_calls(house, position)
            told.by_ami = await history_once(hearing, has_all(EVERY_CALL))
        async with living(beside(outside.pbx, state / "csv", csv=True, ami=False)) as house:
            told.by_csv = await history_once(house, has_all(EVERY_CALL))
        await ami.action("Ping")
        told.cdrs = [packet for packet in ami.packets if packet.event == "Cdr"]
    return told


async def first_half_live(house: House, outside: Outside, told: Told) -> int:
    """Make the first half of the calls, listening to what is told of them meanwhile; gives up to which position."""
    async with house.ws() as (socket, _hello):
        await socket.ws.send_json({"type": "subscribe", "events": ["call"]})
        await socket.until(lambda frame: frame["type"] == "subscribed")
        await first_half(outside)
        told.at_half_time = await history_once(house, has_all(IN_FIRST_HALF))
        position = int((await news_of_calls(house, 0))[-1]["seq"])
        if all(frame.get("seq", 0) < position for frame in socket.told):
            await socket.until(lambda frame: bool(frame.get("seq") == position))
        told.live = [frame for frame in socket.told if frame["type"].startswith("call.")]
    return position


async def news_of_calls(house: House, since: int) -> list[Frame]:
    """What was told of calls after this position."""
    events: list[Frame] = (await house.get(f"/events?since={since}&limit=1000"))["events"]
    return [event for event in events if event["type"].startswith("call.")]


async def make_unmapped_calls(version: str, state: Path) -> Told:
    """Some calls of a PBX whose events do not say which call a leg belongs to: only Master.csv does."""
    told = Told()
    async with (
        Outside.around(version, Options(mapped=False)) as outside,
        living(beside(outside.pbx, state / "both", csv=True)) as house,
    ):
        await house.until_ready()
        log = Log(outside.pbx.log_file)
        speaker = await outside.calls("12025550199", "15550000008")
        for number, caller in (("200", "15550000001"), ("215", "15550000012")):
            await outside.calls(number, caller)
        await outside.transferred("15550000009", "205", attended=True)
        await outside.speaks(speaker, log)
        await outside.quiet(LAST[0])
        async with living(beside(outside.pbx, state / "csv", csv=True, ami=False)) as reading:
            told.by_csv = await history_once(reading, has_all(UNMAPPED))
        told.by_both = await history_once(house, lambda rows: rows_of(rows) == rows_of(told.by_csv))
    return told


def beside(pbx: Asterisk, state: Path, *, csv: bool = False, ami: bool = True) -> Settings:
    """A daemon's settings with its own database."""
    cdr: dict[str, object] = {"csv": str(pbx.master_csv)} if csv else {}
    return settings_beside(pbx, state, ami={"enabled": ami}, cdr=cdr)


def run(version: str, make: Callable[[str, Path], Coroutine[None, None, Told]], state: Path) -> Told:
    async def limited() -> Told:
        async with asyncio.timeout(600):  # a slow machine is no failure
            return await make(version, state)

    for needed in (version, WORLD):  # which has its own limit
        build(needed)
    return asyncio.run(limited())


@pytest.fixture(scope="module", params=VERSIONS)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    return run(request.param, make_calls, tmp_path_factory.mktemp("told"))


@pytest.fixture(scope="module", params=VERSIONS)
def unmapped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    return run(request.param, make_unmapped_calls, tmp_path_factory.mktemp("unmapped"))


def rows_of(rows: list[Frame], *without: str) -> list[Frame]:
    """Rows without what each daemon numbers itself."""
    own = {"id", "voicemail_id", *without}
    return [{name: value for name, value in row.items() if name not in own} for row in rows]


def seconds(row: Packet, first: str, last: str) -> int:
    return int((datetime.fromisoformat(row[last]) - datetime.fromisoformat(row[first])).total_seconds())


@pytest.mark.parametrize("source", ["ami", "csv", "both"])
def test_every_call_is_one_row_with_what_its_caller_went_through(told: Told, source: str) -> None:
    rows = [
        (row["src"], row["dst"], row["type"]["name"], row["status"]["name"], row["voicemail"] is not None)
        for row in told.source(source)
    ]
    wanted = [(call.src, call.dst, call.type, call.status, call.voicemail) for call in told.calls()]
    assert rows == sorted(wanted, key=lambda call: call[:2])
    assert len({row["call_id"] for row in told.source(source)}) == len(EVERY_CALL)


@pytest.mark.parametrize("source", ["ami", "csv", "both"])
def test_the_outside_party_is_told_and_where_ami_maps_it_the_outside_line(told: Told, source: str) -> None:
    """Master.csv has no column for the line."""
    lines = {(row["src"], row["dst"]): row["external_number"] for row in told.source(source)}
    mapped = source != "csv"
    assert lines == {(call.src, call.dst): call.did if call.did and mapped else call.outside for call in told.calls()}


@pytest.mark.parametrize("source", ["ami", "csv", "both"])
def test_duration_and_conversation_are_those_of_asterisks_own_records(told: Told, source: str) -> None:
    for row in told.source(source):
        legs = told.legs(row)
        assert legs, row
        assert row["duration"] >= row["conversation"] >= 0
        if len(legs) == 1:
            assert row["duration"] == int(legs[0]["Duration"])
        else:
            first, last = min(leg["StartTime"] for leg in legs), max(leg["EndTime"] for leg in legs)
            whole = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
            assert row["duration"] == whole
        assert row["date_time"] == min(leg["StartTime"] for leg in legs)


@pytest.mark.parametrize("source", ["ami", "csv", "both"])
def test_only_who_was_answered_had_a_conversation_and_no_longer_than_asterisk_says(told: Told, source: str) -> None:
    for row in told.source(source):
        talks = [leg for leg in told.legs(row) if leg["Disposition"] == "ANSWERED"]
        if row["status"]["name"] != ANSWERED:
            assert row["conversation"] == 0, row
        elif len(talks) == 1:
            span = seconds(talks[0], "AnswerTime", "EndTime")
            assert int(talks[0]["BillableSeconds"]) <= row["conversation"] <= span, row
        else:
            assert row["conversation"] <= sum(seconds(leg, "AnswerTime", "EndTime") for leg in talks), row
            assert row["conversation"] >= max(int(leg["BillableSeconds"]) for leg in talks), row


def test_a_call_and_the_message_left_in_it_know_each_other(told: Told) -> None:
    for rows in (told.by_ami, told.by_csv, told.by_both):
        left = {row["src"]: row["voicemail"] for row in rows if row["voicemail"]}
        assert left == {
            "15550000008": ("15550000008", "100@default"),
            "15550000016": ("15550000016", "100@default"),
            **{caller: (caller, "109@default") for caller in LAST},
        }


def test_master_csv_alone_tells_the_same_calls_as_ami_alone(told: Told) -> None:
    """But for the outside line, for which it has no column."""
    assert rows_of(told.by_csv, "external_number") == rows_of(told.by_ami, "external_number")


def test_both_sources_and_a_daemon_that_was_down_for_half_of_it_tell_the_same_calls(told: Told) -> None:
    assert rows_of(told.by_both) == rows_of(told.by_ami)


def test_what_was_told_before_the_restart_is_the_same_row_after_it(told: Told) -> None:
    ids = {row["id"] for row in told.at_half_time}
    assert [row for row in told.by_both if row["id"] in ids] == told.at_half_time
    assert len(ids) == len(IN_FIRST_HALF)


def test_each_call_is_told_as_it_happens_new_once_and_in_the_end_as_the_history_has_it(told: Told) -> None:
    assert_news(told.live, told.at_half_time)


def test_calls_of_the_gap_are_news_when_the_daemon_is_there_again(told: Told) -> None:
    before = {row["id"] for row in told.at_half_time}
    assert_news(told.later, [row for row in told.by_both if row["id"] not in before])


def assert_news(frames: list[Frame], rows: list[Frame]) -> None:
    """Each of these calls was told as new, once, then as updated, and the last that was told of it is the row."""
    last: dict[int, Frame] = {}
    for frame in frames:
        call = frame["call"]
        assert frame["type"] == ("call.updated" if call["id"] in last else "call.new"), frame
        last[call["id"]] = call
    told = [{**last.get(row["id"], {}), "voicemail": row["voicemail"]} for row in rows]
    assert told == rows
    assert len(last) == len(rows)


UNMAPPED = tuple(
    call
    for call in EVERY_CALL
    if call.src in {"15550000001", "15550000008", "15550000009", "204", "15550000012", LAST[0]}
)


def test_without_the_mappings_master_csv_brings_the_legs_of_a_call_together(unmapped: Told) -> None:
    """A Local channel and an attended transfer have legs of several uniqueids: the linkedid comes with the file."""
    assert [(row["src"], row["dst"]) for row in unmapped.by_csv] == sorted((call.src, call.dst) for call in UNMAPPED)
    assert rows_of(unmapped.by_both) == rows_of(unmapped.by_csv)
