"""The dialect of document 001, asked as its clients ask."""

from collections.abc import Sequence

import pytest

from service.call import Leg
from service.store import calls, mailboxes
from tests.api.site import BOX, TASHKENT, Site, at
from tests.store.ledger import INTERNAL, START, leg

ANSWERED_AT = at("2026-01-13T17:54:36")


def call_leg(number: int, time: int, src: str, dst: str, length: int = 23, **told: str) -> Leg:
    """A leg of a call from that time on, which rang for two seconds."""
    since = time - START
    channel = f"PJSIP/{src or 'trunk'}-{number:08x}"
    return leg(number, since, since + length, src=src, dst=dst, channel=channel, dstchannel=f"PJSIP/{dst}-1", **told)


async def record(site: Site, *legs: Leg) -> None:
    await site.store.write(lambda tx: calls.record(tx, legs, INTERNAL))


async def days(site: Site) -> None:
    """Four calls, one a day: a new one each time, of every type, one of them not answered."""
    await record(
        site,
        call_leg(1, at("2026-01-13T17:30:00"), "998901234567", "100", 20, did="781130590"),
        call_leg(2, at("2026-01-14T23:59:59"), "100", "998901234567", 30, outbound_cnum="781130590"),
        call_leg(3, at("2026-01-15T00:00:00"), "100", "101", 10, disposition="NO ANSWER"),
        call_leg(4, at("2026-01-16T12:00:00"), "", "101", 40, disposition="BUSY"),
    )


async def test_a_call_is_the_resource_of_the_document(site: Site) -> None:
    await record(site, call_leg(1, ANSWERED_AT, "100", "999995998", 23, outbound_cnum="781130590"))
    answer = await site.ask("/call-history")
    [call] = answer.json["data"]
    [stored] = await site.store.read(lambda conn: calls.load(conn, [call["id"]]))
    assert call == {
        "id": 1,
        "call_id": stored.uuid,
        "date_time": "2026-01-13 17:54:36",
        "src": "100",
        "dst": "999995998",
        "external_number": "781130590",
        "duration": 23,
        "conversation": 21,
        "type": {"number": 2, "name": "Outgoing"},
        "status": {"number": 1, "name": "Answered"},
        "recorded_file_url": None,
        "integration": [],
        "voicemail_id": None,
    }
    assert list(call)[:12] == [
        *("id", "call_id", "date_time", "src", "dst", "external_number", "duration", "conversation", "type", "status"),
        *("recorded_file_url", "integration"),
    ]
    assert answer.headers["Content-Type"] == "application/json"


async def test_an_empty_history_is_a_page_too(site: Site) -> None:
    url = f"{site.url}/call-history"
    assert (await site.ask("/call-history")).json == {
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


async def test_a_long_history_is_paged_as_in_the_document(site: Site) -> None:
    """747 calls by fifteen: the very list of pages that document 001 shows."""
    await record(site, *(call_leg(number, ANSWERED_AT + number, "100", "101") for number in range(747)))
    answer = await site.ask("/api/v1/call-history?per_page=15")
    url = f"{site.url}/api/v1/call-history"
    kept = f"{url}?per_page=15&page="
    assert answer.json["links"] == {"first": f"{kept}1", "last": f"{kept}50", "prev": None, "next": f"{kept}2"}
    meta = answer.json["meta"]
    assert {name: meta[name] for name in ("current_page", "from", "last_page", "path", "per_page", "to", "total")} == {
        "current_page": 1,
        "from": 1,
        "last_page": 50,
        "path": url,
        "per_page": 15,
        "to": 15,
        "total": 747,
    }
    assert [entry["label"] for entry in meta["links"]] == [
        "« Previous",
        *map(str, range(1, 11)),
        *("...", "49", "50", "Next »"),
    ]
    last = await site.ask(answer.json["links"]["last"])
    assert (len(last.json["data"]), last.json["meta"]["from"], last.json["meta"]["to"]) == (12, 736, 747)
    beyond = await site.ask("/call-history?page=51&per_page=15")
    assert (beyond.status, beyond.json["data"], beyond.json["meta"]["total"]) == (200, [], 747)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("filter[src]=100", [2, 3]),
        ("filter.src=100", [2, 3]),
        ("filter%5Bdst%5D=101", [3, 4]),
        ("filter[src]=100&filter[dst]=101", [3]),
        ("filter[external_number]=781130590", [1, 2]),
        ("filter[duration]=30", [2]),
        ("filter[conversation]=0", [3, 4]),
        ("filter[conversation]=28", [2]),
        ("filter[type]=1", [1, 4]),
        ("filter[type]=2", [2]),
        ("filter[type]=3", [3]),
        ("filter[status]=1", [1, 2]),
        ("filter[status]=2", [3]),
        ("filter[status]=3", [4]),
        ("filter[status]=4", []),
        ("filter[from]=2026-01-15", [3, 4]),
        ("filter[to]=2026-01-13", [1]),
        ("filter[from]=2026-01-14 23:59:59&filter.to=2026-01-15 00:00:00", [2, 3]),
        ("filter[type]=1&filter[from]=2026-01-14", [4]),
        ("sort=-id", [4, 3, 2, 1]),
        ("sort=-datetime", [4, 3, 2, 1]),
        ("sort=src", [4, 2, 3, 1]),
        ("sort=dst&per_page=2", [1, 3]),
        ("sort=external_number", [3, 4, 1, 2]),
        ("sort=-duration", [4, 2, 1, 3]),
        ("sort=conversation", [3, 4, 1, 2]),
        ("sort=-type", [3, 2, 4, 1]),
        ("sort=status&page=2&per_page=3", [4]),
    ],
)
async def test_filters_and_sorts_choose_calls(site: Site, query: str, found: Sequence[int]) -> None:
    await days(site)
    answer = await site.ask(f"/call-history?{query.replace(' ', '%20')}")
    assert [call["id"] for call in answer.json["data"]] == found


