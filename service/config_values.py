"""What single values of the configuration may be: types that pydantic checks, and a suggestion where one is near.

A validator that refuses a value raises ValueError with what to add to the sentence "KEY = VALUE: must be ...", or "".
"""

import base64
import binascii
import difflib
import re
import zoneinfo
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, StrictBool, StrictInt, StrictStr

from service import settings

COUNTRIES = frozenset(
    (  # noqa: SIM905 -- 250 quoted codes would fill three screens
        "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY "
        "BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK "
        "FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR "
        "IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK "
        "ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
        "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF "
        "TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW"
    ).split()
)
"""ISO 3166-1 alpha-2, and XK (Kosovo), which is in use with a country calling code of its own."""

MAX_DAYS = 36_500
WEBHOOK_SECRET_BYTES = range(24, 65)
"""So long is a secret, as the Standard Webhooks specification has it: a shorter one could be guessed."""
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+\Z", re.IGNORECASE)
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?\Z", re.ASCII)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Give `; did you mean "x"?` where one of the known names is near, else ""."""
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(wrong.lower(), lower, n=1, cutoff=0.6)
    return f'; did you mean "{lower[near[0]]}"?' if near else ""


def _zone(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return zoneinfo.ZoneInfo(value)
    except (ValueError, KeyError, OSError):
        raise ValueError(did_you_mean(value, zoneinfo.available_timezones())) from None


def _country(value: str) -> str:
    if value and value not in COUNTRIES:
        better = {"UK": "GB"}.get(value.upper(), value.upper())
        raise ValueError(f'; did you mean "{better}"?' if better in COUNTRIES else "")
    return value


def _pattern(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return re.compile(value)
    except re.error as error:
        raise ValueError(f"; at position {error.pos or 0}: {error.msg}") from None


def _path(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value or "\0" in value:
        raise ValueError("")
    return Path(value).absolute()


def _optional_path(value: object) -> object:
    return None if value in ("", None) else _path(value)


def _host(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        if _HOSTNAME.match(value) is None:
            raise ValueError("; for all addresses of this machine write 0.0.0.0 or ::" if not value else "") from None
    return value


def _secret(value: object) -> object:
    return settings.Secret(value) if isinstance(value, str) else value


def _one_line(value: settings.Secret) -> settings.Secret:
    """No line break may get into an AMI header: it would begin a header, or an action, of its own."""
    if any(ord(character) < ord(" ") for character in value.get_secret_value()):
        raise ValueError("; it has a line break or another control character in it")
    return value


def _network(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("")  # noqa: TRY004 -- pydantic collects ValueError only
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        better = ip_network(value, strict=False)
    except ValueError:
        raise ValueError("") from None
    raise ValueError(f'; did you mean "{better}"?')


def _origin(value: str) -> str:
    if _ORIGIN.match(value):
        return value.lower()
    parts = _split(value)
    better = f"{parts.scheme}://{parts.netloc}".lower() if parts and parts.hostname else ""
    raise ValueError(f'; did you mean "{better}"?' if _ORIGIN.match(better) else "")


def _split(value: str) -> SplitResult | None:
    """Take a URL apart; None where that cannot be done or its port is none."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return None
    return parts


def web_address(value: str) -> SplitResult:
    """Take a URL apart that names a host; raises ValueError for anything else."""
    parts = _split(value)
    if parts is None or not parts.hostname or any(character.isspace() for character in value):
        raise ValueError(f'; did you mean "https://{value}"?' if _HOSTNAME.match(value) else "")
    return parts


def _public_url(value: str) -> str:
    if not value:
        return value
    parts = web_address(value)
    if parts.scheme not in ("http", "https") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("")
    return value.rstrip("/")


def _webhook_secret(value: settings.Secret) -> settings.Secret:
    prefix, _, encoded = value.get_secret_value().partition("_")
    try:
        length = len(base64.b64decode(encoded, validate=True)) if prefix == "whsec" else 0
    except binascii.Error:
        length = 0
    if length not in WEBHOOK_SECRET_BYTES:
        told = f"; these are {length}" if length else ""
        raise ValueError(f'{told}; `echo "whsec_$(openssl rand -base64 32)"` makes one')
    return value


def _events(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("")
    return tuple(dict.fromkeys(value))


def _event(value: str) -> str:
    if value not in ("call", "message"):
        raise ValueError(did_you_mean(value, ("call", "message")))
    return value


def own_network(host: str) -> bool:
    """Whether a host is by its very name inside; what a name resolves to is looked at when it is connected to."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Count = Annotated[StrictInt, Field(ge=0, le=1_000_000)]
Days = Annotated[StrictInt, Field(ge=0, le=MAX_DAYS)]
File = Annotated[Path, BeforeValidator(_path)]
OptionalFile = Annotated[Path | None, BeforeValidator(_optional_path)]
Host = Annotated[StrictStr, AfterValidator(_host)]
Secret = Annotated[InstanceOf[settings.Secret], BeforeValidator(_secret), AfterValidator(_one_line)]
Network = Annotated[settings.Network, BeforeValidator(_network)]
Name = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\z")]
UserName = Annotated[StrictStr, Field(pattern=r"^[\x21-\x7e]{1,80}\z")]
Zone = Annotated[zoneinfo.ZoneInfo, BeforeValidator(_zone)]
Country = Annotated[StrictStr, AfterValidator(_country)]
Pattern = Annotated[re.Pattern[str], BeforeValidator(_pattern)]
Flag = StrictBool
PublicUrl = Annotated[StrictStr, AfterValidator(_public_url)]
Origin = Annotated[StrictStr, AfterValidator(_origin)]
WebhookSecret = Annotated[Secret, AfterValidator(_webhook_secret)]
Events = Annotated[tuple[Annotated[StrictStr, AfterValidator(_event)], ...], AfterValidator(_events)]
