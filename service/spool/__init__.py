"""The voicemail spool: read a message's `.txt`, scan a mailbox, watch for changes, open audio safely. Never writes."""

from service.spool.envelope import parse_caller_id, parse_envelope
from service.spool.files import Rejects, open_audio
from service.spool.scan import MailboxScan, Scanner
from service.spool.watch import Watcher

__all__ = [
    "MailboxScan",
    "Rejects",
    "Scanner",
    "Watcher",
    "open_audio",
    "parse_caller_id",
    "parse_envelope",
]
