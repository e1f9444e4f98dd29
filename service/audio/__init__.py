"""Audio of messages: what a file is, how long it really is, and how loud. Reads only through descriptors it is given.

`describe` is the cheap, bounded look at a file; `AudioWorker` measures levels off the event loop; `SUFFIXES` and
`preferred` say which files are a message's audio and which of them is served. Conversion for browsers is not here.
"""

from service.audio.formats import SUFFIXES, preferred
from service.audio.gsm import GsmLibrary
from service.audio.look import describe
from service.audio.worker import AudioWorker

__all__ = ["SUFFIXES", "AudioWorker", "GsmLibrary", "describe", "preferred"]
