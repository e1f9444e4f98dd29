"""Document 001, as a client of that vendor knows it: the call history, its filters, its page list."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.model import Mailbox
from service.settings import Settings
from service.simulator.boxes import Box
from service.simulator.calls import Way
from tests.dialects.vendor import Place, opened
from tests.masters import lines

ZONE = ZoneInfo("UTC")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
OUTGOING = {"number": 2, "name": "Outgoing"}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    boxes = [Box(Mailbox("default", "100")), Box(Mailbox("default", "101"))]
    async with opened(tmp_path, boxes, webhook="amocrm") as place:
        yield place


async def both(place: Place) -> tuple[int, int]:
    """The two calls of the document's example; gives when they began."""
    internal = await place.called("100", "101", way=Way.INTERNAL, disposition="NO ANSWER", ringing=2, cancelled=True)
    outgoing = await place.called(
        "100", "999995998", way=Way.OUTGOING, ringing=15, seconds=8, outbound_cnum="781130590"
    )
    return outgoing, internal


def local(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, ZONE).strftime("%Y-%m-%d %H:%M:%S")


async def synced(place: Place, path: str) -> Any:
    """The list, once the endpoint has taken every call of it."""
    async with asyncio.timeout(60):
        while True:
            told = await place.client.get(path)
            if all(one["status"] != "pending" for row in told["data"] for one in row["integration"]):
                return told
            await asyncio.sleep(0.01)  # the list says so as soon as it is


async def test_the_list_is_that_of_the_document(place: Place) -> None:
    outgoing, internal = await both(place)
    told = await synced(place, "/call-history?sort=-id")
    first, second = told["data"]
    assert told["data"] == [
        {
            "id": first["id"],
            "call_id": first["call_id"],
            "date_time": local(outgoing),
            "src": "100",
            "dst": "999995998",
            "external_number": "781130590",
            "duration": 23,
            "conversation": 8,
            "type": {"number": 2, "name": "Outgoing"},
            "status": {"number": 1, "name": "Answered"},
            "recorded_file_url": first["recorded_file_url"],
            "integration": [
                {
                    "id": first["integration"][0]["id"],
                    "call_history_id": first["id"],
                    "integration_type": "amocrm",
                    "status": "synced",
                    "error_message": None,
                    "created_at": first["integration"][0]["created_at"],
                    "updated_at": first["integration"][0]["updated_at"],
                }
            ],
            "voicemail_id": None,  # beyond the document
        },
        {
            "id": second["id"],
            "call_id": second["call_id"],
            "date_time": local(internal),
            "src": "100",
            "dst": "101",
            "external_number": None,
            "duration": 2,
            "conversation": 0,
            "type": {"number": 3, "name": "Internal"},
            "status": {"number": 2, "name": "Not answered"},
            "recorded_file_url": None,
            "integration": second["integration"],
            "voicemail_id": None,
        },
    ]
    assert first["id"] > second["id"]
    assert UUID.match(first["call_id"])
    assert [MOMENT.match(first["integration"][0][key]) is None for key in ("created_at", "updated_at")] == [
        False,
        False,
    ]
    status, content_type, content = await place.client.sound(first["recorded_file_url"])
    assert (status, content_type, content[:4]) == (200, "audio/wav", b"RIFF")


async def test_the_documents_own_example_finds_the_outgoing_calls(place: Place) -> None:
    await both(place)
    told = await place.client.get("/call-history?sort=-id&filter[type]=2")
    assert [(row["dst"], row["type"]) for row in told["data"]] == [("999995998", OUTGOING)]


