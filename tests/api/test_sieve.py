"""What is too long never reaches aiohttp's reader, and the connection stays."""

import json
import os
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.sieve import MOST_BYTES, TOO_LONG, Sieve
from tests.api.site import Site

MOST = 20


class Reader:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        self.ended = True


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, mask: bytes = b"\1\2\3\4") -> bytes:
    """A client's frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 1 << 16:
        length = bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((0x80 | 127,)) + size.to_bytes(8, "big")
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes((opcode | (0x80 if fin else 0),)) + length + mask + masked


def sifted(data: bytes, cuts: Iterable[int] = ()) -> bytes:
    reader = Reader()
    sieve = Sieve(reader, MOST)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        sieve.feed_data(data[start:end])
    return reader.data


def message(sizes: Sequence[int]) -> list[bytes]:
    """A text in frames of these sizes."""
    last = len(sizes) - 1
    return [frame(b"x" * size, 0 if place else 1, fin=place == last) for place, size in enumerate(sizes)]


MARK = frame(TOO_LONG.encode(), mask=bytes(4))
PING = frame(b"are you there", 9)


@given(
    st.lists(st.one_of(st.lists(st.integers(0, 30), min_size=1, max_size=4), st.none()), max_size=6),
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_however_it_comes_in_pieces_what_is_short_enough_passes_and_the_rest_is_marked(
    messages: list[list[int] | None], cuts: list[int]
) -> None:
    sent, expected = b"", b""
    for sizes in messages:
        if sizes is None:
            sent, expected = sent + PING, expected + PING
            continue
        total, last = 0, len(sizes) - 1
        for place, (piece, size) in enumerate(zip(message(sizes), sizes, strict=True)):
            sent += piece
            before, total = total, total + size
            if total <= MOST:
                expected += piece
            else:
                payload = TOO_LONG.encode() if before <= MOST else b""
                expected += frame(payload, 0 if place else 1, fin=place == last, mask=bytes(4))
    assert sifted(sent, cuts) == expected


def test_a_ping_passes_in_the_middle_of_what_is_too_long() -> None:
    first, second = message([30, 30])
    assert PING in sifted(first + PING + second)


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536])
def test_every_way_to_write_a_length_is_understood(size: int) -> None:
    assert sifted(frame(b"x" * size) + PING) == MARK + PING


def test_what_is_promised_and_never_comes_holds_nothing_up_and_the_end_is_handed_on() -> None:
    reader = Reader()
    sieve = Sieve(reader, MOST)
    sieve.feed_data(bytes((0x81, 0xFF)) + b"\xff" * 8 + b"mask" + b"x" * 1000)
    sieve.feed_eof()
    assert (reader.data, reader.ended) == (MARK, True)


async def test_a_client_that_says_too_much_is_told_so_and_stays(site: Site) -> None:
    headers = {"Authorization": "Bearer reader"}
    async with site.client.ws_connect(f"{site.url}/ws", headers=headers) as ws:
        assert (await ws.receive_json(timeout=60))["type"] == "hello"
        boxes = [f"{number}@default" for number in range(1000)]
        await ws.send_str(json.dumps({"type": "subscribe", "mailboxes": boxes}))
        assert (await ws.receive_json(timeout=60))["type"] == "subscribed"
        for size in (MOST_BYTES + 1, 1 << 20):
            await ws.send_str(json.dumps("x" * size))
            assert "too long" in (await ws.receive_json(timeout=60))["message"]
        await ws.send_bytes(os.urandom(MOST_BYTES + 1))
        assert (await ws.receive_json(timeout=60))["type"] == "error"
        await ws.send_str('{"type":"ping"}')
        assert await ws.receive_json(timeout=60) == {"type": "pong"}
