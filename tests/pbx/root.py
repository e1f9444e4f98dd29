"""Builds a folder with a real Asterisk in it, once, from the Debian mirror this machine already uses.

Nothing of the machine is changed: `mmdebstrap` extracts the packages into a folder of the user's cache, where later
runs find it. Debian carries Asterisk 22 in `sid` and 16 in `bullseye`.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ASTERISK_UID = 45038
"""The uid and gid of `asterisk` inside the folder: one that no account of the machine is likely to have."""

DATA_DIR = "usr/share/voicemaild-tests"
"""Inside the folder: `astdatadir`, with prompts cut short."""

RUNS_DIR = "runs"
"""Inside the folder: one directory for each Asterisk that runs or ran."""

_PROMPT_BYTES = 5 * 33
"""Five frames of GSM, a tenth of a second: prompts are waited for, and their words are not tested."""

_RECIPE = 1
"""To be raised with any change of what a built folder holds that its packages do not show."""

_BUILD_LIMIT = 1800.0
_END_LIMIT = 60.0
_PACKAGES = ("asterisk", "asterisk-core-sounds-en-gsm", "asterisk-moh-opsound-gsm", "bash", "coreutils", "dash")
_SUITES = {
    "22": ("sid", _PACKAGES),
    "16": ("bullseye", (*_PACKAGES, "asterisk-voicemail")),
}

VERSIONS = tuple(_SUITES)
"""The Asterisks that can be built."""


class BuildError(Exception):
    """The folder could not be built; the text holds what the failing program said."""


@dataclass(frozen=True, slots=True)
class Source:
    """An entry of apt's sources: where packages come from, and which."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


def cache_dir() -> Path:
    """Where built folders are kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "voicemaild-tests"


def build(version: str) -> Path:
    """Give the folder with this Asterisk ("22" or "16"), built now if it is not there yet.

    Takes 20 s and 300 MB the first time. Raises BuildError, and then leaves nothing behind. Needs root.
    """
    suite, packages = _SUITES[version]
    folder = cache_dir() / f"asterisk-{version}"
    stamp = hashlib.sha256(repr((_RECIPE, suite, packages)).encode()).hexdigest()
    cache_dir().mkdir(parents=True, exist_ok=True)
    with _locked(cache_dir() / f"asterisk-{version}.lock"):
        if _stamp(folder).is_file() and _stamp(folder).read_text() == stamp:
            return folder
        with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="building-") as scratch:
            new = Path(scratch) / "root"
            _extract(suite, packages, new, Path(scratch))
            _finish(new)
            _stamp(new).write_text(stamp)
            if folder.exists():
                folder.rename(Path(scratch) / "old")
            new.rename(folder)
    return folder


def debian_mirror(apt: Path = Path("/etc/apt")) -> str:
    """Give the address of the Debian mirror in this machine's apt sources; raises BuildError where there is none."""
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    suites = {_os_release().get("VERSION_CODENAME", ""), "stable", "testing", "unstable", "sid"}
    for file in files:
        if not file.is_file() or file.suffix not in {".list", ".sources"}:
            continue
        text = file.read_text(errors="replace")
        for source in deb822_sources(text) if file.suffix == ".sources" else one_line_sources(text):
            fits = "main" in source.components and suites.intersection(source.suites)
            if fits and source.uri.startswith(("http:", "https:", "file:")):
                return source.uri
    raise BuildError(f"no Debian mirror among the apt sources in {apt}")


