"""Configurations for tests: what a file and an environment give."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from service.config import load
from service.errors import ConfigError
from service.settings import Settings

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def settings(tmp_path: Path, text: str = "", environ: Mapping[str, str] | None = None) -> Settings:
    file = tmp_path / "voicemaild.toml"
    file.write_text(text)
    return load(file, environ or {})


def problems(tmp_path: Path, text: str = "", environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text, environ)
    return list(caught.value.problems)


def problem(tmp_path: Path, text: str = "", environ: Mapping[str, str] | None = None) -> str:
    (only,) = problems(tmp_path, text, environ)
    return only


def webhook(name: str = "crm", **other: object) -> str:
    keys: dict[str, object] = {"name": name, "url": "https://crm.example/hook", "secret": WHSEC} | other
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None]
    return "\n".join(["[[webhook]]", *lines, ""])
