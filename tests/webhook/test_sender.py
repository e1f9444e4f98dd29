import asyncio
import contextlib
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from service.settings import Webhook
from service.webhook.address import Lookup
from service.webhook.answer import Answer, Outcome
from service.webhook.sender import Limits, Sender
from tests.hurry import Hurry
from tests.webhook.test_address import Names
from tests.webhook.world import (
    QUICK,
    SECRET,
    Clock,
    Receiver,
    breaking_off,
    endpoint,
    hanging,
    hanging_up,
    receiver,
    saying,
)

BODY = b'{"type":"test","data":{"uuid":"1"}}'


TLS = Path(__file__).parent.parent / "fixtures" / "tls"


async def send(
    webhook: Webhook,
    *,
    now: float,
    limits: Limits = QUICK,
    lookup: Lookup = socket.getaddrinfo,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    async with Sender(webhook, limits=limits, lookup=lookup, tls=tls) as sender:
        return await sender.send("msg_1", BODY, now)


def outside(url: str) -> Webhook:
    """An endpoint without allow_private, whose url no configuration has looked at."""
    return Webhook(name="crm", url=url, secret=endpoint("crm", url).secret, allow_private=False, events=("call",))


@contextlib.contextmanager
def socket_that_listens() -> Iterator[int]:
    """The port of one that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@dataclass
class Door:
    """Counts who connects, and says nothing."""

    port: int = 0
    knocks: int = 0

    async def knock(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        writer.close()


@contextlib.asynccontextmanager
async def door() -> AsyncIterator[Door]:
    made = Door()
    server = await asyncio.start_server(made.knock, "127.0.0.1", 0)
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


async def test_what_was_signed_arrives(crm: Receiver, clock: Clock) -> None:
    assert await send(endpoint("crm", crm.url), now=clock()) == Answer(Outcome.DELIVERED, "204")
    (hit,) = crm.hits
    assert hit.body == {"type": "test", "data": {"uuid": "1"}}
    assert hit.headers["webhook-id"] == "msg_1"
    assert "cookie" not in hit.headers


async def test_what_an_endpoint_said_is_told_but_not_more_than_500_characters(crm: Receiver, clock: Clock) -> None:
    crm.usually = saying(422, "no\n" + "x" * 100_000)
    said = await send(endpoint("crm", crm.url), now=clock())
    assert said.outcome is Outcome.FAILED
    assert said.words.startswith("422 no xxx")
    assert len(said.words) == 500


async def test_a_redirect_is_not_followed(crm: Receiver, other: Receiver, clock: Clock) -> None:
    crm.usually = saying(307, Location=other.url + "?secret=1")
    said = await send(endpoint("crm", crm.url), now=clock())
    assert said.outcome is Outcome.POSTPONED
    assert said.words.startswith("redirects are not followed: 307 to http://127.0.0.1:")
    assert "secret" not in said.words
    assert other.hits == []


async def test_no_cookie_is_kept(crm: Receiver, clock: Clock) -> None:
    crm.usually = saying(204, Set_Cookie="a=b")
    async with Sender(endpoint("crm", crm.url), limits=QUICK) as sender:
        for _ in range(2):
            await sender.send("msg_1", BODY, clock())
    assert ["cookie" in hit.headers for hit in crm.hits] == [False, False]


async def test_a_proxy_of_the_environment_is_not_used(
    crm: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with door() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert (await send(endpoint("crm", crm.url), now=clock())).outcome is Outcome.DELIVERED
        assert proxy.knocks == 0


async def test_one_that_hangs_is_left_when_its_time_is_over(crm: Receiver, clock: Clock) -> None:
    crm.usually = hanging
    said = await send(endpoint("crm", crm.url), now=clock(), limits=Limits(total_s=0.05))
    assert said == Answer(Outcome.POSTPONED, "no answer within 0.05 s")


async def test_one_that_never_gets_connected_is_left_when_its_time_is_over(clock: Clock) -> None:
    """TLS that never begins belongs to connecting."""
    with socket_that_listens() as port:
        said = await send(endpoint("crm", f"https://127.0.0.1:{port}/"), now=clock(), limits=Limits(connect_s=0.05))
    assert said == Answer(Outcome.POSTPONED, "no connection within 0.05 s")


async def test_an_answer_that_ends_within_its_head_is_none(crm: Receiver, clock: Clock) -> None:
    crm.usually = hanging_up
    said = await send(endpoint("crm", crm.url), now=clock())
    assert said.outcome is Outcome.POSTPONED
    assert "closed" in said.words or "not HTTP" in said.words


async def test_a_2xx_counts_though_the_rest_of_the_answer_does_not_come(crm: Receiver, clock: Clock) -> None:
    crm.usually = breaking_off
    assert (await send(endpoint("crm", crm.url), now=clock())).outcome is Outcome.DELIVERED


async def test_an_answer_whose_body_never_ends_counts_for_what_its_head_says(crm: Receiver, clock: Clock) -> None:
    begun = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=410, headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"gone")
        begun.set()
        return await hanging(request)

    crm.usually = endless
    sending = asyncio.ensure_future(send(endpoint("crm", crm.url), now=clock()))
    await begun.wait()
    await Hurry().until(sending.done)
    assert await sending == Answer(Outcome.FAILED, "410 gone")


async def test_no_more_of_an_answer_is_read_than_may_be(crm: Receiver, clock: Clock) -> None:
    async def pouring(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=500)
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await answer.write(b"x" * 65536)
        return answer

    crm.usually = pouring
    said = await send(endpoint("crm", crm.url), now=clock())
    assert said.words == f"500 {'x' * 496}"


async def test_what_is_not_http_is_told(clock: Clock) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        said = await send(endpoint("crm", f"http://127.0.0.1:{port}/"), now=clock())
    assert said == Answer(Outcome.POSTPONED, "what it answered is not HTTP")


async def test_nobody_there_is_told(clock: Clock) -> None:
    with socket_that_listens() as port:
        pass
    said = await send(endpoint("crm", f"http://127.0.0.1:{port}/hook?key=1"), now=clock())
    assert said == Answer(Outcome.POSTPONED, f"cannot connect to 127.0.0.1 port {port}: Connection refused")


async def test_plain_http_where_tls_was_wanted_is_told_without_the_url(crm: Receiver, clock: Clock) -> None:
    said = await send(endpoint("crm", crm.url.replace("http:", "https:") + "?key=1"), now=clock())
    assert said.outcome is Outcome.POSTPONED
    assert re.fullmatch(r"cannot connect to 127\.0\.0\.1 port \d+: [A-Z_]+", said.words)


@pytest.mark.parametrize(
    ("host", "certificate", "trusted", "said"),
    [
        ("crm.example", "crm", "crm", ""),
        ("crm.example", "crm", "", "self-signed certificate"),
        ("other.example", "crm", "crm", "Hostname mismatch, certificate is not valid for 'other.example'."),
        ("127.0.0.1", "crm", "crm", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        ("crm.example", "expired", "expired", "certificate has expired"),
    ],
)
async def test_over_tls_only_who_has_a_certificate_for_that_name_is_told_anything(
    *, host: str, certificate: str, trusted: str, said: str, clock: Clock
) -> None:
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(TLS / f"{certificate}.pem", TLS / "key.pem")
    trust = ssl.create_default_context(cafile=TLS / f"{trusted}.pem") if trusted else None
    async with receiver(clock, own) as crm:
        webhook = endpoint("crm", crm.url.replace("127.0.0.1", host))
        told = await send(webhook, now=clock(), lookup=Names(["127.0.0.1"]), tls=trust)
    if said:
        assert told == Answer(Outcome.POSTPONED, f"its certificate is not accepted: {said}")
    else:
        assert told == Answer(Outcome.DELIVERED, "204")
    assert len(crm.hits) == (said == "")


async def test_a_name_that_is_none_is_told(clock: Clock) -> None:
    said = await send(endpoint("crm", "http://nowhere.example/hook?key=1"), now=clock(), lookup=Names([]))
    assert said == Answer(Outcome.POSTPONED, "nowhere.example cannot be resolved: Name or service not known")


async def test_on_the_own_network_a_name_leads_where_it_resolves_to(crm: Receiver, clock: Clock) -> None:
    names = Names(["127.0.0.1"])
    webhook = endpoint("crm", crm.url.replace("127.0.0.1", "crm.internal"))
    assert (await send(webhook, now=clock(), lookup=names)).outcome is Outcome.DELIVERED
    assert names.asked == ["crm.internal"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "\uff11\uff12\uff17.0.0.1",
        "0.0.0.0",
        "[::]",
    ],
)
async def test_no_spelling_of_this_machine_is_connected_to(host: str, clock: Clock) -> None:
    async with door() as inside:
        said = await send(outside(f"https://{host}:{inside.port}/hook"), now=clock())
        assert said.outcome is Outcome.POSTPONED
        assert inside.knocks == 0


async def test_a_name_that_is_rebound_is_refused_with_words_for_a_person(clock: Clock) -> None:
    names = Names(["127.0.0.1"])
    async with door() as inside:
        said = await send(outside(f"https://crm.example:{inside.port}/hook?key=1"), now=clock(), lookup=names)
        assert inside.knocks == 0
    assert said.words == (
        "crm.example is 127.0.0.1, which is no public address; on the own network only with allow_private = true"
    )


async def test_a_name_is_resolved_for_every_connection(clock: Clock) -> None:
    names = Names(["10.0.0.1"])
    async with Sender(outside("https://crm.example/hook"), limits=QUICK, lookup=names) as sender:
        for _ in range(3):
            await sender.send("msg_1", BODY, clock())
    assert names.asked == ["crm.example"] * 3


async def test_on_the_own_network_a_name_is_resolved_for_every_connection_too(crm: Receiver, clock: Clock) -> None:
    crm.usually = saying(204, Connection="close")
    names = Names(["127.0.0.1"])
    webhook = endpoint("crm", crm.url.replace("127.0.0.1", "crm.internal"))
    async with Sender(webhook, limits=QUICK, lookup=names) as sender:
        for _ in range(2):
            await sender.send("msg_1", BODY, clock())
    assert names.asked == ["crm.internal"] * 2


async def test_no_thread_stays_behind(crm: Receiver, clock: Clock) -> None:
    webhook = endpoint("crm", crm.url.replace("127.0.0.1", "crm.internal"))
    async with Sender(webhook, limits=QUICK, lookup=Names(["127.0.0.1"])) as sender:
        await sender.send("msg_1", BODY, clock())
        (thread,) = [one for one in threading.enumerate() if one.name.startswith("webhook-lookup")]
    thread.join(30)
    assert not thread.is_alive()


async def test_http_is_refused_outside(clock: Clock) -> None:
    names = Names(["8.8.8.8"])
    said = await send(outside("http://crm.example/hook"), now=clock(), lookup=names)
    assert said == Answer(Outcome.POSTPONED, "http is for addresses with allow_private = true")
    assert names.asked == []


async def test_the_secret_is_in_nothing_that_is_sent(crm: Receiver, clock: Clock) -> None:
    await send(endpoint("crm", crm.url), now=clock())
    assert SECRET.removeprefix("whsec_") not in str(crm.hits)
