"""`voicemaild check`: looks at each thing the daemon needs, and says what to do about what is missing.

It changes nothing, here or on the PBX, where it logs in. No finding holds a secret.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

from service import check_ami, check_boxes, check_cdr, check_files
from service.check_access import whose
from service.check_finding import Finding, Level
from service.check_spool import spool
from service.settings import Settings

__all__ = ["Finding", "Level", "check"]


async def check(settings: Settings, source: Path) -> AsyncIterator[Finding]:
    """Give the findings, one after the other: the quick ones first, the PBX last.

    `source` is the configuration's file.
    """
    eyes, etc = whose(), settings.pbx.config
    here: tuple[Callable[[], Iterator[Finding]], ...] = (
        partial(check_files.configuration, settings, source),
        partial(check_files.database, settings, eyes),
        partial(check_files.clock, settings),
        check_files.ffmpeg,
        partial(spool, settings, eyes),
        partial(check_cdr.csv, settings, eyes, etc),
        partial(check_cdr.recordings, settings, eyes),
        partial(check_boxes.voicemail_conf, settings, eyes, etc),
    )
    for look in here:
        for finding in look():
            yield finding
    for finding in await check_ami.pbx(settings, etc):
        yield finding
