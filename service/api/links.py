"""Links to a message's audio that need no token: signed, and good for an hour.

Contract 9: `recorded_file_url`, `download_url` and `get_url` play in an `<audio>` tag. The signature is an HMAC-SHA256
over the message's uuid and the link's end, so neither a client nor a page that shows the link can turn it into another.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

VALID_S = 3600
STEP_S = 60
"""Links of one minute are equal, so that an answer can be kept and browsers find what they have already loaded."""

MIN_KEY_BYTES = 16


class Signer:
    """Signs and checks links. `key` is secret and lasts as long as the links shall; `clock` gives epoch seconds."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rekeyed = 0
        self._key = _checked(key)

    def rekey(self, key: bytes) -> None:
        """Sign with another key from now on: all links that were made so far end."""
        self._key = _checked(key)
        self._rekeyed += 1

    @property
    def era(self) -> tuple[int, int]:
        """Another one for whatever makes links other links: with every minute, and with every key."""
        return self.expiry(), self._rekeyed

    def expiry(self) -> int:
        """When a link that is made now ends, in epoch seconds: an hour after the next full minute."""
        return (int(self._clock()) // STEP_S + 1) * STEP_S + VALID_S

    def query(self, uuid: str) -> str:
        """The query that lets whoever has it read this message's audio until `expiry()`."""
        expires = self.expiry()
        return f"expires={expires}&signature={self._sign(uuid, expires)}"

    def valid(self, uuid: str, expires: str, signature: str) -> bool:
        """Whether this is our own signature for this message, and not yet at its end."""
        if not (expires.isascii() and expires.isdigit() and len(expires) <= len("9999999999")):
            return False
        expected = self._sign(uuid, int(expires))
        genuine = hmac.compare_digest(signature.encode("utf-8", "surrogatepass"), expected.encode())
        return genuine and self._clock() < int(expires)

    def _sign(self, uuid: str, expires: int) -> str:
        mac = hmac.digest(self._key, f"{uuid}\n{expires}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def _checked(key: bytes) -> bytes:
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"the key of signed links has {len(key)} bytes, at least {MIN_KEY_BYTES} are needed")
    return key
