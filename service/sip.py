"""SIP addresses (RFC 3261, 19.1 and 25.1): whether a text is one, and whom it shows as the caller."""

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, unquote

from service.errors import InvalidInputError

LONGEST = 255
_UNRESERVED = r"A-Za-z0-9\-_.!~*'()"
_ESCAPED = "%[0-9A-Fa-f]{2}"
_PARAMETER = rf"(?:[{_UNRESERVED}\[\]/:&+$]|{_ESCAPED})+"
_HEADER = rf"(?:[{_UNRESERVED}\[\]/?:+$]|{_ESCAPED})"
_URI = re.compile(
    rf"(?i:sips?):(?:(?P<user>(?:[{_UNRESERVED}&=+$,;?/]|{_ESCAPED})+)(?::(?:[{_UNRESERVED}&=+$,]|{_ESCAPED})*)?@)?"
    r"(?P<host>\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|[A-Za-z0-9.-]{1,253})(?::(?P<port>\d{1,5}))?"
    rf"(?:;{_PARAMETER}(?:={_PARAMETER})?)*(?:\?{_HEADER}+={_HEADER}*(?:&{_HEADER}+={_HEADER}*)*)?\Z",
    re.ASCII,
)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z", re.ASCII)
_MOST_PORTS = 65535
_SEPARATORS = str.maketrans("", "", "-.()")
_NUMBER = re.compile(r"\+?[0-9*#]{1,40}\Z", re.ASCII)
_SAFE_IN_USER = "-_.!~*'()&=+$,;?/"


def check_address(text: str, field: str) -> None:
    """Raises InvalidInputError, which names the field, where this is no SIP or SIPS URI of at most 255 characters."""
    found = _URI.match(text) if len(text) <= LONGEST else None
    if found is None or int(found["port"] or 0) > _MOST_PORTS or not _is_host(found["host"], found["ipv6"]):
        raise InvalidInputError(f"the {field} must be a SIP address, such as sip:alice@example.com", field)


def caller_of(address: str) -> str:
    """Whom a SIP address shows as the caller: a bare number, else the name; "" where that is nobody."""
    found = _URI.match(address)
    user = unquote((found["user"] or "") if found else "")
    number = user.partition(";")[0].translate(_SEPARATORS)
    if _NUMBER.match(number):
        return number
    return user if user.isprintable() else ""


def address_of(caller: str, host: str) -> str:
    """The SIP address of a caller of this PBX; `sip:anonymous@host` of one who shows no number."""
    return f"sip:{quote(caller, safe=_SAFE_IN_USER) or 'anonymous'}@{host}"


def _is_host(host: str, ipv6: str | None) -> bool:
    try:
        if ipv6 is not None:
            IPv6Address(ipv6)
        elif host[-1].isdigit() and "." in host:
            IPv4Address(host)
        else:
            return all(map(_LABEL.match, host.removesuffix(".").split(".")))
    except ValueError:
        return False
    return True
