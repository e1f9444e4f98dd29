"""Makes a spool of any size on disk, as plain files: what the benchmarks of start-up and of full mailboxes read."""

import struct
from pathlib import Path

FIRST_ORIGTIME = 1_700_000_000
RATE = 8000


def wav(milliseconds: int, pitch: int = 440) -> bytes:
    """A 16-bit mono wav of a square wave."""
    samples = RATE * milliseconds // 1000
    half = max(1, RATE // (2 * pitch))
    data = b"".join(struct.pack("<h", 8000 if (n // half) % 2 else -8000) for n in range(samples))
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(data),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        RATE,
        2 * RATE,
        2,
        16,
        b"data",
        len(data),
    )
    return header + data


def txt(number: int, origtime: int, mailbox: str) -> bytes:
    """A message's `.txt` as app_voicemail prints it."""
    return (
        ";\n; Message Information file\n;\n[message]\n"
        f"origmailbox={mailbox}\ncontext=from-trunk\nexten={mailbox}\nrdnis=unknown\npriority=2\n"
        f'callerchan=PJSIP/trunk-{number:08x}\ncallerid="Caller {number}" <1555{number:07d}>\n'
        f"origdate=Tue Nov 14 10:13:20 PM UTC 2023\norigtime={origtime}\ncategory=\n"
        f"msg_id={origtime}-{number:08x}\nflag=\nduration=1\n"
    ).encode()


def make(root: Path, mailboxes: int, each: int, *, context: str = "default", first: int = 1000) -> None:
    """Write `each` messages into each of so many mailboxes' INBOX."""
    sound = wav(100)
    number = 0
    for box in range(first, first + mailboxes):
        inbox = root / context / str(box) / "INBOX"
        inbox.mkdir(parents=True)
        for msgnum in range(each):
            number += 1
            (inbox / f"msg{msgnum:04d}.wav").write_bytes(sound)
            (inbox / f"msg{msgnum:04d}.txt").write_bytes(txt(number, FIRST_ORIGTIME + number, str(box)))
