"""The settings as the program has them: every section and key, with its type and its default.

They are plain: what a file or a variable says is checked by `service.config_schema`, which needs much more than this.
"""

import re
import zoneinfo
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

UTC = zoneinfo.ZoneInfo("UTC")
INTERNAL = re.compile(r"^\d{2,6}$")

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that only who asks for it sees: it is in no `repr`, and so in no log."""

    _text: str = field(repr=False)

    def get_secret_value(self) -> str:
        """The text itself."""
        return self._text


NO_SECRET = Secret("")


@dataclass(frozen=True, kw_only=True)
class Pbx:
    """`[pbx]`: the PBX this daemon stands beside.

    `timezone` is its local time, `internal` finds its extensions, `config` is the directory of its configuration.
    """

    name: str = "pbx1"
    timezone: zoneinfo.ZoneInfo = UTC
    country: str = ""
    internal: re.Pattern[str] = INTERNAL
    write_back: bool = True
    provision: bool = False
    config: Path = Path("/etc/asterisk")


@dataclass(frozen=True, kw_only=True)
class Ami:
    """`[ami]`: how to log in to the Asterisk Manager Interface. `secret` is "" where none was given."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = 5038
    username: str = "voicemaild"
    secret: Secret = NO_SECRET
    secret_file: str = ""


@dataclass(frozen=True, kw_only=True)
class Spool:
    """`[spool]`: where app_voicemail keeps its messages."""

    path: Path = Path("/var/spool/asterisk/voicemail")


@dataclass(frozen=True, kw_only=True)
class Cdr:
    """`[cdr]`: what else tells of calls; None is not to look there."""

    csv: Path | None = None
    recordings: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Store:
    """`[store]`: the daemon's own database."""

    path: Path = Path("/var/lib/voicemaild/voicemaild.db")


@dataclass(frozen=True, kw_only=True)
class Http:
    """`[http]`: where the API listens. `public_url` has no slash at its end, `allowed_origins` are in lower case."""

    host: str = "127.0.0.1"
    port: int = 8089
    public_url: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    allowed_origins: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """What a browser is given: `public_url`, else the address listened on; without a slash at its end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 -- recognised, not bound
        return self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`[limits]`: 0 is no limit."""

    requests_per_second: int = 0
    connections: int = 10_000
    connections_per_address: int = 0
    uploads_mib_per_mailbox: int = 500


@dataclass(frozen=True, kw_only=True)
class Retention:
    """`[retention]`, in days: 0 keeps for ever, but deleted messages' audio (`trash_days`) not at all."""

    messages_days: int = 0
    calls_days: int = 0
    journal_days: int = 7
    trash_days: int = 7


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """One `[[webhook]]`: an endpoint that is told of calls and messages."""

    name: str
    allow_private: bool = False
    url: str
    secret: Secret = NO_SECRET
    secret_file: str = ""
    events: tuple[str, ...] = ("call", "message")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole configuration. `webhook` holds what every `[[webhook]]` says, in the file's order.

    `note` is something to tell about where the settings came from, or "".
    """

    pbx: Pbx = Pbx()
    ami: Ami = Ami()
    spool: Spool = Spool()
    cdr: Cdr = Cdr()
    store: Store = Store()
    http: Http = Http()
    limits: Limits = Limits()
    retention: Retention = Retention()
    webhook: tuple[Webhook, ...] = ()
    note: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is set and has no effect in this version, or is rarely meant; one sentence each, for a person."""
        return tuple(
            sentence
            for sentence, holds in (
                (self.note, self.note != ""),
                (
                    (
                        f"http.host = {self.http.host}: others can reach the API, and without TLS; put a proxy in "
                        "front and name it in http.trusted_proxies, or listen on 127.0.0.1"
                    ),
                    not is_loopback(self.http.host) and not self.http.trusted_proxies,
                ),
                (
                    (
                        "ami.secret is empty: the PBX will refuse the login; set ami.secret, ami.secret_file or the "
                        "systemd credential ami-secret, or ami.enabled = false"
                    ),
                    self.ami.enabled and not self.ami.secret.get_secret_value(),
                ),
                (
                    "pbx.provision = true has no effect while ami.enabled = false: boxes are changed through AMI",
                    self.pbx.provision and not self.ami.enabled,
                ),
            )
            if holds
        )


def is_loopback(host: str) -> bool:
    """Whether what listens on this address is reachable from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
