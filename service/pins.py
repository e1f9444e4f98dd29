"""PINs of mailboxes: whether one is right, without keeping it, and who has tried too often (contract 7).

A PIN is the PBX's own; only for a box the PBX does not know a hash of one is kept here.
"""

import asyncio
import hmac
import logging
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from service.errors import NotFoundError, UnavailableError, VoicemaildError
from service.model import Mailbox
from service.store import Store, Transaction, pins
from service.store.inbox import Owned

if TYPE_CHECKING:
    from argon2 import PasswordHasher

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

PIN = re.compile(r"[0-9]{4,10}\Z", re.ASCII)
HASHES_AT_ONCE = 2
HASH_WAIT_S = 5.0
_EPOCH = datetime(1970, 1, 1).date()  # noqa: DTZ001 -- a day of the calendar, nowhere in particular


class LockedError(VoicemaildError):
    """Too many wrong PINs: this one was not even looked at. `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the login by PIN is locked after too many wrong ones")
        self.retry_after = retry_after


class WrongPinError(NotFoundError):
    """It is another."""


class Pins:
    """Checks PINs. `of_pbx` gives the PBX's PIN of a box, None where it has none; it raises UnavailableError.

    `zone` is where days begin and end; `clock` gives epoch seconds.
    """

    def __init__(
        self,
        store: Store,
        of_pbx: Callable[[Mailbox], Awaitable[str | None]],
        zone: tzinfo,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._of_pbx = of_pbx
        self._zone = zone
        self._clock = clock
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)

    async def check(self, owned: Owned, address: str, pin: str) -> None:
        """Return where the PIN is right. Raises LockedError, WrongPinError, or UnavailableError where it isn't known.

        Whatever is compared, it is counted in the transaction that looks at the lock: many at once gain nothing.
        """
        await self._store.read(partial(self._look, phone=owned.box.phone, address=address))
        right = await self._is_right(owned, pin)
        await self._store.write(partial(self._count, phone=owned.box.phone, address=address, right=right))
        if not right:
            raise WrongPinError("the PIN is wrong")

    async def _is_right(self, owned: Owned, pin: str) -> bool:
        if owned.pin_is_of_pbx:
            known = await self._of_pbx(owned.box.mailbox)
            return known is not None and hmac.compare_digest(known.encode(), pin.encode())
        return await self._in_turn(verified, owned.pin_hash, pin)

    async def hash_of(self, pin: str) -> str:
        """What is kept of a PIN that the PBX does not keep. Raises UnavailableError."""
        return await self._in_turn(hashed, pin)

    async def _in_turn(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What costs memory and time is done off the event loop, only so many at once."""
        try:
            async with asyncio.timeout(HASH_WAIT_S):
                await self._hashing.acquire()
        except TimeoutError:
            raise UnavailableError("too many PINs are being checked at once") from None
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        finally:
            self._hashing.release()

    def _now(self) -> tuple[int, tuple[int, int]]:
        """Now, the calendar's day, and when that ends."""
        now = int(self._clock())
        today = datetime.fromtimestamp(now, self._zone)
        midnight = today.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return now, ((today.date() - _EPOCH).days, int(midnight.timestamp()))

    def _look(self, conn: sqlite3.Connection, phone: str, address: str) -> None:
        now, day = self._now()
        locked = pins.lock(conn, phone, address, now, day)
        if locked is not None:
            raise LockedError(locked.until - now)

    def _count(self, tx: Transaction, phone: str, address: str, *, right: bool) -> None:
        now, day = self._now()
        self._look(tx.conn, phone, address)
        if right:
            pins.succeeded(tx, phone, address, now)
            return
        pins.failed(tx, phone, address, now, day[0])


def hashed(pin: str) -> str:
    """The argon2id hash of a PIN (19 MiB, two passes)."""
    return _hasher().hash(pin)


def verified(pin_hash: str, pin: str) -> bool:
    """Whether this is the PIN a hash was made of."""
    from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415 -- rarely needed

    try:
        return _hasher().verify(pin_hash, pin)
    except (VerificationError, InvalidHashError):
        return False


def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # noqa: PLC0415 -- rarely needed

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
