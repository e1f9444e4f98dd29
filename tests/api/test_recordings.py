"""Recordings of calls over HTTP: the right call's, to the right people, whatever else is asked for."""

import io
import re
import shutil
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.api.edge import API_PREFIX, Edge
from service.api.links import Signer
from service.call import Call, Leg
from service.recordings import Recordings
from service.store import calls
from tests.api.site import KEY, TASHKENT, TOKENS, Site, at, write_wav
from tests.audio.files import RECORDINGS
from tests.descriptors import no_more_open_than, open_files

START = at("2026-11-20T21:50:47")
NAME = "external-100-15551234567-20261120-215047-1795193447.1.wav"
INTERNAL = re.compile(r"\d{2,6}")
SIGNER = Signer(KEY)

Made = Callable[..., Awaitable[Call]]


@pytest.fixture
def monitor(site: Site) -> Path:
    """Where this day's recordings lie."""
    day = site.spool.parent / "monitor" / "2026" / "11" / "20"
    day.mkdir(parents=True)
    return day


@pytest.fixture
def made(site: Site) -> Made:
    """Has a call made, from this extension."""

    async def make(number: int = 1, src: str = "100", recording: str = "") -> Call:
        uniqueid = f"{START}.{number}"
        dst, channel = "15551234567", f"PJSIP/{src}-0000000{number}"
        leg = Leg(
            *(uniqueid, uniqueid, number, channel, f"PJSIP/trunk-0000000{number}", src, dst, "from-internal"),
            *(f'"" <{src}>', "Dial", "", "", "", "", "", recording),
            *(START, START + 2, START + 62, 62, 60, "ANSWERED", f"{number}|{number}|{number}"),
        )
        await site.store.write(lambda tx: calls.record(tx, [leg], INTERNAL))
        found = await site.store.read(lambda conn: calls.load(conn, list(range(1, 100))))
        return next(call for call in found if uniqueid in call.uniqueids)

    return make


def link_of(site: Site, call: Call, signer: Signer = SIGNER, prefix: str = "") -> str | None:
    recordings = Recordings(site.spool.parent / "monitor", TASHKENT)
    return Edge(TASHKENT, site.url + prefix, signer, recordings.find).recording_url(call)


def path_of(call: Call) -> str:
    return f"/call-history/{call.id}/recording"


def signed(site: Site, call: Call, prefix: str = "") -> str:
    link = link_of(site, call, prefix=prefix)
    assert link is not None
    return link


