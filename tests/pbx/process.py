"""One Asterisk as a process: its own directories, configuration and AMI port; started, stopped, killed, cleaned up.

Programs, modules and prompts are shared; what is written lies in a directory of the run, so several may run at once.
"""

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.pbx.ami_client import Account, AmiClient, AmiError
from tests.pbx.root import ASTERISK_UID, RUNS_DIR, modules_dir
from tests.ports import free_port

LAB = Account("lab", "labsecret")
"""The harness's own AMI user; may do everything."""

DAEMON = Account("voicemaild", "a-secret-for-tests")
"""The daemon's AMI user, with the rights of config/asterisk/manager.d/voicemaild.conf."""

NOBODY = Account("nobody", "nobodysecret")
"""An AMI user without any right."""

_CONF = Path(__file__).parent / "conf"
_SNIPPETS = Path(__file__).parents[2] / "config/asterisk"
_START_LIMIT = 90.0
_STOP_LIMIT = 60.0
_SIP_MODULES = (
    "res_sorcery_config",
    "res_sorcery_memory",
    "res_sorcery_astdb",
    "res_pjproject",
    "res_pjsip",
    "res_pjsip_session",
    "res_pjsip_sdp_rtp",
    "res_pjsip_caller_id",
    "res_pjsip_endpoint_identifier_ip",
    "res_pjsip_endpoint_identifier_user",
    "res_pjsip_pubsub",
    "res_pjsip_mwi",
    "res_pjsip_mwi_body_generator",
    "res_pjsip_diversion",
    "res_rtp_asterisk",
    "chan_pjsip",
)


class StartError(Exception):
    """Asterisk did not come up; the text holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run differs from the usual.

    `formats` is voicemail.conf's `format`, e.g. "wav49|gsm|wav"; `poll` its `pollmailboxes` (every second);
    `cdr_manager` whether Cdr events are sent, `mapped` whether they carry the snippet's mappings; `ami_port` 0
    is a free one; `sip` opens PJSIP on `sip_port` of 127.0.0.1, 0 is a free one (tests/pbx/conf/pjsip.conf has its
    endpoints), and `outside` is the port of whoever its phones and trunk are, 0 is this same Asterisk;
    `extra_conf` is appended to the files it names, e.g. {"extensions.conf": "[mine]..."}.
    """

    formats: str = "wav"
    poll: bool = False
    cdr_manager: bool = True
    mapped: bool = True
    sip: bool = False
    sip_port: int = 0
    outside: int = 0
    ami_port: int = 0
    extra_conf: tuple[tuple[str, str], ...] = ()


