"""GSM 06.10 through the system's libgsm, the library Asterisk itself reads it with: 30 s in milliseconds.

ffmpeg decodes the same, but its start alone takes longer than that. Frames have a fixed size, so nothing in a file can
make the library read or write beyond its buffers.
"""

import ctypes
from collections.abc import Generator, Iterable
from typing import Self

from service.errors import InvalidInputError, UnavailableError

FRAME_BYTES = 33
FRAME_SAMPLES = 160
WAV49_BYTES = 65
"""Two frames, packed by Microsoft's rules: the library takes 33 bytes, then 32."""

_LIBRARY = "libgsm.so.1"
_OPTION_WAV49 = 4  # GSM_OPT_WAV49 in gsm.h
_SAMPLE_BYTES = 2


class GsmLibrary:
    """libgsm, loaded. Give it to as many threads as needed: each decoding has its own state."""

    def __init__(self, library: ctypes.PyDLL) -> None:
        self._create = library.gsm_create
        self._create.argtypes, self._create.restype = (), ctypes.c_void_p
        self._destroy = library.gsm_destroy
        self._destroy.argtypes, self._destroy.restype = (ctypes.c_void_p,), None
        self._option = library.gsm_option
        self._option.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int))
        self._decode = library.gsm_decode
        self._decode.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)

    @classmethod
    def load(cls, name: str = _LIBRARY) -> Self | None:
        """Load the library, or None where the system has none that knows wav49."""
        try:
            # PyDLL keeps the interpreter's lock over a frame's 10 µs; to win it back beside a busy loop may take 5 ms.
            library = cls(ctypes.PyDLL(name))
            b"".join(library.decode((), wav49=True))
        except (OSError, AttributeError, UnavailableError):
            return None
        return library

    def decode(self, pieces: Iterable[bytes], *, wav49: bool) -> Generator[bytes]:
        """16-bit PCM of `pieces`, each of whole frames (of whole pairs for wav49).

        Raises InvalidInputError at a frame that is none; UnavailableError where this library was built without wav49.
        """
        handle = self._create()
        if not handle:
            raise UnavailableError("libgsm has no memory for a decoder")
        try:
            if wav49 and self._option(handle, _OPTION_WAV49, ctypes.byref(ctypes.c_int(1))) < 0:
                raise UnavailableError("libgsm was built without wav49")
            for piece in pieces:
                yield self._piece(handle, piece, wav49=wav49)
        finally:
            self._destroy(handle)

    def _piece(self, handle: int, piece: bytes, *, wav49: bool) -> bytes:
        offsets = _offsets(len(piece), wav49=wav49)
        source = ctypes.create_string_buffer(piece, len(piece))
        target = ctypes.create_string_buffer(len(offsets) * FRAME_SAMPLES * _SAMPLE_BYTES)
        begin, sink, decode = ctypes.addressof(source), ctypes.addressof(target), self._decode
        for offset in offsets:
            if decode(handle, begin + offset, sink):
                raise InvalidInputError("the audio file holds something that is no GSM frame")
            sink += FRAME_SAMPLES * _SAMPLE_BYTES
        return target.raw


def _offsets(size: int, *, wav49: bool) -> list[int]:
    """Where each whole frame of a piece begins."""
    if not wav49:
        return list(range(0, size - FRAME_BYTES + 1, FRAME_BYTES))
    pairs = range(0, size - WAV49_BYTES + 1, WAV49_BYTES)
    return [pair + half for pair in pairs for half in (0, FRAME_BYTES)]
