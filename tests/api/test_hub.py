import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.api.events import ROOM
from service.model import Counts, Imported, Record
from service.store import journal
from tests.api.world import (
    Frame,
    RawClient,
    World,
    box,
    message,
    principals,
    receive,
    receive_until,
    world,
)
from tests.calls import call, party
from tests.hurry import Hurry

SMALL: dict[str, Any] = {"buffer_limit": 4096}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def badges(w: World, number: int) -> None:
    """So many changes of two badges, straight into the feed."""
    for _ in range(number):
        seq = w.feed.seq + 1
        mailbox = box("100" if seq % 2 else "101")
        before = w.feed.counts(None).get(mailbox, Counts()).new
        w.feed.publish([Record(seq, 0, "unread", "pbx1", mailbox, Counts(new=seq), seq - before)])
        await asyncio.sleep(0)


async def messages(w: World, number: int) -> None:
    """So many messages, straight into the feed."""
    for _ in range(number):
        seq = w.feed.seq + 1
        w.feed.publish([Record(seq, 0, "message.new", "pbx1", box("100"), message(box("100"), seq))])
        await asyncio.sleep(0)


async def first(client: RawClient, kind: str) -> Frame:
    """Read until a frame of this type."""
    while (frame := await client.text())["type"] != kind:
        pass
    return frame


async def up_to(client: RawClient, seq: int) -> list[Frame]:
    """All frames up to the one that has this position."""
    found = [await client.text()]
    while found[-1].get("seq") != seq:
        found.append(await client.text())
    return found


