"""The requests for audio, described for the OpenAPI document: part of the table of `service.api.operations`."""

from dataclasses import replace

from service.api.operation import AUDIO, LARAVEL, Answer, Dialect, Operation, Parameter
from service.api.playing import FORMATS

_UUID = Parameter("uuid", "A message's `uuid`.", {"type": "string", "format": "uuid"}, "path")
_ID = Parameter("id", "A call's `id`.", {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}, "path")
_HOW = (
    Parameter("expires", "Of a signed link, to which `format` may be added.", {"type": "string"}),
    Parameter(
        "format",
        "What to convert it into, once and kept: `wav` (16-bit PCM), `mp3`, `opus` (in ogg), or `original`, as it was "
        "recorded. Without it comes what browsers play: 16-bit PCM WAV, MP3 and Opus as they are, all else as `wav`.",
        {"type": "string", "enum": list(FORMATS)},
    ),
    Parameter("Range", "Which bytes, e.g. `bytes=0-1023`.", {"type": "string"}, "header"),
    Parameter("If-Range", "The `ETag` for which `Range` was meant.", {"type": "string"}, "header"),
    Parameter("If-Match", "The `ETag` without which nothing is wanted.", {"type": "string"}, "header"),
    Parameter("If-None-Match", "The `ETag` of what the client has.", {"type": "string"}, "header"),
)
_TYPES = ("audio/*", "application/octet-stream")
_KEPT = {"ETag": "Which bytes these are.", "Accept-Ranges": "`bytes`", "Content-Disposition": "A telling file name."}
_PART = {**_KEPT, "Content-Range": "Which bytes these are, and of how many."}
_FAILURES = (401, 404, 410, 412, 416, 422, 429, 501, 503)


def audio(
    path: str, place: Parameter, tag: str, name: str, what: str, *, dialect: Dialect = LARAVEL, aliased: bool = True
) -> tuple[Operation, Operation]:
    """The two requests for audio at a path: for all or a part of it, and for what it is."""
    get = Operation(
        method="get",
        path=path,
        name=f"get{name}",
        tag=tag,
        summary=what,
        description="A signed link needs no token.",
        parameters=(place, *_HOW),
        security=AUDIO,
        answers={
            200: Answer("All of it.", content_types=_TYPES, headers=_KEPT),
            206: Answer("A part of it.", content_types=_TYPES, headers=_PART),
            304: Answer("The client has it already."),
        },
        failures=_FAILURES,
        dialect=dialect,
        aliased=aliased,
    )
    head = replace(
        get,
        method="head",
        name=f"lookAt{name}",
        summary=f"{what}: what it is, without the bytes",
        description="",
        answers={
            200: Answer("The headers of all of it.", headers=_KEPT),
            206: Answer("The headers of a part of it.", headers=_PART),
            304: Answer("The client has it already."),
        },
    )
    return get, head


MESSAGE_AUDIO = audio(
    "/message-voice/{uuid}/audio",
    _UUID,
    "messages",
    "Audio",
    "A message's audio",
)
CALL_RECORDING = audio(
    "/call-history/{id}/recording",
    _ID,
    "calls",
    "Recording",
    "A call's recording",
)