def deb822_sources(text: str) -> Iterator[Source]:
    """Read a `.sources` file (sources.list(5), "deb822-style format")."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n[ \t]*\n", plain):
        unfolded = re.sub(r"\n[ \t]+", " ", stanza)
        lines = (line.partition(":") for line in unfolded.splitlines())
        fields = {name.strip().lower(): value.split() for name, _, value in lines}
        if fields.get("enabled") == ["no"] or "deb" not in fields.get("types", []):
            continue
        for uri in fields.get("uris", []):
            yield Source(uri, tuple(fields.get("suites", [])), tuple(fields.get("components", [])))


def one_line_sources(text: str) -> Iterator[Source]:
    """Read a `.list` file (sources.list(5), "one-line-style format")."""
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if found:
            yield Source(found[1], (found[2],), tuple(found[3].split()))


def left_out_reason() -> str:
    """Say why no Asterisk can be built here, or "" where one can."""
    if os.environ.get("VOICEMAILD_TEST_PBX", "").lower() == "off":
        return "VOICEMAILD_TEST_PBX=off"
    if platform.system() != "Linux" or _os_release().get("ID") != "debian":
        return "this is not Debian, and Asterisk is taken from Debian's mirror"
    if os.geteuid() != 0:
        return "not run as root, which building and starting Asterisk in a folder of its own needs"
    return ""


def modules_dir(folder: Path) -> str:
    """Give Asterisk's module directory, as seen inside the folder."""
    for directory in sorted(folder.glob("usr/lib/**/asterisk/modules")):
        return "/" + str(directory.relative_to(folder))
    raise BuildError(f"no Asterisk modules in {folder}")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold `file` against a second builder, which waits until this one is done."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _stamp(folder: Path) -> Path:
    return folder / "voicemaild-tests.stamp"


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _extract(suite: str, packages: Iterable[str], folder: Path, scratch: Path) -> None:
    """Extract the packages and all they depend on, without running any of their scripts."""
    options = [
        'Acquire::Check-Valid-Until "false"',  # sid's Release may be older than it promises on a mirror's snapshot
        'APT::Sandbox::User "root"',  # `_apt` may not write below a cache of root's
        'APT::Install-Recommends "false"',
        *_proxies(),
    ]
    _run(
        [
            *(
                "unshare",
                "--mount",
            ),  # what it mounts is gone with it, however it ends, before the folder may be removed
            *_mmdebstrap(scratch),
            "--mode=root",
            "--variant=extract",
            "--keyring=/usr/share/keyrings",
            *(f"--aptopt={option}" for option in options),
            f"--include={','.join(packages)}",
            suite,
            str(folder),
            debian_mirror(),
        ]
    )


def _mmdebstrap(scratch: Path) -> list[str]:
    """Give the command, taken out of its package where it is not installed."""
    if shutil.which("mmdebstrap"):
        return ["mmdebstrap"]
    _run(["apt-get", "download", "mmdebstrap"], cwd=scratch)
    [package] = scratch.glob("mmdebstrap_*.deb")
    _run(["dpkg", "-x", str(package), str(scratch / "mmdebstrap")])
    return ["perl", str(scratch / "mmdebstrap/usr/bin/mmdebstrap")]


def _proxies() -> list[str]:
    """Hand on the proxy that this machine's apt goes through, if it does."""
    dump = _run(["apt-config", "dump", "Acquire"])
    return [line.rstrip(";") for line in dump.splitlines() if re.match(r'Acquire::https?::Proxy "."', line)]


def _finish(folder: Path) -> None:
    """Do what the packages' scripts would have done, and cut the prompts short."""
    with (folder / "etc/passwd").open("a") as passwd:
        passwd.write("root:x:0:0:root:/root:/bin/sh\n")
        passwd.write(f"asterisk:x:{ASTERISK_UID}:{ASTERISK_UID}:Asterisk:/var/lib/asterisk:/usr/sbin/nologin\n")
    with (folder / "etc/group").open("a") as group:
        group.write(f"root:x:0:\nasterisk:x:{ASTERISK_UID}:\n")
    (folder / RUNS_DIR).mkdir()
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    # Documentation is read from astdatadir: without it `manager show command` and the application help are empty.
    share = folder / "usr/share/asterisk"
    data = folder / DATA_DIR
    shutil.copytree(share, data, ignore=lambda _, names: {"sounds", "moh"}.intersection(names), symlinks=True)
    spoken = share / "sounds/en_US_f_Allison"
    for prompt in spoken.rglob("*.gsm"):
        short = data / "sounds/en" / prompt.relative_to(spoken)
        short.parent.mkdir(parents=True, exist_ok=True)
        short.write_bytes(prompt.read_bytes()[:_PROMPT_BYTES])


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    """Run a program to its end and give its standard output; one that fails or takes too long is a BuildError."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=_BUILD_LIMIT)  # on Ctrl-C, too, its children go with it
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"{command[0]} was not done after {_BUILD_LIMIT:.0f} s") from error
        finally:
            _end_group(process)
    if process.returncode != 0:
        raise BuildError(f"{' '.join(command)} failed with {process.returncode}:\n{stderr[-2000:]}")
    return stdout


def _end_group(process: subprocess.Popen[str]) -> None:
    """End a program that still runs, and its children."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, how)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_LIMIT)