class AsteriskProcess:
    """An Asterisk in the folder `root`. `close()` stops it and removes what it wrote; `stop()` keeps that."""

    def __init__(self, version: str, root: Path, options: Options | None = None) -> None:
        self.version = version
        self.options = options or Options()
        self.ami_port = self.options.ami_port or free_port(socket.SOCK_STREAM)
        self.sip_port = (self.options.sip_port or free_port(socket.SOCK_DGRAM)) if self.options.sip else 0
        self._root = root
        self._inside = f"/{RUNS_DIR}/{secrets.token_hex(4)}"
        self.home = root / self._inside.lstrip("/")
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        _remove_abandoned(root / RUNS_DIR)
        self._lock = self._prepare()

    @property
    def spool(self) -> Path:
        """The voicemail spool: what the daemon's `[spool] path` has to be."""
        return self.home / "spool/voicemail"

    @property
    def master_csv(self) -> Path:
        """The CDR file."""
        return self.home / "log/cdr-csv/Master.csv"

    @property
    def log_file(self) -> Path:
        """Asterisk's log."""
        return self.home / "log/full"

    @property
    def log(self) -> str:
        """What Asterisk wrote into its log so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def pid(self) -> int:
        """The process's id; only while it runs."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start it and return when it is fully booted. Raises StartError."""
        self._spawn()
        try:
            await self.booted()
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    async def booted(self, limit: float = _START_LIMIT) -> None:
        """Return when an AMI login works and Asterisk says FullyBooted; raises StartError."""
        deadline = time.monotonic() + limit
        while not await self._says_fully_booted():
            if not self.running or time.monotonic() > deadline:
                state = "is not fully booted" if self.running else "ended"
                output = (self.home / "output").read_text(errors="replace")
                raise StartError(f"Asterisk {self.version} {state}:\n{output}{self.log[-3000:]}")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Stop it as systemd would, and keep what it wrote. Does nothing when it does not run."""
        await asyncio.to_thread(self._end, signal.SIGTERM)

    async def kill(self) -> None:
        """End it without warning, as a crash would."""
        await asyncio.to_thread(self._end, signal.SIGKILL)

    async def close(self) -> None:
        """Stop it and remove what it wrote."""
        await self.stop()
        shutil.rmtree(self.home)
        os.close(self._lock)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _says_fully_booted(self) -> bool:
        try:
            async with AmiClient.connect(self.ami_port, LAB, "system") as ami:
                await ami.wait_for(lambda packet: packet.event == "FullyBooted", "FullyBooted")
        except (OSError, AmiError):
            return False
        return True

    def _spawn(self) -> None:
        """Start Asterisk, and a guard that ends it when these tests are killed before they could."""
        assert not self.running, "already started"
        command = ["chroot", str(self._root), "/usr/sbin/asterisk", "-f", "-U", "asterisk", "-G", "asterisk"]
        with (self.home / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "-C", f"{self._inside}/etc/asterisk.conf"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(self._lock,),  # its directory is in use for as long as it runs, whoever started it
                start_new_session=True,  # a Ctrl-C in the terminal is for pytest, which then stops it in order
                umask=0o022,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            )
        self._guard = subprocess.Popen(
            ["sh", "-c", 'cat; kill -TERM "$0"', str(self._process.pid)],  # `cat` ends when our end of the pipe does
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _end(self, how: signal.Signals) -> None:
        """End Asterisk, then its guard."""
        if self._process is None or self._guard is None:
            return
        self._guard.kill()
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = self._guard = None

    def _prepare(self) -> int:
        """Make the run's directories and configuration; give the handle that says it is in use."""
        new = self.home.with_name(f".{self.home.name}")
        new.mkdir()
        lock = os.open(new / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(self.home)  # a directory of this name is in use as long as its lock is held
        for name in ("etc/manager.d", "spool/voicemail", "run", "log/cdr-csv", "lib"):
            (self.home / name).mkdir(parents=True)
        for name, text in self._configuration().items():
            (self.home / "etc" / name).write_text(text)
        for path in [self.home, *self.home.rglob("*")]:
            os.chown(path, ASTERISK_UID, ASTERISK_UID)
        for name in ("spool", "spool/voicemail"):
            (self.home / name).chmod(0o750)
        return lock

    def _configuration(self) -> dict[str, str]:
        """Give each configuration file's text by its name."""
        options = self.options
        values = {
            "@RUN@": self._inside,
            "@MODULES@": modules_dir(self._root),
            "@AMI_PORT@": str(self.ami_port),
            "@SIP_PORT@": str(self.sip_port),
            "@OUTSIDE@": str(options.outside or self.sip_port),
            "@FORMATS@": options.formats,
            "@POLL@": "yes" if options.poll else "no",
            "@EXTRA@": "\n".join(f"load => {name}.so" for name in _SIP_MODULES) if options.sip else "",
        }
        files = {file.name: _filled(file.read_text(), values) for file in sorted(_CONF.glob("*.conf"))}
        files["cdr.conf"] = (_SNIPPETS / "cdr.conf").read_text()
        files["cdr_manager.conf"] = self._cdr_manager()
        snippet = (_SNIPPETS / "manager.d/voicemaild.conf").read_text()
        files["manager.d/voicemaild.conf"] = _with_secret(snippet, DAEMON.secret)
        for name, text in options.extra_conf:
            files[name] = f"{files.get(name, '')}\n{text}\n"
        return files

    def _cdr_manager(self) -> str:
        snippet = (_SNIPPETS / "cdr_manager.conf").read_text()
        if not self.options.cdr_manager:
            return "[general]\nenabled = no\n"
        return snippet if self.options.mapped else snippet.partition("[mappings]")[0]


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _with_secret(snippet: str, secret: str) -> str:
    """Put a secret in the place of the one that the snippet asks its reader to change."""
    lines = snippet.splitlines()
    return "\n".join(f"secret = {secret}" if line.startswith("secret") else line for line in lines) + "\n"


def _remove_abandoned(runs: Path) -> None:
    """Remove what runs left behind that could not: whose lock nobody holds any more."""
    for home in runs.glob("[!.]*"):
        try:
            lock = os.open(home / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # just being made, or just being removed
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(home, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
