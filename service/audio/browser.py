"""What a browser plays of what lies there, and what the rest is made into (contract 9)."""

import os
from typing import NamedTuple

from service.audio.formats import FORMATS, WAV_TYPE, Container, Encoding
from service.audio.look import HEAD_SIZE, layout_of
from service.audio.source import ogg_codec
from service.errors import InvalidInputError


class Target(NamedTuple):
    """What audio is converted into: what a request calls it, its content type, its files' suffix."""

    name: str
    content_type: str
    suffix: str


WAV = Target("wav", WAV_TYPE, "wav")
MP3 = Target("mp3", "audio/mpeg", "mp3")
OPUS = Target("opus", "audio/ogg", "opus")
TARGETS = {target.name: target for target in (WAV, MP3, OPUS)}
ORIGINAL = "original"


def target_of(fd: int, suffix: str, wanted: str = "") -> Target | None:
    """What the open file has to be converted into, or None where it is served as it is.

    `wanted` is a name of TARGETS, ORIGINAL, or "": whatever browsers play, 16-bit PCM WAV where they don't play this.
    Raises OSError where the disk fails.
    """
    if wanted == ORIGINAL:
        return None
    own = _played(fd, suffix)
    if own is None:
        return TARGETS[wanted or WAV.name]
    return None if wanted in ("", own.name) else TARGETS[wanted]


def _played(fd: int, suffix: str) -> Target | None:
    """What the file is already, of what browsers play."""
    form = FORMATS.get(suffix)
    if form is None:
        return None
    if suffix == "mp3":
        return MP3
    if form.container is Container.OPAQUE:
        return OPUS if ogg_codec(os.pread(fd, HEAD_SIZE, 0)) == "opus" else None
    if form.container is not Container.RIFF:
        return None
    try:
        layout = layout_of(fd, suffix)
    except InvalidInputError:  # whoever converts it says what is wrong with it
        return None
    return WAV if layout is not None and layout.encoding is Encoding.PCM16 else None


def content_type_of(fd: int, suffix: str) -> str:
    """The content type of the open file; "" where it is none that is known. Raises OSError where the disk fails."""
    form = FORMATS.get(suffix)
    if form is None:
        return ""
    try:
        layout = layout_of(fd, suffix)
    except InvalidInputError:
        return ""
    return form.content_type if layout is None else layout.content_type
