import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import load
from service.config_schema import SECTIONS
from service.errors import ConfigError
from tests.config_files import WHSEC, problem, problems, settings, webhook

EXAMPLE = Path(__file__).parents[1] / "config" / "voicemaild.toml"
CANARY = "hunter2-canary"


# Which file


def test_a_named_file_that_is_missing_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.toml.*copy.*--config"):
        load(tmp_path / "nope.toml", {})


def test_the_variable_names_a_file_where_no_option_does(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[ami]\nport = 5039")
    assert load(None, {"VOICEMAILD_CONFIG": str(file)}).ami.port == 5039
    with pytest.raises(ConfigError, match=r"nope\.toml"):
        load(None, {"VOICEMAILD_CONFIG": str(tmp_path / "nope.toml")})


def test_the_option_wins_over_the_variable(tmp_path: Path) -> None:
    found = settings(tmp_path, "[ami]\nport = 5039", {"VOICEMAILD_CONFIG": "/nope.toml"})
    assert found.ami.port == 5039


def test_nothing_at_the_default_place_gives_defaults_and_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.config_file.DEFAULT_PATH", tmp_path / "voicemaild.toml")
    found = load(None, {})
    assert found.http.port == 8089
    assert f"there is no {tmp_path / 'voicemaild.toml'}" in found.warnings[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[ami\n", "not valid TOML.*line 1"),
        (b'[pbx]\ninternal = "^\\d+$"\n', "line 2.*'single quotes'"),
        (b'# \xe4\n[pbx]\nname = "x"\n', "line 1: the file must be UTF-8"),
        (b"#" * 2_000_000, "larger than"),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_its_line(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "voicemaild.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        load(file, {})


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        load(tmp_path, {})


# The environment


@pytest.mark.parametrize(
    ("variable", "value", "section", "key", "expected"),
    [
        ("VOICEMAILD_AMI__PORT", "5039", "ami", "port", 5039),
        ("VOICEMAILD_AMI__ENABLED", "false", "ami", "enabled", False),
        ("VOICEMAILD_PBX__WRITE_BACK", "0", "pbx", "write_back", False),
        ("VOICEMAILD_PBX__NAME", "1234", "pbx", "name", "1234"),
        ("VOICEMAILD_STORE__PATH", "/x.db", "store", "path", Path("/x.db")),
        (
            "VOICEMAILD_HTTP__ALLOWED_ORIGINS",
            "https://a, https://b",
            "http",
            "allowed_origins",
            ("https://a", "https://b"),
        ),
        ("VOICEMAILD_HTTP__ALLOWED_ORIGINS", '["https://a"]', "http", "allowed_origins", ("https://a",)),
        ("VOICEMAILD_HTTP__TRUSTED_PROXIES", "", "http", "trusted_proxies", ()),
    ],
)
def test_a_variable_wins_over_the_file(  # noqa: PLR0917 -- a table of cases
    tmp_path: Path, variable: str, value: str, section: str, key: str, expected: object
) -> None:
    text = EXAMPLE.read_text()
    assert getattr(getattr(settings(tmp_path, text, {variable: value}), section), key) == expected


def test_every_key_outside_of_webhooks_can_come_from_the_environment(tmp_path: Path) -> None:
    environ = {
        f"VOICEMAILD_{section}__{key}".upper(): "(" * 100 + "\0"
        for section, model in SECTIONS.items()
        if section != "webhook"
        for key in model.model_fields
    }
    told = "\n".join(problems(tmp_path, "", environ))
    assert [variable for variable in environ if f"{variable} = " not in told and f"{variable}:" not in told] == []


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("VOICEMAILD_AMI__PROT", 'there is no such setting; did you mean "VOICEMAILD_AMI__PORT"?'),
        ("VOICEMAILD_AIM__PORT", 'did you mean "VOICEMAILD_AMI__PORT"?'),
        ("VOICEMAILD_AMI_PORT", 'did you mean "VOICEMAILD_AMI__PORT" (two underscores)?'),
        ("VOICEMAILD_WEBHOOK__URL", "[[webhook]]"),
    ],
)
def test_a_variable_that_is_no_setting_is_an_error(tmp_path: Path, variable: str, told: str) -> None:
    found = problem(tmp_path, "", {variable: "5"})
    assert found.startswith(f"{variable}: ")
    assert told in found


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    kubernetes = {"VOICEMAILD_PORT": "tcp://10.0.0.1:8089", "VOICEMAILD_SERVICE_HOST": "10.0.0.1"}
    assert settings(tmp_path, "", kubernetes | {"VOICEMAIL__X": "1", "PATH": "/bin"}) == settings(tmp_path)


def test_a_wrong_value_from_a_variable_names_the_variable(tmp_path: Path) -> None:
    found = problem(tmp_path, "", {"VOICEMAILD_AMI__PORT": "x"})
    assert found.startswith('VOICEMAILD_AMI__PORT = "x": must be a whole number from 1 to 65535')


# Secrets


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{CANARY}\n")
    found = settings(tmp_path, f'[ami]\nsecret_file = "{tmp_path / "secret"}"')
    assert found.ami.secret.get_secret_value() == CANARY


def test_a_webhooks_secret_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{WHSEC}\n")
    found = settings(tmp_path, webhook(secret=None, secret_file=str(tmp_path / "secret")))
    assert found.webhook[0].secret.get_secret_value() == WHSEC


def test_systemds_credential_is_taken_where_no_secret_is_set(tmp_path: Path) -> None:
    (tmp_path / "ami-secret").write_text(f"{CANARY}\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert settings(tmp_path, EXAMPLE.read_text(), environ).ami.secret.get_secret_value() == CANARY
    assert settings(tmp_path, '[ami]\nsecret = "own"', environ).ami.secret.get_secret_value() == "own"


def test_a_unit_without_that_credential_is_fine(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert settings(tmp_path, "", environ).ami.secret.get_secret_value() == ""


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ('[ami]\nsecret_file = "/nope"', {"VOICEMAILD_AMI__SECRET": CANARY}),
        ('[ami]\nsecret = "other"', {"VOICEMAILD_AMI__SECRET": CANARY}),
        ('[ami]\nsecret = "other"', {"VOICEMAILD_AMI__SECRET_FILE": "FILE"}),
    ],
)
def test_the_environments_secret_wins_in_either_form(tmp_path: Path, text: str, environ: dict[str, str]) -> None:
    (tmp_path / "secret").write_text(CANARY)
    environ = {name: value.replace("FILE", str(tmp_path / "secret")) for name, value in environ.items()}
    assert settings(tmp_path, text, environ).ami.secret.get_secret_value() == CANARY


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_secret_file_that_gives_none_is_told_once(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    text = f'[ami]\nsecret_file = "{file}"\n' + webhook(secret=None, secret_file=str(file))
    assert [found.partition(" = ")[0] for found in problems(tmp_path, text)] == [
        "ami.secret_file",
        'webhook["crm"].secret_file',
    ]


def test_a_secret_and_a_file_of_it_are_one_too_many(tmp_path: Path) -> None:
    found = problem(tmp_path, f'[ami]\nsecret = "{CANARY}"\nsecret_file = "/x"')
    assert "keep one of the two" in found
    assert CANARY not in found


@pytest.mark.parametrize(
    "text",
    [
        f'[ami]\nsecret = ["{CANARY}"]',
        f'[ami]\nsecret = "{CANARY}\\r\\nAction: x"',
        f'[ami]\nsercet = "{CANARY}"',
        f'[ami]\npasword = "{CANARY}"',
        f'[http]\napi_key = "{CANARY}"',
        f'[amii]\nsecret = "{CANARY}"',
        f'ami = "{CANARY}"',
        f'secret = "{CANARY}"',
        webhook(secret=CANARY),
        webhook(url=f"ftp://user:{CANARY}@crm.example/{CANARY}?k={CANARY}"),
        webhook(url=f"http://crm.example/{CANARY}"),
        webhook(secret=f"whsec_{CANARY}"),
        webhook(urll=f"https://crm.example/{CANARY}"),
    ],
)
def test_no_secret_is_in_an_error(tmp_path: Path, text: str) -> None:
    assert CANARY not in "\n".join(problems(tmp_path, text))


def test_no_secret_is_in_the_settings_text(tmp_path: Path) -> None:
    found = settings(tmp_path, f'[ami]\nsecret = "{CANARY}"\n' + webhook())
    assert CANARY not in repr(found)
    assert WHSEC not in str(found)


# Mistakes


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = (
        '[pbx]\ntimezone = "x"\ncountry = "uz"\n[htpp]\nport = 1\n[ami]\nport = 0\nhots = "x"\n' + webhook(url="x") * 2
    )
    told = problems(tmp_path, text, {"VOICEMAILD_STORE__PATHS": "x", "VOICEMAILD_LIMITS__CONNECTIONS": "many"})
    assert len(told) == 9
    for key in ("pbx.timezone", "pbx.country", "[htpp]", "ami.port", "ami.hots", "STORE__PATHS", "LIMITS__CONNECTIONS"):
        assert key in "\n".join(told)


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_KEYS = st.sampled_from(sorted({key for model in SECTIONS.values() for key in model.model_fields})) | st.text(
    max_size=5
)


@given(
    st.dictionaries(st.sampled_from(sorted(SECTIONS)) | st.text(max_size=5), st.dictionaries(_KEYS, _VALUES) | _VALUES)
)
def test_whatever_a_file_says_is_either_settings_or_sentences(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text("\n".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in content.items()))
    try:
        tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError:  # a lone surrogate or a control character that TOML has no word for
        return
    assert all("\n" not in sentence and sentence for sentence in problems_of(file))


def problems_of(file: Path) -> tuple[str, ...]:
    try:
        load(file, {})
    except ConfigError as error:
        return error.problems or ("",)
    return ()


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value).replace("Infinity", "inf")
