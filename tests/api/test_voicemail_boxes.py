"""Document 002 for boxes, asked of the whole daemon beside a simulated PBX: request, and exact answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.model import Mailbox, Scope
from service.simulator.pbx import Simulator
from tests.boxes import CANARY, provisioned
from tests.house import PATIENCE_S, House, living, new_token, settings_for, visiting

PATH = "/v1/voicemail"
DONE = {"message": "successfully"}
NEW = {"extension": "112", "password": CANARY, "enabled": True}


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Simulator, House]]:
    async with provisioned(tmp_path) as made:
        yield made


@pytest.fixture
def pbx(both: tuple[Simulator, House]) -> Simulator:
    return both[0]


@pytest.fixture
def house(both: tuple[Simulator, House]) -> House:
    return both[1]


async def ask(house: House, method: str, path: str = PATH, status: int = 200, body: object = None) -> Any:
    sent = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with house.http.request(method, house.url + path, **(sent if body is not None else {})) as answer:
        text = await answer.text()
        assert answer.status == status, text
        assert CANARY not in text
        return await answer.json()


async def refused(house: House, method: str, path: str, status: int, body: object = None) -> str:
    """What is said of a request that fails, which is all that is."""
    told = await ask(house, method, path, status, body)
    assert list(told) == ["message"]
    return str(told["message"])


async def test_boxes_are_listed_a_part_at_a_time_by_context_and_extension(house: House) -> None:
    told = await ask(house, "GET")
    assert [(box["extension"], box["description"]) for box in told["data"]] == [
        ("100", "Alice Example"),
        ("101", "Bob NoMail"),
        ("102", "Carol Three"),
        ("103", "Dave Delete"),
        ("104", "Erin Pager"),
        ("100", "Other Context"),
    ]
    assert (told["limit"], told["offset"], told["total"]) == (10, 0, 6)
    part = await ask(house, "GET", f"{PATH}?limit=2&offset=3")
    assert part == {"data": told["data"][3:5], "limit": 2, "offset": 3, "total": 6}
    assert await ask(house, "GET", f"{PATH}?offset=99") == {"data": [], "limit": 10, "offset": 99, "total": 6}
    for query in ("limit=0", "limit=501", "limit=x", "offset=-1"):
        await refused(house, "GET", f"{PATH}?{query}", 422)


async def test_a_box_is_told_field_by_field_however_it_is_named(house: House) -> None:
    box = await ask(house, "GET", f"{PATH}/103")
    assert box == {
        "id": box["id"],
        "extension": "103",
        "password": "********",
        "mail_to": "dave@example.com",
        "local_after_email": False,
        "enabled": True,
        "description": "Dave Delete",
    }
    assert await ask(house, "GET", f"{PATH}/103@default") == await ask(house, "GET", f"{PATH}/{box['id']}") == box
    assert (await ask(house, "GET", f"{PATH}/100@other"))["description"] == "Other Context"
    for reference in ("999", "103@other", "6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11", "%00", "a%20b", "x" * 200):
        assert await refused(house, "GET", f"{PATH}/{reference}", 404) == "There is no such mailbox."


async def test_a_box_is_made_on_the_pbx_and_then_answered(house: House, pbx: Simulator) -> None:
    told = await ask(
        house, "POST", PATH, 200, NEW | {"mail_to": "n@example.com", "description": "Nina", "local_after_email": False}
    )
    assert told == {"data": await ask(house, "GET", f"{PATH}/112"), **DONE}
    assert told["data"] == {
        "id": told["data"]["id"],
        "extension": "112",
        "password": "********",
        "mail_to": "n@example.com",
        "local_after_email": False,
        "enabled": True,
        "description": "Nina",
    }
    made = pbx.boxes[Mailbox.parse("112")]
    assert (made.pin, made.email, made.fullname, made.delete) == (CANARY, "n@example.com", "Nina", True)
    least = await ask(house, "POST", PATH, 200, NEW | {"extension": "113@tenant"})
    assert least["data"] | {"id": ""} == {
        "id": "",
        "extension": "113",
        "password": "********",
        "mail_to": "",
        "local_after_email": True,
        "enabled": True,
        "description": "",
    }
    assert Mailbox.parse("113@tenant") in pbx.boxes


async def test_a_box_is_changed_and_what_is_not_named_stays(house: House, pbx: Simulator) -> None:
    body = {"password": CANARY, "enabled": True}
    assert await ask(house, "PUT", f"{PATH}/103", 200, body | {"mail_to": ""}) == DONE
    made = pbx.boxes[Mailbox.parse("103")]
    assert (made.pin, made.email, made.fullname, made.delete) == (CANARY, "", "Dave Delete", True)
    box = await ask(house, "GET", f"{PATH}/103")
    changed = box | body | {"local_after_email": True, "description": "Dave"}
    assert await ask(house, "PUT", f"{PATH}/{box['id']}", 200, changed) == DONE
    assert await ask(house, "GET", f"{PATH}/103") == box | {"local_after_email": True, "description": "Dave"}


async def test_a_disabled_box_is_told_as_such_and_is_not_on_the_pbx(house: House, pbx: Simulator) -> None:
    assert await ask(house, "PUT", f"{PATH}/103", 200, {"password": CANARY, "enabled": False}) == DONE
    assert Mailbox.parse("103") not in pbx.boxes
    box = await ask(house, "GET", f"{PATH}/103")
    assert (box["enabled"], box["description"], box["mail_to"]) == (False, "Dave Delete", "dave@example.com")
    assert (await ask(house, "GET"))["total"] == 6
    assert "already" in await refused(house, "POST", PATH, 409, NEW | {"extension": "103"})
    assert await ask(house, "PUT", f"{PATH}/103", 200, {"password": CANARY, "enabled": True}) == DONE
    assert pbx.boxes[Mailbox.parse("103")].delete
    assert await ask(house, "DELETE", f"{PATH}/103") == DONE
    await refused(house, "GET", f"{PATH}/103", 404)


async def test_a_removed_box_is_gone_and_its_messages_are_not(house: House, pbx: Simulator) -> None:
    async with house.ws() as (socket, _hello):
        await pbx.leave("101@default")
        await socket.badge(1)
    assert await ask(house, "DELETE", f"{PATH}/101") == DONE
    assert Mailbox.parse("101") not in pbx.boxes
    await refused(house, "DELETE", f"{PATH}/101", 404)
    await refused(house, "PUT", f"{PATH}/101", 404, {"password": CANARY, "enabled": True})
    assert (await ask(house, "GET", f"{PATH}/message"))["total"] == 1
    again = await ask(house, "POST", PATH, 200, NEW | {"extension": "101"})
    assert again["data"]["id"] != ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extension": None}, "The extension is required"),
        ({"extension": 112}, "must be a string"),
        ({"extension": "1 2"}, "letters, digits"),
        ({"extension": "../x"}, "letters, digits"),
        ({"extension": "112@general"}, "not one of boxes"),
        ({"extension": "112@Default"}, "is called default"),
        ({"password": "123"}, "4 to 10 digits"),
        ({"password": "abc123def"}, "4 to 10 digits"),
        ({"password": 1234}, "The password must be a string."),
        ({"password": "1234\n"}, "4 to 10 digits"),
        ({"enabled": "true"}, "The enabled must be true or false."),
        ({"enabled": 1}, "must be true or false"),
        ({"mail_to": "nobody"}, "email address"),
        ({"mail_to": None}, "must be a string"),
        ({"description": "a,b"}, "one line"),
        ({"description": "a\nb"}, "one line"),
        ({"local_after_email": "no"}, "must be true or false"),
        ({"color": "red"}, "'color' is no field"),
    ],
)
async def test_what_a_box_cannot_be_is_said_and_nothing_is_changed(
    house: House, pbx: Simulator, change: dict[str, object], said: str
) -> None:
    before = pbx.conf.content
    assert said in await refused(house, "POST", PATH, 422, NEW | change)
    if "extension" not in change:
        body = {name: value for name, value in (NEW | change).items() if name != "extension"}
        assert said in await refused(house, "PUT", f"{PATH}/100", 422, body)
    assert pbx.conf.content == before


async def test_a_body_that_is_none_or_lacks_what_is_required_is_422(house: House) -> None:
    for body in (b"", b"{", b"[]", b'"x"', b"\xff", b'{"password": "\\ud800"}'):
        await refused(house, "POST", PATH, 422, body)
        await refused(house, "PUT", f"{PATH}/100", 422, body)
    assert await refused(house, "PUT", f"{PATH}/100", 422, {}) == "The password is required; the enabled is required."
    assert await refused(house, "PUT", f"{PATH}/100", 422, {"enabled": True}) == "The password is required."
    other = {"password": CANARY, "enabled": True, "extension": "101"}
    assert await refused(house, "PUT", f"{PATH}/100", 422, other) == "The extension of a mailbox cannot be changed."
    await refused(house, "POST", PATH, 413, b" " * 70_000)


async def test_a_box_that_is_there_is_409(house: House) -> None:
    for extension in ("100", "100@default", "100@other"):
        name = extension if "@" in extension else f"{extension}@default"
        told = await refused(house, "POST", PATH, 409, NEW | {"extension": extension})
        assert told == f"There is a mailbox {name} already."


async def test_a_file_that_is_not_plain_is_409_and_the_line_is_named(
    house: House, pbx: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "etc/voicemail.conf").write_bytes(pbx.conf.content + b"#include x.conf\n")
    place = pbx.conf.content.count(b"\n")
    for method, path, body in (
        ("POST", PATH, NEW),
        ("PUT", f"{PATH}/100", {"password": CANARY, "enabled": True}),
        ("PUT", f"{PATH}/100", {"password": CANARY, "enabled": False}),
        ("DELETE", f"{PATH}/100", None),
    ):
        assert f"Line {place} of voicemail.conf is a directive (#include)" in await refused(
            house, method, path, 409, body
        )
    assert (await ask(house, "GET", f"{PATH}/100"))["enabled"] is True


async def test_a_pbx_that_is_away_is_503_and_reading_still_works(house: House, pbx: Simulator) -> None:
    async with pbx.unreachable():
        await refused(house, "POST", PATH, 503, NEW)
        await refused(house, "PUT", f"{PATH}/100", 503, {"password": CANARY, "enabled": True})
        await refused(house, "DELETE", f"{PATH}/100", 503)
        assert (await ask(house, "GET"))["total"] == 6


async def test_boxes_that_were_changed_while_the_pbx_was_away_are_listed_after_the_login(
    house: House, pbx: Simulator, tmp_path: Path
) -> None:
    async with pbx.unreachable():
        (tmp_path / "etc/voicemail.conf").write_bytes(pbx.conf.content + b"206 => 1234,Late\n")
        await pbx.reload()
    async with asyncio.timeout(PATIENCE_S):
        while (await ask(house, "GET"))["total"] != 7:
            await asyncio.sleep(0.01)  # nobody is told that the PBX has told its boxes


async def test_without_provision_nothing_is_changed_and_the_setting_is_named(tmp_path: Path) -> None:
    async with provisioned(tmp_path, provision=False) as (pbx, house):
        before = pbx.conf.content
        for method, path in (("POST", PATH), ("PUT", f"{PATH}/100"), ("DELETE", f"{PATH}/100"), ("PUT", f"{PATH}/999")):
            assert "[pbx] provision = true" in await refused(house, method, path, 403, NEW)
        assert (await ask(house, "GET", f"{PATH}/100"))["description"] == "Alice Example"
        assert pbx.conf.content == before


async def test_boxes_need_scope_admin_and_a_limited_token_sees_and_makes_its_own_alone(house: House) -> None:
    own = frozenset({Mailbox.parse("100"), Mailbox.parse("112")})
    tokens = {
        "writer": new_token(house.settings, "writer", Scope.WRITE),
        "limited": new_token(house.settings, "limited", Scope.ADMIN, own),
    }
    async with visiting(house.settings, tokens["limited"]) as limited:
        while (await limited.http.get(limited.url + PATH)).status == 401:  # the daemon learns of new tokens soon
            pass
        listed = await ask(limited, "GET")
        assert ([box["description"] for box in listed["data"]], listed["total"]) == (["Alice Example"], 1)
        box = await ask(house, "GET", f"{PATH}/101")
        for reference in ("101", box["id"], "100@other"):
            await refused(limited, "GET", f"{PATH}/{reference}", 404)
            await refused(limited, "PUT", f"{PATH}/{reference}", 404, {"password": CANARY, "enabled": True})
            await refused(limited, "DELETE", f"{PATH}/{reference}", 404)
        for extension in ("113", "101", "112@other"):
            await refused(limited, "POST", PATH, 403, NEW | {"extension": extension})
        await ask(limited, "POST", PATH, 200, NEW)
    async with visiting(house.settings, tokens["writer"]) as writer:
        for method, path in (
            ("GET", PATH),
            ("GET", f"{PATH}/100"),
            ("POST", PATH),
            ("PUT", f"{PATH}/100"),
            ("DELETE", f"{PATH}/100"),
        ):
            assert "scope admin" in await refused(writer, method, path, 403, NEW)
    async with aiohttp.ClientSession() as http:
        nobody = House(house.url, http, house.settings)
        await refused(nobody, "GET", PATH, 401)


async def test_unknown_paths_and_methods_answer_in_this_shape(house: House) -> None:
    await refused(house, "PATCH", f"{PATH}/100", 405)
    await refused(house, "GET", f"{PATH}/100/more", 404)


async def test_without_ami_there_is_nothing_to_change_and_the_spools_boxes_are_read(tmp_path: Path) -> None:
    (tmp_path / "spool/default/100/INBOX").mkdir(parents=True)
    settings = settings_for(tmp_path, None, pbx={"provision": True, "config": str(tmp_path)})
    async with living(settings) as house:
        await house.until_ready(lambda told: told["spool"]["state"] != "scanning")
        await refused(house, "POST", PATH, 503, NEW)
