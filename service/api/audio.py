"""A message's audio (contract 9): by a signed link without a token, or by its path with one.

    GET|HEAD /message-voice/{uuid}/audio[?expires&signature][&format]

`Range` (206, 416), `If-Range`, `ETag` and `If-None-Match` (304) as in RFC 9110. No request names a path: only a
message's uuid, and only the very file that was ingested for it is sent. The bytes are those of the PBX; other formats
are answered with 501.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from io import FileIO
from pathlib import Path

from aiohttp import hdrs, web

from service.api.edge import Edge, Edges
from service.api.gate import CHALLENGE, Gate
from service.api.ranges import Span, select, unchanged
from service.api.wire import InvalidParametersError, RefusedError
from service.errors import NotFoundError
from service.model import Audio, Mailbox, Message, Scope, View
from service.spool import open_audio
from service.store import Store, messages

FORMATS = ("wav", "mp3", "opus", "original")
CHUNK = 256 * 1024
_TELLING = re.compile(r"[^0-9A-Za-z+]")
_TYPE = re.compile(r"audio/[a-z0-9.+-]{1,40}\Z", re.ASCII)


@dataclass(frozen=True)
class AudioFiles:
    """The handler of audio. `spool` is the spool's root.

    `look_again` reconciles a mailbox whose files have moved, or raises UnavailableError.
    """

    store: Store
    spool: Path
    look_again: Callable[[Mailbox], Awaitable[object]]
    gate: Gate
    edges: Edges

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The route of audio under a prefix."""
        return [web.get(f"{prefix}/message-voice/{{uuid:[0-9a-f-]{{36}}}}/audio", self.serve)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET|HEAD /message-voice/{uuid}/audio`."""
        message, file = await self._open(request.match_info["uuid"], self._view(request))
        with file:
            audio = _audio_of(message)
            _check_format(request.query.get("format") or "original", audio)
            etag = etag_of(audio)
            headers = _headers(message, audio, etag, self.edges.of(request))
            if unchanged(request.headers.get(hdrs.IF_NONE_MATCH), etag):
                return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
            size = audio.file.size
            span = select(request.headers.get(hdrs.RANGE), request.headers.get(hdrs.IF_RANGE), etag, size)
            if span is None:
                unsatisfied: dict[str, str] = {hdrs.CONTENT_RANGE: f"bytes */{size}"}
                raise RefusedError(
                    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "There are not so many bytes.", unsatisfied
                )
            return await _send(request, file, span, headers)

    def _view(self, request: web.Request) -> View:
        """What may be read: all, where the link is signed for this message, else what the token may see."""
        expires, signature = request.query.get("expires", ""), request.query.get("signature", "")
        if signature and self.edges.signer.valid(request.match_info["uuid"], expires, signature):
            return None
        if signature and hdrs.AUTHORIZATION not in request.headers:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "This link has ended, or is not one of ours.", CHALLENGE)
        return self.gate.authorize(request, Scope.READ).view

    async def _find(self, uuid: str, view: View) -> Message:
        return await self.store.read(lambda conn: messages.by_uuid(conn, view, uuid))

    async def _open(self, uuid: str, view: View) -> tuple[Message, FileIO]:
        """A message and its own file; where that has just been moved, the spool is looked at once more."""
        message = await self._find(uuid, view)
        try:
            return message, await asyncio.to_thread(_opened, self.spool, message)
        except NotFoundError:
            await self.look_again(message.mailbox)
        message = await self._find(uuid, view)
        return message, await asyncio.to_thread(_opened, self.spool, message)


def _opened(spool: Path, message: Message) -> FileIO:
    audio = _audio_of(message)
    return FileIO(open_audio(spool, message.mailbox, message.folder, message.msgnum, audio.file))


def _audio_of(message: Message) -> Audio:
    if message.audio is None:
        raise NotFoundError("this message has no audio")
    return message.audio


def _check_format(name: str, audio: Audio) -> None:
    """Raise unless this format is what lies in the spool; Asterisk's `wav` is 16-bit PCM, its `WAV` (wav49) is not."""
    if name not in FORMATS:
        raise InvalidParametersError({"format": [f"The format must be one of {', '.join(FORMATS)}."]})
    if name not in ("original", audio.file.suffix):
        raise RefusedError(
            HTTPStatus.NOT_IMPLEMENTED,
            f"This message was recorded as {audio.file.suffix} and is not converted: ask for format=original.",
        )


def etag_of(audio: Audio) -> str:
    """A strong tag: what the file is, without where it lies."""
    return f'"{audio.file.head[:24]}-{audio.file.size:x}-{audio.file.mtime_ns:x}"'


def _headers(message: Message, audio: Audio, etag: str, edge: Edge) -> dict[str, str]:
    content_type = audio.content_type if _TYPE.match(audio.content_type) else "application/octet-stream"
    return {
        hdrs.CONTENT_TYPE: content_type,
        hdrs.CONTENT_DISPOSITION: f'inline; filename="{file_name(message, edge)}"',
        hdrs.ETAG: etag,
        hdrs.ACCEPT_RANGES: "bytes",
        hdrs.CACHE_CONTROL: "private, no-cache",
    }


def file_name(message: Message, edge: Edge) -> str:
    """Who called whom when, safe on every system: `voicemail-20260113-173000-998901234567-to-5800.wav`."""
    at = edge.local_time(message.envelope.origtime).replace("-", "").replace(":", "").replace(" ", "-")
    caller = _TELLING.sub("", message.envelope.caller_id_number)[:32] or "unknown"
    called = _TELLING.sub("", message.mailbox.extension)[:32]
    suffix = _TELLING.sub("", message.audio.file.suffix).lower() if message.audio else ""
    return f"voicemail-{at}-{caller}-to-{called}.{suffix}"


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
