"""Sun/NeXT `.au` headers, as Asterisk's format_pcm.c writes and reads them: µ-law behind 24 or more bytes of header."""

from struct import Struct

from service.audio.formats import ULAW_TYPE, Encoding
from service.audio.layout import Layout, check_rate
from service.errors import InvalidInputError

_HEADER = Struct(">4sIIIII")
_ULAW = 1
_UNKNOWN_SIZE = 0xFFFF_FFFF


def parse_au(head: bytes, size: int) -> Layout:
    """Read the header of an .au file of `size` bytes, whose first bytes are `head`.

    Raises InvalidInputError where it is no such file, states nonsense, or holds another encoding than µ-law.
    """
    if len(head) < _HEADER.size:
        raise InvalidInputError("the audio file ends within its .au header")
    magic, offset, claimed, encoding, rate, channels = _HEADER.unpack_from(head)
    if magic != b".snd" or offset < _HEADER.size:
        raise InvalidInputError("the audio file does not begin with an .au header")
    if encoding != _ULAW:
        raise InvalidInputError(f"the audio file's encoding is not known: .au encoding {encoding}")
    check_rate(rate, channels)
    present = max(size - offset, 0)
    unknown = claimed in (0, _UNKNOWN_SIZE)  # Asterisk writes 0 until it closes the file
    length = present if unknown else min(claimed, present)
    return Layout(
        ULAW_TYPE,
        Encoding.ULAW,
        offset,
        length,
        rate,
        channels,
        channels,
        1,
        truncated=not unknown and claimed > present,
    )