async def test_every_filter_and_every_order(place: Place) -> None:
    outgoing, internal = await both(place)
    incoming = await place.called("998901112233", "101", ringing=3, seconds=5, ago=120)
    ids = {row["dst"] + row["src"]: row["id"] for row in (await place.client.get("/call-history"))["data"]}
    out, inside, into = ids["999995998100"], ids["101100"], ids["101998901112233"]
    for query, expected in {
        "filter[src]=100": [inside, out],
        "filter[dst]=101": [inside, into],
        "filter.dst=101": [inside, into],
        "filter[external_number]=781130590": [out],
        "filter[external_number]=998901112233": [into],
        "filter[duration]=23": [out],
        "filter[conversation]=5": [into],
        "filter[conversation]=0": [inside],
        "filter[type]=1": [into],
        "filter[type]=3": [inside],
        "filter[status]=1": [out, into],
        "filter[status]=2": [inside],
        "filter[status]=4": [],
        f"filter[to]={local(incoming)}": [into],
        f"filter[from]={local(min(outgoing, internal))}": [inside, out],
        "sort=-id": [into, out, inside],
        "sort=duration": [inside, into, out],
        "sort=-conversation": [out, into, inside],
        "sort=type": [into, out, inside],
        "sort=-status&filter[src]=100": [inside, out],
        "sort=datetime&per_page=1": [into],
    }.items():
        told = await place.client.get(f"/call-history?{query.replace(' ', '%20')}")
        assert [row["id"] for row in told["data"]] == expected, query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("per_page=0", "per_page"),
        ("per_page=301", "per_page"),
        ("sort=integration", "sort"),
        ("filter[type]=4", "filter.type"),
        ("filter[status]=5", "filter.status"),
        ("filter[duration]=x", "filter.duration"),
        ("filter[from]=soon", "filter.from"),
    ],
)
async def test_a_parameter_that_is_none_is_named(place: Place, query: str, field: str) -> None:
    status, told = await place.client.ask("GET", f"/call-history?{query}")
    assert (status, told["status"], told["code"], told["result"]) == (422, "error", 422, [])
    assert list(told["errors"]) == [field]


async def test_it_needs_a_token(place: Place) -> None:
    status, told = await place.stranger.ask("GET", "/call-history")
    assert (status, told["status"], told["code"], told["result"]) == (401, "error", 401, [])


async def test_the_page_list_is_that_of_the_document(place: Place, tmp_path: Path) -> None:
    """747 calls, 15 to a page: what the document shows of its 50 pages."""
    await imported(place.house.settings, tmp_path, 747)
    told = await place.client.get("/api/v1/call-history?per_page=15")
    base = f"{place.client.base_url}/api/v1/call-history"

    def page(number: int) -> str:
        return f"{base}?per_page=15&page={number}"

    assert told["links"] == {"first": page(1), "last": page(50), "prev": None, "next": page(2)}
    assert told["meta"] == {
        "current_page": 1,
        "from": 1,
        "last_page": 50,
        "links": [
            {"url": None, "label": "« Previous", "active": False},
            {"url": page(1), "label": "1", "active": True},
            *({"url": page(number), "label": str(number), "active": False} for number in range(2, 11)),
            {"url": None, "label": "...", "active": False},
            *({"url": page(number), "label": str(number), "active": False} for number in (49, 50)),
            {"url": page(2), "label": "Next »", "active": False},
        ],
        "path": base,
        "per_page": 15,
        "to": 15,
        "total": 747,
    }
    assert [row["integration"] for row in told["data"]] == [[]] * 15
    last = await place.client.get("/api/v1/call-history?per_page=15&page=50")
    assert (len(last["data"]), last["meta"]["from"], last["meta"]["to"]) == (12, 736, 747)


async def imported(settings: Settings, tmp_path: Path, count: int) -> None:
    """A history from before, as `import-cdr` reads it beside the daemon."""
    master, config = tmp_path / "Master.csv", tmp_path / "import.toml"
    master.write_bytes(lines(*range(count)))
    config.write_text(f'[store]\npath = "{settings.store.path}"\n[ami]\nenabled = false\n')
    command = [sys.executable, "-m", "service", "--config", str(config), "import-cdr", str(master)]
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1, cwd=Path(__file__).parents[2])
    _out, err = await process.communicate()
    assert process.returncode == 0, err
