import socket
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.webhook.address import AddressInfo, RefusedAddressError, Resolver, guarded_socket, is_public

NOT_PUBLIC = (
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:7f00:1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:fbff:f5ff:fffe",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%2",
    "2a00::1%2",
    "fec0::1",
    "ff02::1",
)
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.167.255.255",
    "223.255.255.255",
    "2001:200::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
)


class Names:
    """A name server that gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_how: Any) -> list[AddressInfo]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [info(address, port) for address in answer]


def info(address: str, port: int = 443) -> AddressInfo:
    six = ":" in address
    where = (address, port, 0, 0) if six else (address, port)
    return (socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_everybodys_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_public_in_whatever_it_is_wrapped(address: object) -> None:
    assert is_public(f"::ffff:{address}") == is_public(f"64:ff9b::{address}") == is_public(str(address))


@given(st.ip_addresses())
def test_what_python_takes_to_be_private_is_never_public(address: Any) -> None:
    if is_public(str(address)) and address.version == 4:
        assert address.is_global
    if is_public(str(address)):
        assert not any((address.is_loopback, address.is_link_local, address.is_multicast, address.is_unspecified))


async def test_every_address_of_a_name_is_given_as_it_was_resolved() -> None:
    names = Names(["8.8.8.8", "2606:4700:4700::1111"])
    resolver = Resolver(public=True, lookup=names)
    found = await resolver.resolve("crm.example", 443)
    assert [(one["host"], one["port"]) for one in found] == [("8.8.8.8", 443), ("2606:4700:4700::1111", 443)]
    await resolver.close()


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_a_name_with_one_address_that_is_not_public_is_refused_whole(address: str) -> None:
    resolver = Resolver(public=True, lookup=Names(["8.8.8.8", address]))
    with pytest.raises(RefusedAddressError, match="allow_private"):
        await resolver.resolve("crm.example", 443)
    await resolver.close()


async def test_a_name_is_looked_at_again_each_time_so_that_rebinding_gains_nothing() -> None:
    names = Names(["8.8.8.8"], ["127.0.0.1"], ["8.8.8.8"])
    resolver = Resolver(public=True, lookup=names)
    assert [one["host"] for one in await resolver.resolve("crm.example", 443)] == ["8.8.8.8"]
    with pytest.raises(RefusedAddressError, match=r"crm\.example is 127\.0\.0\.1"):
        await resolver.resolve("crm.example", 443)
    assert [one["host"] for one in await resolver.resolve("crm.example", 443)] == ["8.8.8.8"]
    assert names.asked == ["crm.example"] * 3
    await resolver.close()


async def test_on_the_own_network_every_address_is_given() -> None:
    resolver = Resolver(public=False, lookup=Names(["10.0.0.1", "fe80::1"]))
    assert [one["host"] for one in await resolver.resolve("crm", 80)] == ["10.0.0.1", "fe80::1"]
    await resolver.close()


async def test_a_link_local_address_keeps_its_interface() -> None:
    def lookup(*_what: Any, **_how: Any) -> list[AddressInfo]:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 2))]

    resolver = Resolver(public=False, lookup=lookup)
    assert [one["host"] for one in await resolver.resolve("crm", 80)] == ["fe80::1%2"]
    await resolver.close()


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_socket_is_made_for_an_address_that_is_not_public(address: str) -> None:
    with pytest.raises(RefusedAddressError, match="is no public address"):
        guarded_socket(info(address))


def test_a_socket_is_made_for_a_public_address() -> None:
    with guarded_socket(info("8.8.8.8")) as made:
        assert made.family == socket.AF_INET
