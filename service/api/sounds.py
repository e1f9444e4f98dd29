"""A message's audio, for every dialect that plays it: found in the spool or with us, and only the very file it was."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from io import FileIO
from pathlib import Path

from aiohttp import web

from service.api.edge import Edge, Edges
from service.api.gate import Gate
from service.api.playing import Player, Sound, format_of, telling
from service.api.signed import view_of
from service.api.wire import RefusedError
from service.audio import AudioWorker, Original, Peaks, target_of
from service.errors import InvalidInputError, NotFoundError
from service.media import Media
from service.model import Audio, Message, View
from service.spool import open_audio
from service.store import Store, messages

OPUS, OGG = "audio/opus", "audio/ogg"


@dataclass(frozen=True)
class Sounds:
    """Finds a message's audio and plays it. `spool` is the spool's root, `media` holds what is not there.

    `look_again` finds a message whose audio has moved or was written anew, or raises UnavailableError. Without
    a `worker` there are no peaks.
    """

    store: Store
    spool: Path
    media: Media
    look_again: Callable[[Message], Awaitable[object]]
    gate: Gate
    edges: Edges
    player: Player
    worker: AudioWorker | None = None

    async def play(self, request: web.Request, uuid: str) -> web.StreamResponse:
        """The audio of a message, to whoever has a link that was signed for it, or a token that may see it."""
        view = view_of(request, uuid, self.gate, self.edges.signer)
        wanted, edge = format_of(request), self.edges.of(request)
        message, (file, audio) = await self._open(uuid, view)
        with file:
            try:
                target = await asyncio.to_thread(target_of, file.fileno(), audio.file.suffix, wanted)
            except OSError as error:
                raise gone() from error
            own = audio.file
            original = Original(message.uuid, own.suffix, own.size, own.mtime_ns, own.head)
            stem = file_stem(message, edge)
            return await self.player.answer(
                request, Sound(file, original, target, tag_of(audio), served_as(audio), stem)
            )

    async def peaks(self, uuid: str, view: View) -> Peaks:
        """The outline of a message's audio. Raises RefusedError where that cannot be told."""
        if self.worker is None:
            raise RefusedError(HTTPStatus.NOT_IMPLEMENTED, "Audio is not looked into here.")
        _message, (file, audio) = await self._open(uuid, view)
        with file:
            found = await self.worker.peaks(lambda: os.dup(file.fileno()), audio.file.suffix)
        if found is None:
            raise InvalidInputError(f"this {audio.file.suffix} file cannot be looked into")
        return found

    async def _open(self, uuid: str, view: View) -> tuple[Message, tuple[FileIO, Audio]]:
        """A message and its own open file; where that has just been moved, the spool is looked at once more."""
        message = await self._find(uuid, view)
        try:
            return message, await asyncio.to_thread(self._opened, message)
        except NotFoundError:
            await self.look_again(message)
        message = await self._find(uuid, view)
        try:
            return message, await asyncio.to_thread(self._opened, message)
        except NotFoundError as error:
            raise gone() from error

    def _opened(self, message: Message) -> tuple[FileIO, Audio]:
        audio = message.audio
        if audio is None:
            raise NotFoundError("this message has no audio")
        if message.held is None:
            fd = open_audio(self.spool, message.mailbox, message.folder, message.msgnum, audio.file)
        else:
            fd, copy = self.media.open(message.held)
            audio = replace(audio, file=replace(audio.file, size=copy.size, mtime_ns=copy.mtime_ns))
        return FileIO(fd), audio

    async def _find(self, uuid: str, view: View) -> Message:
        return await self.store.read(lambda conn: messages.by_uuid(conn, view, uuid))


def served_as(audio: Audio) -> str:
    """The content type of the file itself: what document 003 calls `audio/opus` lies in Ogg (RFC 7845, 9)."""
    return OGG if audio.content_type == OPUS else audio.content_type


def gone() -> RefusedError:
    """The answer where there is a message, but not what it sounds like."""
    return RefusedError(HTTPStatus.GONE, "The audio of this message is gone.")


def tag_of(audio: Audio) -> str:
    """What the file is, without where it lies."""
    return f"{audio.file.head[:24]}-{audio.file.size:x}-{audio.file.mtime_ns:x}"


def file_stem(message: Message, edge: Edge) -> str:
    """Who called whom when, safe on every system: `voicemail-20260113-173000-998901234567-to-5800`."""
    at = edge.local_time(message.envelope.origtime).replace("-", "").replace(":", "").replace(" ", "-")
    return f"voicemail-{at}-{telling(message.envelope.caller_id_number)}-to-{telling(message.mailbox.extension)}"
