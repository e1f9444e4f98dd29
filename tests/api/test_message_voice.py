"""The dialect of document 000, asked as its clients ask."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest
import time_machine

from service.api.edge import Edges
from service.api.links import STEP_S, Signer
from service.api.message_voice import AT_ONCE, Rows
from service.errors import ConflictError, UnavailableError
from service.model import Folder, Message, Status, Summary
from service.pbx import Pbx
from service.store import messages
from tests.api.site import BOX, OTHER_BOX, Site, at, running

OK = {"status": "success", "code": 200, "result": [], "message": "Ok"}


class FailingPbx(Pbx):
    """Stands in for a PBX that marks the first of several, and fails at the second."""

    def __init__(self, error: UnavailableError | ConflictError) -> None:
        self.error = error
        self.site: Site | None = None

    async def mark_read(self, messages: Sequence[Message]) -> int:
        assert self.site is not None
        if len(messages) > 1:
            await move(self.site, messages[0], Folder.OLD)
        raise self.error


async def move(site: Site, message: Message, folder: Folder) -> None:
    """Move a message in the spool, as the PBX does."""
    here = site.spool / message.mailbox.context / message.mailbox.extension
    (here / folder).mkdir(exist_ok=True)
    number = len(list((here / folder).glob("*.txt")))
    for suffix in ("wav", "txt"):
        file = here / message.folder / f"msg{message.msgnum:04d}.{suffix}"
        file.rename(here / folder / f"msg{number:04d}.{suffix}")
    await site.ingest.reconcile(message.mailbox)


async def test_a_message_is_the_resource_of_the_document(site: Site) -> None:
    message = await site.leave("998901234567", time=at("2026-01-13T17:30:00"), samples=range(12000))
    answer = await site.ask("/message-voice")
    [record] = answer.json["data"]
    link = record.pop("recorded_file_url")
    assert link.startswith(f"{site.url}/message-voice/{message.uuid}/audio?expires=")
    assert record == {
        "id": message.id,
        "date_time": "2026-01-13 17:30:00",
        "src": "998901234567",
        "dst": "100",
        "external_number": "998901234567",
        "duration": 1,
        "status": {"number": 1, "name": "Unread"},
    }
    assert answer.headers["Content-Type"] == "application/json"


async def test_an_empty_list_is_a_page_too(site: Site) -> None:
    url = f"{site.url}/message-voice"
    assert (await site.ask("/message-voice")).json == {
        "data": [],
        "links": {"first": f"{url}?page=1", "last": f"{url}?page=1", "prev": None, "next": None},
        "meta": {
            "current_page": 1,
            "from": None,
            "last_page": 1,
            "links": [
                {"url": None, "label": "« Previous", "active": False},
                {"url": f"{url}?page=1", "label": "1", "active": True},
                {"url": None, "label": "Next »", "active": False},
            ],
            "path": url,
            "per_page": 20,
            "to": None,
            "total": 0,
        },
    }


async def test_links_keep_the_prefix_and_the_other_parameters(site: Site) -> None:
    for number in range(3):
        await site.leave(time=1_768_000_000 + number)
    answer = await site.ask("/api/v1/message-voice?sort=-id&filter[status]=1&page=2&per_page=1")
    url = f"{site.url}/api/v1/message-voice"
    kept = "sort=-id&filter%5Bstatus%5D=1&per_page=1"
    assert answer.json["links"] == {
        "first": f"{url}?{kept}&page=1",
        "last": f"{url}?{kept}&page=3",
        "prev": f"{url}?{kept}&page=1",
        "next": f"{url}?{kept}&page=3",
    }
    assert answer.json["meta"]["path"] == url
    assert answer.json["data"][0]["recorded_file_url"].startswith(url)
    following = await site.ask(answer.json["links"]["next"])
    assert [record["id"] for record in following.json["data"]] == [answer.json["data"][0]["id"] - 1]


async def test_a_page_past_the_end_is_empty_with_the_true_total(site: Site) -> None:
    await site.leave()
    answer = await site.ask("/message-voice?page=999999999999999")
    assert answer.status == 200
    assert answer.json["data"] == []
    assert (answer.json["meta"]["total"], answer.json["meta"]["from"], answer.json["meta"]["to"]) == (1, None, None)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("filter[src]=111", ["111"]),
        ("filter.src=111", ["111"]),
        ("filter%5Bsrc%5D=111", ["111"]),
        ("filter[src]=", ["111", "222", "998901234567"]),
        ("filter[dst]=200", ["998901234567"]),
        ("filter[external_number]=998901234567", ["998901234567"]),
        ("filter[external_number]=111", []),
        ("filter[duration]=2", ["222"]),
        ("filter[status]=2", ["222"]),
        ("filter[status]=11", []),
        ("filter[status]=99999999999999999999999999", []),
        ("filter[from]=2026-01-14", ["222", "998901234567"]),
        ("filter[to]=2026-01-13", ["111"]),
        ("filter[from]=2026-01-13 17:30:00&filter[to]=2026-01-13 17:30:00", ["111"]),
        ("filter[from]=2026-01-13 17:30:01&filter.to=2026-01-14 23:59:59", ["222"]),
        ("sort=-datetime", ["998901234567", "222", "111"]),
        ("sort=duration&per_page=2", ["111", "998901234567"]),
        ("sort=-dst", ["998901234567", "222", "111"]),
        ("sort=-status&page=2&per_page=1", ["998901234567"]),
    ],
)
async def test_filters_and_sorts_choose_messages(site: Site, query: str, found: list[str]) -> None:
    await site.leave("111", time=at("2026-01-13T17:30:00"))
    await site.leave("222", time=at("2026-01-14T23:59:59"), folder=Folder.OLD, samples=range(16000))
    await site.leave("998901234567", box=OTHER_BOX, time=at("2026-01-15T00:00:00"))
    answer = await site.ask(f"/message-voice?{query.replace(' ', '%20')}")
    assert [record["src"] for record in answer.json["data"]] == found


async def test_all_that_is_wrong_is_told_at_once(site: Site) -> None:
    paging = "page=0&per_page=301&sort=name"
    filters = "filter[duration]=1.5&filter.status=x&filter[from]=13.01.2026&filter[to]=2026-02-30"
    answer = await site.ask(f"/message-voice?{paging}&{filters}")
    assert answer.status == 422
    assert {"status": "error", "code": 422, "result": []}.items() <= answer.json.items()
    assert set(answer.json["errors"]) == {
        "page",
        "per_page",
        "sort",
        "filter.duration",
        "filter.status",
        "filter.from",
        "filter.to",
    }
    assert all(isinstance(text, str) for problems in answer.json["errors"].values() for text in problems)


async def test_the_unread_count_follows_at_once(site: Site) -> None:
    counts = [await unread(site)]
    first = await site.leave()
    counts.append(await unread(site))
    await site.leave(folder=Folder.URGENT)
    counts.append(await unread(site))
    await move(site, first, Folder.OLD)
    counts.append(await unread(site))
    assert counts == [0, 1, 2, 1]


async def unread(site: Site, token: str = "reader") -> int:
    answer = await site.ask("/api/v1/message-voice/unread-count", token)
    assert answer.json["status"] == "success"
    return int(answer.json["result"]["unread_count"])


async def test_a_repeated_page_shows_what_has_changed_since(site: Site) -> None:
    message = await site.leave()
    with time_machine.travel("2026-01-13T12:30:00Z", tick=False):  # links are other ones from minute to minute
        pages = [(await site.ask("/message-voice")).body for _ in range(2)]
    assert pages[0] == pages[1]
    await move(site, message, Folder.WORK)
    assert (await site.ask("/message-voice")).json["data"][0]["status"] == {"number": 2, "name": "Read"}


async def test_marking_a_message_read(site: Site) -> None:
    message = await site.leave()
    for _ in range(2):  # what is read already succeeds as well
        answer = await site.ask(f"/message-voice/{message.id}/mark-as-a-read", "writer", "POST")
        assert (answer.status, answer.json) == (200, OK)
    assert await unread(site) == 0
    assert (await site.ask("/message-voice?filter[status]=2")).json["meta"]["total"] == 1


async def test_marking_all_read_leaves_other_peoples_mailboxes_alone(site: Site) -> None:
    await site.leave()
    await site.leave(box=OTHER_BOX)
    answer = await site.ask("/api/v1/message-voice/mark-all-as-read", "box100", "POST")
    assert (answer.status, answer.json) == (200, OK)
    assert (await unread(site), await unread(site, "box100")) == (1, 0)


@pytest.mark.parametrize("error", [UnavailableError("the PBX cannot be reached", 7), ConflictError("it did not move")])
async def test_a_pbx_that_fails_is_told(tmp_path: Path, error: UnavailableError | ConflictError) -> None:
    pbx = FailingPbx(error)
    async with running(tmp_path, pbx=pbx) as site:
        pbx.site = site
        message = await site.leave()
        one = await site.ask(f"/message-voice/{message.id}/mark-as-a-read", "writer", "POST")
        await site.leave()
        await site.leave()
        everything = await site.ask("/message-voice/mark-all-as-read", "writer", "POST")
        assert await unread(site) == 2
    status, wait = (503, "7") if isinstance(error, UnavailableError) else (409, None)
    assert (one.status, one.headers.get("Retry-After"), one.json["code"]) == (status, wait, status)
    assert (everything.status, everything.headers.get("Retry-After")) == (status, wait)
    assert "1 of 3" in everything.json["message"]


async def test_a_mailbox_token_knows_of_its_own_mailbox_alone(site: Site) -> None:
    mine, other = await site.leave("111"), await site.leave("222", box=OTHER_BOX)
    answer = await site.ask("/message-voice", "box100")
    assert [record["id"] for record in answer.json["data"]] == [mine.id]
    assert answer.json["meta"]["total"] == 1
    assert (await site.ask("/message-voice?filter[dst]=200", "box100")).json["data"] == []
    refused = await site.ask(f"/message-voice/{other.id}/mark-as-a-read", "box100", "POST")
    assert refused.status == 404
    assert await site.store.read(lambda conn: len(messages.unread(conn, None))) == 2


@pytest.mark.parametrize("name", ["abc", "0", "99999", "999999999999999999999999", "-1", "1%2F..", "%00"])
async def test_what_is_no_message_is_404(site: Site, name: str) -> None:
    answer = await site.ask(f"/message-voice/{name}/mark-as-a-read", "writer", "POST")
    assert (answer.status, answer.json["status"], answer.json["result"]) == (404, "error", [])


async def test_a_caller_cannot_turn_the_text_around(site: Site) -> None:
    await site.leave("12\u202e34")
    assert (await site.ask("/message-voice")).json["data"][0]["src"] == "1234"


async def test_a_box_without_messages_has_none(site: Site) -> None:
    assert await unread(site, "box100") == 0
    assert BOX not in (await site.ask("/message-voice", "box100")).json["data"]


ROW = Summary(1, "uuid", "100", 0, "111", None, 2, Status.UNREAD, 1)


async def test_a_row_is_written_once_and_anew_when_it_or_its_links_have_changed() -> None:
    now = [0.0]
    signer = Signer(b"0123456789abcdef", lambda: now[0])
    rows = Rows(Edges(ZoneInfo("UTC"), "", (), signer))
    written = [(await rows.of([ROW], "http://a"))[0] for _ in range(2)]
    assert written[0] is written[1]
    written += await rows.of([ROW], "http://b")
    written += await rows.of([ROW._replace(status=Status.READ)], "http://a")
    now[0] += STEP_S
    written += await rows.of([ROW], "http://a")
    signer.rekey(b"another secret key")
    written += await rows.of([ROW], "http://a")
    assert len({orjson.dumps(one) for one in written}) == 5


async def test_others_get_their_turn_while_a_long_page_is_written() -> None:
    rows = Rows(Edges(ZoneInfo("UTC"), "", (), Signer(b"0123456789abcdef")))
    turn = asyncio.Event()
    asyncio.get_running_loop().call_soon(turn.set)
    await rows.of([ROW] * AT_ONCE, "http://a")
    assert not turn.is_set()
    messages = [ROW._replace(id=number) for number in range(2 * AT_ONCE + 1)]
    written = await rows.of(messages, "http://a")
    assert turn.is_set()
    assert [orjson.loads(orjson.dumps(row))["id"] for row in written] == list(range(2 * AT_ONCE + 1))
