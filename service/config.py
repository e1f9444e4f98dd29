"""Makes the settings from a TOML file and the environment, and tells every mistake in them at once.

What may be set, and to what, stands in `service.config_schema`; here is where the values come from (the file, variables
`VOICEMAILD_SECTION__KEY` that win over it, files with secrets, systemd's credentials) and how a mistake is worded.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from service.config_schema import SECTIONS, Section, Settings, Webhook
from service.config_values import did_you_mean
from service.errors import ConfigError

DEFAULT_PATH = Path("/etc/voicemaild/voicemaild.toml")
PATH_VARIABLE = "VOICEMAILD_CONFIG"
CREDENTIAL = "ami-secret"
_PREFIX = "VOICEMAILD_"
_LARGEST_FILE = 1 << 20
_LARGEST_SECRET = 4096
_SHOWN = 80
_SECRETIVE = re.compile(r"sec|pass|pw|pin|tok|key|cred|auth|whsec", re.IGNORECASE)
_PLACEHOLDER = SecretStr(f"whsec_{'A' * 32}")
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass
class _Draft:
    """The configuration while it is put together: sections, the variable that set a key, and what is wrong so far."""

    raw: dict[str, Any]
    variables: dict[tuple[str, str], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the configuration: from `path`; with None from `$VOICEMAILD_CONFIG`, else from the default place.

    A file that was named must exist; where nothing is at the default place, all keys have their defaults, and the
    settings' warnings say so. Raises ConfigError with all mistakes, one sentence each; no secret is in them.
    """
    source, named = locate(path, environ)
    text = _read(source, required=named)
    draft = _Draft(_parse(source, text) if text is not None else {})
    _override(draft, environ)
    _fill_secrets(draft, environ)
    draft.problems += _duplicates(draft.raw)
    settings = _validate(draft)
    if settings is None or draft.problems:
        raise ConfigError(draft.problems)
    if text is None:
        return settings.with_note(f"there is no {source}: all settings have their defaults")
    return settings


