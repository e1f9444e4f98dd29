import base64
import re
from pathlib import Path

import pytest

from tests.config_files import problem, settings, webhook


def encoded(length: int) -> str:
    """A webhook's secret of so many bytes."""
    return f"whsec_{base64.b64encode(bytes(length)).decode()}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[http]\nprot = 1", 'http.prot = 1: there is no such key, only host, port, .*; did you mean "port"?'),
        ('[http]\nusername = "x"', r'http.username = "x": .*; it belongs below \[ami\]'),
        ("[htpp]\nport = 1", r'\[htpp\]: there is no such section, only pbx, .*; did you mean "http"\?'),
        ("port = 1", r"port stands outside of its section: it belongs below \[ami\] or \[http\]"),
        ("ami = 5", r"ami must be a section: a line \[ami\]"),
        ("[webhook]\nname = 'x'", r"webhook must be a section: a line \[\[webhook\]\]"),
        ("webhook = [1]", r"webhook\[1\] must be a table"),
        ('[ami]\nport = "5038"', 'ami.port = "5038": must be a whole number from 1 to 65535'),
        ("[ami]\nport = 65536", "ami.port = 65536: must be a whole number from 1 to 65535"),
        ("[ami]\nport = true", "ami.port = true: must be a whole number"),
        ("[ami]\nenabled = 1", "ami.enabled = 1: must be true or false"),
        ('[pbx]\nname = "a b"', 'pbx.name = "a b": must be 1 to 63'),
        ('[pbx]\nname = "a\\n"', r'pbx.name = "a\\n": must be'),
        ('[pbx]\ntimezone = "Asia/Taskent"', 'did you mean "Asia/Tashkent"?'),
        ('[pbx]\ntimezone = "../../etc/passwd"', "must be a time zone"),
        ('[pbx]\ntimezone = "America"', "must be a time zone"),
        ("[pbx]\ntimezone = 5", "pbx.timezone = 5: must be a time zone"),
        ('[pbx]\ncountry = "uz"', 'did you mean "UZ"?'),
        ('[pbx]\ncountry = "UK"', 'did you mean "GB"?'),
        ('[pbx]\ncountry = "UZB"', "must be a country code"),
        ("[pbx]\ninternal = '('", "must be a regular expression.*position 0"),
        ('[spool]\npath = ""', 'spool.path = "": must be a path'),
        ('[store]\npath = "a\\u0000b"', "must be a path"),
        ("[cdr]\ncsv = 5", 'cdr.csv = 5: must be a path, or ""'),
        ('[http]\nhost = "a b"', "must be an IP address or a host name"),
        ('[http]\nhost = ""', "0.0.0.0"),
        ('[http]\npublic_url = "voicemail.example"', 'did you mean "https://voicemail.example"?'),
        ('[http]\npublic_url = "https://x/?a=1"', "must be an address"),
        ('[http]\ntrusted_proxies = ["10.0.0.1/8"]', 'did you mean "10.0.0.0/8"?'),
        ('[http]\ntrusted_proxies = "10.0.0.1"', "must be a list of IP addresses"),
        ("[http]\ntrusted_proxies = [5]", "must be a list of IP addresses"),
        ('[http]\nallowed_origins = ["https://crm.example/"]', 'did you mean "https://crm.example"?'),
        ('[http]\nallowed_origins = ["*"]', "must be a list of origins"),
        ("[limits]\nconnections = -1", "must be a whole number from 0"),
        ("[retention]\njournal_days = 1.5", "journal_days = 1.5: must be a whole number of days"),
        (webhook(url=None), r'webhook\["crm"\].url is missing'),
        (webhook(name=""), r'webhook\[1\].name = "": must be'),
        (webhook(secret=None), r'webhook\["crm"\].secret: must be "whsec_"'),
        (webhook(secret=encoded(0)), "the base64 of 24 to 64 bytes"),
        (webhook(secret=encoded(1)), "these are 1; `echo"),
        (webhook(secret=encoded(23)), "24 to 64 bytes, as Standard Webhooks wants it; these are 23; `echo"),
        (webhook(secret=encoded(65)), "these are 65; `echo"),
        (webhook(url="http://crm.example/"), "allow_private = true"),
        (webhook(url="https://10.0.0.1/"), "allow_private = true"),
        (webhook(url="https://localhost/"), "allow_private = true"),
        (webhook(url="https://a:b@crm.example/"), "must be an address"),
        (webhook(events=["calls"]), 'did you mean "call"?'),
        (webhook(events=[]), 'events = \\[\\]: must be a list of "call"'),
        (webhook() * 2, "another .*has this name"),
    ],
)
def test_a_mistake_names_key_value_and_what_is_allowed(tmp_path: Path, text: str, told: str) -> None:
    assert re.search(told if "\\" in told or ".*" in told else re.escape(told), problem(tmp_path, text))


def test_an_endpoint_on_the_own_network_can_be_allowed(tmp_path: Path) -> None:
    found = settings(tmp_path, webhook(url="http://10.0.0.1:8080/hook", allow_private=True))
    assert found.webhook[0].url == "http://10.0.0.1:8080/hook"


@pytest.mark.parametrize("length", [24, 64])
def test_a_webhooks_secret_is_24_to_64_bytes(tmp_path: Path, length: int) -> None:
    assert settings(tmp_path, webhook(secret=encoded(length))).webhook[0].secret.get_secret_value() == encoded(length)


def test_a_value_in_an_error_is_short_and_of_one_line(tmp_path: Path) -> None:
    found = problem(tmp_path, f'[pbx]\nname = "{"x" * 5000}"')
    assert len(found) < 300
    assert "\n" not in problem(tmp_path, '[pbx]\nname = "a\\u2028\\u001b[31mb"')
    assert "\x1b" not in problem(tmp_path, '[pbx]\nname = "a\\u2028\\u001b[31mb"')
