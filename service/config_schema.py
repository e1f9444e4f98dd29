"""What may stand in the configuration: every section, key and default, as frozen pydantic models.

A key's `description` completes the sentence "KEY = VALUE: must be ...", which `service.config` makes of a mistake.
"""

import re
import zoneinfo
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, StrictStr, ValidationInfo, field_validator

from service.config_values import (
    MAX_DAYS,
    Count,
    Country,
    Days,
    Events,
    File,
    Flag,
    Host,
    Name,
    Network,
    OptionalFile,
    Origin,
    Pattern,
    Port,
    PublicUrl,
    Secret,
    UserName,
    WebhookSecret,
    Zone,
    is_loopback,
    own_network,
    web_address,
)

YES_NO = "true or false"
PORT = "a whole number from 1 to 65535"
COUNT = "a whole number from 0 (no limit) to 1000000"
DAYS = f"a whole number of days from 0 to {MAX_DAYS}"
PATH = "a path"
HOST = "an IP address or a host name"
FILE_TEXT = 'the path of a file that holds the secret and nothing else, or ""'


class Section(BaseModel):
    """What all sections have in common: frozen, no keys but their own, and no value shown where it may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)


class Pbx(Section):
    """`[pbx]`: the PBX this daemon stands beside.

    `timezone` is its local time, `internal` finds its extensions, `config` is the directory of its configuration.
    """

    name: Name = Field(
        default="pbx1", description="1 to 63 letters, digits and _ . - that begin with a letter or digit"
    )
    timezone: Zone = Field(
        default_factory=lambda: zoneinfo.ZoneInfo("UTC"),
        description='a time zone of the IANA database, such as "Asia/Tashkent" or "UTC"',
    )
    country: Country = Field(default="", description='a country code of ISO 3166 in two capitals, such as "UZ", or ""')
    internal: Pattern = Field(
        default_factory=lambda: re.compile(r"^\d{2,6}$"),
        description=r"a regular expression, in single quotes, such as '^\d{2,6}$'",
    )
    write_back: Flag = Field(default=True, description=YES_NO)
    provision: Flag = Field(default=False, description=YES_NO)
    config: File = Field(default=Path("/etc/asterisk"), description=PATH)


class Ami(Section):
    """`[ami]`: how to log in to the Asterisk Manager Interface. `secret` is "" where none was given."""

    enabled: Flag = Field(default=True, description=YES_NO)
    host: Host = Field(default="127.0.0.1", description=HOST)
    port: Port = Field(default=5038, description=f"{PORT}; Asterisk's own is 5038")
    username: UserName = Field(
        default="voicemaild", description="1 to 80 visible ASCII characters, as the section in manager.conf is called"
    )
    secret: Secret = Field(default=SecretStr(""), description="text in one line")
    secret_file: StrictStr = Field(default="", description=FILE_TEXT)


class Spool(Section):
    """`[spool]`: where app_voicemail keeps its messages."""

    path: File = Field(default=Path("/var/spool/asterisk/voicemail"), description=PATH)


class Cdr(Section):
    """`[cdr]`: what else tells of calls; None is not to look there."""

    csv: OptionalFile = Field(default=None, description=f'{PATH}, or ""')
    recordings: OptionalFile = Field(default=None, description=f'{PATH}, or ""')


class Store(Section):
    """`[store]`: the daemon's own database."""

    path: File = Field(default=Path("/var/lib/voicemaild/voicemaild.db"), description=PATH)


class Http(Section):
    """`[http]`: where the API listens. `public_url` has no slash at its end, `allowed_origins` are in lower case."""

    host: Host = Field(default="127.0.0.1", description=HOST)
    port: Port = Field(default=8089, description=PORT)
    public_url: PublicUrl = Field(default="", description='an address such as "https://voicemail.example", or ""')
    trusted_proxies: tuple[Network, ...] = Field(
        default=(), description='a list of IP addresses or networks, such as ["127.0.0.1", "10.0.0.0/8"]'
    )
    allowed_origins: tuple[Origin, ...] = Field(
        default=(), description='a list of origins (scheme, host, port), such as ["https://crm.example"]'
    )

    @property
    def address(self) -> str:
        """What a browser is given: `public_url`, else the address listened on; without a slash at its end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 -- recognised, not bound
        return self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


class Limits(Section):
    """`[limits]`: 0 is no limit."""

    requests_per_second: Count = Field(default=0, description=COUNT)
    connections: Count = Field(default=10_000, description=COUNT)
    connections_per_address: Count = Field(default=0, description=COUNT)
    uploads_mib_per_mailbox: Count = Field(default=500, description=COUNT)


class Retention(Section):
    """`[retention]`, in days: 0 keeps for ever, but deleted messages' audio (`trash_days`) not at all."""

    messages_days: Days = Field(default=0, description=DAYS)
    calls_days: Days = Field(default=0, description=DAYS)
    journal_days: Days = Field(default=7, description=DAYS)
    trash_days: Days = Field(default=7, description=DAYS)


class Webhook(Section):
    """One `[[webhook]]`: an endpoint that is told of calls and messages."""

    name: Name = Field(description="1 to 63 letters, digits and _ . - that begin with a letter or digit")
    allow_private: Flag = Field(default=False, description=YES_NO)
    url: StrictStr = Field(description='an address such as "https://crm.example/hook"')
    secret: WebhookSecret = Field(
        default=SecretStr(""),
        validate_default=True,
        description='"whsec_" and the base64 of 24 to 64 bytes, as Standard Webhooks wants it',
    )
    secret_file: StrictStr = Field(default="", description=FILE_TEXT)
    events: Events = Field(default=("call", "message"), description='a list of "call" and "message", or of one of them')

    @field_validator("url")
    @classmethod
    def _reachable(cls, value: str, info: ValidationInfo) -> str:
        parts = web_address(value)
        if parts.scheme not in ("http", "https") or parts.fragment or parts.username is not None:
            raise ValueError("")
        if info.data.get("allow_private", True):  # where that key itself is wrong, one mistake is enough to tell
            return value
        if parts.scheme == "http":
            raise ValueError("; http is for addresses with allow_private = true")
        if own_network(parts.hostname or ""):
            raise ValueError("; on the own network only with allow_private = true")
        return value


class Settings(Section):
    """The whole configuration, checked. `webhook` holds what every `[[webhook]]` says, in the file's order."""

    pbx: Pbx = Pbx()
    ami: Ami = Ami()
    spool: Spool = Spool()
    cdr: Cdr = Cdr()
    store: Store = Store()
    http: Http = Http()
    limits: Limits = Limits()
    retention: Retention = Retention()
    webhook: tuple[Webhook, ...] = ()

    _note: str = PrivateAttr(default="")

    def with_note(self, note: str) -> Self:
        """Give the same settings, with something to tell about where they came from in front of the warnings."""
        settings = self.model_copy()
        settings._note = note  # noqa: SLF001 -- its own private attribute, on its own copy
        return settings

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is set and has no effect in this version, or is rarely meant; one sentence each, for a person."""
        return tuple(
            sentence
            for sentence, holds in (
                (self._note, self._note != ""),
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


SECTIONS: dict[str, type[Section]] = {
    "pbx": Pbx,
    "ami": Ami,
    "spool": Spool,
    "cdr": Cdr,
    "store": Store,
    "http": Http,
    "limits": Limits,
    "retention": Retention,
    "webhook": Webhook,
}