def locate(path: Path | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """Give where the configuration is to be read from, and whether somebody named that place."""
    if path is not None:
        return path, True
    value = environ.get(PATH_VARIABLE, "")
    return (Path(value), True) if value else (DEFAULT_PATH, False)


def _read(path: Path, *, required: bool) -> str | None:
    """Give the file's text; None where there is none and none is required."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        if not required:
            return None
        raise ConfigError(
            [f"there is no {path}: copy config/voicemaild.toml there and edit it, or name another with --config"]
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path} cannot be read: {_reason(error)}"]) from None
    if len(content) > _LARGEST_FILE:
        raise ConfigError([f"{path} is no configuration: it is larger than {_LARGEST_FILE} bytes"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}, line {line}: the file must be UTF-8"]) from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = "; a text with backslashes stands in 'single quotes'" if "Unescaped" in str(error) else ""
        raise ConfigError([f"{path} is not valid TOML: {error}{hint}"]) from None


# Environment


def _override(draft: _Draft, environ: Mapping[str, str]) -> None:
    """Let each `VOICEMAILD_SECTION__KEY` win over the file."""
    for variable in sorted(name for name in environ if name.startswith(_PREFIX) and name != PATH_VARIABLE):
        section, separator, key = variable.removeprefix(_PREFIX).lower().partition("__")
        if not separator:
            draft.problems += _meant_as_setting(variable)
        elif section == "webhook":
            draft.problems.append(
                f"{variable}: webhooks stand in the file, as [[webhook]]; their secrets may be files (secret_file)"
            )
        elif section not in SECTIONS or key not in SECTIONS[section].model_fields:
            draft.problems.append(f"{variable}: there is no such setting{did_you_mean(variable, _variables())}")
        else:
            _set(draft, (section, key), variable, environ[variable])


def _set(draft: _Draft, setting: tuple[str, str], variable: str, text: str) -> None:
    section, key = setting
    table = draft.raw.setdefault(section, {})
    if not isinstance(table, dict):  # `ami = 5` in the file: told when that is validated
        return
    if key in ("secret", "secret_file"):  # whichever of the two the file gives, the environment's wins
        for other in {"secret", "secret_file"} - {key}:
            if (section, other) not in draft.variables:
                table.pop(other, None)
    table[key] = _from_text(SECTIONS[section], key, text)
    draft.variables[setting] = variable


def _from_text(model: type[Section], key: str, text: str) -> object:
    """Give the flag, number or list that a variable means for such a key; else, and where it means none, the text."""
    default = model.model_fields[key].get_default(call_default_factory=True)
    if isinstance(default, bool):
        return _WORDS.get(text.strip().lower(), text)
    if isinstance(default, int) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text):
        return int(text)
    if isinstance(default, tuple):
        return _list(text)
    return text


def _list(text: str) -> object:
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _meant_as_setting(variable: str) -> Iterator[str]:
    """Tell of a single underscore where two belong. Other names are not ours: Kubernetes sets VOICEMAILD_PORT."""
    flat = {name.replace("__", "_"): name for name in _variables()}
    near = difflib.get_close_matches(variable, flat, n=1, cutoff=0.9)
    if near:
        yield f'{variable}: there is no such setting; did you mean "{flat[near[0]]}" (two underscores)?'


def _variables() -> list[str]:
    return [
        f"{_PREFIX}{section}__{key}".upper()
        for section, model in SECTIONS.items()
        if section != "webhook"
        for key in model.model_fields
    ]


# Secrets


def _fill_secrets(draft: _Draft, environ: Mapping[str, str]) -> None:
    """Put what `secret_file` names, or systemd's credential, in the place of `secret`."""
    ami = draft.raw.setdefault("ami", {})
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    if directory and isinstance(ami, dict) and not ami.get("secret") and not ami.get("secret_file"):
        found = _secret_in(draft, Path(directory) / CREDENTIAL, f"the credential {CREDENTIAL}", required=False)
        if found is not None:  # a unit may have other credentials, and not this one
            ami["secret"] = found
    for label, table in (("ami", ami), *_webhooks(draft.raw)):
        _from_file(draft, label, table)


def _from_file(draft: _Draft, label: str, table: object) -> None:
    if not isinstance(table, dict) or not isinstance(table.get("secret_file"), str) or not table["secret_file"]:
        return
    key = draft.variables.get((label, "secret_file")) or f"{label}.secret_file"
    if table.get("secret"):
        draft.problems.append(f"{key}: {label}.secret is set as well; keep one of the two")
        return
    table["secret"] = _secret_in(draft, Path(table["secret_file"]), f"{key} = {_shown(table['secret_file'])}")


def _secret_in(draft: _Draft, path: Path, subject: str, *, required: bool = True) -> SecretStr | None:
    """Give the secret a file holds, stripped; where it holds none, note a problem and give a placeholder.

    None where there is no file and none is required. A placeholder, lest the mistake is told again as a missing secret.
    """
    try:
        with path.open("rb") as file:
            secret = file.read(_LARGEST_SECRET).decode().strip()
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and not required:
            return None
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else _reason(error)
        draft.problems.append(f"{subject}: the file cannot be read: {why}")
        return _PLACEHOLDER
    if not secret:
        draft.problems.append(f"{subject}: the file is empty; it must hold the secret and nothing else")
    return SecretStr(secret) if secret else _PLACEHOLDER


def _webhooks(raw: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each `[[webhook]]` that is a table, with what messages call it."""
    tables = raw.get("webhook")
    for number, table in enumerate(tables if isinstance(tables, list) else ()):
        if isinstance(table, dict):
            yield _webhook_label(number, table), table


def _webhook_label(number: int, table: object) -> str:
    name = table.get("name") if isinstance(table, dict) else None
    return f"webhook[{_shown(name) if isinstance(name, str) and name else number + 1}]"


def _duplicates(raw: Mapping[str, Any]) -> Iterator[str]:
    seen = set()
    for _, table in _webhooks(raw):
        name = table.get("name")
        if isinstance(name, str) and name in seen:
            yield f"webhook.name = {_shown(name)}: another [[webhook]] has this name; give each its own"
        if isinstance(name, str):
            seen.add(name)


# Mistakes in words


def _validate(draft: _Draft) -> Settings | None:
    try:
        return Settings.model_validate(draft.raw)
    except ValidationError as failure:
        draft.problems += dict.fromkeys(_sentence(draft, error) for error in failure.errors(include_url=False))
    return None


def _sentence(draft: _Draft, error: ErrorDetails) -> str:
    match error["loc"]:
        case (str(section),):
            return _about_section(section, error)
        case ("webhook", int(number), str(key), *_):
            label = _webhook_label(number, draft.raw["webhook"][number])
            return _about_key(Webhook, f"{label}.{key}", key, error)
        case ("webhook", int(number), *_):
            return f"webhook[{number + 1}] must be a table that begins with a line [[webhook]]"
        case (str(section), str(key), *_):
            subject = draft.variables.get((section, key)) or f"{section}.{key}"
            return _about_key(SECTIONS[section], subject, key, error)
    return error["msg"]  # pragma: no cover -- pydantic names a place for every mistake


def _about_section(section: str, error: ErrorDetails) -> str:
    if error["type"] != "extra_forbidden":
        brackets = "[[webhook]]" if section == "webhook" else f"[{section}]"
        return f"{section} must be a section: a line {brackets} and its keys below"
    homes = [name for name, model in SECTIONS.items() if section in model.model_fields]
    if homes and not isinstance(error["input"], dict):
        return f"{section} stands outside of its section: it belongs below {' or '.join(f'[{home}]' for home in homes)}"
    return f"[{section}]: there is no such section, only {', '.join(SECTIONS)}{did_you_mean(section, SECTIONS)}"


def _about_key(model: type[Section], subject: str, key: str, error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return _unknown_key(model, subject, key, error["input"])
    allowed = f"must be {model.model_fields[key].description}"
    if error["type"] == "missing":
        return f"{subject} is missing: it {allowed}"
    value = _shown_of(key, error["input"])
    hint = str(error.get("ctx", {}).get("error", ""))
    return f"{subject}{value}: {allowed}{hint}"


def _unknown_key(model: type[Section], subject: str, key: str, value: object) -> str:
    known = list(model.model_fields)
    homes = [name for name, other in SECTIONS.items() if key in other.model_fields]
    elsewhere = f"; it belongs below {' or '.join(f'[{home}]' for home in homes)}" if homes else ""
    hint = elsewhere or did_you_mean(key, known)
    return f"{subject}{_shown_of(key, value)}: there is no such key, only {', '.join(known)}{hint}"


def _shown_of(key: str, value: object) -> str:
    """` = VALUE` for a message, "" where it is, or may be, a secret: a key's name may be misspelt."""
    if _SECRETIVE.search(key) and key != "secret_file":
        return ""
    if (
        difflib.get_close_matches(key.lower(), ("secret", "password", "token"), n=1, cutoff=0.6)
        and key != "secret_file"
    ):
        return ""
    if isinstance(value, str) and "url" in key:
        return f" = {_shown(_without_path(value))}"
    return f" = {_shown(value)}"


def _without_path(url: str) -> str:
    """Give a URL's scheme and host alone: what follows, or stands before the host, is often a secret."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "..."
    if not host:
        return url.partition("/")[0].rpartition("@")[2]
    return f"{parts.scheme}://{host}{'/...' if url.rstrip('/') != f'{parts.scheme}://{host}' else ''}"


def _shown(value: object) -> str:
    """Give a value as TOML would have it, cut to a length that a line bears; control characters are escaped."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