async def test_a_link_gives_the_recording_without_a_token(site: Site, monitor: Path, made: Made) -> None:
    write_wav(monitor / NAME, range(-8000, 8000))
    call = await made(recording=NAME)
    content = (monitor / NAME).read_bytes()
    for prefix in ("", API_PREFIX):
        link = signed(site, call, prefix)
        answer = await site.ask(link, None)
        assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, content, "audio/wav")
    name = 'inline; filename="call-2026-11-20-215047-100-15551234567.wav"'
    assert answer.headers["Content-Disposition"] == name
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    part = await site.ask(link, None, headers={"Range": "bytes=44-143"})
    assert (part.status, part.body) == (206, content[44:144])
    head = await site.ask(link, None, "HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(content)))
    again = await site.ask(link, None, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304


async def test_a_call_without_a_recording_has_no_link_and_is_404(site: Site, monitor: Path, made: Made) -> None:
    call = await made()
    assert link_of(site, call) is None
    assert (await site.ask(path_of(call))).status == 404


async def test_it_is_found_by_the_uniqueid_too(site: Site, monitor: Path, made: Made) -> None:
    first, twelfth = await made(1), await made(12)
    write_wav(monitor / f"out-{START}.12.wav", range(1000))
    assert link_of(site, first) is None
    assert (await site.ask(path_of(first))).status == 404
    assert (await site.ask(signed(site, twelfth), None)).status == 200


async def test_what_browsers_do_not_play_is_converted(site: Site, monitor: Path, made: Made) -> None:
    call = await made(recording="a.gsm")
    (monitor / "a.gsm").write_bytes((RECORDINGS / "message-22.gsm").read_bytes())
    link = signed(site, call)
    answer = await site.ask(link, None)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/wav")
    with wave.open(io.BytesIO(answer.body)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(2.22, abs=0.03)
    for wanted, content_type in (("mp3", "audio/mpeg"), ("opus", "audio/ogg"), ("original", "audio/gsm")):
        other = await site.ask(f"{link}&format={wanted}", None)
        assert (other.status, other.headers["Content-Type"]) == (200, content_type)
    assert other.body == (monitor / "a.gsm").read_bytes()
    assert (await site.ask(f"{link}&format=exe", None)).status == 422


async def test_a_recording_that_went_is_410(site: Site, monitor: Path, made: Made) -> None:
    told, borne = await made(1, recording=NAME), await made(2)
    write_wav(monitor / NAME, range(1000))
    write_wav(monitor / f"{START}.2.wav", range(1000))
    links = [signed(site, told), signed(site, borne)]
    shutil.rmtree(monitor)
    for link in (*links, path_of(told)):
        answer = await site.ask(link, "reader")
        assert (answer.status, answer.json["message"]) == (410, "The recording of this call is gone.")


async def test_the_path_works_with_a_token_that_may_see_the_call(site: Site, monitor: Path, made: Made) -> None:
    mine, other = await made(1, "100", "a.wav"), await made(2, "200", "a.wav")
    write_wav(monitor / "a.wav", range(1000))
    statuses = {token: (await site.ask(path_of(mine), token)).status for token in (*TOKENS, "wrong", None)}
    assert statuses == dict.fromkeys(TOKENS, 200) | {"wrong": 401, None: 401}
    assert (await site.ask(path_of(other), "reader")).status == 200
    assert (await site.ask(path_of(other), "box100")).status == 404


async def test_a_link_opens_nothing_but_its_own_call(site: Site, monitor: Path, made: Made) -> None:
    call, other = await made(1, recording="a.wav"), await made(2, recording="a.wav")
    message = await site.leave()
    write_wav(monitor / "a.wav", range(1000))
    query = urlsplit(signed(site, call)).query
    assert (await site.ask(f"{path_of(call)}?{query}", None)).status == 200
    assert (await site.ask(f"{path_of(other)}?{query}", None)).status == 401
    assert (await site.ask(f"{path_of(call)}?{query.replace('expires=', 'expires=9')}", None)).status == 401
    assert (await site.ask(f"/call-history/4711/recording?{query}", None)).status == 401
    assert (await site.ask(f"/message-voice/{message.uuid}/audio?{query}", None)).status == 401
    assert (await site.ask(f"{path_of(call)}?{SIGNER.query(str(call.id))}", None)).status == 401
    assert (await site.ask(f"{path_of(call)}?{SIGNER.query(call.uuid)}", None)).status == 401
    assert (await site.ask(f"{path_of(call)}?{Signer(b'0' * 16).query(query)}", None)).status == 401
    old = link_of(site, call, Signer(KEY, lambda: 1000))
    assert old is not None
    assert (await site.ask(old, None)).status == 401
    assert (await site.ask(old, "reader")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/call-history/../../etc/passwd/recording",
        "/call-history/%2e%2e%2f%2e%2e%2fetc%2fpasswd/recording",
        "/call-history/4711/recording",
        "/call-history/-1/recording",
        "/call-history/1.5/recording",
        "/call-history/1%00/recording",
        "/call-history/%D9%A1/recording",
        "/call-history/9999999999999999999999/recording",
        "/call-history/1/recording/..%2f..%2fa.wav",
        "/call-history/a.wav/recording",
    ],
)
async def test_no_other_name_finds_a_file(site: Site, monitor: Path, made: Made, path: str) -> None:
    write_wav(monitor / "a.wav", range(1000))
    await made(recording="a.wav")
    assert (await site.ask(path)).status == 404


@pytest.mark.parametrize("told", ["../secret.wav", "../../../../secret.wav", "{root}/../secret.wav", "link.wav"])
async def test_nothing_outside_the_recordings_is_sent_whatever_the_pbx_tells(
    site: Site, monitor: Path, made: Made, told: str
) -> None:
    root = site.spool.parent / "monitor"
    write_wav(root.parent / "secret.wav", range(1000))
    (monitor / "link.wav").symlink_to(root.parent / "secret.wav")
    call = await made(recording=told.replace("{root}", str(root)))
    assert link_of(site, call) is None
    assert (await site.ask(path_of(call))).status == 410


async def test_no_descriptor_stays_open(site: Site, monitor: Path, made: Made) -> None:
    write_wav(monitor / "a.wav", range(1000))
    call, silent = await made(1, recording="a.wav"), await made(2)

    async def everything() -> int:
        for path in (path_of(call), f"{path_of(call)}?format=mp3", path_of(silent)):
            await site.ask(path)
        return open_files()

    before = await everything()
    await everything()
    assert await no_more_open_than(before)
