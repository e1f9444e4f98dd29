import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

import pytest

from service import pins as module
from service.errors import UnavailableError
from service.model import Box, Mailbox
from service.pins import HASHES_AT_ONCE, LockedError, Pins, WrongPinError, hashed, verified
from service.store import Store
from service.store.inbox import Owned

PHONE = "+4571919998"
HERE = "192.0.2.1"
BOX = Mailbox("default", "100")
ON_PBX = Owned(Box(BOX, "uuid", PHONE), configured=True, disabled=False, pin_hash="")


@dataclass
class Pbx:
    """Somebody who knows a PIN, or does not answer."""

    pin: str | None = "4321"
    away: bool = False
    asked: list[Mailbox] = field(default_factory=list)
    now: float = 1_768_000_000.0

    async def pin_of(self, mailbox: Mailbox) -> str | None:
        self.asked.append(mailbox)
        if self.away:
            raise UnavailableError("the PBX is away")
        return self.pin


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with asyncio.timeout(60), Store.open(tmp_path / "voicemaild.db", pbx="pbx1") as made:
        yield made


@pytest.fixture
def pbx() -> Pbx:
    return Pbx()


@pytest.fixture
def pins(store: Store, pbx: Pbx) -> Pins:
    return Pins(store, pbx.pin_of, UTC, lambda: pbx.now)


async def wrong(pins: Pins, times: int, address: str = HERE) -> None:
    for _ in range(times):
        with pytest.raises(WrongPinError):
            await pins.check(ON_PBX, address, "0000")


async def test_the_pin_of_the_pbx_is_right_and_no_other(pins: Pins, pbx: Pbx) -> None:
    await pins.check(ON_PBX, HERE, "4321")
    for pin in ("0000", "43210", "432", "٤٣٢١"):
        with pytest.raises(WrongPinError):
            await pins.check(ON_PBX, HERE, pin)
    assert set(pbx.asked) == {BOX}


async def test_a_box_without_a_pin_opens_to_none(pins: Pins, pbx: Pbx) -> None:
    pbx.pin = None
    with pytest.raises(WrongPinError):
        await pins.check(ON_PBX, HERE, "")


async def test_the_sixth_try_is_refused_the_right_one_too_and_nobody_asks_the_pbx(pins: Pins, pbx: Pbx) -> None:
    await wrong(pins, 5)
    asked = len(pbx.asked)
    with pytest.raises(LockedError) as refused:
        await pins.check(ON_PBX, HERE, "4321")
    assert refused.value.retry_after == 60
    assert len(pbx.asked) == asked
    pbx.now += 60
    await pins.check(ON_PBX, HERE, "4321")


async def test_many_tries_at_once_gain_nothing(pins: Pins) -> None:
    """Of fifty that begin together five are counted, and no right one among those behind them is let in."""
    tries = [pins.check(ON_PBX, HERE, "0000") for _ in range(50)] + [pins.check(ON_PBX, HERE, "4321")]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds.count(WrongPinError) == 5
    assert kinds.count(LockedError) == 46


async def test_twenty_wrong_ones_lock_out_strangers_until_the_day_is_over(pins: Pins, pbx: Pbx) -> None:
    await pins.check(ON_PBX, "198.51.100.7", "4321")
    for number in range(5):
        await wrong(pins, 4, f"203.0.113.{number}")
    with pytest.raises(LockedError):
        await pins.check(ON_PBX, "203.0.113.99", "4321")
    await pins.check(ON_PBX, "198.51.100.7", "4321")
    pbx.now += 24 * 3600
    await pins.check(ON_PBX, "203.0.113.99", "4321")


async def test_locks_survive_a_restart(tmp_path: Path, pbx: Pbx) -> None:
    path = tmp_path / "again.db"
    async with Store.open(path, pbx="pbx1") as store:
        await wrong(Pins(store, pbx.pin_of, UTC, lambda: pbx.now), 5)
    async with Store.open(path, pbx="pbx1") as store:
        with pytest.raises(LockedError):
            await Pins(store, pbx.pin_of, UTC, lambda: pbx.now).check(ON_PBX, HERE, "4321")


async def test_a_pbx_that_cannot_be_asked_is_nobodys_wrong_pin(pins: Pins, pbx: Pbx) -> None:
    pbx.away = True
    for _ in range(6):
        with pytest.raises(UnavailableError):
            await pins.check(ON_PBX, HERE, "4321")
    pbx.away = False
    await pins.check(ON_PBX, HERE, "4321")


async def test_a_box_that_the_pbx_has_not_told_yet_has_the_pin_of_the_pbx(pins: Pins, pbx: Pbx) -> None:
    untold = Owned(ON_PBX.box, configured=False, disabled=False, pin_hash="")
    await pins.check(untold, HERE, "4321")
    pbx.away = True
    with pytest.raises(UnavailableError):
        await pins.check(untold, HERE, "4321")
    pbx.away, pbx.pin = False, None
    with pytest.raises(WrongPinError):
        await pins.check(untold, HERE, "4321")


async def test_of_a_box_the_pbx_does_not_know_a_hash_decides(pins: Pins, pbx: Pbx) -> None:
    ours = Owned(ON_PBX.box, configured=False, disabled=False, pin_hash=hashed("1234"))
    await pins.check(ours, HERE, "1234")
    with pytest.raises(WrongPinError):
        await pins.check(ours, HERE, "4321")
    assert pbx.asked == []


async def test_many_hashes_are_computed_two_at_a_time_and_all_are_answered(
    pins: Pins, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Owned(ON_PBX.box, configured=False, disabled=False, pin_hash=hashed("1234"))
    turn, busy, most = threading.Lock(), 0, 0

    def counted(name: str, work: Callable[..., object]) -> None:
        def counting(*args: str) -> object:
            nonlocal busy, most
            with turn:
                busy, most = busy + 1, max(most, busy + 1)
            try:
                return work(*args)
            finally:
                with turn:
                    busy -= 1

        monkeypatch.setattr(module, name, counting)

    counted("verified", verified)
    counted("hashed", hashed)
    monkeypatch.setattr(module, "HASH_WAIT_S", 60)
    checks = [pins.check(ours, f"192.0.2.{number}", "1234") for number in range(3 * HASHES_AT_ONCE)]
    await asyncio.gather(*checks, pins.hash_of("1234"), pins.hash_of("4321"))
    assert most == HASHES_AT_ONCE


def test_a_hash_is_salted_and_nothing_else_opens_it() -> None:
    one, other = hashed("1234"), hashed("1234")
    assert one != other
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verified(one, "1234")
    assert verified(other, "1234")
    assert not verified(one, "1235")
    assert not verified("no hash", "1234")
