"""Every route, asked with every kind of token, and about what is another's: who may do what, and that nothing leaks.

One PBX, two tenants with the same extension, the whole daemon. tests/api/routing.py says what there is to ask.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from service.model import Folder, Scope
from tests.api.routing import ROUTES, Row, ask, filled, routes
from tests.api.site import Answer, Site
from tests.house import Frame, House, Socket, visiting
from tests.tenants import MINE, NOBODY, THEIRS, Street, Things, post, street, talked

NOTHING = Things(
    box=str(NOBODY),
    box_uuid="00000000-0000-4000-8000-000000000001",
    message="00000000-0000-4000-8000-000000000002",
    message_id=990_099_000,
    deleted="00000000-0000-4000-8000-000000000003",
    slot="00000000-0000-4000-8000-000000000004",
    secret="x" * 43,
    call_id=990_099_001,
    phone="+998710000000",
    pin="0918273645",
    caller="+998900000000",
)
"""What is nobody's."""
PASSING = re.compile(r'expires=\d+&signature=[\w-]+|"seq":\d+')
"""What is another in each answer: the end of a link, and how far the journal is, of all tenants."""
HEADERS = frozenset({"Date", "Content-Length"})
SCOPES = tuple(Scope)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Street]:
    async with street(tmp_path) as town:
        yield town


async def test_every_route_is_in_the_table_and_the_table_has_no_other(site: Site) -> None:
    assert routes(site.app) == set(ROUTES)


async def test_each_route_asks_for_its_scope_and_for_no_more(town: Street) -> None:
    tokens = {None: "", "wrong": "vmd_" + "x" * 43} | {scope: town.token(scope) for scope in SCOPES}
    wrong = []
    async with aiohttp.ClientSession() as http:
        for (method, path), row in ROUTES.items():
            target = filled((*row.names, *row.lists)[0], t=NOTHING, o=NOTHING)
            for who, token in tokens.items():
                sent = {"Authorization": f"Bearer {token}"}, {"x-api-key": token}
                for headers in sent if token else [{}]:
                    known = who if "x-api-key" not in headers or "/accounts/" in path else None
                    answer = await ask(http, method, town.house.url + target, None, {}, **headers)
                    if not fits(row, known, answer.status):
                        wrong.append((method, target, headers, answer.status))
    assert not wrong, "\n".join(map(str, wrong))


def fits(row: Row, who: Scope | str | None, status: int) -> bool:
    """Whether a request of this token may be answered so: with a token that will do, as though there were none."""
    if row.needs is None or (isinstance(who, Scope) and who.includes(row.needs)):
        return status not in (401, 403) and status < 500
    return status == (403 if isinstance(who, Scope) else 401)


# ---- what is another's


async def test_what_is_another_tenants_is_answered_like_what_there_is_not(town: Street) -> None:
    own, theirs = await town.make(MINE), await town.make(THEIRS)
    before = await seen(town, THEIRS, theirs)
    wrong = []
    for scope in SCOPES:
        token = town.token(scope, MINE.box)
        async with aiohttp.ClientSession() as http:
            for method, template, row in naming():
                told, nothing = [
                    await asked(http, town, (method, template, row), token, t=things, o=own)
                    for things in (theirs, NOTHING)
                ]
                same = plain(told, theirs) == plain(nothing, NOTHING)
                request = f"{filled(template, t=theirs, o=own)} {filled(row.body, t=theirs, o=own)}"
                expected = row.foreign if scope.includes(row.needs or scope) else 403
                if told.status != expected or not same or leaks(told, theirs, request):
                    wrong.append((scope, method, template, told.status, told.body[:300], nothing.body[:300]))
    assert not wrong, "\n".join(map(str, wrong))
    assert await seen(town, THEIRS, theirs) == before


def naming() -> list[tuple[str, str, Row]]:
    """Every request that names something and asks for a token: of the others see `test_a_wrong_pin_...`."""
    return [
        (method, template, row)
        for (method, _), row in ROUTES.items()
        if row.needs is not None
        for template in row.names
    ]


