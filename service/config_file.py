"""Where the configuration stands, and what is given there and in the environment: text, not looked at yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.errors import ConfigError

DEFAULT_PATH = Path("/etc/voicemaild/voicemaild.toml")
PATH_VARIABLE = "VOICEMAILD_CONFIG"
PREFIX = "VOICEMAILD_"
_LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Given:
    """The text that stands at `place`, None where there is none and none is required; and the environment."""

    place: Path
    text: str | None
    environ: Mapping[str, str]


def given(path: Path | None, environ: Mapping[str, str]) -> Given:
    """Read what is given: at `path`; with None at `$VOICEMAILD_CONFIG`, else at the default place.

    A file that was named must exist. Raises ConfigError.
    """
    place, named = locate(path, environ)
    return Given(place, _read(place, required=named), dict(environ))


def locate(path: Path | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """Give where the configuration is to be read from, and whether somebody named that place."""
    if path is not None:
        return path, True
    value = environ.get(PATH_VARIABLE, "")
    return (Path(value), True) if value else (DEFAULT_PATH, False)


def _read(path: Path, *, required: bool) -> str | None:
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
        raise ConfigError([f"{path} cannot be read: {reason(error)}"]) from None
    if len(content) > _LARGEST_FILE:
        raise ConfigError([f"{path} is no configuration: it is larger than {_LARGEST_FILE} bytes"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}, line {line}: the file must be UTF-8"]) from None


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be read, in words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
