import re
import tomllib
from dataclasses import FrozenInstanceError, asdict, astuple
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.config import load
from service.config_schema import SECTIONS, Webhook
from tests.config_files import WHSEC, settings, webhook

EXAMPLE = Path(__file__).parents[1] / "config" / "voicemaild.toml"


def test_an_empty_file_gives_the_contracts_defaults(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found.pbx.name == "pbx1"
    assert found.pbx.timezone == ZoneInfo("UTC")
    assert found.pbx.country == ""
    assert found.pbx.internal.pattern == r"^\d{2,6}$"
    assert (found.pbx.write_back, found.pbx.provision) == (True, False)
    assert (found.ami.enabled, found.ami.host, found.ami.port) == (True, "127.0.0.1", 5038)
    assert (found.ami.username, found.ami.secret.get_secret_value()) == ("voicemaild", "")
    assert found.spool.path == Path("/var/spool/asterisk/voicemail")
    assert (found.cdr.csv, found.cdr.recordings) == (None, None)
    assert found.store.path == Path("/var/lib/voicemaild/voicemaild.db")
    assert (found.http.host, found.http.port, found.http.public_url) == ("127.0.0.1", 8089, "")
    assert (found.http.trusted_proxies, found.http.allowed_origins) == ((), ())
    assert astuple(found.limits) == (0, 10000, 0, 500)
    assert asdict(found.retention) == {"messages_days": 0, "calls_days": 0, "journal_days": 7, "trash_days": 7}
    assert found.webhook == ()


def test_the_example_has_every_key_at_its_default(tmp_path: Path) -> None:
    example = tomllib.loads(EXAMPLE.read_text())
    assert {section: set(keys) for section, keys in example.items()} == {
        section: set(model.model_fields) for section, model in SECTIONS.items() if section != "webhook"
    }
    assert load(EXAMPLE, {}) == settings(tmp_path)


def test_the_examples_webhook_names_every_key(tmp_path: Path) -> None:
    commented = EXAMPLE.read_text().partition("# [[webhook]]")[2]
    text = "[[webhook]]" + commented.replace("\n# ", "\n").replace("whsec_...", WHSEC)
    assert set(tomllib.loads(text)["webhook"][0]) == set(Webhook.model_fields)
    assert len(settings(tmp_path, text).webhook) == 1


def test_what_a_file_says_is_there(tmp_path: Path) -> None:
    text = """
        [pbx]
        timezone = "Asia/Tashkent"
        country = "UZ"
        internal = '^[1-5]\\d\\d$'
        [cdr]
        csv = "/var/log/asterisk/cdr-csv/Master.csv"
        [http]
        host = "::1"
        public_url = "https://voicemail.example/"
        trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]
        allowed_origins = ["https://CRM.example:8443"]
    """
    found = settings(tmp_path, text + webhook(events=["call"]))
    assert found.pbx.timezone == ZoneInfo("Asia/Tashkent")
    assert found.pbx.internal == re.compile(r"^[1-5]\d\d$")
    assert found.cdr.csv == Path("/var/log/asterisk/cdr-csv/Master.csv")
    assert found.http.public_url == "https://voicemail.example"
    assert found.http.trusted_proxies == (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert found.http.allowed_origins == ("https://crm.example:8443",)
    assert [(hook.name, hook.events) for hook in found.webhook] == [("crm", ("call",))]


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(FrozenInstanceError):
        settings(tmp_path).http.port = 1  # type: ignore[misc] # that is what is tried


def test_a_file_saved_by_a_windows_editor_is_read(tmp_path: Path) -> None:
    file = tmp_path / "voicemaild.toml"
    file.write_bytes(b"\xef\xbb\xbf[ami]\r\nport = 5039\r\n")
    assert load(file, {}).ami.port == 5039


def test_a_relative_path_is_made_absolute(tmp_path: Path) -> None:
    assert settings(tmp_path, '[store]\npath = "x.db"').store.path == Path.cwd() / "x.db"


def test_plain_settings_with_a_secret_warn_of_nothing(tmp_path: Path) -> None:
    days = "[retention]\njournal_days = 30\nmessages_days = 9\ncalls_days = 9\ntrash_days = 0\n"
    text = f'[ami]\nsecret = "x"\n{days}[cdr]\ncsv = "/x"\nrecordings = "/y"\n' + webhook()
    assert settings(tmp_path, text).warnings == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[ami]\nsecret = ""', "ami.secret is empty"),
        ("[pbx]\nprovision = true\n[ami]\nenabled = false", "pbx.provision"),
        ('[http]\nhost = "0.0.0.0"', "http.host"),
    ],
)
def test_what_has_no_effect_yet_or_is_rarely_meant_is_warned_of(tmp_path: Path, text: str, told: str) -> None:
    secret = {} if "secret =" in text else {"VOICEMAILD_AMI__SECRET": "x"}
    (warning,) = settings(tmp_path, text, secret).warnings
    assert warning.startswith(told)


@pytest.mark.parametrize("text", ['host = "localhost"', 'host = "::"\ntrusted_proxies = ["10.0.0.1"]'])
def test_a_host_behind_a_proxy_or_on_this_machine_is_not_warned_of(tmp_path: Path, text: str) -> None:
    assert settings(tmp_path, f'[ami]\nsecret = "x"\n[http]\n{text}').warnings == ()
