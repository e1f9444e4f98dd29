"""Document 004, asked of the whole daemon beside a simulated PBX: request, and exact answer, with all its errors."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from service.model import Mailbox
from service.pins import hashed
from service.simulator.pbx import Simulator
from service.store import mailboxes
from service.store.commands import changing
from tests.boxes import CANARY, provisioned
from tests.house import House

PHONE = "+4571919998"
PIN = "1234"
PATH = f"/mvno/voicemail/{PHONE}"
ID = re.compile(r"[0-9a-f]{24}\Z")


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Simulator, House]]:
    async with provisioned(tmp_path, country="DK") as (pbx, house):
        await own(house, "100", PHONE)
        yield pbx, house


@pytest.fixture
def pbx(both: tuple[Simulator, House]) -> Simulator:
    return both[0]


@pytest.fixture
def house(both: tuple[Simulator, House]) -> House:
    return both[1]


async def own(house: House, box: str, phone: str, customer: str = "") -> None:
    """Give a mailbox a number, as `mailbox set` does beside the running daemon."""
    with changing(house.settings.store.path, house.settings.pbx.name) as tx:
        mailboxes.set_fields(tx, Mailbox.parse(box), phone=phone, customer=customer or None)


async def ask(house: House, path: str, status: int = 200, method: str = "GET", body: object = None) -> Any:
    """Ask without any token."""
    url = URL(house.url + path, encoded=True)
    sent = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
    async with aiohttp.ClientSession() as http, http.request(method, url, **sent) as answer:
        text = await answer.text()
        assert answer.status == status, text
        assert CANARY not in text
        return await answer.json()


async def refused(house: House, path: str, code: int, message: str, **asked: Any) -> str:
    """What is said of a request that fails, in this dialect's shape."""
    told = await ask(house, path, code, **asked)
    assert (list(told), told["code"], told["message"]) == (["code", "message", "description"], code, message)
    assert told["description"]
    return str(told["description"])


async def left(house: House, pbx: Simulator, **more: Any) -> None:
    """Let a caller leave a message, and wait until it is known."""
    async with house.ws() as (socket, hello):
        await pbx.leave("100@default", **{"caller_id": '"Donald Duck" <+4599778822>', "seconds": 3, **more})
        await socket.badge(hello["unread"]["total"] + 1)


async def test_a_voicemail_is_told_field_by_field(house: House, pbx: Simulator) -> None:
    await left(house, pbx, origtime=1_704_067_200)
    await own(house, "100", PHONE, "12345678901234567890ABCD")
    told = await ask(house, f"{PATH}/{PIN}?box=NEW")
    [voicemail] = told["voicemails"]
    assert told == {
        "newCount": 1,
        "oldCount": 0,
        "savedCount": 0,
        "voicemails": [
            {
                "_id": voicemail["_id"],
                "voiceAccount": voicemail["voiceAccount"],
                "customer": "12345678901234567890ABCD",
                "from": "+4599778822",
                "fromName": "Donald Duck",
                "to": PHONE,
                "callId": voicemail["callId"],
                "date": "2024-01-01T00:00:00.000Z",
                "length": 3,
                "box": "INBOX",
                "played": False,
            }
        ],
    }
    assert ID.match(voicemail["_id"])
    assert ID.match(voicemail["voiceAccount"])
    assert voicemail["_id"] != voicemail["voiceAccount"]


async def test_the_boxes_are_new_old_and_saved_and_new_is_the_default(house: House, pbx: Simulator) -> None:
    for number in range(3):
        await left(house, pbx, caller_id=f'"Caller {number}" <+459977882{number}>')
    first, second, _third = pbx.spool.msg_ids(Mailbox.parse("100"))
    async with house.ws() as (socket, _hello):
        await pbx.move("100@default", first, "Old")
        await pbx.move("100@default", second, "Work")
        await socket.badge(1)
        while (await ask(house, f"{PATH}/{PIN}"))["savedCount"] != 1:
            await asyncio.sleep(0.005)  # what it is about may have been told before
    names = {}
    for box in ("", "?box=NEW", "?box=OLD", "?box=SAVED", "?box=saved"):
        told = await ask(house, f"{PATH}/{PIN}{box}")
        assert (told["newCount"], told["oldCount"], told["savedCount"]) == (1, 1, 1)
        names[box] = [(one["fromName"], one["box"], one["played"]) for one in told["voicemails"]]
    assert names == {
        "": [("Caller 2", "INBOX", False)],
        "?box=NEW": [("Caller 2", "INBOX", False)],
        "?box=OLD": [("Caller 0", "INBOX", True)],
        "?box=SAVED": [("Caller 1", "SAVED", True)],
        "?box=saved": [("Caller 1", "SAVED", True)],
    }
    await refused(house, f"{PATH}/{PIN}?box=ALL", 422, "box")


@pytest.mark.parametrize(
    "number", ["+4571919998", "%2B4571919998", "+45%2071%2091%2099%2098", "004571919998", "71919998"]
)
async def test_a_number_is_found_in_any_usual_spelling(house: House, number: str) -> None:
    assert await ask(house, f"/mvno/voicemail/{number}/{PIN}/pin") == {"success": True}


async def test_the_pin_is_the_pbxs_own_and_is_set_there(house: House, pbx: Simulator) -> None:
    assert await ask(house, f"{PATH}/{PIN}/pin") == {"success": True}
    assert await ask(house, f"{PATH}/{PIN}/pin", method="POST", body={"pin": CANARY}) == {"success": True}
    assert pbx.boxes[Mailbox.parse("100")].pin == CANARY
    assert pbx.boxes[Mailbox.parse("100@other")].pin == PIN
    await refused(house, f"{PATH}/{PIN}/pin", 404, "pin")
    assert await ask(house, f"{PATH}/{CANARY}/pin") == {"success": True}
    await pbx.change_pin("100", "8642")
    assert await ask(house, f"{PATH}/8642/pin") == {"success": True}


