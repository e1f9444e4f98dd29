"""Signed links: what opens, and all that does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.links import Signer

UUID = "6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11"
KEY = b"0123456789abcdef"


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def parts(signer: Signer, uuid: str = UUID) -> tuple[str, str]:
    expires, signature = (pair.partition("=")[2] for pair in signer.query(uuid).split("&"))
    return expires, signature


@given(st.floats(0, 4e9))
def test_a_link_opens_for_an_hour_and_at_most_a_minute_more(now: float) -> None:
    clock = Clock(now)
    signer = Signer(KEY, clock)
    link = parts(signer)
    for later, valid in ((0, True), (3600, True), (3660, False), (86400, False)):
        clock.now = now + later
        assert signer.valid(UUID, *link) is valid


def test_links_of_the_same_minute_are_equal() -> None:
    assert Signer(KEY, Clock(120)).query(UUID) == Signer(KEY, Clock(179.9)).query(UUID)
    assert Signer(KEY, Clock(120)).query(UUID) != Signer(KEY, Clock(180)).query(UUID)


def test_a_link_opens_its_own_message_alone_and_ends_when_it_says() -> None:
    signer = Signer(KEY, Clock(0))
    expires, signature = parts(signer)
    assert not signer.valid("6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a12", expires, signature)
    assert not signer.valid(UUID, str(int(expires) + 60), signature)
    assert not signer.valid(UUID, "0" + expires, signature + "=")
    assert not Signer(b"another secret key", Clock(0)).valid(UUID, expires, signature)


@given(st.text(), st.text())
def test_nothing_made_up_opens(expires: str, signature: str) -> None:
    assert not Signer(KEY, Clock(0)).valid(UUID, expires, signature)


def test_a_key_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="16 are needed"):
        Signer(b"short")


def test_another_key_ends_all_links_and_begins_another_era() -> None:
    signer = Signer(KEY, Clock(0))
    before, era = signer.query(UUID), signer.era
    signer.rekey(b"another secret key")
    assert signer.era != era
    assert signer.query(UUID) != before
    expires, signature = (part.partition("=")[2] for part in before.split("&"))
    assert not signer.valid(UUID, expires, signature)
    with pytest.raises(ValueError, match="at least"):
        signer.rekey(b"short")
