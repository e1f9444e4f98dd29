"""What `check` finds about files that tell of calls beside AMI: Master.csv, and recordings."""

import os
from collections.abc import Iterator
from pathlib import Path

from service.check_access import READ, SEARCH, Eyes, letting_in, shown
from service.check_finding import Finding, bad, ok, warn
from service.check_master import configured, content
from service.settings import Settings

EXAMPLE = "/var/log/asterisk/cdr-csv/Master.csv"
_CSV = f'set cdr.csv to what cdr_csv.so writes, e.g. "{EXAMPLE}"'
_RECORDINGS = "set cdr.recordings to where the PBX keeps recordings of calls"
_AS_ROOT = "run this as root or as the service's user"


def csv(settings: Settings, eyes: Eyes, etc: Path) -> Iterator[Finding]:
    """Whether what AMI missed can be filled in from Master.csv, and comes out right."""
    path = settings.cdr.csv
    if path is None:
        yield warn(
            "Master.csv: not followed, so calls that end while AMI is not connected are missing from the history",
            f'set cdr.csv, e.g. "{EXAMPLE}"',
        )
        return
    try:
        found = list(_in_the_way(path, eyes))
    except FileNotFoundError:
        found = [_missing(path), *configured(settings, etc)]
    except OSError as error:
        found = [bad(f"Master.csv: {path} cannot be looked at: {error.strerror}", _AS_ROOT)]
    yield from found or content(settings, path, etc)


def _in_the_way(path: Path, eyes: Eyes) -> Iterator[Finding]:
    stopped = eyes.stopped_at(path, READ)
    if stopped is not None:
        yield _closed("Master.csv", path, stopped, eyes)
        return
    if not path.is_file():
        yield bad(f"Master.csv: {path} is no plain file", _CSV)
    directory = Path(os.path.realpath(path)).parent
    if not eyes.may(directory, READ):
        yield warn(
            f"Master.csv: {eyes.user} may not list {directory}, so what is rotated while it is away cannot be found",
            f"chmod g+r {directory}",
        )


def _missing(path: Path) -> Finding:
    if not path.parent.is_dir():
        return bad(f"Master.csv: there is no {path.parent}", _CSV)
    return warn(
        f"Master.csv: there is no {path}",
        "it comes with the first call; if not: asterisk -rx 'module load cdr_csv.so', and see cdr.csv",
    )


def _closed(subject: str, path: Path, stopped: Path, eyes: Eyes) -> Finding:
    info = stopped.stat()
    return bad(
        f"{subject}: {eyes.user} may not read {path}: {stopped} is {shown(info)}", letting_in(eyes, stopped, info)
    )


def recordings(settings: Settings, eyes: Eyes) -> Iterator[Finding]:
    """Whether recordings of calls can be found, where they are to be."""
    path = settings.cdr.recordings
    if path is None:
        return
    try:
        stopped = eyes.stopped_at(path, READ | SEARCH)
        if stopped is not None:
            yield _closed("recordings", path, stopped, eyes)
        elif not path.is_dir():
            yield bad(f"recordings: {path} is no directory", _RECORDINGS)
        else:
            yield ok(f"recordings: {path}, {eyes.user} may read it")
    except FileNotFoundError:
        yield bad(f"recordings: there is no {path}", _RECORDINGS)
    except OSError as error:
        yield bad(f"recordings: {path} cannot be looked at: {error.strerror}", _AS_ROOT)
