"""Document 002, as a client of that vendor knows it: the boxes. Its messages are in the file beside this one."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.model import Mailbox
from service.simulator.boxes import Box
from tests.dialects.vendor import Client, Place, opened

BOXES = "/v1/voicemail"
DONE = (200, {"message": "successfully"})
NO_BOX = (404, {"message": "There is no such mailbox."})
PIN, OTHER_PIN = "1357", "24680"
FIRST, TECH, ELSEWHERE = Mailbox("default", "101"), Mailbox("default", "102"), Mailbox("tenant", "101")
INSERTED = {
    "extension": "102",
    "password": PIN,
    "mail_to": "tech@tel4vn.com",
    "local_after_email": True,
    "enabled": True,
    "description": "For Tech",
}
UPDATED = {
    "password": OTHER_PIN,
    "mail_to": "",
    "local_after_email": False,
    "enabled": True,
    "description": "Cho kỹ thuật; = #1",
}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    boxes = [Box(FIRST, "First", "first@tel4vn.com", delete=True), Box(ELSEWHERE, "Elsewhere")]
    async with opened(tmp_path, boxes) as place:
        yield place


def conf(place: Place) -> str:
    """voicemail.conf of the PBX."""
    return (place.house.settings.pbx.config / "voicemail.conf").read_text()


async def inserted(client: Client) -> Any:
    """The box of the document, made; gives it as it was answered."""
    status, told = await client.ask("POST", BOXES, body=INSERTED)
    assert (status, list(told), told["message"]) == (200, ["data", "message"], "successfully"), told
    return told["data"]


async def test_a_box_is_inserted_listed_updated_and_removed_as_the_document_says(place: Place) -> None:
    client = place.client
    made = await inserted(client)
    assert made == INSERTED | {"id": made["id"], "password": "********"}
    assert list(made) == ["id", "extension", "password", "mail_to", "local_after_email", "enabled", "description"]
    listed = await client.get(BOXES)
    first = listed["data"][0]
    assert first == {
        "id": first["id"],
        "extension": "101",
        "password": "********",
        "mail_to": "first@tel4vn.com",
        "local_after_email": False,
        "enabled": True,
        "description": "First",
    }
    assert listed["data"][1] == made
    assert listed | {"data": []} == {"data": [], "limit": 10, "offset": 0, "total": 3}
    assert await client.get(f"{BOXES}?limit=1&offset=1") == {"data": [made], "limit": 1, "offset": 1, "total": 3}
    for name in (made["id"], made["id"].upper(), "102"):
        assert await client.get(f"{BOXES}/{name}") == made

    assert await client.ask("PUT", f"{BOXES}/{made['id']}", body=UPDATED) == DONE
    assert await client.get(f"{BOXES}/102") == made | UPDATED | {"password": "********"}
    box = place.pbx.boxes[TECH]
    assert (box.pin, box.email or "", box.fullname, box.delete) == (OTHER_PIN, "", UPDATED["description"], True)

    assert await client.ask("DELETE", f"{BOXES}/102") == DONE
    for method in ("GET", "PUT", "DELETE"):
        assert await client.ask(method, f"{BOXES}/{made['id']}", body=UPDATED) == NO_BOX
    assert TECH not in place.pbx.boxes
    assert (await client.get(BOXES))["total"] == 2


async def test_a_box_that_is_not_enabled_stays_in_the_list_and_takes_no_messages(place: Place) -> None:
    made = await inserted(place.client)
    assert await place.client.ask("PUT", f"{BOXES}/102", body={"password": PIN, "enabled": False}) == DONE
    assert await place.client.get(f"{BOXES}/102") == made | {"enabled": False}
    assert await place.pbx.leave("102@default", "0891234567", 1) is None
    assert await place.client.ask("PUT", f"{BOXES}/102", body={"password": OTHER_PIN, "enabled": True}) == DONE
    assert await place.client.get(f"{BOXES}/102") == made
    assert place.pbx.boxes[TECH].pin == OTHER_PIN


async def test_the_extension_of_two_tenants_is_two_boxes(place: Place) -> None:
    elsewhere = await place.client.get(f"{BOXES}/101@tenant")
    assert (elsewhere["extension"], elsewhere["description"]) == ("101", "Elsewhere")
    assert await place.client.ask("DELETE", f"{BOXES}/{elsewhere['id']}") == DONE
    assert (await place.client.get(f"{BOXES}/101"))["description"] == "First"
    assert (FIRST in place.pbx.boxes, ELSEWHERE in place.pbx.boxes) == (True, False)


async def test_whatever_a_field_holds_it_makes_no_other_box_and_no_other_option(place: Place) -> None:
    before = conf(place)
    for name, texts in {
        "extension": ("", "1 2", "103 => 1", "103\n104 => 1234", "103@a]\n[b", "103@general", "../103", "103;"),
        "password": ("", "123", "12345678901", "12a4", "1234,x", "1234\n104 => 1", "-1234", "\u0661234"),
        "mail_to": ("x", "a@b", "a@b.vn,1,2", "a@b.vn|delete=yes", "a@b.vn\n104 => 1", "a;b@c.vn", "a b@c.vn"),
        "description": ("a,b", "a|b", "a\n104 => 1234", "a\rb", "a\x00b", "a\u2028b", "a\\", "[a]", " a", "é" * 40),
    }.items():
        for text in texts:
            status, told = await place.client.ask("POST", BOXES, body=INSERTED | {name: text})
            assert (status, list(told)) == (422, ["message"]), text
            assert not text or text not in told["message"] or name != "password"
    assert conf(place) == before
    await inserted(place.client)
    for text in ('; = "x" ;-- = #y --;', "Nguyễn Văn A 😀", "= 1234"):
        body = {"password": PIN, "enabled": True, "description": text}
        assert await place.client.ask("PUT", f"{BOXES}/102", body=body) == DONE
        assert (await place.client.get(f"{BOXES}/102"))["description"] == text
        assert place.pbx.boxes.keys() == {FIRST, TECH, ELSEWHERE}


async def test_what_cannot_be_done_is_said_in_one_message(place: Place) -> None:
    client, told = place.client, {"message": "There is a mailbox 101@default already."}
    assert await client.ask("POST", BOXES, body=INSERTED | {"extension": "101"}) == (409, told)
    for raw in (b"", b"{", b"[]", b"null", b"\xff", b'{"extension": 102}', b"[" * 5000):
        status, answer = await client.ask("POST", BOXES, raw=raw)
        assert (status, list(answer)) == (422, ["message"]), raw[:20]
    for name in ("extension", "password", "enabled"):
        status, answer = await client.ask("POST", BOXES, body={key: INSERTED[key] for key in INSERTED.keys() - {name}})
        assert (status, list(answer)) == (422, ["message"])
        assert f"{name} is required" in answer["message"]
    assert (await client.ask("POST", BOXES, raw=b" " * 70_000))[0] == 413
    for method, path, expected in (
        ("DELETE", BOXES, (405, {"message": "Method Not Allowed."})),
        ("GET", f"{BOXES}/999", NO_BOX),
        ("GET", f"{BOXES}/101/nothing", (404, {"message": "Not Found."})),
        ("GET", f"{BOXES}?limit=501", (422, {"message": "The limit must be between 1 and 500."})),
    ):
        assert await client.ask(method, path) == expected
    assert await place.stranger.ask("GET", BOXES) == (401, {"message": "A bearer token is needed."})
    needed = {"message": "This needs a token of scope admin, and this one has read."}
    assert await place.reader.ask("DELETE", f"{BOXES}/101") == (403, needed)
    assert place.pbx.boxes.keys() == {FIRST, ELSEWHERE}