async def test_what_names_nobody_tells_nothing_of_another_tenant(town: Street) -> None:
    await town.make(MINE)
    theirs = await town.make(THEIRS)
    wrong = []
    async with aiohttp.ClientSession() as http:
        for (method, _path), row in ROUTES.items():
            for scope in (None, *SCOPES):
                token = None if scope is None else town.token(scope, MINE.box)
                for target in row.lists:
                    answer = await ask(http, method, town.house.url + target, token, row.body)
                    if leaks(answer, theirs, target):
                        wrong.append((scope, method, target, leaks(answer, theirs, target)))
    assert not wrong, "\n".join(map(str, wrong))


async def test_pages_that_need_no_token_tell_nothing_of_anybody(town: Street) -> None:
    everybody = [await town.make(MINE), await town.make(THEIRS)]
    async with aiohttp.ClientSession() as http:
        for (method, path), row in ROUTES.items():
            for target in row.lists if row.needs is None else ():
                answer = await ask(http, method, town.house.url + target)
                assert [leaks(answer, things, MINE.name) for things in everybody] == [set(), set()], path


async def test_nothing_that_happens_to_one_tenant_shows_at_the_other(town: Street) -> None:
    """What he sees of himself stays the same, byte for byte: so there is no count, total or badge with others in it."""
    own, theirs = await town.make(MINE), await town.make(THEIRS)
    before = await seen(town, MINE, own)
    assert {text for text in own.texts if any(text.encode() in told for told in before.values())} >= {
        *(MINE.name, MINE.caller, MINE.caller_name, MINE.owner, MINE.email, own.message, own.slot, own.box_uuid)
    }
    await live(town, theirs)
    assert await seen(town, MINE, own) == before


async def live(town: Street, things: Things) -> None:
    """All that can happen to the other tenant."""
    await town.leave(THEIRS)
    left = await town.pbx.leave(THEIRS.name, THEIRS.caller_id, 1, urgent=True)
    assert left is not None
    await town.pbx.listen(THEIRS.name, folder=Folder.INBOX)
    async with visiting(town.settings, town.token(Scope.ADMIN, THEIRS.box)) as house:
        await sent(house, "PUT", f"/v1/voicemail/message/{things.message}/unread")
        await sent(house, "POST", f"/v1/voicemail/message/{things.deleted}/restore")
        await sent(house, "DELETE", f"/v1/voicemail/message/{things.message}")
        await sent(house, "POST", "/message-voice/mark-all-as-read")
        await sent(house, "DELETE", f"/accounts/me/voicemails/{things.slot}")
        await post(house, "/accounts/me/voicemails", {"sip_from": "sip:x@y", "content_type": "audio/opus"})
        await sent(house, "PUT", f"/v1/voicemail/{THEIRS.name}", {"password": "5555", "enabled": True})
        await sent(house, "DELETE", f"/v1/voicemail/{THEIRS.name}")


async def sent(house: House, method: str, path: str, body: Any = None) -> None:
    """Send a change, which succeeds."""
    async with house.http.request(method, house.url + path, json=body) as answer:
        assert answer.status == 200, (path, await answer.text())


async def test_a_link_is_good_for_what_it_was_made_for_alone(town: Street) -> None:
    await town.make(MINE)
    theirs = await town.make(THEIRS)
    async with visiting(town.settings, town.token(Scope.READ, MINE.box)) as house:
        message, call = (await house.messages())[0], (await house.get("/call-history?sort=-id"))["data"][0]
    for link, target in (
        (message["recorded_file_url"], "/message-voice/{t.message}/audio"),
        (message["recorded_file_url"], "/v1/voicemail/message/{t.message}/download"),
        (call["recorded_file_url"], "/call-history/{t.call_id}/recording"),
        (call["recorded_file_url"], "/message-voice/{t.message}/audio"),
    ):
        moved = f"{town.house.url}{filled(target, t=theirs)}?{link.partition('?')[2]}"
        async with aiohttp.ClientSession() as http:
            assert (await ask(http, "GET", link)).status == 200
            for token in (None, town.token(Scope.ADMIN, MINE.box)):
                answer = await ask(http, "GET", moved, token)
                assert answer.status == (401 if token is None else 404), target
                assert leaks(answer, theirs, moved) == set()


