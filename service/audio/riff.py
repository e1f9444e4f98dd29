"""RIFF WAVE headers: finds the format and the data of a file in a few small reads, believing no size it states.

Layout: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0"; tags and sub-formats: RFC 2361 and
`WAVEFORMATEXTENSIBLE`. Asterisk writes `fmt `, for wav49 `fact`, and `data`, with sizes of 0 until it closes the file.
"""

from struct import Struct

from service.audio.formats import WAV_TYPE, Encoding
from service.audio.layout import Layout, ReadAt, check_rate
from service.errors import InvalidInputError

MAX_CHUNKS = 64
UNKNOWN_SIZE = 0xFFFF_FFFF

_HEADER = Struct("<4sI4s")
_CHUNK = Struct("<4sI")
_FORMAT = Struct("<HHIIHH")
_EXTENSIBLE_SIZE = 40
_WINDOW = _CHUNK.size + _EXTENSIBLE_SIZE
_EXTENSIBLE_TAG = 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_PLAIN, _PLAIN_END = b"fmt \x10\0\0\0", 44
"""How the chunks of nearly every wav begin, and where its data does."""
_PCM = {8: Encoding.PCM_U8, 16: Encoding.PCM16, 24: Encoding.PCM24, 32: Encoding.PCM32}
_PCM_TAG, _ALAW_TAG, _ULAW_TAG, _GSM_TAG = 1, 6, 7, 0x31
_COMPANDED = {_ALAW_TAG: Encoding.ALAW, _ULAW_TAG: Encoding.ULAW}
_GSM_BLOCK, _GSM_SAMPLES = 65, 320


def parse_riff(head: bytes, size: int, read: ReadAt) -> Layout:
    """Read the header of a WAVE file of `size` bytes, whose first bytes are `head`; `read` gives what lies beyond.

    Needs at most MAX_CHUNKS reads of 48 bytes, wherever the chunks say they lie. Raises InvalidInputError where it is
    no WAVE file, states nonsense, or holds an encoding that Asterisk does not write.
    """
    riff_size = _riff_size(head)
    if head[_HEADER.size : _HEADER.size + _CHUNK.size] == _PLAIN and head[36:40] == b"data" and len(head) >= _PLAIN_END:
        claimed = int.from_bytes(head[40:_PLAIN_END], "little")
        return _layout(head[20:36], _PLAIN_END, _extent(_PLAIN_END, claimed, size, riff_size))
    form, data_at, claimed = b"", 0, 0
    offset = _HEADER.size
    for _ in range(MAX_CHUNKS):
        window, at = (head, offset) if offset + _WINDOW <= len(head) else (read(offset, _WINDOW), 0)
        body = at + _CHUNK.size
        if len(window) < body:
            break
        name, length = _CHUNK.unpack_from(window, at)
        offset += _CHUNK.size
        if name == b"fmt " and not form:
            form = window[body : body + min(length, _EXTENSIBLE_SIZE)]
        elif name == b"data" and not data_at:
            data_at, claimed = offset, length
        if form and data_at:
            return _layout(form, data_at, _extent(data_at, claimed, size, riff_size))
        offset += length + length % 2
    raise InvalidInputError("the audio file has no format or no data where its header says")


def _riff_size(head: bytes) -> int:
    if len(head) < _HEADER.size:
        raise InvalidInputError("the audio file ends within its RIFF header")
    magic, size, form = _HEADER.unpack_from(head)
    if magic != b"RIFF" or form != b"WAVE":
        raise InvalidInputError("the audio file does not begin with a RIFF WAVE header")
    return int(size)


def _extent(offset: int, claimed: int, size: int, riff_size: int) -> tuple[int, bool]:
    """How many bytes of data are really there, and whether the header promised more.

    A size of 0 is what a recorder writes before it knows better, unless the RIFF header confirms that something else
    follows; 0xFFFFFFFF is what ffmpeg writes into a pipe. Neither promises anything: the data goes to the end.
    """
    present = max(size - offset, 0)
    if claimed == UNKNOWN_SIZE or (claimed == 0 and riff_size + 8 != size):
        return present, False
    return (present, True) if claimed > present else (claimed, False)


def _layout(body: bytes, offset: int, extent: tuple[int, bool]) -> Layout:
    length, truncated = extent
    if len(body) < _FORMAT.size:
        raise InvalidInputError("the audio file's format chunk is too short")
    tag, channels, rate, _, _, bits = _FORMAT.unpack_from(body)
    if tag == _EXTENSIBLE_TAG and body[26:40] == _GUID_TAIL:
        tag = int.from_bytes(body[24:26], "little")
    check_rate(rate, channels)
    if tag == _PCM_TAG and bits in _PCM:
        return Layout(WAV_TYPE, _PCM[bits], offset, length, rate, channels, channels * bits // 8, 1, truncated)
    content_type = f"audio/vnd.wave;codec={tag:x}"
    if tag in _COMPANDED:
        return Layout(content_type, _COMPANDED[tag], offset, length, rate, channels, channels, 1, truncated)
    if tag == _GSM_TAG and channels == 1:
        return Layout(content_type, Encoding.WAV49, offset, length, rate, 1, _GSM_BLOCK, _GSM_SAMPLES, truncated)
    raise InvalidInputError(f"the audio file's encoding is not known: format {tag}, {bits} bits, {channels} channels")
