"""The models, held against real answers, real frames, and the document's own examples."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from service.call import Integration, IntegrationStatus
from service.health import Part, StoreState
from service.model import Folder
from service.store import journal
from tests.api.described import Described, assert_described, operations, problems, resolved, validator
from tests.api.site import Site
from tests.calls import call

OF_TYPE = {
    "hello": "Hello",
    "unread": "Unread",
    "message.new": "MessageChanged",
    "message.updated": "MessageChanged",
    "message.deleted": "MessageChanged",
    "call.new": "CallChanged",
    "call.updated": "CallChanged",
    "call.deleted": "CallChanged",
    "reset": "Reset",
    "subscribed": "Subscribed",
    "pong": "Pong",
    "error": "Misunderstood",
}
"""What a frame is, by its type."""
SYNCED = Integration(3, "crm", IntegrationStatus.SYNCED, None, 1_768_000_000_000_000, 1_768_000_000_500_000)
TOLD = replace(call(left="100@default"), integration=(SYNCED,))

EXAMPLES = [
    pytest.param(content["schema"], content["example"], id=f"{method} {path} {code}")
    for method, path, operation in operations()
    for code, answer in operation["responses"].items()
    for content in resolved(answer).get("content", {}).values()
    if "example" in content
]


@pytest.mark.parametrize(("schema", "example"), EXAMPLES)
def test_every_example_is_valid(schema: Described, example: Any) -> None:
    assert [error.message for error in validator(schema).iter_errors(example)] == []


def test_what_is_wrong_or_not_known_is_seen() -> None:
    right = {"status": "success", "code": 200, "result": {"unread_count": 3}, "message": "Ok"}
    assert problems("UnreadCount", right) == []
    assert problems("UnreadCount", right | {"result": {"unread_count": -1}})
    assert problems("UnreadCount", right | {"result": {}})
    assert problems("UnreadCount", right | {"more": 1})


async def test_lists_counts_and_marks_are_as_described(site: Site) -> None:
    assert_described("GET", "/message-voice", await site.ask("/message-voice"))
    message = await site.leave(name="Jane Doe")
    await site.leave("101", folder=Folder.URGENT)
    without_audio = await site.leave("202", folder=Folder.WORK)
    (site.spool / "default/100/Work" / f"msg{without_audio.msgnum:04d}.wav").unlink()
    await site.ingest.reconcile(without_audio.mailbox)
    listed = await site.ask("/message-voice?per_page=2&sort=-id")
    assert listed.json["meta"]["total"] == 3
    assert None in [row["recorded_file_url"] for row in listed.json["data"]]
    assert_described("GET", "/message-voice", listed)
    assert_described("GET", "/message-voice/unread-count", await site.ask("/message-voice/unread-count"))
    assert_described("GET", "/message-voice", await site.ask("/message-voice?page=0&filter[from]=yesterday"))
    marked = await site.ask(f"/message-voice/{message.id}/mark-as-a-read", "writer", "POST")
    assert marked.status == 200
    assert_described("POST", "/message-voice/{id}/mark-as-a-read", marked)
    everything = await site.ask("/api/v1/message-voice/mark-all-as-read", "writer", "POST")
    assert everything.status == 200
    assert_described("POST", "/message-voice/mark-all-as-read", everything)


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({}, "", 200),
        ({"Range": "bytes=0-99"}, "", 206),
        ({"Range": "bytes=999999-"}, "", 416),
        ({"If-None-Match": "*"}, "", 304),
        ({"If-Match": '"other"'}, "", 412),
        ({}, "&format=wav", 200),
        ({}, "&format=mp3", 200),
        ({}, "&format=tape", 422),
        ({}, "&signature=forged", 401),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_audio_is_as_described(site: Site, method: str, headers: dict[str, str], query: str, code: int) -> None:
    await site.leave()
    [row] = (await site.ask("/message-voice")).json["data"]
    link = row["recorded_file_url"]
    base = link.partition("&signature")[0] if "signature" in query else link
    answer = await site.ask(base + query, None, method, headers)
    assert answer.status == code
    if method == "GET" or code in (200, 206, 304):
        assert_described(method, "/message-voice/{uuid}/audio", answer)


async def test_events_and_frames_are_as_described(site: Site) -> None:
    answers = [await site.ask("/events")]
    frames: list[Described] = []
    async with site.client.ws_connect(f"{site.url}/ws", headers={"Authorization": "Bearer reader"}) as ws:
        message = await site.leave(name="Jane Doe")
        await site.ask(f"/message-voice/{message.id}/mark-as-a-read", "writer", "POST")
        (site.spool / "default/100/INBOX/msg0000.txt").unlink()
        await site.ingest.reconcile(message.mailbox)
        for command in ('{"type":"ping"}', '{"type":"subscribe","mailboxes":["100@default"]}', "?"):
            await ws.send_str(command)
        while not frames or frames[-1]["type"] != "error":
            frames.append(await ws.receive_json(timeout=60))
        await ws.send_str('{"type":"subscribe","events":["call"]}')
        for record_type in ("call.new", "call.updated", "call.deleted"):
            await site.store.write(partial(journal.append, record_type=record_type, mailbox=None, state=TOLD))
        while frames[-1]["type"] != "call.deleted":
            frames.append(await ws.receive_json(timeout=60))
    async with site.client.ws_connect(f"{site.url}/ws?since=999", headers={"Authorization": "Bearer reader"}) as ws:
        frames.append(await ws.receive_json(timeout=60))
    assert {frame["type"] for frame in frames} == set(OF_TYPE)
    assert [
        (frame, problems(OF_TYPE[frame["type"]], frame)) for frame in frames if problems(OF_TYPE[frame["type"]], frame)
    ] == []
    answers += [await site.ask("/events?since=0"), await site.ask("/events?since=999")]
    for answer in answers:
        assert_described("GET", "/events", answer)
    assert [len(answer.json["events"]) > 0 for answer in answers] == [False, True, True]


async def test_health_is_as_described(site: Site) -> None:
    answers = [await site.ask("/readyz", None)]
    await site.ingest.everything()
    answers.append(await site.ask("/readyz", None))
    site.health.store = Part(StoreState.FAILING, "the disk is full")
    answers.append(await site.ask("/readyz", None))
    assert [answer.status for answer in answers] == [503, 200, 503]
    for answer in answers:
        assert_described("GET", "/readyz", answer)
    for path in ("/healthz", "/metrics"):
        assert_described("GET", path, await site.ask(path, None))


PAGES = [path for _, path, operation in operations() if operation["tags"] == ["pages"]]


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_as_described(site: Site, path: str) -> None:
    page = await site.ask(path, None)
    assert page.status == 200
    assert_described("GET", path, page)
    assert_described("GET", path, await site.ask(path, None, headers={"If-None-Match": page.headers["ETag"]}))
