"""A message's audio (contract 9): by a signed link without a token, or by its path with one.

    GET|HEAD /message-voice/{uuid}/audio[?expires&signature][&format]

No request names a path: only a message's uuid, and only the very file that was ingested for it is sent, or what was
made of it. A message whose audio is gone is answered with 410.
"""

from dataclasses import dataclass

from aiohttp import web

from service.api.sounds import Sounds


@dataclass(frozen=True)
class AudioFiles:
    """The handler of audio."""

    sounds: Sounds

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The route of audio under a prefix."""
        return [web.get(f"{prefix}/message-voice/{{uuid:[0-9a-fA-F-]{{36}}}}/audio", self.serve)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET|HEAD /message-voice/{uuid}/audio`."""
        return await self.sounds.play(request, request.match_info["uuid"].lower())  # what a link is signed for
