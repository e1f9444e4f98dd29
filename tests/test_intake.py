import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC
from pathlib import Path

import pytest

from service import intake as module
from service.call import Call
from service.cdr.times import LocalTimes
from service.intake import Intake, Leaver
from service.model import Message
from service.store import calls, messages, schema
from tests.parts import BOX, PATIENCE_S, Parts, parts

INTERNAL = re.compile(r"^\d{2,6}$")


@pytest.fixture
async def it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0)
    async with asyncio.timeout(60), parts(tmp_path) as made:
        yield made


def intake(it: Parts) -> Intake:
    return Intake(it.store, LocalTimes(UTC), INTERNAL, it.metrics)


@asynccontextmanager
async def at_work(one: Intake) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(one.run())
        try:
            yield
        finally:
            task.cancel()


def event(number: int, **more: str) -> Callable[[str], str]:
    """What gives the fields of a `Cdr` event."""
    fields = {
        "Source": "15551234567",
        "Destination": "100",
        "Channel": f"PJSIP/trunk-{number:08x}",
        "DestinationChannel": f"PJSIP/100-{number:08x}",
        "LastApplication": "Dial",
        "StartTime": "2026-11-20 21:50:47",
        "AnswerTime": "2026-11-20 21:50:48",
        "EndTime": "2026-11-20 21:50:52",
        "Duration": "5",
        "BillableSeconds": "4",
        "Disposition": "ANSWERED",
        "UniqueID": f"1795211447.{number}",
    } | more
    return lambda name: fields.get(name, "")


def sample(it: Parts, name: str, **labels: str) -> float | None:
    return it.metrics.registry.get_sample_value(name, labels)


async def stored(it: Parts) -> list[Call]:
    return await it.store.read(lambda conn: calls.load(conn, list(range(1, 1000))))


async def test_what_is_told_is_written_each_leg_once(it: Parts) -> None:
    one = intake(it)
    async with at_work(one):
        for number in (1, 2, 1):
            one.leg(event(number))
        await it.told("call.new", 2)
        await one.settle()
    assert [call.key for call in await stored(it)] == ["1795211447.1", "1795211447.2"]


async def test_an_event_that_cannot_be_understood_costs_a_counter_and_a_line(
    it: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    one = intake(it)
    async with at_work(one):
        one.leg(event(1, StartTime="yesterday"))
        one.leg(event(2))
        await it.told("call.new")
    assert [call.key for call in await stored(it)] == ["1795211447.2"]
    assert sample(it, "voicemaild_cdr_rejects_total", reason="event") == 1
    assert "CDR not understood source=ami" in caplog.text
    assert "yesterday" not in caplog.text


async def test_what_was_told_waits_while_the_store_cannot_be_written_and_is_said_once(
    it: Parts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    one = intake(it)
    async with at_work(one):
        with closing(sqlite3.connect(it.store.path, isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            one.leg(event(1))
            await failed(it)
        await it.told("call.new")
    assert [call.key for call in await stored(it)] == ["1795211447.1"]
    assert caplog.text.count("calls wait for the store") == 1


async def failed(it: Parts) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not it.store.failure:
            await asyncio.sleep(0)


async def test_there_is_a_limit_to_what_waits_and_what_is_beyond_it_is_counted(
    it: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    one = intake(it)
    for number in range(5):
        one.leg(event(number))
    async with at_work(one):
        await it.told("call.new", 3)
    assert sample(it, "voicemaild_cdr_lost_total") == 2


async def test_settling_returns_when_all_is_written(it: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_S", 60)
    one = intake(it)
    async with at_work(one):
        for number in range(700):
            one.leg(event(number))
        await one.settle()
        assert len(await stored(it)) == 700


async def test_settling_tells_of_what_could_not_be_written(it: Parts, caplog: pytest.LogCaptureFixture) -> None:
    one = intake(it)
    one.leg(event(1))
    await one.settle()  # nobody writes
    assert "calls lost" in caplog.text


async def test_who_left_a_message_is_noted_with_it(it: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAVER_AFTER_S", 0.0)
    it.leave()
    await it.ingest.everything()
    [message] = await one_message(it)
    one = intake(it)
    async with at_work(one):
        one.leaver(Leaver(BOX, message.envelope.callerchan, f"{message.envelope.origtime}.7"))
        await it.told("message.updated")
    [message] = await one_message(it)
    assert message.uniqueid == f"{message.envelope.origtime}.7"


async def one_message(it: Parts) -> list[Message]:
    return await it.store.read(lambda conn: messages.by_ids(conn, [1]))
