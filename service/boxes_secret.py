"""The PIN a box has in its spool directory: `secret.conf`, where voicemail.conf says `passwordlocation=spooldir`."""

import os
from pathlib import Path

from service.errors import UnavailableError
from service.model import Mailbox
from service.opening import Refused, directory, open_regular
from service.voicemail_conf import NotPlainError, read_plain

FILE = "secret.conf"
LARGEST = 64 * 1024


def secret_pin(spool: Path, mailbox: Mailbox) -> str | None:
    """`password` of the file's `[general]`; None where there is no such file, or none in it.

    Raises UnavailableError where there is one that cannot be read or is not to be: another PIN would be wrong.
    """
    try:
        with directory(spool) as root, directory(mailbox.context, root) as context:
            with directory(mailbox.extension, context) as box:
                fd, _status = open_regular(FILE, box, LARGEST)
            with open(fd, "rb") as opened:  # noqa: PTH123 -- an open file
                content = opened.read(LARGEST)
        return read_plain(content).general("password") or None
    except FileNotFoundError:
        return None
    except (OSError, Refused, NotPlainError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UnavailableError(f"the PIN of {mailbox} cannot be read from its {FILE}: {reason}") from error
