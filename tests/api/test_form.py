"""A field of a form: whole whatever the pieces are, as other programs write forms, and nothing from what is no form."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.form import MOST_BESIDE, Form, boundary_of, field
from service.errors import InvalidInputError

B = b"--x"


def part(content: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((B, *headers, b"", content, b""))


def named(content: bytes, name: bytes = b"file", *more: bytes) -> bytes:
    return part(content, b'Content-Disposition: form-data; name="' + name + b'"; filename="a.wav"', *more)


END = B + b"--\r\n"


async def read(pieces: Sequence[bytes], boundary: str = "x") -> bytes:
    async def content() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return b"".join([piece async for piece in field(content(), boundary, "file")])


def pieces_of(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


CONTENT = st.binary(max_size=50) | st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"x", b"\r\n", b"--x", b"\r\n--", b"\r\n-", b" "]), max_size=20
).map(b"".join)


@given(
    CONTENT.filter(lambda content: b"\r\n--x" not in b"\r\n" + content), st.lists(st.integers(0, 10**6)), st.binary()
)
def test_the_field_comes_whole_whatever_it_holds_and_however_it_is_cut(
    content: bytes, cuts: list[int], other: bytes
) -> None:
    other = other.replace(b"--x", b"")
    data = part(b"no headers") + named(other, b"comment") + named(content) + named(b"second") + END
    assert asyncio.run(read(pieces_of(data, cuts))) == content


@pytest.mark.parametrize(
    "data",
    [
        named(b"sound") + END,
        named(b"sound") + B + b"--",
        named(b"sound") + B,
        b"a preamble\r\n" + named(b"sound") + END + b"an epilogue",
        B + b" \t\r\n" + named(b"sound")[5:] + END,
        part(b"sound", b"content-disposition:form-data;name=file") + END,
        part(b"sound", b'Content-Disposition: form-data; filename="k\xc3\xb6ln.wav"; name="file"') + END,
        part(b"sound", b"Content-Disposition: form-data;", b' name="file"') + END,
        named(b"sound", b"file", b"Content-Transfer-Encoding: Binary", b"Content-Type: audio/wav") + END,
    ],
)
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_forms_are_written_in_many_ways(data: bytes, size: int) -> None:
    assert await read([data[at : at + size] for at in range(0, len(data), size)]) == b"sound"


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off"),
        (b"garbage", "cut off"),
        (B, "cut off"),
        (END, "no field"),
        (named(b"sound"), "cut off"),
        (named(b"sound")[:-1], "cut off"),
        (named(b"sound", b"document") + END, "no field"),
        (part(b"sound") + END, "no field"),
        (part(b"sound", b"no colon here") + END, "no field"),
        (part(b"sound", b"Content-Disposition: form-data; name*=utf-8''file") + END, "no field"),
        (B + b"y\r\n" + named(b"sound") + END, "no line of its own"),
        (B + b"-y\r\n" + named(b"sound") + END, "no line of its own"),
        (B + b" -\r\n" + named(b"sound") + END, "no line of its own"),
        (named(b"sound", b"file", b"Content-Transfer-Encoding: base64") + END, "must not be encoded"),
        (named(b"sound", b"file", b"Content-Encoding: gzip") + END, "must not be encoded"),
        (B + b"\r\nA: " + b"x" * 20_000, "headers without end"),
        (B + b"\r\n" + b"A: x\r\n" * 5_000, "headers without end"),
        (b"x" * (MOST_BESIDE + 1), "too much beside"),
        (named(b"x" * (MOST_BESIDE + 1), b"comment") + named(b"sound"), "too much beside"),
        (part(b"") * 10_000, "too much beside"),
        (B + b" " * 2_000, "no line of its own"),
    ],
)
async def test_what_is_no_such_form_is_refused(data: bytes, reason: str, size: int) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        await read([data[at : at + size] for at in range(0, len(data), size)])


@given(st.lists(st.binary(max_size=30) | st.sampled_from([B, b"\r\n", b"--", b"\r\n\r\n", b'name="file"', b"; "])))
def test_no_bytes_break_it(pieces: list[bytes]) -> None:
    form = Form(b"x", "file")
    try:
        given_back = b"".join(form.feed(piece) for piece in pieces)
    except InvalidInputError:
        return
    assert given_back in b"".join(pieces)


async def test_what_comes_behind_the_field_is_not_asked_for() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield named(b"sound") + END
        pytest.fail("it was asked for")

    assert [piece async for piece in field(content(), "x", "file")] == [b"sound"]


def test_the_field_is_not_held_back_as_a_whole() -> None:
    form = Form(b"x", "file")
    form.feed(named(b"")[:-2])
    assert len(form.feed(bytes(1000))) > 900


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ('Multipart/Form-Data; charset=utf-8; BOUNDARY="a b=c"', "a b=c"),
        (
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
            "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        ),
        ("multipart/mixed; boundary=abc", None),
        ("audio/wav", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_boundary_stands_in_the_content_type(content_type: str, boundary: str | None) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize("boundary", ["", "; boundary=", '; boundary=""', f"; boundary={'y' * 71}", '; boundary="a<b"'])
def test_a_form_without_a_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(InvalidInputError, match="no boundary"):
        boundary_of(f"multipart/form-data{boundary}")


async def test_it_reads_what_aiohttp_writes() -> None:
    form = aiohttp.FormData()
    form.add_field("comment", "hello")
    form.add_field("file", bytes(range(256)) * 100, filename='grüße "1".wav', content_type="audio/wav")
    body = form()
    boundary = boundary_of(body.content_type) if body.content_type else None
    assert boundary is not None
    assert await read([await body.as_bytes()], boundary) == bytes(range(256)) * 100