# ---- as it happens


async def test_a_websocket_hears_of_its_own_tenant_alone(town: Street) -> None:
    own, theirs = await town.make(MINE), await town.make(THEIRS)
    async with visiting(town.settings, town.token(Scope.ADMIN, MINE.box)) as house:
        async with house.ws("?since=0") as (replayed, _hello):
            await replayed.until(
                lambda frame: frame["type"] == "unread" and frame["new"] == 1 and len(replayed.told) > 4
            )
            told = list(replayed.told)
        async with house.ws() as (socket, hello):
            await subscribe(socket)
            refused = await refusal(socket, THEIRS.name)
            assert refused == (await refusal(socket, str(NOBODY))).replace(str(NOBODY), THEIRS.name)
            await live(town, theirs)
            await town.leave(MINE)
            await talked(socket)
            told += [hello, *socket.told]
    assert {text for frame in told for text in texts_in(frame, own)} >= {MINE.name, MINE.caller, MINE.caller_name}
    assert {text for frame in told for text in texts_in(frame, theirs)} == set()
    counted = [frame for frame in told if frame["type"] == "unread"]
    assert {frame["total"] - frame["new"] for frame in counted} == {0}


async def test_two_tenants_who_come_at_once_are_greeted_each_with_his_own(town: Street) -> None:
    await town.make(MINE)
    await town.make(THEIRS)
    hellos = []
    for tenant in (MINE, THEIRS, MINE):
        token = town.token(Scope.READ, tenant.box)
        async with visiting(town.settings, token) as house, house.ws() as (_socket, hello):
            hellos.append((list(hello["unread"]["mailboxes"]), hello["unread"]["total"]))
    assert hellos == [([MINE.name], 1), ([THEIRS.name], 1), ([MINE.name], 1)]


async def subscribe(socket: Socket) -> None:
    await socket.ws.send_json({"type": "subscribe", "events": ["unread", "message", "call"]})
    await socket.until(lambda frame: frame["type"] == "subscribed")


async def refusal(socket: Socket, mailbox: str) -> str:
    """What a client is told that asks for a mailbox it may not see; the frame itself is not kept."""
    await socket.ws.send_json({"type": "subscribe", "mailboxes": [mailbox]})
    frame = await socket.until(lambda frame: frame["type"] == "error")
    socket.told.remove(frame)
    return str(frame["message"])


async def test_a_webhook_tells_which_tenant_it_was(town: Street) -> None:
    own, theirs = await town.make(MINE), await town.make(THEIRS)
    due = Counter({"call.new": 8, "message.new": 4})
    async with asyncio.timeout(60):
        while not due <= Counter(body["type"] for body in town.hook.bodies):
            await asyncio.sleep(0.01)  # the endpoint is told soon
    for body in town.hook.bodies:
        of = {tenant.name for tenant, things in ((MINE, own), (THEIRS, theirs)) if texts_in(body, things)}
        assert len(of) == 1, body
        assert body["data"].get("mailbox", next(iter(of))) in of
    left = [body["data"] for body in town.hook.bodies if body["type"] == "message.new"]
    assert (
        sorted((row["mailbox"], row["dst"]) for row in left)
        == [("100@default", "100")] * 2 + [("100@other", "100")] * 2
    )


