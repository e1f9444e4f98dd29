"""Document 000, as a client of that vendor knows it: message-voice, its unread count and its marks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.model import Mailbox
from service.simulator.boxes import Box
from tests.dialects.vendor import Place, opened

AT_1730 = 1_768_307_400  # 2026-01-13 17:30:00 in Tashkent
DONE = {"status": "success", "code": 200, "result": [], "message": "Ok"}
UNREAD, READ = {"number": 1, "name": "Unread"}, {"number": 2, "name": "Read"}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    boxes = [Box(Mailbox("default", "5800")), Box(Mailbox("default", "5801"))]
    async with opened(tmp_path, boxes, timezone="Asia/Tashkent") as place:
        yield place


async def three(place: Place) -> list[int]:
    """Three messages, an hour apart; gives their ids."""
    for number, box in enumerate(("5800", "5801", "5800")):
        caller = f"99890123456{number}"
        await place.left(f"{box}@default", caller, number + 1, origtime=AT_1730 + 3600 * number)
    return [row["id"] for row in (await place.client.get("/message-voice"))["data"]]


async def test_the_list_is_that_of_the_document(place: Place) -> None:
    await place.left("5800@default", "998901234567", 35, origtime=AT_1730)
    told = await place.client.get("/message-voice?sort=-id")
    [row] = told["data"]
    base = f"{place.client.base_url}/message-voice"
    assert told == {
        "data": [
            {
                "id": row["id"],
                "date_time": "2026-01-13 17:30:00",
                "src": "998901234567",
                "dst": "5800",
                "external_number": "998901234567",
                "duration": 35,
                "status": {"number": 1, "name": "Unread"},
                "recorded_file_url": row["recorded_file_url"],
            }
        ],
        "links": {"first": f"{base}?sort=-id&page=1", "last": f"{base}?sort=-id&page=1", "prev": None, "next": None},
        "meta": {
            "current_page": 1,
            "from": 1,
            "last_page": 1,
            "links": [
                {"url": None, "label": "« Previous", "active": False},
                {"url": f"{base}?sort=-id&page=1", "label": "1", "active": True},
                {"url": None, "label": "Next »", "active": False},
            ],
            "path": base,
            "per_page": 20,
            "to": 1,
            "total": 1,
        },
    }
    assert type(row["id"]) is int
    status, content_type, content = await place.client.sound(row["recorded_file_url"])
    assert (status, content_type, content[:4], len(content)) == (200, "audio/wav", b"RIFF", 44 + 35 * 16_000)


async def test_an_empty_list_has_no_rows_and_one_page(place: Place) -> None:
    told = await place.client.get("/message-voice")
    assert (told["data"], told["links"]["next"]) == ([], None)
    assert {key: told["meta"][key] for key in ("current_page", "from", "last_page", "per_page", "to", "total")} == {
        "current_page": 1,
        "from": None,
        "last_page": 1,
        "per_page": 20,
        "to": None,
        "total": 0,
    }


async def test_the_count_for_a_badge(place: Place) -> None:
    await three(place)
    status, told = await place.client.ask("GET", "/message-voice/unread-count")
    assert (status, told) == (200, {"status": "success", "code": 200, "result": {"unread_count": 3}, "message": "Ok"})


async def test_one_is_marked_as_read_here_and_on_the_pbx(place: Place) -> None:
    first, second, third = await three(place)
    for _again in range(2):
        assert await place.client.ask("POST", f"/message-voice/{first}/mark-as-a-read") == (200, DONE)
    rows = (await place.client.get("/message-voice"))["data"]
    assert [(row["id"], row["status"]) for row in rows] == [(first, READ), (second, UNREAD), (third, UNREAD)]
    counts = place.pbx.spool.counts(Mailbox("default", "5800"))
    assert (counts.new, counts.old) == (1, 1)
    assert (await place.client.get("/message-voice/unread-count"))["result"] == {"unread_count": 2}


async def test_all_are_marked_as_read(place: Place) -> None:
    await three(place)
    assert await place.client.ask("POST", "/message-voice/mark-all-as-read") == (200, DONE)
    assert (await place.client.get("/message-voice/unread-count"))["result"] == {"unread_count": 0}
    assert {row["status"]["name"] for row in (await place.client.get("/message-voice"))["data"]} == {"Read"}


async def test_a_box_the_pbx_has_no_more_does_not_stand_in_the_way_of_the_others(place: Place) -> None:
    """Its messages stay in the spool when it is removed; the PBX moves them no more, so they are read here alone."""
    await three(place)
    await place.left("5801@default", "998901234569", 1)
    assert (await place.client.ask("DELETE", "/v1/voicemail/5800"))[0] == 200
    assert await place.client.ask("POST", "/message-voice/mark-all-as-read") == (200, DONE)
    assert (await place.client.get("/message-voice/unread-count"))["result"] == {"unread_count": 0}
    assert place.pbx.spool.counts(Mailbox("default", "5801")).new == 0
    [newest, *_] = (await place.client.get("/v1/voicemail/message?extension=5800"))["data"]
    assert (await place.client.ask("DELETE", f"/v1/voicemail/message/{newest['id']}"))[0] == 200
    assert (await place.client.get("/message-voice"))["meta"]["total"] == 3


async def test_every_filter_and_every_order(place: Place) -> None:
    ids = await three(place)
    await place.client.ask("POST", f"/message-voice/{ids[1]}/mark-as-a-read")
    for query, expected in {
        "filter[src]=998901234561": [1],
        "filter.src=998901234561": [1],
        "filter%5Bdst%5D=5800": [0, 2],
        "filter[external_number]=998901234562": [2],
        "filter[duration]=2": [1],
        "filter[status]=1": [0, 2],
        "filter[status]=2": [1],
        "sort=-id&filter[status]=11": [],
        "filter[from]=2026-01-13 18:30:00": [1, 2],
        "filter[to]=2026-01-13 18:30:00": [0, 1],
        "filter[from]=2026-01-13&filter[to]=2026-01-13": [0, 1, 2],
        "filter[from]=2026-01-14": [],
        "sort=-id": [2, 1, 0],
        "sort=-datetime": [2, 1, 0],
        "sort=datetime": [0, 1, 2],
        "sort=-src": [2, 1, 0],
        "sort=-duration": [2, 1, 0],
        "sort=-external_number": [2, 1, 0],
        "sort=-status&filter[dst]=5801": [1],
        "per_page=2": [0, 1],
        "per_page=2&page=2": [2],
        "per_page=2&page=7": [],
    }.items():
        told = await place.client.get(f"/message-voice?{query.replace(' ', '%20')}")
        assert [row["id"] for row in told["data"]] == [ids[number] for number in expected], query
        assert told["meta"]["total"] == (3 if "page" in query else len(expected)), query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("per_page=0", "per_page"),
        ("per_page=301", "per_page"),
        ("per_page=all", "per_page"),
        ("page=0", "page"),
        ("sort=name", "sort"),
        ("filter[duration]=long", "filter.duration"),
        ("filter[status]=read", "filter.status"),
        ("filter[from]=13.01.2026", "filter.from"),
        ("filter[to]=2026-02-30", "filter.to"),
    ],
)
async def test_a_parameter_that_is_none_is_named(place: Place, query: str, field: str) -> None:
    status, told = await place.client.ask("GET", f"/message-voice?{query}")
    assert (status, list(told["errors"])) == (422, [field])
    assert failure(told) == ("error", 422, [])
    assert all(isinstance(text, str) for text in told["errors"][field])


async def test_failures_have_the_documents_envelope(place: Place) -> None:
    for client, method, path, code in (
        (place.stranger, "GET", "/message-voice", 401),
        (place.stranger, "GET", "/message-voice/unread-count", 401),
        (place.reader, "POST", "/message-voice/mark-all-as-read", 403),
        (place.client, "POST", "/message-voice/99/mark-as-a-read", 404),
        (place.client, "GET", "/message-voice/no-such-thing", 404),
        (place.client, "DELETE", "/message-voice", 405),
    ):
        status, told = await client.ask(method, path)
        assert (status, failure(told)) == (code, ("error", code, [])), path


def failure(told: Any) -> tuple[str, int, list[Any]]:
    assert isinstance(told["message"], str)
    assert set(told) - {"errors"} == {"status", "code", "result", "message"}
    return told["status"], told["code"], told["result"]


async def test_a_pbx_that_cannot_be_reached_changes_nothing(place: Place) -> None:
    first, *_others = await three(place)
    place.pbx.silence()
    place.pbx.drop_connections()
    await place.house.until_ready(lambda told: bool(told["ami"]["state"] == "connecting"))
    status, told = await place.client.ask("POST", f"/message-voice/{first}/mark-as-a-read")
    assert (status, failure(told)) == (503, ("error", 503, []))
    assert (await place.client.get("/message-voice/unread-count"))["result"] == {"unread_count": 3}
    place.pbx.silence(on=False)


async def test_all_of_it_is_found_under_the_vendors_prefix_and_links_keep_it(place: Place) -> None:
    first, *_others = await three(place)
    told = await place.client.get("/api/v1/message-voice?per_page=1&page=2")
    base = f"{place.client.base_url}/api/v1/message-voice"
    assert told["links"] == {
        "first": f"{base}?per_page=1&page=1",
        "last": f"{base}?per_page=1&page=3",
        "prev": f"{base}?per_page=1&page=1",
        "next": f"{base}?per_page=1&page=3",
    }
    assert told["meta"]["path"] == base
    assert told["data"][0]["recorded_file_url"].startswith(base)
    assert await place.client.ask("POST", f"/api/v1/message-voice/{first}/mark-as-a-read") == (200, DONE)
    assert (await place.client.get("/api/v1/message-voice/unread-count"))["result"] == {"unread_count": 2}
