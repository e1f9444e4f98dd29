"""Where voicemaild's own words meet the outside's: which timezone times are told in, and what links begin with."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from service.api.links import Signer
from service.call import Call
from service.recordings import NOWHERE, Recording, Recordings

API_PREFIX = "/api/v1"
HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?\Z", re.ASCII)

_TO_THE_SECOND = len("YYYY-MM-DD HH:MM:SS")


@dataclass(frozen=True, slots=True)
class Edge:
    """What a mapping needs to tell a message or a call to one caller.

    `base_url` is what links begin with, with the prefix of the request (`/api/v1` or nothing) and no slash at its end.
    `recording_of` finds a call's recording: quickly for the event loop, or thoroughly (see `Edges`).
    """

    timezone: tzinfo
    base_url: str
    signer: Signer
    recording_of: Callable[[Call], Recording | None] = NOWHERE.quick

    def local_time(self, epoch: int) -> str:
        """Epoch seconds as `YYYY-MM-DD HH:MM:SS` in the PBX's timezone."""
        return datetime.fromtimestamp(epoch, self.timezone).isoformat(" ", "seconds")[:_TO_THE_SECOND]

    def audio_url(self, uuid: str) -> str:
        """A link to a message's audio that needs no token and ends in an hour."""
        return f"{self.base_url}/message-voice/{uuid}/audio?{self.signer.query(uuid)}"

    def signed(self, path: str, subject: str) -> str:
        """A link to this path that needs no token and ends in an hour; it is good for this subject alone."""
        return f"{self.base_url}{path}?{self.signer.query(subject)}"

    def recording_url(self, call: Call) -> str | None:
        """A link to a call's recording as `audio_url` gives it, None where there is none. Looks at the disk."""
        if self.recording_of(call) is None:
            return None
        return f"{self.base_url}/call-history/{call.id}/recording?{self.signer.query(subject_of(call))}"


def subject_of(call: Call) -> str:
    """What links to a call's recording are signed for: a store that was rebuilt may have the id again, for another."""
    return f"call {call.id} {call.uuid}"


@dataclass(frozen=True)
class Edges:
    """Makes the edge of each request.

    `public_url` is what links begin with, "" for the request's own scheme and host. `X-Forwarded-Proto` is believed
    from `trusted` peers alone. `recordings` are those of calls.
    """

    timezone: tzinfo
    public_url: str
    trusted: Sequence[IPv4Network | IPv6Network]
    signer: Signer
    recordings: Recordings = NOWHERE

    def of(self, request: web.Request) -> Edge:
        """The edge of this request, for what is written on the event loop."""
        return Edge(self.timezone, self.base_url(request), self.signer, self.recordings.quick)

    def thorough(self, base_url: str) -> Edge:
        """An edge for what is written in a thread: it looks for recordings wherever they may lie, which blocks."""
        return Edge(self.timezone, base_url, self.signer, self.recordings.find)

    def base_url(self, request: web.Request) -> str:
        """What links in the answer to this request begin with."""
        prefix = API_PREFIX if request.raw_path.startswith(f"{API_PREFIX}/") else ""
        if self.public_url:
            return self.public_url + prefix
        return f"{self._scheme(request)}://{request.host}{prefix}"

    def _scheme(self, request: web.Request) -> str:
        forwarded = request.headers.get("X-Forwarded-Proto")
        if forwarded and self.is_trusted(request.remote):
            nearest = forwarded.rpartition(",")[2].strip().lower()
            if nearest in ("http", "https"):
                return nearest
        return "https" if request.secure else "http"

    def is_trusted(self, peer: str | None) -> bool:
        """Whether this address is that of a proxy of our own."""
        return is_within(peer, self.trusted)


def is_within(peer: str | None, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address, as a socket tells it, lies in one of the networks."""
    if not networks or not peer:
        return False
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
