"""Document 003, asked as its clients ask: slots, uploads, lists, and who may do what."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import time_machine

from service.model import Counts, Folder, Mailbox, Principal, Scope
from service.settings import Limits
from service.store import held, mailboxes
from service.store.tokens import digest
from service.store.uploads import MOST_OPEN
from tests.api.described import assert_described
from tests.api.site import BOX, OTHER_BOX, TOKENS, Answer, Site, at, running
from tests.sounds import opus, wav, wav_of

LIST, ONE, UPLOAD = "/accounts/{id}/voicemails", "/accounts/{id}/voicemails/{uuid}", "/accounts/uploads/{secret}"
MINE = "/accounts/me/voicemails"
WANTED = {"sip_from": "sip:+998901234567@example.com", "content_type": "audio/wav"}
LARGEST = 3_000_000
SAME_ELSEWHERE = Mailbox("other", "100")
SEVERAL = Principal("several", Scope.WRITE, frozenset({BOX, OTHER_BOX}))
UNKNOWN = Principal("unknown", Scope.WRITE, frozenset({Mailbox("default", "777")}))
WATCHER = Principal("watcher", Scope.READ, frozenset({BOX}))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running(tmp_path) as site:
        others = {digest(one.name): one for one in (SEVERAL, UNKNOWN, WATCHER)}
        site.tokens.replace({digest(secret): one for secret, one in TOKENS.items()} | others)
        yield site


async def wanted(site: Site, path: str = MINE, token: str = "box100", **fields: str) -> Answer:
    return await ask(site, path, token, WANTED | fields)


async def ask(site: Site, path: str, token: str | None, body: Any) -> Answer:
    data = body if isinstance(body, bytes) else aiohttp.JsonPayload(body)
    answer = await site.ask(path, token, "POST", data=data)
    assert_described("POST", LIST, answer)
    return answer


async def slot(site: Site, content_type: str = "audio/wav", path: str = MINE, token: str = "box100") -> Any:
    answer = await wanted(site, path, token, content_type=content_type)
    assert answer.status == 201, answer.body
    return answer.json


async def put(site: Site, url: str, content: Any) -> Answer:
    answer = await site.ask(url, None, "PUT", data=io.BytesIO(content) if isinstance(content, bytes) else content)
    assert_described("PUT", UPLOAD, answer)
    return answer


async def post(site: Site, url: str, content: bytes, name: str = "file") -> Answer:
    form = aiohttp.FormData()
    form.add_field("comment", "before it")
    form.add_field(name, io.BytesIO(content), filename="grüße.wav", content_type="audio/wav")
    answer = await site.ask(url, None, "POST", data=form)
    assert_described("POST", UPLOAD, answer)
    return answer


async def uploaded(site: Site, content: bytes | None = None, content_type: str = "audio/wav") -> Any:
    made = await slot(site, content_type)
    answer = await put(site, made["upload_url"], content or wav())
    assert answer.status == 200, answer.body
    return answer.json


async def listed(site: Site, path: str = MINE, token: str = "box100") -> Any:
    answer = await site.ask(path, token)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    assert_described("GET", LIST, answer)
    return answer.json


async def badge(site: Site, mailbox: Mailbox = BOX) -> Counts:
    return (await site.store.read(mailboxes.counts)).get(mailbox, Counts())


# --- slots


async def test_a_slot_is_as_the_document_has_it(site: Site) -> None:
    with time_machine.travel("2026-01-13T12:30:00Z", tick=False):
        answer = await wanted(site)
    made = answer.json
    assert answer.status == 201
    assert made.pop("upload_url").startswith(f"{site.url}/accounts/uploads/")
    assert len(made.pop("id")) == 36
    assert made == {
        "sip_from": "sip:+998901234567@example.com",
        "download_url": None,
        "max_upload_size": 3000000,
        "content_type": "audio/wav",
        "created_at": "2026-01-13T12:30:00Z",
        "uploaded_at": None,
    }


async def test_a_slot_is_listed_but_counts_nowhere(site: Site) -> None:
    made = await slot(site, "audio/opus")
    expected = {
        "id": made["id"],
        "sip_from": made["sip_from"],
        "get_url": None,
        "file_size": None,
        "content_type": "audio/opus",
        "created_at": made["created_at"],
        "uploaded_at": None,
    }
    assert await listed(site) == [expected]
    one = await site.ask(f"{MINE}/{made['id']}", "box100")
    assert_described("GET", ONE, one)
    assert one.json == expected
    assert await badge(site) == Counts()
    assert (await site.ask("/message-voice")).json["data"] == []
    assert (await site.ask("/v1/voicemail/message")).json["total"] == 0


INVALID = "The given data was invalid."
NO_SIP = "The sip_from must be a SIP address, such as sip:alice@example.com."
NO_TYPE = "The content_type must be audio/opus or audio/wav."


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (b"", {"sip_from", "content_type"}),
        (b"{", {"sip_from", "content_type"}),
        (b"[]", {"sip_from", "content_type"}),
        (b'"sip_from"', {"sip_from", "content_type"}),
        (b"\xff", {"sip_from", "content_type"}),
        (b"[" * 60_000, {"sip_from", "content_type"}),
        ({}, {"sip_from", "content_type"}),
        ({"sip_from": None, "content_type": 7}, {"sip_from", "content_type"}),
        ({"sip_from": ["sip:a@b"], "content_type": {}}, {"sip_from", "content_type"}),
        ({"sip_from": "", "content_type": ""}, {"sip_from", "content_type"}),
        ({"sip_from": "sip:a@b"}, {"content_type"}),
        ({"content_type": "audio/wav"}, {"sip_from"}),
    ],
)
async def test_what_is_missing_is_told_by_field(site: Site, body: Any, errors: set[str]) -> None:
    answer = await ask(site, MINE, "box100", body)
    assert answer.status == 422
    assert answer.json == {
        "message": INVALID,
        "errors": {name: [f"The {name} is required, as text."] for name in errors},
    }


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"sip_from": "alice"}, {"sip_from": [NO_SIP]}),
        ({"sip_from": "sip:a b@c"}, {"sip_from": [NO_SIP]}),
        ({"sip_from": f"sip:{'a' * 300}@b"}, {"sip_from": [NO_SIP]}),
        ({"sip_from": "sip:a@b\r\nX: y"}, {"sip_from": [NO_SIP]}),
        ({"content_type": "audio/mpeg"}, {"content_type": [NO_TYPE]}),
        ({"content_type": "audio/wav; charset=x"}, {"content_type": [NO_TYPE]}),
        ({"sip_from": "alice", "content_type": "wav"}, {"sip_from": [NO_SIP], "content_type": [NO_TYPE]}),
    ],
)
async def test_what_is_wrong_is_told_by_field(site: Site, fields: dict[str, str], errors: dict[str, list[str]]) -> None:
    answer = await wanted(site, **fields)
    assert (answer.status, answer.json) == (422, {"message": INVALID, "errors": errors})
    assert await listed(site) == []


async def test_a_body_without_end_is_413(site: Site) -> None:
    answer = await ask(site, MINE, "box100", b" " * 70_000)
    assert (answer.status, list(answer.json)) == (413, ["message"])


async def test_too_many_open_slots_are_409(site: Site) -> None:
    for _ in range(MOST_OPEN):
        await slot(site)
    answer = await wanted(site)
    assert (answer.status, list(answer.json)) == (409, ["message"])
    assert (await wanted(site, "/accounts/200/voicemails", "several")).status == 201


async def test_a_mailbox_whose_uploads_take_all_they_may_is_422_for_uploads_and_slots(tmp_path: Path) -> None:
    """The refused upload does not use its slot up."""
    async with running(tmp_path, limits=Limits(uploads_mib_per_mailbox=1)) as site:
        first, second = [await slot(site) for _ in range(2)]
        assert (await put(site, first["upload_url"], wav_of(600_000))).status == 200
        refused = await put(site, second["upload_url"], wav_of(600_000))
        assert (refused.status, refused.json["message"], list(refused.json["errors"])) == (422, INVALID, ["file"])
        assert "1 MiB" in refused.json["errors"]["file"][0]
        assert (await put(site, second["upload_url"], wav_of((1 << 20) - 600_000))).status == 200
        refused = await wanted(site)
        assert (refused.status, list(refused.json["errors"])) == (422, ["file"])


# --- uploads


async def test_an_upload_by_put_is_an_unread_voicemail_like_any_other(site: Site) -> None:
    made = await slot(site)
    async with site.client.ws_connect(f"{site.url}/ws", headers={"Authorization": "Bearer box100"}) as ws:
        assert (await ws.receive_json(timeout=60))["type"] == "hello"
        answer = await put(site, made["upload_url"], wav(2.5))
        frames = [await ws.receive_json(timeout=60) for _ in range(2)]
    told = answer.json
    assert answer.status == 200
    link = told.pop("get_url")
    assert told.pop("uploaded_at") >= made["created_at"]
    assert told == {
        "id": made["id"],
        "sip_from": "sip:+998901234567@example.com",
        "file_size": len(wav(2.5)),
        "content_type": "audio/wav",
        "created_at": made["created_at"],
    }
    assert await badge(site) == Counts(new=1)
    [row] = (await site.ask("/message-voice", "box100")).json["data"]
    assert (row["src"], row["dst"], row["duration"]) == ("+998901234567", "100", 2)
    assert (row["external_number"], row["status"]) == ("+998901234567", {"number": 1, "name": "Unread"})
    [message] = (await site.ask("/v1/voicemail/message")).json["data"]
    assert (message["id"], message["caller_id_number"], message["extension"]) == (made["id"], "+998901234567", "100")
    assert (await site.ask("/message-voice/unread-count")).json["result"] == {"unread_count": 1}
    assert [frame["type"] for frame in frames] == ["message.new", "unread"]
    assert (frames[0]["message"]["uuid"], frames[0]["message"]["folder"]) == (made["id"], "INBOX")
    assert (frames[1]["new"], frames[1]["total"]) == (1, 1)
    played = await site.ask(link, None)
    assert (played.status, played.headers["Content-Type"], played.body) == (200, "audio/wav", wav(2.5))
    [again] = await listed(site)
    assert again | {"get_url": "", "uploaded_at": ""} == told | {"get_url": "", "uploaded_at": ""}


async def test_a_form_does_the_same(site: Site) -> None:
    made = await slot(site)
    answer = await post(site, made["upload_url"], wav())
    assert (answer.status, answer.json["id"], answer.json["file_size"]) == (200, made["id"], len(wav()))
    assert (await site.ask(answer.json["get_url"], None)).body == wav()


async def test_opus_plays_as_ogg_and_converted(site: Site) -> None:
    told = await uploaded(site, opus(), "audio/opus")
    assert told["content_type"] == "audio/opus"
    link = told["get_url"]
    played = await site.ask(link, None)
    assert (played.headers["Content-Type"], played.body) == ("audio/ogg", opus())
    assert played.headers["Content-Disposition"].endswith('-to-100.opus"')
    part = await site.ask(link, None, headers={"Range": "bytes=0-3"})
    assert (part.status, part.body) == (206, b"OggS")
    assert (await site.ask(f"{link}&format=wav", None)).body[:4] == b"RIFF"
    peaks = (await site.ask(f"/v1/voicemail/message/{told['id']}/peaks")).json
    assert abs(peaks["duration"] - 1) < 0.05


async def test_an_upload_is_streamed_without_its_length(site: Site) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at_byte in range(0, len(wav()), 1000):
            yield wav()[at_byte : at_byte + 1000]

    answer = await put(site, (await slot(site))["upload_url"], pieces())
    assert (answer.status, answer.json["file_size"]) == (200, len(wav()))


async def chunked(content: bytes) -> AsyncIterator[bytes]:
    for at_byte in range(0, len(content), 65_536):
        yield content[at_byte : at_byte + 65_536]


async def test_three_million_bytes_are_taken_and_one_more_is_not_however_it_comes(site: Site) -> None:
    url = (await slot(site))["upload_url"]
    too_large = wav_of(LARGEST) + b"\0"
    for answer in (
        await put(site, url, too_large),
        await put(site, url, chunked(too_large)),
        await post(site, url, too_large),
        await put(site, url, wav_of(LARGEST) + bytes(100_000)),
        await put(site, url, chunked(bytes(20_000_000))),
    ):
        assert (answer.status, answer.json) == (413, {"message": "A voicemail has at most 3000000 bytes."})
    assert site.media.names() == []
    assert (await put(site, url, wav_of(LARGEST))).json["file_size"] == LARGEST
    assert (await post(site, (await slot(site))["upload_url"], wav_of(LARGEST))).status == 200


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("audio/wav", opus()),
        ("audio/opus", wav()),
        ("audio/wav", b"This is no sound."),
        ("audio/opus", b""),
        ("audio/wav", wav()[:-1000]),
        ("audio/opus", opus()[:-1000]),
    ],
)
async def test_other_content_is_422_and_does_not_use_the_slot_up(site: Site, content_type: str, content: bytes) -> None:
    made = await slot(site, content_type)
    for answer in (await put(site, made["upload_url"], content), await post(site, made["upload_url"], content)):
        assert answer.status == 422
        assert answer.json["message"] == INVALID
        assert list(answer.json["errors"]) == ["file"]
    assert await badge(site) == Counts()
    assert site.media.names() == []
    right = opus() if content_type == "audio/opus" else wav()
    assert (await put(site, made["upload_url"], right)).status == 200


async def test_a_form_without_the_field_is_422(site: Site) -> None:
    url = (await slot(site))["upload_url"]
    answers = [await post(site, url, wav(), "document")]
    for body in (
        b"",
        b"--x",
        b"--x\r\nno colon\r\n\r\nabc\r\n--x--",
        b'--x\r\nContent-Disposition: form-data; name="file"',
    ):
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answers.append(await site.ask(url, None, "POST", headers, body))
    answers.append(await site.ask(url, None, "POST", {"Content-Type": "multipart/form-data"}, b"abc"))
    for answer in answers:
        assert (answer.status, list(answer.json["errors"])) == (422, ["file"])
    assert (await post(site, url, wav())).status == 200


async def test_a_slot_is_filled_once_and_within_its_hour(site: Site) -> None:
    used = (await slot(site))["upload_url"]
    assert (await put(site, used, wav())).status == 200
    with time_machine.travel("2026-01-13T12:30:00Z", tick=False):
        late = (await slot(site))["upload_url"]
    with time_machine.travel("2026-01-13T13:29:59Z", tick=False):
        assert len(await listed(site)) == 2
        assert (await put(site, late, b"nothing")).status == 422
    with time_machine.travel("2026-01-13T13:30:00Z", tick=False):
        assert len(await listed(site)) == 1
        for url in (used, late, f"{site.url}/accounts/uploads/nobody-knows", f"{late}A"):
            for answer in (await put(site, url, wav()), await post(site, url, wav())):
                assert (answer.status, list(answer.json)) == (404, ["message"])


async def test_an_unknown_upload_is_404_before_anything_is_read(site: Site) -> None:
    answer = await put(site, f"{site.url}/accounts/uploads/nobody-knows", chunked(bytes(100_000)))
    assert answer.status == 404


async def test_of_two_at_the_same_time_one_fills_the_slot(site: Site) -> None:
    url = (await slot(site))["upload_url"]
    half, go = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield wav()[:5000]
        half.set()
        await go.wait()
        yield wav()[5000:]

    async with asyncio.TaskGroup() as group:
        first = group.create_task(put(site, url, slowly()))
        await half.wait()
        while not site.media.names():  # until the first is being written
            await asyncio.sleep(0.01)
        assert (await put(site, url, wav(2, 2))).status == 409
        go.set()
    assert (first.result().status, first.result().json["file_size"]) == (200, len(wav()))
    assert await badge(site) == Counts(new=1)


@contextlib.asynccontextmanager
async def connection(site: Site) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_an_upload_that_is_abandoned_leaves_nothing_and_may_be_tried_again(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    url = (await slot(site))["upload_url"]
    head = f"PUT {url.removeprefix(site.url)} HTTP/1.1\r\nHost: a\r\nContent-Length: 16044\r\n\r\n".encode()
    async with connection(site) as (_reader, writer):
        writer.write(head + wav()[:5000])
        await writer.drain()
        while not site.media.names():
            await asyncio.sleep(0.01)
    while site.media.names():  # until the server has seen that nobody is there
        await asyncio.sleep(0.01)
    again = await put(site, url, wav())
    while again.status == 409:  # the server has still to let go of it
        again = await put(site, url, wav())
    assert again.status == 200
    assert "ERROR" not in caplog.text


async def test_a_body_that_is_no_http_leaves_nothing_and_no_traceback(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    url = (await slot(site))["upload_url"]
    head = f"PUT {url.removeprefix(site.url)} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    async with connection(site) as (reader, writer):
        writer.write(head + b"5\r\nRIFF-nonsense")
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 60)
    while site.media.names():
        await asyncio.sleep(0.01)
    assert (await put(site, url, wav())).status == 200
    assert "ERROR" not in caplog.text


async def test_the_upload_needs_no_token_and_minds_none(site: Site) -> None:
    for token in ("nobody", "reader", "box100"):
        url = (await slot(site))["upload_url"]
        assert (await site.ask(url, token, "PUT", data=wav())).status == 200


async def test_the_secret_stands_in_no_log_line_and_no_metric(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        url = (await slot(site))["upload_url"]
        for content in (b"nonsense", bytes(LARGEST + 1), wav(), wav()):
            await put(site, url, content)
        metrics = (await site.ask("/metrics", None)).body.decode()
    secret = url.rpartition("/")[2]
    assert secret not in caplog.text
    assert secret not in metrics
    assert 'voicemaild_http_requests_total{code="200",route="/accounts/uploads/{secret}"} 1.0' in metrics


# --- what becomes of an uploaded voicemail


async def test_an_uploaded_voicemail_is_marked_deleted_and_restored_like_any_other(site: Site) -> None:
    told = await uploaded(site)
    message = f"/v1/voicemail/message/{told['id']}"
    assert (await site.ask(f"{message}/read", "box100", "PUT")).status == 200
    assert await badge(site) == Counts(old=1)
    await site.ask(f"{message}/unread", "box100", "PUT")
    assert await badge(site) == Counts(new=1)
    deletion = await site.ask(f"{MINE}/{told['id']}", "box100", "DELETE")
    assert (deletion.status, deletion.json) == (200, {"message": "Deleted."})
    assert_described("DELETE", ONE, deletion)
    assert await badge(site) == Counts()
    assert await listed(site) == []
    for method in ("GET", "DELETE"):
        answer = await site.ask(f"{MINE}/{told['id']}", "box100", method)
        assert (answer.status, list(answer.json)) == (404, ["message"])
        assert_described(method, ONE, answer)
    assert (await site.ask(told["get_url"], None)).status == 404
    assert (await site.ask(f"{message}/restore", "box100", "POST")).status == 200
    assert (await site.ask(told["get_url"], None)).body == wav()
    assert await badge(site) == Counts(new=1)


async def test_a_slot_that_is_deleted_cannot_be_filled(site: Site) -> None:
    made = await slot(site)
    assert (await site.ask(f"{MINE}/{made['id']}", "box100", "DELETE")).status == 200
    assert (await put(site, made["upload_url"], wav())).status == 404
    assert await listed(site) == []
    assert (await site.ask(f"{MINE}/{made['id']}", "box100", "DELETE")).status == 404


async def test_an_uploaded_voicemail_stays_when_the_spool_is_looked_at(site: Site) -> None:
    told = await uploaded(site)
    await site.leave()
    await site.ingest.everything()
    assert told["id"] in [row["id"] for row in await listed(site)]
    assert await badge(site) == Counts(new=2)


# --- messages of the PBX


async def test_a_message_of_the_pbx_is_a_voicemail_too(site: Site) -> None:
    message = await site.leave("998901234567", time=at("2025-10-09T17:59:32"))
    [row] = await listed(site)
    link = row.pop("get_url")
    assert message.audio is not None
    assert row == {
        "id": message.uuid,
        "sip_from": "sip:998901234567@pbx1",
        "file_size": message.audio.file.size,
        "content_type": "audio/wav",
        "created_at": "2025-10-09T12:59:32Z",
        "uploaded_at": "2025-10-09T12:59:32Z",
    }
    assert (await site.ask(link, None)).body[:4] == b"RIFF"
    assert (await site.ask(f"{MINE}/{message.uuid}", "box100")).json | {"get_url": ""} == row | {"get_url": ""}


@pytest.mark.parametrize(
    ("src", "sip_from"), [("", "sip:anonymous@pbx1"), ("a b@c", "sip:a%20b%40c@pbx1"), ("*97", "sip:*97@pbx1")]
)
async def test_every_caller_has_a_sip_address(site: Site, src: str, sip_from: str) -> None:
    await site.leave(src)
    [row] = await listed(site)
    assert row["sip_from"] == sip_from


async def test_a_message_without_audio_has_no_link_no_size_and_no_type(site: Site) -> None:
    message = await site.leave()
    (site.spool / "default/100/INBOX/msg0000.wav").unlink()
    await site.ingest.reconcile(BOX)
    [row] = await listed(site)
    assert (row["id"], row["get_url"], row["file_size"], row["content_type"]) == (message.uuid, None, None, None)


async def test_the_newest_come_first_slots_among_them(site: Site) -> None:
    with time_machine.travel("2026-01-13T12:30:00Z", tick=False):
        made = await slot(site)
        older = await site.leave(time=at("2026-01-13T17:29:59"))
        newer = await site.leave(time=at("2026-01-13T17:30:01"), folder=Folder.WORK)
        assert [row["id"] for row in await listed(site)] == [newer.uuid, made["id"], older.uuid]


# --- who may do what


async def test_me_is_the_tokens_one_mailbox(site: Site) -> None:
    mine = await site.leave()
    await site.leave(box=OTHER_BOX)
    assert [row["id"] for row in await listed(site)] == [mine.uuid]
    assert [row["id"] for row in await listed(site, MINE, "watcher")] == [mine.uuid]
    for token in ("reader", "admin", "several"):
        for method, path in (("GET", MINE), ("GET", f"{MINE}/{mine.uuid}")):
            answer = await site.ask(path, token, method)
            assert (answer.status, list(answer.json)) == (403, ["message"])
    for method, path in (("POST", MINE), ("DELETE", f"{MINE}/{mine.uuid}")):
        assert (await site.ask(path, "admin", method)).status == 403


async def test_an_account_is_named_by_any_reference_to_its_mailbox(site: Site) -> None:
    message = await site.leave()
    box = await site.store.read(lambda conn: mailboxes.box(conn, BOX))
    for reference in ("100", "100@default", box.uuid):
        for token in ("reader", "admin", "box100", "several"):
            rows = await listed(site, f"/accounts/{reference}/voicemails", token)
            assert [row["id"] for row in rows] == [message.uuid]


async def test_a_foreign_account_is_404_whatever_is_asked(site: Site) -> None:
    mine = await site.leave()
    others = [await site.leave(box=box) for box in (OTHER_BOX, SAME_ELSEWHERE)]
    made = await slot(site, path="/accounts/200/voicemails", token="several")
    for other in others:
        box = await site.store.read(lambda conn, other=other: mailboxes.box(conn, other.mailbox))  # type: ignore[misc]
        for reference in (str(other.mailbox), box.uuid):
            path = f"/accounts/{reference}/voicemails"
            for method, asked in (
                ("GET", path),
                ("POST", path),
                *((method, f"{path}/{uuid}") for method in ("GET", "DELETE") for uuid in (other.uuid, mine.uuid)),
            ):
                answer = await site.ask(asked, "box100", method, data=b"{}")
                assert (answer.status, answer.json) == (404, {"message": "There is no such account."})
    for uuid in (*(other.uuid for other in others), made["id"]):
        for method in ("GET", "DELETE"):
            assert (await site.ask(f"{MINE}/{uuid}", "box100", method)).status == 404
    assert await badge(site, OTHER_BOX) == Counts(new=1)
    assert len(await listed(site, "/accounts/200/voicemails", "several")) == 2


@pytest.mark.parametrize(
    "reference",
    ["999", "999@default", "00000000-0000-0000-0000-000000000000", "a%20b", "%00", "%ff", "%ed%a0%80", ".."],
)
async def test_an_unknown_account_is_404(site: Site, reference: str) -> None:
    for token in ("admin", "box100"):
        answer = await site.ask(f"/accounts/{reference}/voicemails", token)
        assert (answer.status, list(answer.json)) == (404, ["message"])
        assert "voicemaild mailbox list" not in answer.json["message"]
    assert (await wanted(site, f"/accounts/{reference}/voicemails", "admin")).status == 404


async def test_a_tokens_own_mailbox_need_not_be_known_yet(site: Site) -> None:
    assert await listed(site, MINE, "unknown") == []
    made = await slot(site, token="unknown")
    assert (await put(site, made["upload_url"], wav())).status == 200
    assert len(await listed(site, "/accounts/777/voicemails", "admin")) == 1
    assert await badge(site, Mailbox("default", "777")) == Counts(new=1)


async def test_the_administrator_does_all_of_it_for_every_account(site: Site) -> None:
    message = await site.leave(box=OTHER_BOX)
    path = "/accounts/200/voicemails"
    made = await slot(site, path=path, token="admin")
    assert (await put(site, made["upload_url"], wav())).status == 200
    for uuid in (message.uuid, made["id"]):
        assert (await site.ask(f"{path}/{uuid}", "admin", "DELETE")).status == 200
    assert await listed(site, path, "admin") == []


@pytest.mark.parametrize(("method", "path"), [("POST", MINE), ("DELETE", f"{MINE}/x")])
async def test_changing_needs_a_token_that_may_write(site: Site, method: str, path: str) -> None:
    for token, status in ((None, 401), ("nobody", 401), ("watcher", 403)):
        answer = await site.ask(path, token, method)
        assert (answer.status, list(answer.json)) == (status, ["message"])
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_the_token_may_come_as_an_api_key(site: Site) -> None:
    await site.leave()
    for headers, status in (
        ({"x-api-key": "box100"}, 200),
        ({"X-API-KEY": " box100 "}, 200),
        ({"x-api-key": "box100", "Authorization": "Basic eDp5"}, 200),
        ({"x-api-key": "nobody"}, 401),
        ({"x-api-key": ""}, 401),
        ({"x-api-key": "nobody", "Authorization": "Bearer box100"}, 200),
        ({"x-api-key": "box100", "Authorization": "Bearer nobody"}, 401),
    ):
        assert (await site.ask(MINE, None, headers=headers)).status == status
    data = aiohttp.JsonPayload(WANTED)
    assert (await site.ask(MINE, None, "POST", {"x-api-key": "watcher"}, data)).status == 403
    assert (await site.ask("/message-voice", None, headers={"x-api-key": "box100"})).status == 401


# --- the prefix


async def test_all_of_it_is_under_api_too(site: Site) -> None:
    made = await slot(site, path=f"/api{MINE}")
    assert made["upload_url"].startswith(f"{site.url}/api/accounts/uploads/")
    assert (await post(site, made["upload_url"], wav())).status == 200
    [row] = await listed(site, f"/api{MINE}")
    assert (await site.ask(row["get_url"], None)).body == wav()
    assert (await site.ask(f"/api{MINE}/{row['id']}", "box100", "DELETE")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "names"),
    [
        ("GET", "/accounts", 404, ["message"]),
        ("GET", "/accounts/me", 404, ["message"]),
        ("GET", "/api/accounts/me/nothing", 404, ["message"]),
        ("PUT", "/accounts/me/voicemails", 405, ["message"]),
        ("PATCH", "/api/accounts/me/voicemails/x", 405, ["message"]),
        ("GET", "/accounts/uploads/x", 405, ["message"]),
        ("GET", "/api/v1/accounts/me/voicemails", 404, ["status", "code", "result", "message"]),
        ("GET", "/accountsx", 404, ["status", "code", "result", "message"]),
        ("GET", "/api/accountsx/me", 404, ["status", "code", "result", "message"]),
    ],
)
async def test_what_it_has_not_is_said_in_its_own_words(
    site: Site, method: str, path: str, status: int, names: list[str]
) -> None:
    answer = await site.ask(path, "box100", method)
    assert (answer.status, list(answer.json)) == (status, names)


async def test_nothing_of_what_was_deleted_is_needed_but_the_trash(site: Site) -> None:
    told = await uploaded(site)
    await site.ask(f"{MINE}/{told['id']}", "box100", "DELETE")
    names = site.media.names()
    assert await site.store.read(lambda conn: held.needed(conn, names)) == set(names) == {f"{told['id']}.wav"}
