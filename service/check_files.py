"""What `check` finds on this machine: the configuration's file, the database, ffmpeg, the clock."""

import ctypes.util
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from service.check_access import READ, SEARCH, WRITE, Eyes
from service.check_finding import Finding, bad, ok, warn
from service.settings import Settings, is_loopback
from service.store import schema

LEAST_FREE = 64 << 20
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""No machine's clock that runs this program can show less."""


def configuration(settings: Settings, source: Path) -> Iterator[Finding]:
    """Where the settings came from, what in them has no effect or is odd, and whether a secret lies open."""
    for sentence in settings.warnings:
        what, _, remedy = sentence.partition(": ")
        yield warn(f"configuration: {what}", remedy)
    try:
        open_to_all = source.stat().st_mode & stat.S_IROTH
        text = source.read_text(errors="replace")
    except OSError:  # there is none, which is among the warnings
        return
    secrets = [settings.ami.secret, *(webhook.secret for webhook in settings.webhook)]
    if open_to_all and any(value and value in text for value in (secret.get_secret_value() for secret in secrets)):
        yield warn(f"configuration: everybody on this machine can read the secrets in {source}", f"chmod o= {source}")
    else:
        yield ok(f"configuration: {source}")


def database(settings: Settings, eyes: Eyes) -> Iterator[Finding]:
    """Whether the database can be made, or written and understood, and has room to grow."""
    path = settings.store.path
    try:
        there = path.exists()
        directory = next(parent for parent in path.parents if parent.exists())
        stopped = eyes.stopped_at(directory, READ | WRITE | SEARCH)
        if stopped is None and there and not eyes.may(path, READ | WRITE):
            stopped = path
        free = shutil.disk_usage(directory).free
    except OSError as error:
        yield bad(
            f"database: {path} cannot be looked at: {error.strerror}", "run this as root or as the service's user"
        )
        return
    if stopped is not None:
        owned = f"install -d -o {eyes.user} -g {eyes.user} -m 750 {path.parent}"
        remedy = f"chown {eyes.user}: {path}*" if stopped == path else owned
        yield bad(f"database: {eyes.user} may not write {stopped}", remedy)
    elif there:
        yield _schema(path)
    else:
        yield ok(f"database: {path} will be made")
    if free < LEAST_FREE:
        yield bad(
            f"database: {directory} has {free >> 20} MiB left", "make room: below 64 MiB it may not be writable soon"
        )


def _schema(path: Path) -> Finding:
    newest = len(schema.MIGRATIONS)
    try:
        found, damage = schema.version(path), schema.damage(path)
    except sqlite3.OperationalError as error:
        return bad(f"database: {path} cannot be opened now: {error}", "look at who holds it: fuser -v " + str(path))
    except sqlite3.DatabaseError as error:
        found, damage = 0, str(error)
    if damage:
        return bad(
            f"database: {path} is damaged or no database: {damage}",
            "stop the daemon and move it away: messages are read anew from the spool, tokens must be made again",
        )
    if found > newest:
        return bad(
            f"database: {path} was written by a newer voicemaild (schema {found}, this one knows {newest})",
            "install that version again",
        )
    return ok(f"database: {path}, schema {found} of {newest}")


def ffmpeg() -> Iterator[Finding]:
    """Whether every recording can be measured, and converted for browsers."""
    program = shutil.which("ffmpeg")
    if program is not None:
        yield ok(f"ffmpeg: {program}")
        return
    what = "G.722" if ctypes.util.find_library("gsm") else "GSM, wav49 and G.722"
    yield warn(
        f"ffmpeg: not found, so {what} recordings are not measured nor played, and none is given as MP3 or Opus",
        "apt-get install ffmpeg",
    )


def clock(settings: Settings) -> Iterator[Finding]:
    """Whether the time can be right, and the PBX's time zone is that of this machine, where the PBX is on it."""
    now = datetime.now(UTC)
    zone = settings.pbx.timezone
    if now < EARLIEST:
        yield bad(f"clock: it shows {now:%Y-%m-%d}", "set it, and let it be kept: apt-get install systemd-timesyncd")
    here = is_loopback(settings.ami.host)
    local = time.localtime(now.timestamp()).tm_gmtoff, time.localtime((now + _HALF_A_YEAR).timestamp()).tm_gmtoff
    there = tuple(_offset(when, zone) for when in (now, now + _HALF_A_YEAR))
    if here and local != there:
        yield warn(
            f"time zone: pbx.timezone is {zone.key} ({now.astimezone(zone):%H:%M}), this machine's time is "
            f"{time.strftime('%H:%M', time.localtime(now.timestamp()))}",
            "set pbx.timezone to what the PBX's local time is",
        )
    else:
        yield ok(f"time zone: {zone.key}, where it is {now.astimezone(zone):%Y-%m-%d %H:%M}")


_HALF_A_YEAR = timedelta(days=183)


def _offset(when: datetime, zone: tzinfo) -> int:
    offset = when.astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
