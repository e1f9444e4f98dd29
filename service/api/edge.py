"""Where voicemaild's own words meet the outside's: which timezone times are told in, and what links begin with."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from service.api.links import Signer

API_PREFIX = "/api/v1"
HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Edge:
    """What a mapping needs to tell a message to one caller.

    `base_url` is what links begin with, with the prefix of the request (`/api/v1` or nothing) and no slash at its end.
    """

    timezone: tzinfo
    base_url: str
    signer: Signer

    def local_time(self, epoch: int) -> str:
        """Epoch seconds as `YYYY-MM-DD HH:MM:SS` in the PBX's timezone."""
        return datetime.fromtimestamp(epoch, self.timezone).strftime("%Y-%m-%d %H:%M:%S")

    def audio_url(self, uuid: str) -> str:
        """A link to a message's audio that needs no token and ends in an hour."""
        return f"{self.base_url}/message-voice/{uuid}/audio?{self.signer.query(uuid)}"


@dataclass(frozen=True)
class Edges:
    """Makes the edge of each request.

    `public_url` is what links begin with, "" for the request's own scheme and host. `X-Forwarded-Proto` is believed
    from `trusted` peers alone.
    """

    timezone: tzinfo
    public_url: str
    trusted: Sequence[IPv4Network | IPv6Network]
    signer: Signer

    def of(self, request: web.Request) -> Edge:
        """The edge of this request."""
        return Edge(self.timezone, self.base_url(request), self.signer)

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
