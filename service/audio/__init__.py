"""Audio of messages and calls: what a file is, how long and loud it is, and what browsers play instead of it.

Reads only through descriptors it is given. `describe` is the cheap, bounded look at a file; `AudioWorker` measures
levels and outlines off the event loop; `SUFFIXES` and `preferred` say which files are a message's audio and which of
them is served; `target_of` says whether it has to be converted for who asks, which `Converter` does.
"""

from service.audio.browser import ORIGINAL, TARGETS, Target, content_type_of, target_of
from service.audio.cache import AudioCache
from service.audio.convert import Converter, Original
from service.audio.ffmpeg import NoDecoderError
from service.audio.formats import SUFFIXES, preferred
from service.audio.gsm import GsmLibrary
from service.audio.look import describe
from service.audio.peaks import Peaks
from service.audio.worker import AudioWorker

__all__ = [
    "ORIGINAL",
    "SUFFIXES",
    "TARGETS",
    "AudioCache",
    "AudioWorker",
    "Converter",
    "GsmLibrary",
    "NoDecoderError",
    "Original",
    "Peaks",
    "Target",
    "content_type_of",
    "describe",
    "preferred",
    "target_of",
]
