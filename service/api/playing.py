"""Sends audio to who may hear it: as it is or converted, whole or in part (contract 9).

`Range` (206, 416), `If-Range`, `ETag`, `If-Match` (412) and `If-None-Match` (304) as in RFC 9110.
"""

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from io import FileIO

from aiohttp import hdrs, web

from service.api.ranges import Span, another, select, unchanged
from service.api.wire import InvalidParametersError, RefusedError
from service.audio import ORIGINAL, TARGETS, Converter, NoDecoderError, Original, Target
from service.errors import InvalidInputError

FORMATS = (*TARGETS, ORIGINAL)
CHUNK = 256 * 1024
_UNSAFE = re.compile(r"[^0-9A-Za-z+]")
_TYPE = re.compile(r"audio/[A-Za-z0-9.+-]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Sound:
    """An open file, and what it is: `tag` is another for every other file, `stem` its telling name.

    `target` is what has to be made of it for who asks, None where it is sent as it is.
    """

    file: FileIO
    original: Original
    target: Target | None
    tag: str
    content_type: str
    stem: str


@dataclass(frozen=True, slots=True)
class _Content:
    file: FileIO
    size: int
    headers: Mapping[str, str]


def format_of(request: web.Request) -> str:
    """What the request wants: a name of FORMATS, or "" where it leaves that to us. Raises InvalidParametersError."""
    name = request.query.get("format", "")
    if name and name not in FORMATS:
        raise InvalidParametersError({"format": [f"The format must be one of {', '.join(FORMATS)}."]})
    return name


def telling(text: str, otherwise: str = "unknown") -> str:
    """What may stand in a file's name on every system."""
    return _UNSAFE.sub("", text)[:32] or otherwise


@dataclass(frozen=True)
class Player:
    """Answers with audio. Without a `converter` only as it was recorded."""

    converter: Converter | None

    async def answer(self, request: web.Request, sound: Sound) -> web.StreamResponse:
        """The answer to a GET or HEAD; the caller closes the file of the sound."""
        if sound.target is None:
            suffix = telling(sound.original.suffix, "bin").lower()
            return await _answer(request, _content(sound, sound.file, sound.content_type, suffix, sound.tag))
        with FileIO(await self._converted(sound, sound.target)) as file:
            tag = f"{sound.tag}-{sound.target.name}-{os.fstat(file.fileno()).st_mtime_ns:x}"
            return await _answer(request, _content(sound, file, sound.target.content_type, sound.target.suffix, tag))

    async def _converted(self, sound: Sound, target: Target) -> int:
        suffix = sound.original.suffix
        if self.converter is None:
            raise RefusedError(
                HTTPStatus.NOT_IMPLEMENTED,
                f"This was recorded as {suffix} and is not converted: ask for format=original.",
            )
        try:
            return await self.converter.converted(sound.file.fileno(), sound.original, target)
        except NoDecoderError as error:
            raise RefusedError(
                HTTPStatus.NOT_IMPLEMENTED,
                f"This was recorded as {suffix} and cannot be converted here ({error}): ask for format=original.",
            ) from error
        except InvalidInputError as error:
            raise InvalidInputError(
                f"this {suffix} file cannot be converted: {error}; ask for format=original"
            ) from error


def _content(sound: Sound, file: FileIO, content_type: str, suffix: str, tag: str) -> _Content:
    known = _TYPE.match(content_type)
    headers: dict[str, str] = {
        hdrs.CONTENT_TYPE: known[0] if known else "application/octet-stream",
        hdrs.CONTENT_DISPOSITION: f'inline; filename="{sound.stem}.{suffix}"',
        hdrs.ETAG: f'"{tag}"',
        hdrs.ACCEPT_RANGES: "bytes",
        hdrs.CACHE_CONTROL: "private, no-cache",
    }
    return _Content(file, os.fstat(file.fileno()).st_size, headers)


async def _answer(request: web.Request, content: _Content) -> web.StreamResponse:
    etag = content.headers[hdrs.ETAG]
    if another(request.headers.get(hdrs.IF_MATCH), etag):
        raise RefusedError(HTTPStatus.PRECONDITION_FAILED, "This is another audio by now.")
    if unchanged(request.headers.get(hdrs.IF_NONE_MATCH), etag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=content.headers)
    span = select(request.headers.get(hdrs.RANGE), request.headers.get(hdrs.IF_RANGE), etag, content.size)
    if span is None:
        unsatisfied: dict[str, str] = {hdrs.CONTENT_RANGE: f"bytes */{content.size}"}
        raise RefusedError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "There are not so many bytes.", unsatisfied)
    return await _send(request, content.file, span, content.headers)


async def _send(request: web.Request, file: FileIO, span: Span, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send a part of an open file, read in pieces off the event loop; if it is shorter now the connection ends."""
    response = web.StreamResponse(status=HTTPStatus.PARTIAL_CONTENT if span.partial else HTTPStatus.OK, headers=headers)
    if span.partial:
        response.headers[hdrs.CONTENT_RANGE] = span.content_range
    response.content_length = span.length
    position, end = span.start, span.start + span.length
    piece = b"" if request.method == hdrs.METH_HEAD else await _read(file, position, end)
    await response.prepare(request)
    while piece:
        await response.write(piece)
        position += len(piece)
        piece = await _read(file, position, end) if position < end else b""
    if position < end and request.method != hdrs.METH_HEAD:
        response.force_close()
    return response


async def _read(file: FileIO, position: int, end: int) -> bytes:
    return await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK, end - position), position)
