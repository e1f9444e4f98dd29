"""Document 003, as a client of that vendor knows it: an account's voicemails, and those it uploads."""

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.model import Counts, Mailbox, Scope
from service.simulator.boxes import Box
from tests.dialects.vendor import Client, Place, opened
from tests.house import Process, new_token, settings_for, visiting
from tests.sounds import opus, wav

BOX, OTHER = Mailbox("default", "100"), Mailbox("default", "200")
MINE = "/accounts/me/voicemails"
SLOT = {"sip_from": "sip:alice@example.com", "content_type": "audio/opus"}
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(tmp_path, [Box(BOX), Box(OTHER)], timezone="Europe/Paris") as place:
        yield place


@pytest.fixture
def user(place: Place) -> Client:
    """The document's User: a token of one mailbox."""
    return replace(place.client, token=new_token(place.house.settings, "user", Scope.WRITE, frozenset({BOX})))


async def known(client: Client) -> Client:
    """The client, once the daemon knows its token."""
    async with asyncio.timeout(60):
        while (await client.ask("GET", MINE))[0] == 401:
            await asyncio.sleep(0.05)
    return client


async def slot(client: Client, path: str = MINE, **fields: str) -> Any:
    status, told = await client.ask("POST", path, body=SLOT | fields)
    assert status == 201, told
    return told


async def form(client: Client, url: str, content: bytes) -> tuple[int, Any]:
    """Upload as the document's clients do: a form with the file, no token."""
    data = aiohttp.FormData()
    data.add_field("file", io.BytesIO(content), filename="voicemail", content_type="application/octet-stream")
    async with client.http.post(url, data=data) as answer:
        return answer.status, await answer.json()


async def test_a_voicemail_goes_from_slot_to_file_to_deletion_as_the_document_says(place: Place, user: Client) -> None:
    client = await known(user)
    made = await slot(client)
    assert made == {
        "id": made["id"],
        "sip_from": "sip:alice@example.com",
        "upload_url": made["upload_url"],
        "download_url": None,
        "max_upload_size": 3000000,
        "content_type": "audio/opus",
        "created_at": made["created_at"],
        "uploaded_at": None,
    }
    assert UUID.match(made["id"])
    assert UTC.match(made["created_at"])
    assert await client.get(f"{MINE}/{made['id'].upper()}") == {
        "id": made["id"],
        "sip_from": "sip:alice@example.com",
        "get_url": None,
        "file_size": None,
        "content_type": "audio/opus",
        "created_at": made["created_at"],
        "uploaded_at": None,
    }
    assert await place.house.unread() == 0
    status, told = await form(client, made["upload_url"], opus(3))
    assert status == 200
    assert told == {
        "id": made["id"],
        "sip_from": "sip:alice@example.com",
        "get_url": told["get_url"],
        "file_size": len(opus(3)),
        "content_type": "audio/opus",
        "created_at": made["created_at"],
        "uploaded_at": told["uploaded_at"],
    }
    assert UTC.match(told["uploaded_at"])
    for link in (told["get_url"], told["get_url"].replace(made["id"], made["id"].upper())):
        assert await client.sound(link) == (200, "audio/ogg", opus(3))
    [row] = await client.get(MINE)
    assert row | {"get_url": ""} == told | {"get_url": ""}
    assert await place.house.unread() == 1
    assert await client.ask("DELETE", f"{MINE}/{made['id']}") == (200, {"message": "Deleted."})
    assert (await client.ask("GET", f"{MINE}/{made['id']}"))[0] == 404
    assert (await client.sound(told["get_url"]))[0] == 404
    assert await client.get(MINE) == []
    assert await place.house.unread() == 0


