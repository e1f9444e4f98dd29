import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.model import Counts, Record
from tests.api.world import Frame, World, receive, receive_until, world
from tests.calls import call, party

NONE = {"new": 0, "old": 0, "saved": 0, "urgent": 0}


async def say(ws: aiohttp.ClientWebSocketResponse, **command: Any) -> Frame:
    await ws.send_str(json.dumps(command))
    return await receive(ws)


async def test_the_first_frame_tells_the_badges_of_boxes_that_hold_a_message(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w:
        await w.badge("100", Counts(2, 1, 0, 1))
        await w.badge("101", Counts(0, 0, 1, 0))
        await w.badge("200@sales", Counts(1))
        await w.badge("200@sales", Counts())
        async with w.ws() as ws:
            assert await receive(ws) == {
                "type": "hello",
                "protocol": 1,
                "pbx": "pbx1",
                "seq": 4,
                "unread": {
                    "total": 2,
                    "mailboxes": {
                        "100@default": {"new": 2, "old": 1, "saved": 0, "urgent": 1},
                        "101@default": {"new": 0, "old": 0, "saved": 1, "urgent": 0},
                    },
                },
            }


async def test_mailboxes_limits_a_connection_from_its_first_frame_on_and_names_empty_boxes(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w:
        await w.badge("100", Counts(2))
        await w.badge("200", Counts(5))
        async with w.ws(query="?mailboxes=100@default,999") as ws:
            hello = await receive(ws)
            assert hello["unread"] == {
                "total": 2,
                "mailboxes": {"100@default": NONE | {"new": 2}, "999@default": NONE},
            }
            await w.badge("200", Counts(6))
            await w.badge("999", Counts(1))
            frame = await receive(ws)
            assert (frame["mailbox"], frame["total"]) == ("999@default", 3)


async def test_a_change_of_a_count_is_told_with_the_new_total(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w:
        await w.badge("101", Counts(1))
        async with w.ws() as ws:
            await receive(ws)
            await w.badge("100", Counts(3, 1, 2, 1))
            assert await receive(ws) == {
                "type": "unread",
                "seq": 2,
                "mailbox": "100@default",
                "new": 3,
                "old": 1,
                "saved": 2,
                "urgent": 1,
                "total": 4,
            }


async def test_a_message_is_told_as_the_list_tells_it_and_more(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w, w.ws() as ws:
        await receive(ws)
        await w.message("100", 7, "message.updated", caller="Zoë\u202e")
        frame = await receive(ws)
    assert (frame["type"], frame["seq"]) == ("message.updated", 1)
    assert frame["message"]["id"] == 7
    assert frame["message"]["mailbox"] == "100@default"
    assert frame["message"]["caller_id_name"] == "Zoë"
    assert frame["message"]["folder"] == "INBOX"


async def test_a_token_of_some_boxes_hears_of_these_alone(tmp_path: Path) -> None:
    """Neither frames nor totals tell of any other."""
    async with world(tmp_path / "db") as w:
        await w.badge("100", Counts(1))
        await w.badge("200", Counts(7))
        async with w.ws("limited") as ws, w.ws("other") as other:
            assert (await receive(ws))["unread"] == {"total": 1, "mailboxes": {"100@default": NONE | {"new": 1}}}
            assert (await receive(other))["unread"]["total"] == 7
            await w.badge("200", Counts(8))
            await w.message("200")
            await w.badge("101", Counts(1))
            frame = await receive(ws)
            assert (frame["mailbox"], frame["total"]) == ("101@default", 2)
            assert [(await receive(other))["type"] for _ in range(2)] == ["unread", "message.new"]
        assert [event["seq"] for event in (await w.events("?since=0", "limited"))["events"]] == [1, 5]


@pytest.mark.parametrize("query", ["?mailboxes=200", "?mailboxes=100,999"])
async def test_a_box_the_token_may_not_see_looks_like_one_that_does_not_exist(tmp_path: Path, query: str) -> None:
    async with world(tmp_path / "db") as w:
        await w.badge("200", Counts(1))
        assert await w.refused(query, Authorization="Bearer limited") == 404
        async with w.ws("limited") as ws:
            await receive(ws)
            answers = [await say(ws, type="subscribe", mailboxes=[name]) for name in ("200", "999")]
            assert answers[0]["type"] == answers[1]["type"] == "error"
            assert answers[0]["message"].replace("200", "999") == answers[1]["message"]


async def test_a_subscription_is_answered_with_what_holds_now(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w:
        await w.badge("100", Counts(1))
        async with w.ws() as ws:
            await receive(ws)
            assert await say(ws, type="subscribe", mailboxes=["101", "100"], events=["message", "unread", "call"]) == {
                "type": "subscribed",
                "seq": 1,
                "mailboxes": ["100@default", "101@default"],
                "events": ["unread", "message", "call"],
                "unread": {"total": 1, "mailboxes": {"100@default": NONE | {"new": 1}, "101@default": NONE}},
            }


async def test_a_connection_hears_what_it_subscribed_to_and_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w, w.ws() as ws:
        await receive(ws)
        await say(ws, type="subscribe", mailboxes=["100"], events=["message"])
        await w.badge("100", Counts(1))
        await w.message("101")
        await w.message("100")
        assert (await receive(ws))["seq"] == 3
        await say(ws, type="subscribe", events=["unread"])
        await w.message("100")
        await w.badge("101", Counts(1))
        frame = await receive(ws)
        assert (frame["seq"], frame["total"]) == (5, 2)


async def test_a_subscription_that_names_nothing_is_back_where_the_connection_began(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w:
        async with w.ws() as ws:
            await receive(ws)
            await say(ws, type="subscribe", mailboxes=["100"], events=["call"])
            answer = await say(ws, type="subscribe")
            assert (answer["mailboxes"], answer["events"]) == (None, ["unread", "message"])
        async with w.ws("limited", "?mailboxes=100") as ws:
            await receive(ws)
            assert (await say(ws, type="subscribe", mailboxes=["101"]))["mailboxes"] == ["101@default"]
            assert (await say(ws, type="subscribe"))["mailboxes"] == ["100@default"]


async def test_what_is_not_understood_is_told_and_the_connection_stays(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w, w.ws() as ws:
        await receive(ws)
        for text in ("", "{", "[]", '{"type":"subscribe","events":["x"]}', '{"type":"subscribe","mailboxes":["/"]}'):
            await ws.send_str(text)
            assert (await receive(ws))["type"] == "error"
        await ws.send_bytes(b"{}")
        assert (await receive(ws))["type"] == "error"
        assert await say(ws, type="ping") == {"type": "pong"}
        await w.message("100")
        assert (await receive(ws))["type"] == "message.new"


async def test_a_connection_hears_of_calls_when_it_asks_for_them(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w, w.ws() as ws:
        await receive(ws)
        await w.call(call(1))
        await w.message("100")
        assert (await receive(ws))["type"] == "message.new"
        await say(ws, type="subscribe", events=["call"])
        for number, record_type in enumerate(("call.new", "call.updated", "call.deleted"), start=7):
            await w.message("100")
            await w.call(call(number), record_type)
        told = [await receive(ws) for _ in range(3)]
    assert [(frame["type"], frame["seq"], frame["call"]["id"]) for frame in told] == [
        ("call.new", 4, 7),
        ("call.updated", 6, 8),
        ("call.deleted", 8, 9),
    ]


async def test_mailboxes_limits_calls_to_those_their_extensions_take_part_in(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w, w.ws() as ws:
        await receive(ws)
        await say(ws, type="subscribe", mailboxes=["101", "100@sales"], events=["call"])
        await w.call(call(1, "5", party("100"), dst="100"))
        await w.call(call(2, "100", party("100"), party("101"), dst="101"))
        await w.call(call(3, "5", party("100", "sales", known=("default", "sales")), dst="100"))
        assert [(await receive(ws))["call"]["id"] for _ in range(2)] == [2, 3]
        await say(ws, type="subscribe", mailboxes=["100"], events=["call"])
        await w.call(call(4, "5", party("101"), dst="101"))
        await w.call(call(5, "5", party("100"), dst="100"))
        assert (await receive(ws))["call"]["id"] == 5


# -- who may come in


async def test_a_browser_may_bring_its_token_as_a_subprotocol(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w:
        url = f"{w.url}/ws"
        async with w.http.ws_connect(url, protocols=("voicemaild.v1", "bearer.limited")) as ws:
            assert ws.protocol == "voicemaild.v1"
            assert (await receive(ws))["type"] == "hello"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic all"}, 401),
        ({"Sec-WebSocket-Protocol": "voicemaild.v1"}, 401),
        ({"Sec-WebSocket-Protocol": "voicemaild.v1, bearer.wrong"}, 401),
        ({"Sec-WebSocket-Protocol": "bearer.all"}, 401),
        ({"Sec-WebSocket-Protocol": "voicemaild.v2", "Authorization": "Bearer all"}, 400),
        ({"Authorization": "Bearer all", "Origin": "https://evil.example"}, 403),
        ({"Authorization": "Bearer all", "Origin": "null"}, 403),
        ({"Authorization": "Bearer all", "Origin": "http://["}, 403),
        ({"Authorization": "Bearer all", "Origin": "https://crm.example"}, 101),
        ({"Authorization": "Bearer all", "Origin": "https://voicemail.example"}, 101),
    ],
)
async def test_who_may_not_come_in_is_told_before_the_upgrade(
    tmp_path: Path, headers: dict[str, str], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    origins = ("https://crm.example",)
    async with world(tmp_path / "db", origins=origins, public_url="https://voicemail.example/pbx") as w:
        assert await w.refused("", **headers) == status
        assert w.connections() == 0
    assert "bearer." not in caplog.text


async def test_a_page_of_ours_may_open_the_websocket(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w, w.ws(Origin=w.url) as ws:
        assert (await receive(ws))["type"] == "hello"


@pytest.mark.parametrize("query", ["?mailboxes=", "?mailboxes=100,,101", "?mailboxes=../x", "?since=-1", "?since=x"])
async def test_a_query_that_can_never_work_is_refused(tmp_path: Path, query: str) -> None:
    async with world(tmp_path / "db") as w:
        assert await w.refused(query, Authorization="Bearer all") == 422
        async with w.http.get(f"{w.url}/ws{query}", headers={"Authorization": "Bearer all"}) as answer:
            assert list((await answer.json())["errors"]) == [query[1:].partition("=")[0]]


async def test_an_ordinary_request_is_told_that_this_is_a_websocket(tmp_path: Path) -> None:
    async with (
        world(tmp_path / "db") as w,
        w.http.get(f"{w.url}/ws", headers={"Authorization": "Bearer all"}) as answer,
    ):
        assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")


# -- going on where one was


@pytest.mark.parametrize("kept", [1, 256])
async def test_since_brings_what_came_after_it_and_goes_on_live(tmp_path: Path, kept: int) -> None:
    async with world(tmp_path / "db", kept=kept) as w:
        for new in range(1, 120):
            await w.badge("100", Counts(new))
        for since in (0, 1, 60, 118, 119):
            async with w.ws(query=f"?since={since}") as ws:
                assert (await receive(ws))["type"] == "hello"
                last = w.feed.seq + 1
                await w.badge("101", Counts(last))
                frames = await receive_until(ws, last)
                assert [frame["seq"] for frame in frames] == list(range(since + 1, last + 1))
                assert [frame["total"] for frame in frames][: 119 - since] == list(range(since + 1, 120))


async def test_since_tells_a_connection_only_of_its_own(tmp_path: Path) -> None:
    async with world(tmp_path / "db", kept=1) as w:
        for name in ("100", "200", "101", "200", "100"):
            await w.message(name)
        async with w.ws("limited", "?since=1&mailboxes=100,101") as ws:
            assert [(await receive(ws)).get("seq") for _ in range(3)] == [5, 3, 5]


@pytest.mark.parametrize("since", [0, 1, 6, 10**17])
async def test_a_position_that_is_not_kept_or_not_reached_is_told_by_a_reset(tmp_path: Path, since: int) -> None:
    async with world(tmp_path / "db", kept=1) as w:
        for new in range(1, 6):
            await w.badge("100", Counts(new))
        await w.store.write(lambda tx: tx.conn.execute("DELETE FROM journal WHERE seq <= 2"))
        answer = await w.events(f"?since={since}")
        assert [event["type"] for event in answer["events"]] == ["reset", "hello"]
        assert answer["seq"] == 5
        async with w.ws(query=f"?since={since}") as ws:
            assert await receive(ws) == {"type": "reset"}
            hello = await receive(ws)
            assert (hello["type"], hello["seq"]) == ("hello", 5)
            await w.badge("100", Counts(9))
            assert (await receive(ws))["seq"] == 6


async def test_who_wants_what_cannot_be_read_now_is_told_to_come_again(tmp_path: Path) -> None:
    async with world(tmp_path / "db", kept=1) as w:
        for new in range(1, 4):
            await w.badge("100", Counts(new))
        await w.store.write(lambda tx: tx.conn.execute("ALTER TABLE journal RENAME TO elsewhere"))
        async with w.ws(query="?since=0") as ws:
            end = await ws.receive(timeout=60)
            assert (end.type, ws.close_code) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.TRY_AGAIN_LATER)


async def test_clients_that_join_while_much_happens_miss_nothing_and_get_nothing_twice(tmp_path: Path) -> None:
    """Positions of every age, changes of this process, and of another one that the feed has to find by itself."""
    last, most = 400, 120

    async def change(w: World) -> None:
        for number in range(1, last + 1):
            w.store.on_commit(nobody if number % 7 == 3 else w.feed.publish)
            await w.message("100", number)

    async def join(w: World, since: int) -> list[int]:
        async with w.ws(query=f"?since={since}") as ws:
            assert (await receive(ws))["type"] == "hello"
            return [frame["seq"] for frame in await receive_until(ws, last)]

    joined: dict[int, asyncio.Task[list[int]]] = {}
    async with world(tmp_path / "db", kept=16) as w, asyncio.TaskGroup() as group:
        changing = group.create_task(change(w))
        while not changing.done() and len(joined) < most:
            for since in {w.feed.seq, w.feed.seq // 2, max(0, w.feed.seq - 16)} - joined.keys() - {last}:
                joined[since] = group.create_task(join(w, since))
            await w.store.read(lambda _conn: None)
    assert len(joined) > most / 4
    for since, task in joined.items():
        assert task.result() == list(range(since + 1, last + 1))


def nobody(_records: Sequence[Record]) -> None:
    """What another process commits, nobody hands to our feed."""


# -- those who poll


async def test_polling_gives_the_same_records_page_by_page(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w, w.ws() as ws:
        await receive(ws)
        for number in range(5):
            await w.message("100", number)
            await w.badge("100", Counts(number + 1))
        live = await receive_until(ws, 10)
        polled: list[Frame] = []
        seq = 0
        while True:
            answer = await w.events(f"?since={seq}&limit=3")
            if not answer["events"]:
                break
            assert len(answer["events"]) <= 3
            polled += answer["events"]
            seq = answer["seq"]
        assert polled == live
        assert seq == 10


async def test_polling_tells_of_calls_those_whose_extensions_take_part(tmp_path: Path) -> None:
    async with world(tmp_path / "db", kept=1) as w:
        await w.call(call(1, "5", party("100"), dst="100"))
        await w.call(call(2, "5", party("200"), dst="200", left="200@default"))
        await w.call(call(1, "5", party("100"), dst="100"), "call.deleted")
        await w.message("200")
        seen = {token: (await w.events("?since=0", token))["events"] for token in ("all", "limited", "other")}
    assert {token: [event["seq"] for event in events] for token, events in seen.items()} == {
        "all": [1, 2, 3, 4],
        "limited": [1, 3],
        "other": [2, 4],
    }
    assert [event["type"] for event in seen["limited"]] == ["call.new", "call.deleted"]


@pytest.mark.parametrize("kept", [1, 256])
async def test_a_poller_gets_each_call_once_whatever_lies_between(tmp_path: Path, kept: int) -> None:
    async with world(tmp_path / "db", kept=kept) as w:
        for number in range(30):
            extension = "100" if number % 7 == 3 else "999"
            await w.call(call(number, "5", party(extension), dst=extension))
        found, seq = list[int](), 0
        while seq != w.feed.seq:
            answer = await w.events(f"?since={seq}&limit=2", "limited")
            assert answer["seq"] > seq
            seq = answer["seq"]
            found += [event["call"]["id"] for event in answer["events"]]
    assert found == [3, 10, 17, 24]


async def test_polling_without_a_position_tells_where_to_begin(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as w:
        await w.message("100")
        assert await w.events() == {"events": [], "seq": 1}


async def test_records_of_others_do_not_hold_a_poller_up(tmp_path: Path) -> None:
    async with world(tmp_path / "db", kept=1) as w:
        for _ in range(5):
            await w.message("200")
        assert await w.events("?since=0&limit=1", "limited") == {"events": [], "seq": 5}


@pytest.mark.parametrize("query", ["?since=x", "?since=-1", "?limit=0", "?limit=1001", "?limit=ten"])
async def test_a_poll_that_can_never_work_is_refused(tmp_path: Path, query: str) -> None:
    async with world(tmp_path / "db") as w:
        async with w.http.get(f"{w.url}/events{query}", headers={"Authorization": "Bearer all"}) as answer:
            assert answer.status == 422
        async with w.http.get(f"{w.url}/events") as answer:
            assert answer.status == 401