async def test_each_pin_opens_its_own_tenants_mailbox(town: Street) -> None:
    own, theirs = await town.make(MINE), await town.make(THEIRS)
    async with aiohttp.ClientSession() as http:
        for things, other in ((own, theirs), (theirs, own)):
            answer = await ask(http, "GET", f"{town.house.url}/mvno/voicemail/{things.phone}/{things.pin}")
            assert answer.status == 200
            assert [row["from"] for row in answer.json["voicemails"]] == [things.caller]
            assert leaks(answer, other, "") == set()
        changed = await ask(
            http, "POST", f"{town.house.url}/mvno/voicemail/{own.phone}/{own.pin}/pin", None, {"pin": "8642"}
        )
        assert (changed.status, changed.json) == (200, {"success": True})
        statuses = [
            (await ask(http, "GET", f"{town.house.url}/mvno/voicemail/{phone}/{pin}/pin")).status
            for phone, pin in (
                (own.phone, own.pin),
                (own.phone, "8642"),
                (theirs.phone, theirs.pin),
                (theirs.phone, "8642"),
            )
        ]
    assert statuses == [404, 200, 200, 404]


async def test_a_wrong_pin_tells_nothing_and_locks_no_other_tenants_number(town: Street) -> None:
    own, theirs = await town.make(MINE), await town.make(THEIRS)
    statuses = []
    async with aiohttp.ClientSession() as http:
        for (method, path), row in ROUTES.items():
            for template in row.names if "{pin}" in path else ():
                answer = await asked(http, town, (method, template, row), None, t=theirs, o=own)
                assert leaks(answer, theirs, filled(template, t=theirs, o=own)) == set(), (method, template)
                statuses.append(answer.status)
        other = await ask(http, "GET", f"{town.house.url}/mvno/voicemail/{own.phone}/{own.pin}/pin")
    assert (statuses, other.status) == ([404] * 5 + [403] * 2, 200)


# ---- how answers are read


async def asked(
    http: aiohttp.ClientSession, town: Street, named: tuple[str, str, Row], token: str | None, **things: Things
) -> Answer:
    """Send a request that names something."""
    method, template, row = named
    body = None if row.body is None else filled(row.body, **things)
    return await ask(http, method, town.house.url + filled(template, **things), token, body)


async def seen(town: Street, tenant: Any, things: Things) -> dict[str, bytes]:
    """All that a tenant may ask of himself, and what he is answered after somebody who sees more asked the same."""
    found = {}
    token = town.token(Scope.ADMIN, tenant.box)
    async with aiohttp.ClientSession() as http:
        for (method, _path), row in ROUTES.items():
            if method == "GET" and row.needs is not None:
                for template in (*row.lists, *row.names):
                    target = filled(template, t=things, o=things)
                    await ask(http, method, town.house.url + target, town.token(Scope.ADMIN))
                    answer = await ask(http, method, town.house.url + target, token)
                    found[target] = (
                        str(answer.status).encode() + PASSING.sub("", answer.body.decode("latin-1")).encode()
                    )
    return found


def plain(answer: Answer, things: Things) -> tuple[int, frozenset[tuple[str, str]], str]:
    """An answer without what passes, and with what was asked for written in the same way whatever it was."""
    text = PASSING.sub("", answer.body.decode("latin-1"))
    named = {part.name: str(getattr(things, part.name)) for part in fields(things) if part.repr}
    for name, value in sorted(named.items(), key=lambda item: len(item[1]), reverse=True):
        for written in (value, value.replace("+", "%2B"), value.replace("@", "%40")):
            text = text.replace(written, name)
    return answer.status, frozenset((key, value) for key, value in answer.headers.items() if key not in HEADERS), text


def leaks(answer: Answer, things: Things, request: str) -> set[str]:
    """What of somebody's stands in an answer, his voice too, but for what the request itself said."""
    told = answer.body + b"\n" + "\n".join(f"{key}: {value}" for key, value in answer.headers.items()).encode()
    found = {text for text in things.texts if text.encode() in told and text not in request}
    found |= {text for text in (things.secret,) if text.encode() in told}
    return found | ({"his voice"} if len(things.sound) > 100 and things.sound[-100:] in answer.body else set())


def texts_in(frame: Frame, things: Things) -> Iterable[str]:
    told = orjson.dumps(frame).decode()
    return [text for text in things.texts if text in told]
