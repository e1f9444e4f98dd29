"""Reads a voicemail spool for the tests, as plainly as possible: what lies where, and what its `.txt` says."""

import re
import wave
from dataclasses import dataclass
from pathlib import Path

_TXT = re.compile(r"msg(\d{4})\.txt\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class SpoolMessage:
    """A message as it lies in the spool. `fields` is its `.txt`, undecodable bytes as surrogate escapes."""

    folder: str
    number: int
    txt: Path
    fields: dict[str, str]

    @property
    def msg_id(self) -> str:
        """Asterisk's identity of the message."""
        return self.fields["msg_id"]

    @property
    def audio(self) -> tuple[Path, ...]:
        """Its audio files, sorted by name."""
        return tuple(sorted(file for file in self.txt.parent.glob(f"{self.txt.stem}.*") if file != self.txt))

    @property
    def seconds(self) -> int:
        """How long its `.wav` is, in whole seconds. A busy machine records less than was spoken: compare with this."""
        with wave.open(str(self.txt.with_suffix(".wav"))) as recorded:
            return int(recorded.getnframes() / recorded.getframerate())


def messages(mailbox: Path) -> tuple[SpoolMessage, ...]:
    """Read all messages of a mailbox's directory, by folder and number. Only while Asterisk is not busy in it."""
    found = []
    for txt in mailbox.glob("*/msg*.txt"):
        number = _TXT.match(txt.name)
        if number:
            found.append(SpoolMessage(txt.parent.name, int(number[1]), txt, _fields(txt)))
    return tuple(sorted(found, key=lambda message: (message.folder, message.number)))


def _fields(txt: Path) -> dict[str, str]:
    lines = txt.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith(";"))
    return {key.strip(): value.strip() for key, _, value in pairs}
