"""What may stand in the configuration: every section and key of `service.settings`, as a pydantic model that checks it.

A key's `description` completes the sentence "KEY = VALUE: must be ...", which `service.config` makes of a mistake.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationInfo, field_validator

from service import settings
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
    """`[pbx]`."""

    name: Name = Field(
        default=settings.Pbx.name, description="1 to 63 letters, digits and _ . - that begin with a letter or digit"
    )
    timezone: Zone = Field(
        default=settings.Pbx.timezone,
        description='a time zone of the IANA database, such as "Asia/Tashkent" or "UTC"',
    )
    country: Country = Field(
        default=settings.Pbx.country, description='a country code of ISO 3166 in two capitals, such as "UZ", or ""'
    )
    internal: Pattern = Field(
        default=settings.Pbx.internal,
        description=r"a regular expression, in single quotes, such as '^\d{2,6}$'",
    )
    write_back: Flag = Field(default=settings.Pbx.write_back, description=YES_NO)
    provision: Flag = Field(default=settings.Pbx.provision, description=YES_NO)
    config: File = Field(default=settings.Pbx.config, description=PATH)


class Ami(Section):
    """`[ami]`."""

    enabled: Flag = Field(default=settings.Ami.enabled, description=YES_NO)
    host: Host = Field(default=settings.Ami.host, description=HOST)
    port: Port = Field(default=settings.Ami.port, description=f"{PORT}; Asterisk's own is 5038")
    username: UserName = Field(
        default=settings.Ami.username,
        description="1 to 80 visible ASCII characters, as the section in manager.conf is called",
    )
    secret: Secret = Field(default=settings.Ami.secret, description="text in one line")
    secret_file: StrictStr = Field(default=settings.Ami.secret_file, description=FILE_TEXT)


class Spool(Section):
    """`[spool]`."""

    path: File = Field(default=settings.Spool.path, description=PATH)


class Cdr(Section):
    """`[cdr]`."""

    csv: OptionalFile = Field(default=settings.Cdr.csv, description=f'{PATH}, or ""')
    recordings: OptionalFile = Field(default=settings.Cdr.recordings, description=f'{PATH}, or ""')


class Store(Section):
    """`[store]`."""

    path: File = Field(default=settings.Store.path, description=PATH)


class Http(Section):
    """`[http]`."""

    host: Host = Field(default=settings.Http.host, description=HOST)
    port: Port = Field(default=settings.Http.port, description=PORT)
    public_url: PublicUrl = Field(
        default=settings.Http.public_url, description='an address such as "https://voicemail.example", or ""'
    )
    trusted_proxies: tuple[Network, ...] = Field(
        default=settings.Http.trusted_proxies,
        description='a list of IP addresses or networks, such as ["127.0.0.1", "10.0.0.0/8"]',
    )
    allowed_origins: tuple[Origin, ...] = Field(
        default=settings.Http.allowed_origins,
        description='a list of origins (scheme, host, port), such as ["https://crm.example"]',
    )


class Limits(Section):
    """`[limits]`."""

    requests_per_second: Count = Field(default=settings.Limits.requests_per_second, description=COUNT)
    connections: Count = Field(default=settings.Limits.connections, description=COUNT)
    connections_per_address: Count = Field(default=settings.Limits.connections_per_address, description=COUNT)
    uploads_mib_per_mailbox: Count = Field(default=settings.Limits.uploads_mib_per_mailbox, description=COUNT)


class Retention(Section):
    """`[retention]`."""

    messages_days: Days = Field(default=settings.Retention.messages_days, description=DAYS)
    calls_days: Days = Field(default=settings.Retention.calls_days, description=DAYS)
    journal_days: Days = Field(default=settings.Retention.journal_days, description=DAYS)
    trash_days: Days = Field(default=settings.Retention.trash_days, description=DAYS)


class Webhook(Section):
    """One `[[webhook]]`."""

    name: Name = Field(description="1 to 63 letters, digits and _ . - that begin with a letter or digit")
    allow_private: Flag = Field(default=settings.Webhook.allow_private, description=YES_NO)
    url: StrictStr = Field(description='an address such as "https://crm.example/hook"')
    secret: WebhookSecret = Field(
        default=settings.Webhook.secret,
        validate_default=True,
        description='"whsec_" and the base64 of 24 to 64 bytes, as Standard Webhooks wants it',
    )
    secret_file: StrictStr = Field(default=settings.Webhook.secret_file, description=FILE_TEXT)
    events: Events = Field(
        default=settings.Webhook.events, description='a list of "call" and "message", or of one of them'
    )

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


class Configuration(Section):
    """The whole configuration."""

    pbx: Pbx = Pbx()
    ami: Ami = Ami()
    spool: Spool = Spool()
    cdr: Cdr = Cdr()
    store: Store = Store()
    http: Http = Http()
    limits: Limits = Limits()
    retention: Retention = Retention()
    webhook: tuple[Webhook, ...] = ()


def checked(raw: Mapping[str, Any]) -> settings.Settings:
    """Give the settings that sections of values, as TOML has them, mean. Raises pydantic's ValidationError."""
    found = Configuration.model_validate(raw)
    return settings.Settings(
        pbx=settings.Pbx(**dict(found.pbx)),
        ami=settings.Ami(**dict(found.ami)),
        spool=settings.Spool(**dict(found.spool)),
        cdr=settings.Cdr(**dict(found.cdr)),
        store=settings.Store(**dict(found.store)),
        http=settings.Http(**dict(found.http)),
        limits=settings.Limits(**dict(found.limits)),
        retention=settings.Retention(**dict(found.retention)),
        webhook=tuple(settings.Webhook(**dict(webhook)) for webhook in found.webhook),
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