async def test_an_uploaded_voicemail_is_told_like_one_that_was_left(place: Place, user: Client) -> None:
    client = await known(user)
    made = await slot(client, sip_from="sip:+33123456789@example.com;user=phone", content_type="audio/wav")
    async with place.house.ws() as (socket, _hello):
        assert (await form(client, made["upload_url"], wav(2)))[0] == 200
        told = (await socket.until(lambda frame: frame["type"] == "message.new"))["message"]
        await socket.badge(1)
        measured = await socket.until(lambda frame: frame["type"] == "message.updated")
    assert (told["uuid"], told["mailbox"], told["src"]) == (made["id"], "100@default", "+33123456789")
    assert (told["duration"], told["folder"], told["status"]["name"]) == (2, "INBOX", "Unread")
    assert measured["message"]["audio"]["peak_dbfs"] < 0
    [row] = (await place.client.get("/v1/voicemail/message?extension=100"))["data"]
    assert (row["id"], row["caller_id_number"], row["duration"]) == (made["id"], "+33123456789", 2)


async def test_voicemails_the_pbx_recorded_are_the_accounts_too(place: Place, user: Client) -> None:
    client = await known(user)
    await place.left(str(BOX), "33123456789", 4, origtime=1_760_014_772)
    await place.left(str(OTHER), "33123456780", 4)
    [row] = await client.get(MINE)
    assert row == {
        "id": row["id"],
        "sip_from": "sip:33123456789@pbx1",
        "get_url": row["get_url"],
        "file_size": 44 + 4 * 16_000,
        "content_type": "audio/wav",
        "created_at": "2025-10-09T12:59:32Z",
        "uploaded_at": "2025-10-09T12:59:32Z",
    }
    status, content_type, content = await client.sound(row["get_url"])
    assert (status, content_type, len(content)) == (200, "audio/wav", row["file_size"])
    assert await client.ask("DELETE", f"{MINE}/{row['id']}") == (200, {"message": "Deleted."})
    assert place.pbx.spool.counts(BOX) == Counts()
    assert place.pbx.spool.counts(OTHER) == Counts(new=1)


async def test_both_kinds_are_listed_newest_first(place: Place, user: Client) -> None:
    client = await known(user)
    await place.left(str(BOX), "1001", 1, origtime=1_760_014_772)
    made = await slot(client)
    assert (await form(client, made["upload_url"], opus()))[0] == 200
    waiting = await slot(client, sip_from="sip:bob@example.com")
    rows = await client.get(MINE)
    assert {rows[0]["id"], rows[1]["id"]} == {made["id"], waiting["id"]}
    assert rows[2]["sip_from"] == "sip:1001@pbx1"
    created = [row["created_at"] for row in rows]
    assert created == sorted(created, reverse=True)


async def test_wrong_parameters_are_told_as_the_documents_service_does(user: Client) -> None:
    client = await known(user)
    sip = ["The sip_from must be a SIP address, such as sip:alice@example.com."]
    kind = ["The content_type must be audio/opus or audio/wav."]
    for body, errors in (
        (
            {},
            {
                "sip_from": ["The sip_from is required, as text."],
                "content_type": ["The content_type is required, as text."],
            },
        ),
        ({"sip_from": "alice", "content_type": "audio/opus"}, {"sip_from": sip}),
        ({"sip_from": "sip:alice@example.com", "content_type": "audio/mp3"}, {"content_type": kind}),
        ({"sip_from": "mailto:alice@example.com", "content_type": "opus"}, {"sip_from": sip, "content_type": kind}),
    ):
        told = await client.ask("POST", MINE, body=body)
        assert told == (422, {"message": "The given data was invalid.", "errors": errors})


async def test_an_upload_is_what_was_promised_and_not_too_large_and_comes_once(user: Client) -> None:
    client = await known(user)
    url = (await slot(client))["upload_url"]
    for content in (wav(), b"no sound", opus()[:-50], b""):
        status, told = await form(client, url, content)
        assert (status, told["message"], list(told["errors"])) == (422, "The given data was invalid.", ["file"])
    too_large = (413, {"message": "A voicemail has at most 3000000 bytes."})
    assert await form(client, url, b"OggS" + bytes(2_999_997)) == too_large
    status, told = await client.ask("PUT", url, raw=opus())
    assert (status, told["file_size"]) == (200, len(opus()))
    for again in (await form(client, url, opus()), await client.ask("PUT", url, raw=opus())):
        assert (again[0], list(again[1])) == (404, ["message"])


