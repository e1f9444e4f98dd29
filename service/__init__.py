"""voicemaild: captures every voicemail and call of an Asterisk PBX and keeps unread badges right."""

__version__ = "0.1.0"