async def to_the_end(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    """Read until the other side ends it; gives the close code."""
    while (await ws.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
        pass
    return ws.close_code


async def ended(client: RawClient) -> bool:
    """Read whatever is still to be read; then it has to be over."""
    try:
        while True:
            await client.read()
    except ConnectionError:
        return True


async def test_who_does_not_read_gets_the_newest_badges_and_no_others(tmp_path: Path) -> None:
    async with world(tmp_path / "db", **SMALL) as w:
        with RawClient(w.port) as client:
            await first(client, "hello")
            client.send('{"type":"subscribe","events":["unread"]}')
            await first(client, "subscribed")
            await badges(w, 5_000)
            found = await up_to(client, w.feed.seq)
    positions = [frame["seq"] for frame in found]
    assert {frame["type"] for frame in found} == {"unread"}
    assert len(positions) < 3_000
    assert positions == sorted(set(positions))
    assert positions[-2:] == [4_999, 5_000]
    assert found[-1]["total"] == 9_999


async def test_who_missed_messages_is_told_to_begin_anew_and_then_hears_all_again(tmp_path: Path) -> None:
    async with world(tmp_path / "db", **SMALL) as w:
        with RawClient(w.port) as client:
            await first(client, "hello")
            await messages(w, 2_000)
            found = await up_to(client, 2_000)
            await messages(w, 1)
            after = await client.text()
    told = [frame["seq"] for frame in found[:-2]]
    assert told == list(range(1, len(told) + 1))
    assert len(told) < 2_000
    assert [frame["type"] for frame in found[-2:]] == ["reset", "hello"]
    assert (after["type"], after["seq"]) == ("message.new", 2_001)


async def test_who_never_reads_is_cut_off_and_nobody_else_notices(tmp_path: Path) -> None:
    async with world(tmp_path / "db", patience=15, **SMALL) as w, w.ws() as ws:
        await receive(ws)
        with RawClient(w.port) as client:
            await first(client, "hello")
            reading = asyncio.ensure_future(receive_until(ws, 2_000))
            await messages(w, 2_000)
            assert [frame["seq"] for frame in await reading] == list(range(1, 2_001))
            await Hurry().until(lambda: w.cut() == 1)
            await until(lambda: w.connections() == 1)
            assert await ended(client)
        await messages(w, 1)
        assert (await receive(ws))["seq"] == 2_001


async def test_who_does_not_read_what_came_after_since_is_cut_off(tmp_path: Path) -> None:
    async with world(tmp_path / "db", kept=10_000, patience=0.2, **SMALL) as w:
        await messages(w, 2_000)
        with RawClient(w.port, query="?since=0") as client:
            await until(lambda: w.cut() == 1)
            assert await ended(client)
        await until(lambda: w.connections() == 0)


async def test_who_asks_and_never_reads_the_answers_is_not_listened_to_without_end(tmp_path: Path) -> None:
    async with world(tmp_path / "db", patience=0.2, **SMALL) as w:
        with RawClient(w.port) as client:
            await first(client, "hello")
            with contextlib.suppress(ConnectionError):
                while w.cut() == 0:
                    with contextlib.suppress(BlockingIOError):
                        client.send('{"type":"ping"}')
                    await asyncio.sleep(0)
            await until(lambda: w.cut() == 1)


async def test_a_hello_of_many_boxes_comes_whole_and_changes_after_it(tmp_path: Path) -> None:
    async with world(tmp_path / "db", **SMALL) as w:
        boxes = [box(f"{number}") for number in range(1000, 4000)]
        w.feed.publish([Record(n + 1, 0, "unread", "pbx1", b, Counts(new=1), 1) for n, b in enumerate(boxes)])
        with RawClient(w.port) as slow:
            async with w.ws() as ws:
                assert len((await receive(ws))["unread"]["mailboxes"]) == 3000
                await badges(w, 3)
                assert [(await receive(ws))["total"] for _ in range(3)] == [6001, 9003, 9005]
            hello = await first(slow, "hello")
            found = await up_to(slow, w.feed.seq)
    assert len(hello["unread"]["mailboxes"]) >= 3000
    assert found[-1]["total"] == 9005


@pytest.mark.parametrize("now", [{}, {"limited": frozenset({box("100")})}])
async def test_a_connection_whose_token_is_gone_or_another_is_closed(tmp_path: Path, now: dict[str, Any]) -> None:
    async with world(tmp_path / "db") as w, w.ws("limited") as ws, w.ws() as other:
        await receive(ws)
        await receive(other)
        w.tokens.replace(principals(all=None, **now))
        end = await ws.receive(timeout=60)
        assert (end.type, ws.close_code) == (aiohttp.WSMsgType.CLOSE, 4401)
        await until(lambda: w.connections() == 1)
        await w.message("100")
        assert (await receive(other))["type"] == "message.new"


async def test_a_token_that_is_gone_ends_a_connection_that_nobody_reads(tmp_path: Path) -> None:
    async with world(tmp_path / "db", **SMALL) as w:
        with RawClient(w.port) as client:
            await first(client, "hello")
            await messages(w, 2_000)
            w.tokens.replace({})
            await until(lambda: w.connections() == 0)
            assert await ended(client)
        assert w.cut() == 0


async def test_the_end_of_the_service_is_told_and_waits_for_nobody(tmp_path: Path) -> None:
    async with world(tmp_path / "db", **SMALL) as w, w.ws() as ws:
        await receive(ws)
        with RawClient(w.port) as dead, RawClient(w.port, query="?since=0") as replaying:
            await first(dead, "hello")
            await messages(w, 2_000)
            reading = asyncio.ensure_future(to_the_end(ws))
            async with asyncio.timeout(60):  # aiohttp itself would wait longer for those who do not read
                await w.runner.cleanup()
            assert await reading == aiohttp.WSCloseCode.GOING_AWAY
            assert await ended(dead)
            assert await ended(replaying)
        assert w.connections() == 0


async def test_who_reads_gets_all_of_a_large_commit(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w, w.ws() as ws:
        await receive(ws)
        records = [Record(n, 0, "message.new", "pbx1", box("100"), message(box("100"), n)) for n in range(1, 501)]
        w.feed.publish(records)
        assert [frame["seq"] for frame in await receive_until(ws, 500)] == list(range(1, 501))


async def test_who_says_good_bye_and_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path / "db", **SMALL) as w:
        with RawClient(w.port) as client:
            await first(client, "hello")
            await messages(w, 2_000)
            client.say_good_bye()
            await until(lambda: w.connections() == 0)
            await until(lambda: w.open_sockets() == 0)
        assert w.cut() == 0


async def test_nothing_follows_a_close_frame(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w:
        with RawClient(w.port) as client:
            await first(client, "hello")
            client.send_head(ROOM)  # more than is taken: answered by a close frame
            opcodes = []
            with contextlib.suppress(ConnectionError):
                while True:
                    opcodes += [opcode for opcode, _ in await client.read()]
                    await messages(w, 5)
            assert opcodes[-1] == 8


async def test_connections_are_counted(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w:
        async with w.ws() as ws, w.ws("limited") as other:
            await receive(ws)
            await receive(other)
            assert w.connections() == 2
        await until(lambda: w.connections() == 0)


async def hear_calls(w: World, stack: contextlib.AsyncExitStack, *tokens: str) -> list[aiohttp.ClientWebSocketResponse]:
    """A websocket for each token that hears of calls and badges."""
    opened = []
    for token in tokens:
        ws = await stack.enter_async_context(w.ws(token))
        await receive(ws)
        await ws.send_str('{"type":"subscribe","events":["call","unread"]}')
        await receive(ws)
        opened.append(ws)
    return opened


async def test_a_voicemail_is_named_to_those_alone_who_may_see_its_mailbox(tmp_path: Path) -> None:
    """Both take part in the call, and hear of it at once."""
    async with world(tmp_path / "db") as w, contextlib.AsyncExitStack() as stack:
        heard = await hear_calls(w, stack, "other", "limited", "all", "limited")
        await w.call(call(3, "100", party("100"), party("200"), dst="200", left="200@default"))
        told = [await receive(ws) for ws in heard]
    assert [frame["call"]["id"] for frame in told] == [3, 3, 3, 3]
    assert [frame["call"]["voicemail_id"] is None for frame in told] == [False, True, False, True]


async def test_a_call_goes_to_no_other_tenant_and_changes_no_total(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w, contextlib.AsyncExitStack() as stack:
        w.tokens.replace(principals(one=frozenset({box("100")}), two=frozenset({box("100@sales")}), all=None))
        heard = await hear_calls(w, stack, "one", "two", "all")
        known = ("default", "sales")
        for context in ("default", "sales", "from-trunk"):
            await w.call(call(1, "998901234567", party("100", context, known=known), dst="100"))
        await w.store.write(lambda tx: journal.append(tx, "calls.imported", None, Imported(9)))
        await w.badge("100", Counts(1))
        await w.badge("100@sales", Counts(2))
        told = [await receive_until(ws, seq) for ws, seq in zip(heard, (5, 6, 6), strict=True)]
    assert [[frame["seq"] for frame in frames] for frames in told] == [[1, 5], [2, 6], [1, 2, 3, 5, 6]]
    assert [frames[-1]["total"] for frames in told] == [1, 2, 3]


async def test_badges_are_the_same_for_all_however_they_are_grouped(tmp_path: Path) -> None:
    """Each hears its own total, whoever else hears the same record."""
    async with world(tmp_path / "db") as w, w.ws() as one, w.ws() as two, w.ws("limited") as three:
        for ws in (one, two, three):
            await receive(ws)
        await w.badge("200", Counts(5))
        await w.badge("100", Counts(2))
        assert [(await receive(ws))["total"] for ws in (one, one, two, two, three)] == [5, 7, 5, 7, 2]
