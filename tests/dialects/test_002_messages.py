"""Document 002, as a client of that vendor knows it: the messages; and what voicemaild adds to them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.model import Counts, Mailbox
from service.simulator.boxes import Box
from tests.dialects.vendor import Client, Place, opened

AT_1113 = 1_630_037_624  # 2021-08-27T11:13:44+07:00
BOX, OTHER, ELSEWHERE = Mailbox("default", "101"), Mailbox("default", "102"), Mailbox("tenant", "101")
MESSAGES = "/v1/voicemail/message"
DONE = (200, {"message": "successfully"})
NO_MESSAGE = (404, {"message": "There is no such message."})


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    boxes = [Box(BOX), Box(OTHER), Box(ELSEWHERE)]
    async with opened(tmp_path, boxes, timezone="Asia/Ho_Chi_Minh") as place:
        yield place


async def some(place: Place) -> list[str]:
    """Four messages, an hour apart, the last of another tenant; gives their ids."""
    for number, box in enumerate((BOX, OTHER, BOX, ELSEWHERE)):
        await place.left(str(box), f"089123456{number}", number + 1, origtime=AT_1113 + 3600 * number)
    rows = (await place.client.get(f"{MESSAGES}?limit=50"))["data"]
    return [row["id"] for row in reversed(rows)]


async def test_the_list_is_that_of_the_document(place: Place) -> None:
    await place.left(str(BOX), "0891234567", 7, origtime=AT_1113)
    await place.left(str(OTHER), '"Nguyễn Văn A" <0897654321>', 120, origtime=AT_1113 + 4 * 3600)
    told = await place.client.get(MESSAGES)
    second, first = told["data"]
    base = f"{place.client.base_url}{MESSAGES}"
    assert told == {
        "data": [
            {
                "id": second["id"],
                "created_at": "2021-08-27T15:13:44+07:00",
                "caller_id_name": "Nguyễn Văn A",
                "caller_id_number": "0897654321",
                "duration": 120,
                "extension": "102",
                "download_url": second["download_url"],
            },
            {
                "id": first["id"],
                "created_at": "2021-08-27T11:13:44+07:00",
                "caller_id_name": "0891234567",
                "caller_id_number": "0891234567",
                "duration": 7,
                "extension": "101",
                "download_url": first["download_url"],
            },
        ],
        "limit": 10,
        "offset": 0,
        "total": 2,
    }
    assert first["download_url"].startswith(f"{base}/{first['id']}/download")
    refused = {"message": "The format must be one of wav, mp3, opus, original."}
    assert await place.client.ask("GET", f"{MESSAGES}/{first['id']}/download?format=flac") == (422, refused)
    for link in (first["download_url"], first["download_url"].replace(first["id"], first["id"].upper())):
        status, content_type, content = await place.client.sound(link)
        assert (status, content_type, content[:4], len(content)) == (200, "audio/wav", b"RIFF", 44 + 7 * 16_000)


async def test_one_message_is_had_by_its_id_and_the_newest_by_its_extension(place: Place) -> None:
    oldest, other, newest, elsewhere = await some(place)
    told = await place.client.get(f"{MESSAGES}/{oldest}")
    assert told == {
        "id": oldest,
        "created_at": "2021-08-27T11:13:44+07:00",
        "caller_id_name": "0891234560",
        "caller_id_number": "0891234560",
        "duration": 1,
        "extension": "101",
        "download_url": told["download_url"],
    }
    references = (oldest.upper(), oldest), ("101", newest), ("102", other), ("101@tenant", elsewhere)
    for reference, expected in references:
        assert (await place.client.get(f"{MESSAGES}/{reference}"))["id"] == expected
    assert await place.client.ask("GET", f"{MESSAGES}/103") == NO_MESSAGE
    assert await place.client.ask("GET", f"{MESSAGES}/aaaaaaaa-1111-2222-3333-eeeeeeee") == NO_MESSAGE


async def test_a_part_of_the_list_is_asked_for_by_limit_offset_and_extension(place: Place) -> None:
    oldest, other, newest, elsewhere = await some(place)
    for query, expected, total in (
        ("limit=2", [elsewhere, newest], 4),
        ("limit=2&offset=3", [oldest], 4),
        ("offset=4", [], 4),
        ("extension=101", [newest, oldest], 2),
        ("extension=101&limit=1&offset=1", [oldest], 2),
        ("extension=101@tenant", [elsewhere], 1),
        ("extension=102", [other], 1),
        ("extension=999", [], 0),
    ):
        told = await place.client.get(f"{MESSAGES}?{query}")
        assert ([row["id"] for row in told["data"]], told["total"]) == (expected, total), query
    for query, message in (
        ("limit=0", "The limit must be between 1 and 500."),
        ("limit=501", "The limit must be between 1 and 500."),
        ("offset=x", "The offset must be a whole number."),
    ):
        assert await place.client.ask("GET", f"{MESSAGES}?{query}") == (422, {"message": message})


async def test_an_empty_list_is_the_documents_too(place: Place) -> None:
    assert await place.client.get(f"{MESSAGES}?limit=50&offset=5") == {"data": [], "limit": 50, "offset": 5, "total": 0}


async def test_who_has_no_token_or_the_wrong_one_is_told_so(place: Place) -> None:
    [message, *_rest] = await some(place)
    for method, path in (
        ("GET", MESSAGES),
        ("GET", f"{MESSAGES}/{message}"),
        ("GET", f"{MESSAGES}/{message}/download"),
        ("PUT", f"{MESSAGES}/{message}/read"),
        ("DELETE", f"{MESSAGES}/{message}"),
    ):
        assert await place.stranger.ask(method, path) == (401, {"message": "A bearer token is needed."})
        forged = Client(place.client.base_url, place.client.http, "vmd_nobody")
        assert await forged.ask(method, path) == (401, {"message": "The token is unknown, revoked or expired."})
        if method != "GET":
            needed = {"message": "This needs a token of scope write, and this one has read."}
            assert await place.reader.ask(method, path) == (403, needed)
    assert place.pbx.spool.counts(BOX) == Counts(new=2)


async def badge(place: Place, counts: Counts) -> None:
    """Everybody says so: the PBX, the unread count, the websocket."""
    assert place.pbx.spool.counts(BOX) == counts
    async with place.house.ws("?mailboxes=101@default") as (_socket, hello):
        told = hello["unread"]["mailboxes"]["101@default"]
    assert told == {"new": counts.new, "old": counts.old, "saved": counts.saved, "urgent": counts.urgent}


async def test_marks_are_made_on_the_pbx(place: Place) -> None:
    first, _other, second, _elsewhere = await some(place)
    await badge(place, Counts(new=2))
    for _ in range(2):
        assert await place.client.ask("PUT", f"{MESSAGES}/{first}/read") == DONE
        await badge(place, Counts(new=1, old=1))
    assert await place.client.ask("PUT", f"{MESSAGES}/101/read") == DONE
    await badge(place, Counts(old=2))
    assert await place.client.ask("PUT", f"{MESSAGES}/{second}/unread") == DONE
    await badge(place, Counts(new=1, old=1))
    assert [message["id"] for message in (await place.client.get(f"{MESSAGES}?extension=101"))["data"]] == [
        second,
        first,
    ]


async def test_a_deletion_is_made_on_the_pbx_and_can_be_undone(place: Place) -> None:
    first, other, second, _elsewhere = await some(place)
    before = await place.client.get(f"{MESSAGES}/{first}")
    sound = await place.client.sound(before["download_url"])
    assert await place.client.ask("DELETE", f"{MESSAGES}/{first}") == DONE
    await badge(place, Counts(new=1))
    for method, path in (("GET", ""), ("DELETE", ""), ("PUT", "/read"), ("GET", "/peaks")):
        assert await place.client.ask(method, f"{MESSAGES}/{first}{path}") == NO_MESSAGE
    assert (await place.client.get(f"{MESSAGES}?extension=101"))["total"] == 1
    for name in (first.upper(), first):
        assert await place.client.ask("POST", f"{MESSAGES}/{name}/restore") == DONE
    after = await place.client.get(f"{MESSAGES}/{first}")
    assert after | {"download_url": ""} == before | {"download_url": ""}
    assert await place.client.sound(after["download_url"]) == sound
    assert place.pbx.spool.counts(BOX) == Counts(new=1)  # what left the PBX is ours
    assert await place.house.unread() == 4
    assert await place.client.ask("DELETE", f"{MESSAGES}/{first}") == DONE
    assert await place.client.ask("POST", f"{MESSAGES}/{first}/restore") == DONE
    assert {row["id"] for row in (await place.client.get(MESSAGES))["data"]} >= {first, other, second}


async def test_what_was_never_there_is_not_restored(place: Place) -> None:
    status, told = await place.client.ask("POST", f"{MESSAGES}/aaaaaaaa-1111-2222-3333-eeeeeeee/restore")
    assert (status, list(told)) == (404, ["message"])


async def test_a_deletion_shows_on_the_websocket_and_so_does_its_undoing(place: Place) -> None:
    await place.left(str(BOX), "0891234567", 1)
    [row] = (await place.client.get(MESSAGES))["data"]
    async with place.house.ws() as (socket, _hello):
        assert await place.client.ask("DELETE", f"{MESSAGES}/{row['id']}") == DONE
        gone = await socket.until(lambda frame: frame["type"] == "message.deleted")
        await socket.badge(0)
        assert await place.client.ask("POST", f"{MESSAGES}/{row['id']}/restore") == DONE
        back = await socket.until(lambda frame: frame["type"] == "message.new")
        await socket.badge(1)
    assert gone["message"]["uuid"] == back["message"]["uuid"] == row["id"]


async def test_the_outline_is_for_players(place: Place) -> None:
    await place.left(str(BOX), "0891234567", 3)
    [row] = (await place.client.get(MESSAGES))["data"]
    told = await place.client.get(f"{MESSAGES}/{row['id']}/peaks")
    assert list(told) == ["peaks", "duration"]
    assert (told["duration"], 0 < len(told["peaks"]) <= 800) == (3.0, True)
    assert all(0 <= peak <= 1 for peak in told["peaks"])
    assert max(told["peaks"]) > 0.1


async def test_a_pbx_that_cannot_be_reached_is_503_and_nothing_changes(place: Place) -> None:
    [message, *_rest] = await some(place)
    async with place.pbx.unreachable():
        await place.house.until_ready(lambda told: bool(told["ami"]["state"] != "connected"))
        for method, path in (("PUT", "/read"), ("DELETE", "")):
            status, told = await place.client.ask(method, f"{MESSAGES}/{message}{path}")
            assert (status, list(told)) == (503, ["message"])
        assert (await place.client.get(f"{MESSAGES}/{message}"))["id"] == message
    assert place.pbx.spool.counts(BOX) == Counts(new=2)


async def test_many_changes_at_once_all_come_about(place: Place) -> None:
    for number in range(6):
        await place.left(str(BOX), f"089123456{number}", 1, origtime=AT_1113 + number)
    ids = [row["id"] for row in (await place.client.get(MESSAGES))["data"]]

    async def change(method: str, path: str) -> Any:
        return await place.client.ask(method, f"{MESSAGES}/{path}")

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(change("DELETE", one)) for one in ids[::2]]
        tasks += [group.create_task(change("PUT", f"{one}/read")) for one in ids[1::2]]
    assert [task.result() for task in tasks] == [DONE] * 6
    await badge(place, Counts(old=3))
