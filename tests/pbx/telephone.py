"""A telephone in a call with a mailbox: it does the next thing when it has heard the last, not some time later.

What a PBX plays, and that it records, stands in its log alone; no event tells it.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

from tests.pbx.ami_client import AmiClient, AmiError

MESSAGE = r"\S+/msg\d{4}\."
"""What `hears` is given for any message that is played."""


class Log:
    """A PBX's log from this moment on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = file.stat().st_size
        self._text = ""

    async def shows(self, pattern: str) -> re.Match[str]:
        """Return when it has something that fits, after what it showed last; raises TimeoutError where it never has."""
        wanted = re.compile(pattern)
        found: list[re.Match[str]] = []

        def look() -> bool:
            with self._file.open("rb") as file:
                file.seek(self._position)
                new = file.read()
            self._position += len(new)
            self._text += new.decode("utf-8", "replace")
            found.extend(wanted.finditer(self._text))
            return bool(found)

        await until(look, f"{pattern} in the log")
        self._text = self._text[found[0].end() :]
        return found[0]

    async def records(self, channel: str) -> None:
        """Return when a channel that fits speaks into a mailbox, or when the mailbox would not have it."""
        found = await self.shows(rf'VERBOSE(\[\d+\]\[C-\w+\]) \S+ Executing \[\S+\] VoiceMail\("{channel}"')
        await self.shows(
            rf"VERBOSE{re.escape(found[1])} (?:app_voicemail\.c: Recording the message|pbx\.c: Spawn extension)"
        )


class Telephone:
    """A telephone that has called a mailbox; `channel` is its own half of the call."""

    def __init__(self, ami: AmiClient, channel: str, log: Log) -> None:
        self._ami = ami
        self._channel = channel
        self._log = log

    async def speaks(self, seconds: float) -> None:
        """Leave a message: hang up so long after the PBX began to record."""
        await self._log.records(re.escape(self._other_half))
        await self._ami.action("AbsoluteTimeout", Channel=self._channel, Timeout=f"{seconds:g}")

    async def hears(self, *prompts: str) -> str:
        """Return when one of these is played, after what was heard last; give what it is."""
        found = await self._log.shows(rf"<{re.escape(self._other_half)}> Playing '({'|'.join(prompts)})")
        return found[1]

    async def presses(self, key: str) -> None:
        """Press a key."""
        await self._do("PlayDTMF", Digit=key)

    async def hangs_up(self) -> None:
        """End the call."""
        await self._do("Hangup")

    @property
    def _other_half(self) -> str:
        return f"{self._channel.removesuffix('1')}2"

    async def _do(self, action: str, **headers: str) -> None:
        answer = await self._ami.action(action, Channel=self._channel, **headers)
        if not answer.ok:
            raise AmiError(f"{action} refused: {answer}")


async def until(condition: Callable[[], bool], what: str, limit: float = 90.0) -> None:
    """Return once the condition holds, looked at every 5 ms; raises TimeoutError with `what` when time is up."""
    try:
        async with asyncio.timeout(limit):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError as error:
        raise TimeoutError(f"{what}: not within {limit:g} s") from error