async def change_twice(house: House, path: str) -> str:
    """Two changes of a PIN at once; gives the PIN it has then."""
    url, pins = f"{house.url}{path}/pin", ("97531", "86420")
    async with aiohttp.ClientSession() as http:
        answers = await asyncio.gather(*(http.post(url, json={"pin": pin}) for pin in pins))
        told = [await answer.json() for answer in answers]
    assert sorted(answer.status for answer in answers) == [200, 404]
    done = [answer.status == 200 for answer in answers].index(True)
    assert told[1 - done] == {"code": 404, "message": "pin", "description": "Not found"}
    return pins[done]


async def test_of_two_changes_of_a_pin_at_once_one_is_told_that_it_has_another_by_now(
    house: House, pbx: Simulator
) -> None:
    new = await change_twice(house, f"{PATH}/{PIN}")
    assert pbx.boxes[Mailbox.parse("100")].pin == new


async def test_every_error_of_the_document(house: House, pbx: Simulator) -> None:
    await refused(house, f"/mvno/voicemail/+4571919997/{PIN}", 404, "id")
    await refused(house, f"/mvno/voicemail/nonsense/{PIN}", 404, "id")
    await refused(house, f"{PATH}/9999", 404, "pin")
    for pin in ("123", "12345678901", "abcd", "12%0034"):
        await refused(house, f"{PATH}/{pin}", 422, "pin")
        await refused(house, f"{PATH}/{pin}/pin", 422, "pin")
    bodies: list[object] = [{"pin": "123"}, {"pin": 1234}, {}, [], b"{", b""]
    for body in bodies:
        await refused(house, f"{PATH}/{PIN}/pin", 422, "pin", method="POST", body=body)
    async with pbx.unreachable():
        await refused(house, f"{PATH}/{PIN}", 500, "internal_error")
    await refused(house, "/mvno", 404, "not_found")
    await refused(house, f"{PATH}/{PIN}/pin", 405, "method_not_allowed", method="DELETE")


async def test_a_disabled_box_is_403_number(house: House) -> None:
    async with house.http.put(f"{house.url}/v1/voicemail/100", json={"password": CANARY, "enabled": False}) as answer:
        assert answer.status == 200
    await refused(house, f"{PATH}/{CANARY}", 403, "number")


async def test_after_five_wrong_pins_the_right_one_is_refused_too_and_other_numbers_are_not(house: House) -> None:
    await own(house, "101", "+4571919997")
    for _ in range(5):
        await refused(house, f"{PATH}/0000/pin", 404, "pin")
    assert "multiple failed logins" in await refused(house, f"{PATH}/{PIN}/pin", 403, "pin")
    await refused(house, f"{PATH}/{PIN}", 403, "pin")
    assert await ask(house, f"/mvno/voicemail/+4571919997/{PIN}/pin") == {"success": True}


async def test_a_pin_that_cannot_be_set_is_said_and_not_set(house: House, pbx: Simulator, tmp_path: Path) -> None:
    (tmp_path / "etc/voicemail.conf").write_bytes(pbx.conf.content + b"#include x.conf\n")
    said = await refused(house, f"{PATH}/{PIN}/pin", 500, "internal_error", method="POST", body={"pin": CANARY})
    assert "voicemail.conf" in said
    assert await ask(house, f"{PATH}/{PIN}/pin") == {"success": True}


async def test_without_provision_a_pin_is_checked_and_not_set(tmp_path: Path) -> None:
    async with provisioned(tmp_path, provision=False) as (pbx, house):
        await own(house, "100", PHONE)
        assert await ask(house, f"{PATH}/{PIN}/pin") == {"success": True}
        said = await refused(house, f"{PATH}/{PIN}/pin", 403, "access_denied", method="POST", body={"pin": CANARY})
        assert "provision" in said
        assert pbx.boxes[Mailbox.parse("100")].pin == PIN


async def test_secret_conf_wins(house: House, pbx: Simulator, tmp_path: Path) -> None:
    secret = tmp_path / "spool/default/100/secret.conf"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("[general]\npassword = 5151\n")
    await refused(house, f"{PATH}/{PIN}/pin", 404, "pin")
    assert await ask(house, f"{PATH}/5151/pin") == {"success": True}
    said = await refused(house, f"{PATH}/5151/pin", 500, "internal_error", method="POST", body={"pin": CANARY})
    assert "secret.conf" in said
    assert pbx.boxes[Mailbox.parse("100")].pin == PIN


async def test_the_pin_of_a_box_the_pbx_does_not_know_is_kept_as_a_hash(house: House) -> None:
    with changing(house.settings.store.path, house.settings.pbx.name) as tx:
        mailboxes.set_pin_hash(tx, Mailbox.parse("800"), hashed("5151"))
        mailboxes.set_fields(tx, Mailbox.parse("800"), phone="+4571919996")
    path = "/mvno/voicemail/+4571919996"
    assert await ask(house, f"{path}/5151/pin") == {"success": True}
    assert await ask(house, f"{path}/5151/pin", method="POST", body={"pin": CANARY}) == {"success": True}
    await refused(house, f"{path}/5151/pin", 404, "pin")
    assert await ask(house, f"{path}/{CANARY}/pin") == {"success": True}
    new = await change_twice(house, f"{path}/{CANARY}")
    assert await ask(house, f"{path}/{new}/pin") == {"success": True}
