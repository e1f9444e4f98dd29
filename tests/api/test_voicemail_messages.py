"""The messages of document 002, asked as its clients ask; what changes the PBX is in tests/dialects, too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from service.api.voicemail_messages import PATH
from service.errors import ConflictError, UnavailableError
from service.model import Counts, Folder, Mailbox, Message
from service.store import mailboxes
from tests.api.described import assert_described
from tests.api.site import BOX, OTHER_BOX, TASHKENT, Site, at, running
from tests.api.test_message_voice import FailingPbx
from tests.sounds import opus

DONE = {"message": "successfully"}
SAME_ELSEWHERE = Mailbox("other", "100")
ONE, DOWNLOAD = f"{PATH}/{{id}}", f"{PATH}/{{id}}/download"


async def badge(site: Site, mailbox: Mailbox = BOX) -> Counts:
    return (await site.store.read(mailboxes.counts)).get(mailbox, Counts())


async def ids(site: Site, query: str = "", token: str = "reader") -> list[str]:
    answer = await site.ask(f"{PATH}{query}", token)
    assert answer.status == 200
    assert_described("GET", PATH, answer)
    return [row["id"] for row in answer.json["data"]]


async def test_a_message_is_the_resource_of_the_document(site: Site) -> None:
    message = await site.leave("0891234567", time=at("2021-08-27T11:13:44"), samples=[0] * 60_000)
    expected = {
        "id": message.uuid,
        "created_at": "2021-08-27T11:13:44+05:00",
        "caller_id_name": "0891234567",
        "caller_id_number": "0891234567",
        "duration": 7,
        "extension": "100",
    }
    answer = await site.ask(PATH)
    [row] = answer.json["data"]
    link = row.pop("download_url")
    assert row == expected
    assert link.startswith(f"{site.url}{PATH}/{message.uuid}/download?expires=")
    assert (answer.json["limit"], answer.json["offset"], answer.json["total"]) == (10, 0, 1)
    assert answer.headers["Content-Type"] == "application/json"
    one = await site.ask(f"{PATH}/{message.uuid}")
    assert_described("GET", ONE, one)
    assert {name: value for name, value in one.json.items() if name != "download_url"} == expected


async def test_a_caller_with_a_name_shows_it_without_what_turns_the_text(site: Site) -> None:
    await site.leave(name="Jane \u202eDoe")
    [row] = (await site.ask(PATH)).json["data"]
    assert (row["caller_id_name"], row["caller_id_number"]) == ("Jane Doe", "998901234567")


async def test_an_empty_list_is_a_list(site: Site) -> None:
    answer = await site.ask(PATH)
    assert answer.json == {"data": [], "limit": 10, "offset": 0, "total": 0}
    assert_described("GET", PATH, answer)


async def test_the_newest_come_first_a_part_at_a_time(site: Site) -> None:
    times = [1_768_000_000 + 10 * number for number in (3, 1, 4, 1, 5)]
    left = [await site.leave(str(number), time=time) for number, time in enumerate(times)]
    expected = [left[number].uuid for number in (4, 2, 0, 3, 1)]
    assert await ids(site) == expected
    assert await ids(site, "?limit=2") == expected[:2]
    assert await ids(site, "?limit=2&offset=3") == expected[3:]
    past = await site.ask(f"{PATH}?limit=500&offset=5")
    assert past.json == {"data": [], "limit": 500, "offset": 5, "total": 5}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "offset=-1", "limit=x", "extension=..%2f", "extension=a@b@c"]
)
async def test_a_wrong_parameter_is_422_in_the_documents_words(site: Site, query: str) -> None:
    answer = await site.ask(f"{PATH}?{query}")
    assert answer.status == 422
    assert list(answer.json) == ["message"]
    assert_described("GET", PATH, answer)


async def test_the_extension_is_a_mailbox_and_that_of_another_context_is_another(site: Site) -> None:
    mine, other, elsewhere = [await site.leave(box=box) for box in (BOX, OTHER_BOX, SAME_ELSEWHERE)]
    assert await ids(site, "?extension=100") == [mine.uuid]
    assert await ids(site, "?extension=100@default") == [mine.uuid]
    assert await ids(site, "?extension=100@other") == [elsewhere.uuid]
    assert await ids(site, "?extension=200") == [other.uuid]
    assert await ids(site, "?extension=999") == []
    assert len(await ids(site)) == 3


async def test_a_token_of_some_mailboxes_sees_no_others(site: Site) -> None:
    mine = await site.leave()
    others = [await site.leave(box=box) for box in (OTHER_BOX, SAME_ELSEWHERE)]
    assert await ids(site, "", "box100") == [mine.uuid]
    assert (await site.ask(PATH, "box100")).json["total"] == 1
    assert await ids(site, "?extension=200", "box100") == []
    for other in others:
        for method, path in REQUESTS:
            for reference in (other.uuid, str(other.mailbox)):
                answer = await site.ask(f"{PATH}/{reference}{path}", "box100", method)
                assert (answer.status, answer.json) == (404, {"message": "There is no such message."})
    assert await badge(site, OTHER_BOX) == Counts(new=1)


REQUESTS = [
    ("GET", ""),
    ("DELETE", ""),
    ("GET", "/download"),
    ("GET", "/peaks"),
    ("PUT", "/read"),
    ("PUT", "/unread"),
]


@pytest.mark.parametrize(("method", "path"), [*REQUESTS, ("POST", "/restore")])
@pytest.mark.parametrize(
    "reference", ["00000000-0000-0000-0000-000000000000", "999", "100@nowhere", "a%20b", "%00", "%ff", "%ed%a0%80"]
)
async def test_what_is_not_there_is_404(site: Site, method: str, path: str, reference: str) -> None:
    await site.leave()
    answer = await site.ask(f"{PATH}/{reference}{path}", "writer", method)
    assert answer.status == 404
    assert list(answer.json) == ["message"]
    assert_described(method, f"{PATH}/{{id}}{path}", answer)


async def test_a_mailbox_stands_for_its_newest_message(site: Site) -> None:
    await site.leave(time=1_768_000_000)
    newest = await site.leave(time=1_768_000_900)
    await site.leave(time=1_768_000_500)
    box = await site.store.read(lambda conn: mailboxes.box(conn, BOX))
    for reference in ("100", "100@default", box.uuid):
        assert (await site.ask(f"{PATH}/{reference}")).json["id"] == newest.uuid
    assert (await site.ask(f"{PATH}/100/read", "writer", "PUT")).json == DONE
    read = [row["status"]["name"] for row in (await site.ask("/message-voice?sort=datetime")).json["data"]]
    assert read == ["Unread", "Unread", "Read"]


# --- audio


def bytes_of(site: Site, message: Message) -> bytes:
    return (site.spool / f"default/100/INBOX/msg{message.msgnum:04d}.wav").read_bytes()


async def test_the_link_plays_without_a_token_and_the_path_with_one(site: Site) -> None:
    message = await site.leave()
    link = (await site.ask(f"{PATH}/{message.uuid}")).json["download_url"]
    expected = bytes_of(site, message)
    for answer in (
        await site.ask(link, None),
        await site.ask(link.partition("?")[0], "box100"),
        await site.ask(f"{PATH}/100/download"),
    ):
        assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "audio/wav", expected)
        assert_described("GET", DOWNLOAD, answer)
    part = await site.ask(link, None, headers={"Range": "bytes=0-3"})
    assert (part.status, part.body) == (206, b"RIFF")
    head = await site.ask(link, None, "HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(expected)), b"")
    mp3 = await site.ask(f"{link}&format=mp3", None)
    assert (mp3.status, mp3.headers["Content-Type"]) == (200, "audio/mpeg")


async def test_a_link_is_good_for_its_own_message_alone(site: Site) -> None:
    message, other = await site.leave(), await site.leave(box=OTHER_BOX)
    link = (await site.ask(f"{PATH}/{message.uuid}")).json["download_url"]
    for forged in (
        link.replace(message.uuid, other.uuid),
        link.replace(message.uuid, "200"),
        link.replace("expires=", "expires=9"),
        link[:-1] + ("A" if link[-1] != "A" else "B"),
        link.partition("?")[0],
    ):
        answer = await site.ask(forged, None)
        assert (answer.status, list(answer.json)) == (401, ["message"])
        assert_described("GET", DOWNLOAD, answer)
    assert (await site.ask(f"{PATH}/{other.uuid}/download", "box100")).status == 404


async def test_audio_that_is_gone_is_410_and_has_no_link(site: Site) -> None:
    message = await site.leave()
    (site.spool / "default/100/INBOX/msg0000.wav").unlink()
    for path in ("download", "peaks"):
        answer = await site.ask(f"{PATH}/{message.uuid}/{path}")
        assert (answer.status, answer.json) == (410, {"message": "The audio of this message is gone."})
        assert_described("GET", f"{PATH}/{{id}}/{path}", answer)
    assert (await site.ask(f"{PATH}/{message.uuid}")).json["download_url"] is None


async def test_the_outline_is_that_of_the_recording(site: Site) -> None:
    message = await site.leave(samples=[*[0] * 8000, *[16384, -16384] * 4000])
    answer = await site.ask(f"{PATH}/{message.uuid}/peaks")
    assert answer.status == 200
    assert_described("GET", f"{PATH}/{{id}}/peaks", answer)
    peaks = answer.json["peaks"]
    assert answer.json["duration"] == 2.0
    assert 0 < len(peaks) <= 800
    assert set(peaks[: len(peaks) // 2 - 1]) == {0.0}
    assert set(peaks[len(peaks) // 2 + 1 :]) == {0.5}


async def test_what_cannot_be_drawn_is_422(site: Site, tmp_path: Path) -> None:
    broken = tmp_path / "broken.g723"
    broken.write_bytes(bytes(100))
    message = await site.leave(sound=broken)
    answer = await site.ask(f"{PATH}/{message.uuid}/peaks")
    assert (answer.status, list(answer.json)) == (422, ["message"])
    assert_described("GET", f"{PATH}/{{id}}/peaks", answer)


async def test_opus_is_drawn_too(site: Site, tmp_path: Path) -> None:
    (tmp_path / "tone.opus").write_bytes(opus())
    message = await site.leave(sound=tmp_path / "tone.opus")
    answer = await site.ask(f"{PATH}/{message.uuid}/peaks")
    assert answer.status == 200
    assert abs(answer.json["duration"] - 1) < 0.02
    assert max(answer.json["peaks"]) > 0.05


# --- changes; without a PBX they stay here


async def change(site: Site, method: str, path: str, token: str = "writer") -> Any:
    answer = await site.ask(f"{PATH}{path}", token, method)
    assert answer.status == 200
    parts = path.split("/")
    assert_described(method, f"{PATH}/" + "/".join(["{id}", *parts[2:]]), answer)
    return answer.json


async def test_marking_changes_the_badge_and_marking_again_nothing(site: Site) -> None:
    message = await site.leave()
    for _ in range(2):
        assert await change(site, "PUT", f"/{message.uuid}/read") == DONE
        assert await badge(site) == Counts(old=1)
    for _ in range(2):
        assert await change(site, "PUT", f"/{message.uuid}/unread", "box100") == DONE
        assert await badge(site) == Counts(new=1)


async def test_a_deleted_message_is_gone_everywhere_and_comes_back_as_it_was(site: Site) -> None:
    message = await site.leave(folder=Folder.WORK)
    before = (await site.ask("/message-voice")).json["data"]
    link = before[0]["recorded_file_url"]
    assert await change(site, "DELETE", f"/{message.uuid}") == DONE
    assert await badge(site) == Counts()
    assert (await site.ask("/message-voice")).json["data"] == []
    assert await ids(site) == []
    assert (await site.ask("/accounts/100/voicemails")).json == []
    for path in (f"{PATH}/{message.uuid}", f"/accounts/100/voicemails/{message.uuid}", link):
        assert (await site.ask(path)).status == 404
    assert (await site.ask(f"{PATH}/{message.uuid}", "writer", "DELETE")).status == 404
    for _ in range(2):
        assert await change(site, "POST", f"/{message.uuid}/restore") == DONE
        after = (await site.ask("/message-voice")).json["data"]
        assert [row | {"recorded_file_url": link} for row in after] == before
        assert await badge(site) == Counts(old=0, saved=1)


async def test_somebody_elses_message_is_not_restored(site: Site) -> None:
    message = await site.leave(box=OTHER_BOX)
    await change(site, "DELETE", f"/{message.uuid}")
    answer = await site.ask(f"{PATH}/{message.uuid}/restore", "box100", "POST")
    assert (answer.status, list(answer.json)) == (404, ["message"])
    assert await badge(site, OTHER_BOX) == Counts()
    await change(site, "POST", f"/{message.uuid}/restore")
    answer = await site.ask(f"{PATH}/{message.uuid}/restore", "box100", "POST")
    assert answer.status == 404


@pytest.mark.parametrize(("method", "path"), [request for request in REQUESTS if request[0] != "GET"])
async def test_changing_needs_a_token_that_may_write(site: Site, method: str, path: str) -> None:
    message = await site.leave()
    for token, status in ((None, 401), ("nobody", 401), ("reader", 403)):
        answer = await site.ask(f"{PATH}/{message.uuid}{path}", token, method)
        assert (answer.status, list(answer.json)) == (status, ["message"])
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        assert_described(method, f"{PATH}/{{id}}{path}", answer)
    assert await badge(site) == Counts(new=1)


class StubbornPbx(FailingPbx):
    """Stands in for a PBX that does nothing of all that."""

    async def mark_unread(self, wanted: Sequence[Message]) -> int:  # noqa: ARG002 -- the signature of Pbx
        raise self.error

    async def delete(self, wanted: Sequence[Message]) -> int:  # noqa: ARG002 -- the signature of Pbx
        raise self.error


@pytest.mark.parametrize(
    ("error", "status"), [(UnavailableError("the PBX cannot be reached"), 503), (ConflictError("it stays"), 409)]
)
async def test_a_pbx_in_trouble_is_told_of_and_nothing_changes(
    tmp_path: Path, error: UnavailableError | ConflictError, status: int
) -> None:
    pbx = StubbornPbx(error)
    async with running(tmp_path, pbx=pbx) as site:
        pbx.site = site
        unread, read = await site.leave(), await site.leave(folder=Folder.OLD)
        for method, path in (
            ("PUT", f"/{unread.uuid}/read"),
            ("PUT", f"/{read.uuid}/unread"),
            ("DELETE", f"/{read.uuid}"),
        ):
            answer = await site.ask(f"{PATH}{path}", "writer", method)
            assert (answer.status, list(answer.json)) == (status, ["message"])
            assert ("Retry-After" in answer.headers) == (status == 503)
            assert_described(method, f"{PATH}{path.replace(unread.uuid, '{id}').replace(read.uuid, '{id}')}", answer)
        assert await badge(site) == Counts(new=1, old=1)


# --- the dialect's words, whatever is asked


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/voicemail/message/x/nothing", 404),
        ("GET", "/v1/voicemail/message/x/y/z", 404),
        ("POST", "/v1/voicemail/message", 405),
        ("PATCH", "/v1/voicemail/message/x", 405),
        ("GET", "/v1/voicemail/message/x/read", 405),
    ],
)
async def test_what_it_has_not_is_said_in_its_own_words(site: Site, method: str, path: str, status: int) -> None:
    answer = await site.ask(path, "admin", method)
    assert (answer.status, list(answer.json)) == (status, ["message"])
    assert ("Allow" in answer.headers) == (status == 405)


async def test_it_has_no_other_prefix(site: Site) -> None:
    await site.leave()
    for prefix in ("/api/v1", "/api"):
        assert (await site.ask(f"{prefix}{PATH}")).status == 404


def test_the_sites_timezone_is_not_utc() -> None:
    """Else the offset above would say nothing."""
    assert str(TASHKENT) == "Asia/Tashkent"
