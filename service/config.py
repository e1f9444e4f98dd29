"""Makes the settings from a TOML file and the environment, and tells every mistake in them at once.

What may be set, and to what, stands in `service.config_schema`; here is where the values come from (the file, variables
`VOICEMAILD_SECTION__KEY` that win over it, files with secrets, systemd's credentials) and how a mistake is worded.
"""

import contextlib
import difflib
import json
import os
import pickle
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from service.config_file import PATH_VARIABLE, PREFIX, Given, given, reason
from service.config_schema import SECTIONS, Section, Webhook, checked
from service.config_values import did_you_mean
from service.errors import ConfigError
from service.settings import Secret, Settings

CREDENTIAL = "ami-secret"
_LARGEST_SECRET = 4096
_SHOWN = 80
_SECRETIVE = re.compile(r"sec|pass|pw|pin|tok|key|cred|auth|whsec", re.IGNORECASE)
_PLACEHOLDER = Secret(f"whsec_{'A' * 32}")
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
    return understood(given(path, environ))


def understood(given: Given) -> Settings:
    """Give the settings that what is given means. Raises ConfigError as `load` does."""
    place, text, environ = given.place, given.text, given.environ
    draft = _Draft(_parse(place, text) if text is not None else {})
    _override(draft, environ)
    _fill_secrets(draft, environ)
    draft.problems += _duplicates(draft.raw)
    settings = _validate(draft)
    if settings is None or draft.problems:
        raise ConfigError(draft.problems)
    if text is None:
        return replace(settings, note=f"there is no {place}: all settings have their defaults")
    return settings


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = "; a text with backslashes stands in 'single quotes'" if "Unescaped" in str(error) else ""
        raise ConfigError([f"{path} is not valid TOML: {error}{hint}"]) from None


# Environment


def _override(draft: _Draft, environ: Mapping[str, str]) -> None:
    """Let each `VOICEMAILD_SECTION__KEY` win over the file."""
    for variable in sorted(name for name in environ if name.startswith(PREFIX) and name != PATH_VARIABLE):
        section, separator, key = variable.removeprefix(PREFIX).lower().partition("__")
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
        f"{PREFIX}{section}__{key}".upper()
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


def _secret_in(draft: _Draft, path: Path, subject: str, *, required: bool = True) -> Secret | None:
    """Give the secret a file holds, stripped; where it holds none, note a problem and give a placeholder.

    None where there is no file and none is required. A placeholder, lest the mistake is told again as a missing secret.
    """
    try:
        with path.open("rb") as file:
            secret = file.read(_LARGEST_SECRET).decode().strip()
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and not required:
            return None
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else reason(error)
        draft.problems.append(f"{subject}: the file cannot be read: {why}")
        return _PLACEHOLDER
    if not secret:
        draft.problems.append(f"{subject}: the file is empty; it must hold the secret and nothing else")
    return Secret(secret) if secret else _PLACEHOLDER


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
        return checked(draft.raw)
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


# The process


def answer(fd: int) -> None:
    """Be told what is given on this socket, and tell the settings or the mistakes, as `service.config_reading` asks."""
    with os.fdopen(fd, "rb", closefd=False) as source:
        given = pickle.load(source)  # noqa: S301 -- what this very program asks
    told: Settings | tuple[str, ...]
    try:
        told = understood(given)
    except ConfigError as error:
        told = error.problems
    with contextlib.suppress(ConnectionError), os.fdopen(fd, "wb") as sink:  # who asked may be gone by now
        pickle.dump(told, sink)


if __name__ == "__main__":
    answer(int(sys.argv[1]))
