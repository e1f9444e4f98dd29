"""What links begin with: the configuration's word first, a proxy's only when it is ours."""

from dataclasses import replace
from datetime import UTC
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from service.api.edge import HOST, Edge, Edges, is_within, subject_of
from service.api.links import Signer
from service.recordings import Recording, Recordings
from service.settings import Http
from tests.api.site import Site, running
from tests.calls import call

NET = Http(trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8")))
FAR = Http(trusted_proxies=(ip_network("10.0.0.0/8"),))


async def path_of(site: Site, **headers: str) -> str:
    answer = await site.ask(
        "/message-voice", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    return str(answer.json["meta"]["path"])


async def test_links_begin_with_the_requests_own_host(site: Site) -> None:
    assert await path_of(site, Host="pbx.example:8089") == "http://pbx.example:8089/message-voice"


async def test_the_public_url_is_what_links_begin_with(tmp_path: Path) -> None:
    async with running(tmp_path, http=Http(public_url="https://x.example/voicemail")) as site:
        assert await path_of(site, Host="evil.example") == "https://x.example/voicemail/message-voice"
        message = await site.leave()
        [record] = (await site.ask("/api/v1/message-voice")).json["data"]
        assert record["recorded_file_url"].startswith(
            f"https://x.example/voicemail/api/v1/message-voice/{message.uuid}/audio?"
        )


@pytest.mark.parametrize(
    ("http", "proto", "scheme"),
    [
        (NET, "https", "https"),
        (NET, "http, https", "https"),
        (NET, "https, http", "http"),
        (NET, "javascript", "http"),
        (FAR, "https", "http"),
        (Http(), "https", "http"),
    ],
)
async def test_a_forwarded_scheme_is_believed_from_our_own_proxies_alone(
    tmp_path: Path, http: Http, proto: str, scheme: str
) -> None:
    async with running(tmp_path, http=http) as site:
        assert (await path_of(site, X_Forwarded_Proto=proto)).partition(":")[0] == scheme


@pytest.mark.parametrize(
    ("peer", "within"),
    [
        ("127.0.0.1", True),
        ("10.255.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("11.0.0.1", False),
        ("", False),
        ("x", False),
    ],
)
def test_an_address_lies_in_a_network_however_the_socket_writes_it(peer: str, *, within: bool) -> None:
    assert is_within(peer, NET.trusted_proxies) is within


@pytest.mark.parametrize("host", ["a.example", "a:1", "[::1]", "[::1]:8089", "127.0.0.1:8089", "a_b", "A"])
def test_a_host_that_may_be(host: str) -> None:
    assert HOST.match(host)


@pytest.mark.parametrize("host", ["", "a/b", "a b", "a@b", "a:", "a:b", 'a"', "a\n", "[::1", "<x>", "a:1:2", "ä"])
def test_a_host_that_cannot_be(host: str) -> None:
    assert HOST.match(host) is None


def test_a_call_has_a_link_where_its_recording_is_found() -> None:
    edge = Edge(
        UTC, "http://pbx/api/v1", Signer(b"k" * 16, lambda: 0), lambda _call: Recording("a.wav", "wav", 1, 2, 3)
    )
    link = edge.recording_url(call(7))
    assert link is not None
    assert link.startswith("http://pbx/api/v1/call-history/7/recording?expires=3660&signature=")
    assert Edge(UTC, "http://pbx", Signer(b"k" * 16)).recording_url(call(7)) is None


def test_links_to_recordings_are_signed_for_the_call_not_for_its_number_alone() -> None:
    """A store that was rebuilt gives the number to another call."""
    one = call(7)
    assert len({subject_of(one), subject_of(replace(one, uuid="other")), subject_of(replace(one, id=8))}) == 3


def test_an_edge_looks_quickly_or_thoroughly(tmp_path: Path) -> None:
    """On the event loop no directory is listed."""
    one = call(1)
    (tmp_path / f"out-{one.key}.wav").write_bytes(bytes(100))
    edges = Edges(UTC, "http://pbx", (), Signer(b"k" * 16), Recordings(tmp_path))
    quick = edges.of(make_mocked_request("GET", "/"))
    assert quick.recording_url(one) is None
    assert edges.thorough("http://pbx").recording_url(one) is not None
    assert quick == edges.of(make_mocked_request("GET", "/"))
    assert hash(quick) == hash(edges.of(make_mocked_request("GET", "/")))