async def test_users_have_their_own_account_and_administrators_all(place: Place, user: Client) -> None:
    client = await known(user)
    await place.left(str(OTHER), "1001", 1)
    [theirs] = await place.client.get("/accounts/200/voicemails")
    for method, path in (
        ("GET", "/accounts/200/voicemails"),
        ("POST", "/accounts/200/voicemails"),
        ("GET", f"/accounts/200/voicemails/{theirs['id']}"),
        ("DELETE", f"/accounts/200/voicemails/{theirs['id']}"),
        ("GET", f"{MINE}/{theirs['id']}"),
        ("DELETE", f"{MINE}/{theirs['id']}"),
    ):
        status, told = await client.ask(method, path, body=SLOT)
        assert (status, list(told)) == (404, ["message"])
    assert (await place.client.ask("GET", MINE))[0] == 403
    assert (await place.client.ask("GET", "/accounts/300/voicemails"))[0] == 404
    made = await slot(place.client, "/accounts/100/voicemails")
    assert (await client.get(f"{MINE}/{made['id']}"))["id"] == made["id"]
    assert await place.client.ask("DELETE", f"/accounts/200/voicemails/{theirs['id']}") == (
        200,
        {"message": "Deleted."},
    )
    assert place.pbx.spool.counts(OTHER) == Counts()


async def test_the_token_may_come_as_an_api_key_and_all_of_it_is_under_api(place: Place, user: Client) -> None:
    client = await known(user)
    by_key = replace(client, token=None)
    headers = {"x-api-key": str(client.token)}
    status, made = await by_key.ask("POST", f"/api{MINE}", body=SLOT, headers=headers)
    assert (status, made["upload_url"].startswith(f"{client.base_url}/api/")) == (201, True)
    assert (await form(client, made["upload_url"], opus()))[0] == 200
    status, rows = await by_key.ask("GET", f"/api{MINE}", headers=headers)
    assert (status, [row["id"] for row in rows]) == (200, [made["id"]])
    assert (await by_key.ask("GET", MINE))[0] == 401
    assert (await by_key.ask("GET", MINE, headers={"x-api-key": "nobody"}))[0] == 401
    assert (await place.reader.ask("POST", "/accounts/100/voicemails", body=SLOT))[0] == 403


async def test_a_daemon_that_is_killed_while_it_takes_an_upload_leaves_no_half_file_and_takes_it_again(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path, None)
    settings.spool.path.mkdir()
    media = settings.store.path.with_name("media")
    token = new_token(settings, "user", Scope.WRITE, frozenset({BOX}))
    half = asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        yield wav()[:8000]
        half.set()
        await asyncio.Event().wait()

    async with Process(settings, tmp_path) as process, visiting(settings, token) as house:
        client = Client(house.url, house.http, token)
        await process.until_logged("listening")
        made = await slot(client, content_type="audio/wav")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(abandoned(house.http, made["upload_url"], content()))
            await half.wait()
            while not list(media.glob("*.new")):
                await asyncio.sleep(0.01)
            await process.kill()
            task.cancel()
        assert list(media.glob("*.new"))
        await process.start()
        await process.until_logged("listening")
        assert list(media.iterdir()) == []
        assert (await form(client, made["upload_url"], wav()))[0] == 200
        [row] = await client.get(MINE)
        await process.kill()
        await process.start()
        await process.until_logged("listening")
        assert [kept["id"] for kept in await client.get(MINE)] == [row["id"]]
        assert (await client.sound((await client.get(MINE))[0]["get_url"]))[2] == wav()
        assert await house.unread() == 1


async def abandoned(http: aiohttp.ClientSession, url: str, content: AsyncIterator[bytes]) -> None:
    with contextlib.suppress(aiohttp.ClientError):
        async with http.put(url, data=content):
            pass
