"""Where a request comes from: the address of the client, also behind proxies of our own (`[http] trusted_proxies`)."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import web

from service.api.edge import is_within

HOUSE = 64
"""Bits of an IPv6 address that one subscriber has for himself alone: whoever counts addresses counts these."""
UNKNOWN = "unknown"


def address_of(request: web.Request, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The client's IPv4 address, or its IPv6 network of 64 bits: the last hop that is no proxy of ours."""
    hops = [hop.strip() for line in request.headers.getall("X-Forwarded-For", ()) for hop in line.split(",")]
    peer = request.remote or ""
    while hops and is_within(peer, trusted):
        peer = hops.pop()
    return _household(peer)


def _household(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((int(address), HOUSE), strict=False))
    return str(address)
