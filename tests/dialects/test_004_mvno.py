"""Document 004, as a client of that vendor knows it: voicemail of a mobile number, with its PIN."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.model import Folder, Mailbox
from service.simulator.boxes import Box
from tests.dialects.vendor import Client, Place, opened
from tests.house import Frame, living

NUMBER, OTHER = "+4571919998", "+4571919997"
BOX = Mailbox("default", "9998")
PIN = "1234"
PATH = f"/mvno/voicemail/{NUMBER}/{PIN}"
CUSTOMER = "12345678901234567890ABCD"
MIDNIGHT = 1_704_067_200  # 2024-01-01T00:00:00Z
DONALD = '"Donald Duck" <+4599778822>'
ID = re.compile(r"[0-9a-fA-F]{24}\Z")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    boxes = [Box(BOX, pin=PIN), Box(Mailbox("default", "9997"), pin="5678")]
    async with opened(tmp_path, boxes, country="DK") as place:
        for box, number in (("9998", NUMBER), ("9997", OTHER)):
            place.own(box, number, CUSTOMER)
        yield place


async def furnished(place: Place) -> None:
    """Two new messages, one that was heard, and three that were saved."""
    for number in range(6):
        await place.left(
            "9998@default", DONALD if number == 5 else "+4599778811", 1, origtime=MIDNIGHT - 600 + 100 * number
        )
    ids = place.pbx.spool.msg_ids(BOX)
    async with place.house.ws() as (socket, _hello):
        for msg_id, folder in zip(ids, (Folder.WORK, Folder.FAMILY, Folder.WORK, Folder.OLD), strict=False):
            await place.pbx.move("9998@default", msg_id, folder)
            await socket.until(moved)


def moved(frame: Frame) -> bool:
    return bool(frame["type"] == "message.updated" and frame["message"]["folder"] != "INBOX")


async def test_the_list_is_that_of_the_document(place: Place) -> None:
    await place.left("9998@default", DONALD, 37, origtime=MIDNIGHT)
    told = await place.stranger.get(f"{PATH}?box=NEW")
    [row] = told["voicemails"]
    assert told == {
        "newCount": 1,
        "oldCount": 0,
        "savedCount": 0,
        "voicemails": [
            {
                "_id": row["_id"],
                "voiceAccount": row["voiceAccount"],
                "customer": CUSTOMER,
                "from": "+4599778822",
                "fromName": "Donald Duck",
                "to": NUMBER,
                "callId": row["callId"],
                "date": "2024-01-01T00:00:00.000Z",
                "length": 37,
                "box": "INBOX",
                "played": False,
            }
        ],
    }
    assert ID.match(row["_id"])
    assert ID.match(row["voiceAccount"])
    assert row["callId"].startswith(f"{MIDNIGHT}.")


async def test_there_are_three_boxes_and_the_new_messages_are_the_default(place: Place) -> None:
    await furnished(place)
    seen = {}
    for box in ("", "?box=NEW", "?box=OLD", "?box=SAVED"):
        told = await place.stranger.get(PATH + box)
        assert (told["newCount"], told["oldCount"], told["savedCount"]) == (2, 1, 3)
        seen[box] = [(row["date"][11:16], row["box"], row["played"]) for row in told["voicemails"]]
    new = [("23:58", "INBOX", False), ("23:56", "INBOX", False)]
    assert seen == {
        "": new,
        "?box=NEW": new,
        "?box=OLD": [("23:55", "INBOX", True)],
        "?box=SAVED": [("23:53", "SAVED", True), ("23:51", "SAVED", True), ("23:50", "SAVED", True)],
    }


async def test_a_mailbox_without_customer_and_messages_says_so(place: Place) -> None:
    place.own("9997", OTHER)
    told = await place.stranger.get(f"/mvno/voicemail/{OTHER}/5678")
    assert told == {"newCount": 0, "oldCount": 0, "savedCount": 0, "voicemails": []}


@pytest.mark.parametrize("number", [NUMBER, "%2B4571919998", "+45%2071%2091%2099%2098", "4571919998", "71919998"])
async def test_the_number_may_be_spelled_in_any_usual_way(place: Place, number: str) -> None:
    assert await place.stranger.get(f"/mvno/voicemail/{number}/{PIN}/pin") == {"success": True}


async def test_a_pin_is_checked_and_set(place: Place) -> None:
    client = place.stranger
    assert await client.ask("GET", f"{PATH}/pin") == (200, {"success": True})
    assert await client.ask("POST", f"{PATH}/pin", body={"pin": "246810"}) == (200, {"success": True})
    assert place.pbx.boxes[BOX].pin == "246810"
    assert await refused(client, f"{PATH}/pin") == (404, "pin")
    assert await client.ask("GET", f"/mvno/voicemail/{NUMBER}/246810/pin") == (200, {"success": True})
    for pin in ("123", "12345678901", "12a4", "", None, 1234):
        told = await refused(client, f"/mvno/voicemail/{NUMBER}/246810/pin", "POST", body={"pin": pin})
        assert told == (422, "pin")


async def refused(client: Client, path: str, method: str = "GET", **sent: Any) -> tuple[int, str]:
    """Code and word of a failure, which has the document's shape."""
    status, told = await client.ask(method, path, **sent)
    assert list(told) == ["code", "message", "description"]
    assert told["code"] == status
    assert isinstance(told["description"], str)
    assert "127.0.0.1" not in told["description"]
    return status, str(told["message"])


