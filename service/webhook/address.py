"""Which addresses an endpoint without `allow_private` may have: public ones alone, looked at for every connection.

A name is resolved once for a connection, every address it has is looked at, and one of those is connected to: a name
that resolves to something else a moment later (DNS rebinding) gains nothing.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
Lookup = Callable[..., Sequence[AddressInfo]]
"""`socket.getaddrinfo`, or what stands in for it."""

LOOKUPS = 2
"""Threads that an endpoint's lookups may hold: a name server that is silent holds them longer than anybody waits."""

_NOT_PUBLIC_4 = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services, reached from its machines alone
        "169.254.0.0/16",  # link-local; clouds give out credentials at 169.254.169.254
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_UNICAST_6 = ip_network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ip_network(block)
    for block in (
        "2001::/23",  # Teredo, benchmarking, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4: reaches IPv4 addresses through whoever relays
        "3fff::/20",
    )
)
_HOLDS_IPV4 = (ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96"))
"""IPv4-mapped, and NAT64, which is how a network without IPv4 reaches the rest: what they hold decides."""


class RefusedAddressError(OSError):
    """The endpoint is, or resolves to, an address that only `allow_private` lets it have."""


def is_public(text: str) -> bool:
    """Whether an IP address, as text, is one that the whole Internet would reach.

    By IANA's registries of special-purpose addresses, written out: `ipaddress` knows them differently in each version.
    """
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return _is_public_4(address)
    if any(address in block for block in _HOLDS_IPV4):
        return _is_public_4(IPv4Address(address.packed[-4:]))
    return _is_public_6(address)


def _is_public_4(address: IPv4Address) -> bool:
    return not any(address in block for block in _NOT_PUBLIC_4)


def _is_public_6(address: IPv6Address) -> bool:
    return address.scope_id is None and address in _UNICAST_6 and not any(address in block for block in _NOT_PUBLIC_6)


def insist(host: str, address: str) -> None:
    """Raise RefusedAddressError where an address of this host is not public."""
    if not is_public(address):
        where = address if host == address else f"{host} is {address}, which"
        raise RefusedAddressError(f"{where} is no public address; on the own network only with allow_private = true")


def guarded_socket(info: AddressInfo) -> socket.socket:
    """Make the socket for a connection to this address, unless it is not public: an address in the URL itself."""
    family, kind, protocol, _name, where = info
    insist(where[0], where[0])
    return socket.socket(family, kind, protocol)


class Resolver(AbstractResolver):
    """Resolves the names of one endpoint, in threads of its own; `public` is to refuse all but public addresses."""

    def __init__(self, *, public: bool, lookup: Lookup = socket.getaddrinfo) -> None:
        self._public = public
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="webhook-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give every address of a host. Raises OSError where it has none, RefusedAddressError where one may not be."""
        infos = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: self._lookup(host, port, family=family, type=socket.SOCK_STREAM)
        )
        if self._public:
            for info in infos:
                insist(host, _numeric(info))
        return [
            ResolveResult(
                hostname=host,
                host=_numeric(info),
                port=port,
                family=info[0],
                proto=info[2],
                flags=socket.AI_NUMERICHOST,
            )
            for info in infos
        ]

    async def close(self) -> None:
        """End the lookups; one that hangs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _numeric(info: AddressInfo) -> str:
    """The address as text; of a link-local one with its interface, without which nothing reaches it."""
    host: str = info[4][0]
    scope = info[4][3] if info[0] == socket.AF_INET6 else 0
    return f"{host}%{scope}" if scope and "%" not in host else host
