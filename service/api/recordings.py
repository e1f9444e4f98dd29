"""A call's recording (contract 9): by a signed link without a token, or by its path with one.

    GET|HEAD /call-history/{id}/recording[?expires&signature][&format]

No request names a path: only a call's id, and only what lies below `[cdr] recordings` is sent. A recording that was
there, or that the PBX told of, and is gone, is answered with 410.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from io import FileIO

from aiohttp import web

from service.api.edge import Edge, Edges, subject_of
from service.api.gate import Gate
from service.api.playing import Player, Sound, format_of, telling
from service.api.signed import is_signed, view_of
from service.api.wire import RefusedError
from service.audio import Original, content_type_of, target_of
from service.call import Call
from service.errors import NotFoundError
from service.model import View
from service.recordings import Recordings
from service.store import Store, calls


@dataclass(frozen=True)
class RecordingFiles:
    """The handler of recordings."""

    store: Store
    recordings: Recordings
    gate: Gate
    edges: Edges
    player: Player

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The route of recordings under a prefix."""
        return [web.get(f"{prefix}/call-history/{{id:[0-9]{{1,18}}}}/recording", self.serve)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET|HEAD /call-history/{id}/recording`."""
        call_id = int(request.match_info["id"])
        call = await self._find(call_id) if is_signed(request) else None
        subject = None if call is None else subject_of(call)
        view = view_of(request, subject, self.gate, self.edges.signer)
        call = call or await self._find(call_id)
        if call is None or not may_see(view, call):
            raise NotFoundError("there is no such call")
        wanted, edge = format_of(request), self.edges.of(request)
        try:
            sound = await asyncio.to_thread(_opened, self.recordings, call, wanted, edge)
        except NotFoundError as error:
            if call.recording or is_signed(request):
                raise RefusedError(HTTPStatus.GONE, "The recording of this call is gone.") from error
            raise
        with sound.file:
            return await self.player.answer(request, sound)

    async def _find(self, call_id: int) -> Call | None:
        found = await self.store.read(lambda conn: calls.load(conn, [call_id]))
        return found[0] if found else None


def may_see(view: View, call: Call) -> bool:
    """Whether somebody with this view sees the call: an extension of his takes part in it."""
    return view is None or any(call.takes_part(mailbox.context, mailbox.extension) for mailbox in view)


def _opened(recordings: Recordings, call: Call, wanted: str, edge: Edge) -> Sound:
    fd, recording = recordings.open(call)
    file = FileIO(fd)
    try:
        target = target_of(fd, recording.suffix, wanted)
        content_type = content_type_of(fd, recording.suffix)
    except OSError as error:
        file.close()
        raise NotFoundError("the recording of this call cannot be read") from error
    path = f"{recording.path}\n{recording.inode}"
    original = Original(subject_of(call), recording.suffix, recording.size, recording.mtime_ns, path)
    tag = f"{recording.inode:x}-{recording.size:x}-{recording.mtime_ns:x}"
    return Sound(file, original, target, tag, content_type, file_stem(call, edge))


def file_stem(call: Call, edge: Edge) -> str:
    """Who called whom when, safe on every system: `call-2026-11-20-215047-200-15551234567`."""
    at = edge.local_time(call.start).replace(":", "").replace(" ", "-")
    return f"call-{at}-{telling(call.src)}-{telling(call.dst)}"