async def test_every_error_of_the_document(place: Place) -> None:
    client = place.stranger
    assert await refused(client, f"/mvno/voicemail/+4500000000/{PIN}") == (404, "id")
    assert await refused(client, f"/mvno/voicemail/nobody/{PIN}") == (404, "id")
    assert await refused(client, f"/mvno/voicemail/{NUMBER}/4321") == (404, "pin")
    assert await refused(client, f"/mvno/voicemail/{NUMBER}/abcd") == (422, "pin")
    disabled = {"password": "5678", "enabled": False}
    assert (await place.client.ask("PUT", "/v1/voicemail/9997", body=disabled))[0] == 200
    assert await refused(client, f"/mvno/voicemail/{OTHER}/5678") == (403, "number")
    place.pbx.silence()
    place.pbx.drop_connections()
    await place.house.until_ready(lambda told: bool(told["ami"]["state"] == "connecting"))
    assert await refused(client, PATH) == (500, "internal_error")
    place.pbx.silence(on=False)


async def test_after_five_wrong_pins_the_right_one_is_refused_here_and_no_other_number_is(place: Place) -> None:
    client = place.stranger
    wrong = f"/mvno/voicemail/{NUMBER}/4321"
    assert [await refused(client, wrong) for _ in range(6)] == [(404, "pin")] * 5 + [(403, "pin")]
    assert await refused(client, PATH) == (403, "pin")
    assert await refused(client, f"{PATH}/pin", "POST", body={"pin": "246810"}) == (403, "pin")
    assert await client.get(f"/mvno/voicemail/{OTHER}/5678/pin") == {"success": True}


async def test_the_lock_survives_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path, [Box(BOX, pin=PIN)], country="DK") as place:
        place.own("9998", NUMBER)
        for _ in range(5):
            await refused(place.stranger, f"/mvno/voicemail/{NUMBER}/4321")
        settings, token = place.house.settings, place.client.token
    async with living(settings, token) as house, house.http.get(house.url + PATH) as answer:
        told = await answer.json()
    assert (told["code"], told["message"]) == (403, "pin")


async def test_where_boxes_are_not_changed_from_here_a_pin_is_not_either(tmp_path: Path) -> None:
    async with opened(tmp_path, [Box(BOX, pin=PIN)], country="DK", provision=False) as place:
        place.own("9998", NUMBER)
        assert await place.stranger.get(f"{PATH}/pin") == {"success": True}
        assert await refused(place.stranger, f"{PATH}/pin", "POST", body={"pin": "2468"}) == (403, "access_denied")
