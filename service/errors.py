"""What can go wrong, divided by what the caller can do about it. Knows no HTTP: each dialect maps these itself.

VoicemaildError
├── InvalidInputError      the caller sent something that can never work; `field` names it
├── NotFoundError          there is no such thing, or the caller may not know of it
├── ConflictError          the state of the PBX or the store stands in the way; a person must look
├── UnavailableError       may work later: the PBX or the store cannot be reached right now
└── ConfigError            the configuration is wrong; every mistake in `problems`
"""

from collections.abc import Sequence


class VoicemaildError(Exception):
    """Base of all failures that are expected; its text is one sentence a user can act on."""


class InvalidInputError(VoicemaildError):
    """Input that can never work. `field` is the name the caller used, or ""."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotFoundError(VoicemaildError):
    """No such thing, or nothing the caller may know of."""


class ConflictError(VoicemaildError):
    """The PBX or the store holds something that stands in the way."""


class UnavailableError(VoicemaildError):
    """The PBX or the store cannot do this right now; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConfigError(VoicemaildError):
    """The configuration is wrong. `problems` holds one sentence for each mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
