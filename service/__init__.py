"""voicemaild: captures every voicemail and call of an Asterisk PBX and keeps unread badges right."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("voicemaild")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