@pytest.mark.parametrize(
    "query",
    [
        "filter[type]=0",
        "filter[type]=4",
        "filter[status]=5",
        "filter[status]=11",
        "filter[type]=x",
        "filter[status]=1.5",
    ],
)
async def test_a_type_or_a_status_that_is_none_is_an_error(site: Site, query: str) -> None:
    answer = await site.ask(f"/call-history?{query}")
    name = query.partition("=")[0].replace("[", ".").removesuffix("]")
    assert (answer.status, answer.json["code"], answer.json["status"], answer.json["result"]) == (422, 422, "error", [])
    assert list(answer.json["errors"]) == [name]
    assert all(isinstance(problem, str) for problem in answer.json["errors"][name])


async def test_all_that_is_wrong_is_told_at_once(site: Site) -> None:
    wrong = "page=0&per_page=301&sort=folder&filter[duration]=long&filter[conversation]=x&filter[from]=13.01.2026"
    answer = await site.ask(f"/call-history?{wrong}")
    assert answer.status == 422
    assert set(answer.json["errors"]) == {
        *("page", "per_page", "sort"),
        *("filter.duration", "filter.conversation", "filter.from"),
    }


async def test_a_repeated_page_shows_what_has_changed_since(site: Site) -> None:
    await record(site, call_leg(1, ANSWERED_AT, "100", "101", disposition="NO ANSWER"))
    pages = [await site.ask("/call-history") for _ in range(2)]
    assert pages[0].body == pages[1].body
    later = call_leg(2, ANSWERED_AT + 30, "100", "102", linkedid=f"{ANSWERED_AT}.1")
    await record(site, later)
    [call] = (await site.ask("/call-history")).json["data"]
    assert (call["status"]["name"], call["duration"]) == ("Answered", 53)


async def test_what_was_told_of_endpoints_is_told(site: Site) -> None:
    await site.store.write(
        lambda tx: tx.conn.execute("INSERT INTO webhook (name, cursor, calls, messages) VALUES ('amocrm', 0, 1, 0)")
    )
    await record(site, call_leg(1, ANSWERED_AT, "100", "101"))
    [call] = (await site.ask("/call-history")).json["data"]
    [integration] = call["integration"]
    times = [integration.pop(name) for name in ("created_at", "updated_at")]
    assert all(len(time) == len("2026-01-13T12:55:02.000000Z") and time.endswith("Z") for time in times)
    assert integration == {
        "id": 1,
        "call_history_id": call["id"],
        "integration_type": "amocrm",
        "status": "pending",
        "error_message": None,
    }


async def test_a_recording_is_linked_where_it_is_there_and_the_link_plays(site: Site) -> None:
    day = site.spool.parent / "monitor" / "2026" / "01" / "13"
    day.mkdir(parents=True)
    (day / f"{ANSWERED_AT}.1.wav").write_bytes(b"RIFF" + bytes(100))
    await record(site, call_leg(1, ANSWERED_AT, "100", "101"), call_leg(2, ANSWERED_AT + 99, "100", "101"))
    calls_told = (await site.ask("/api/v1/call-history")).json["data"]
    links = [call["recorded_file_url"] for call in calls_told]
    assert links[0].startswith(f"{site.url}/api/v1/call-history/1/recording?expires=")
    assert links[1] is None
    assert (await site.ask(f"{links[0]}&format=original", None)).status == 200


async def test_a_mailbox_token_sees_the_calls_in_which_its_extension_takes_part(site: Site) -> None:
    await site.store.write(lambda tx: mailboxes.ensure(tx, BOX))
    await days(site)
    answer = await site.ask("/call-history", "box100")
    assert [call["id"] for call in answer.json["data"]] == [1, 2, 3]
    assert answer.json["meta"]["total"] == 3
    for query, found in (("filter[dst]=101", [3]), ("filter[status]=3", []), ("sort=-duration&per_page=1", [2])):
        assert [call["id"] for call in (await site.ask(f"/call-history?{query}", "box100")).json["data"]] == found
    assert (await site.ask("/call-history")).json["meta"]["total"] == 4


async def test_a_caller_cannot_turn_the_text_around(site: Site) -> None:
    await record(site, call_leg(1, ANSWERED_AT, "12\u202e34567", "100"))
    [call] = (await site.ask("/call-history")).json["data"]
    assert call["src"] == "1234567"


async def test_times_are_those_of_the_pbx(site: Site) -> None:
    await record(site, call_leg(1, at("2026-01-13T00:00:00", TASHKENT), "100", "101"))
    assert (await site.ask("/call-history?filter[from]=2026-01-13&filter[to]=2026-01-13")).json["meta"]["total"] == 1
    assert (await site.ask("/call-history?filter[to]=2026-01-12")).json["meta"]["total"] == 0
