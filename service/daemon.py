"""The daemon: the only module that knows all parts. It reads from top to bottom: store, ingest, PBX, API, run, stop."""

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from service.ami import Ami
from service.api.app import build
from service.api.auth import Tokens
from service.api.hub import Hub
from service.api.server import listening
from service.audio import SUFFIXES, AudioWorker, GsmLibrary, describe
from service.config_schema import Settings
from service.errors import ConfigError, ConflictError, UnavailableError
from service.feed import Feed
from service.follow import follow, take_over
from service.health import AmiState, Health, Part
from service.housekeeping import feed_watchdog, prune_journal, watch_store
from service.ingest import Ingest, Progress, outside_number
from service.listener import Listener
from service.measure import Measurer
from service.metrics import Metrics
from service.model import Mailbox, Record
from service.pbx import Pbx
from service.sdnotify import Notifier, watchdog_interval
from service.spool import Rejects, Scanner, Watcher
from service.store import Store, mailboxes

log = logging.getLogger(__name__)

LINK_KEY_BYTES = 32
SWITCH_INTERVAL_S = 1e-4
"""So long a thread that reads the store or the spool may keep the others waiting: by default it is 5 ms."""


async def run(
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    reload: Callable[[], Settings] | None = None,
    started: Callable[[str], None] = lambda _url: None,
) -> None:
    """Run until SIGTERM or SIGINT; on SIGHUP begin anew, within the process, with the settings that `reload` gives.

    `started` is told the address it listens on. Raises VoicemaildError where it cannot start.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    notifier, watchdog_s = Notifier(environ), watchdog_interval(environ)
    with _signals(reload) as signals:
        while True:
            async with contextlib.AsyncExitStack() as stack:
                stack.enter_context(_alone(settings.store.path))
                store = await stack.enter_async_context(Store.open(settings.store.path, pbx=settings.pbx.name))
                worker = await stack.enter_async_context(AudioWorker(GsmLibrary.load()))
                daemon = await _assemble(settings, store, worker)
                await daemon.run(signals, notifier, watchdog_s, started)
            if signals.stop or signals.reloaded is None:
                return
            settings, signals.reloaded = signals.reloaded, None


async def scan(settings: Settings, progress: Progress) -> int:
    """Read the whole spool once into the store, also beside a running daemon; gives how many mailboxes there are.

    `progress` is told how many of them are done, and of how many. Raises VoicemaildError.
    """
    async with Store.open(settings.store.path, pbx=settings.pbx.name) as store:
        ingest = await _ingest(settings, store, Health(), Metrics())
        found, unsettled = await ingest.everything(progress)
        for mailbox in unsettled:
            await ingest.reconcile(mailbox)
        return found


async def _ingest(settings: Settings, store: Store, health: Health, metrics: Metrics) -> Ingest:
    outside = outside_number(settings.pbx.internal)
    pattern = settings.pbx.internal.pattern
    await store.write(lambda tx: mailboxes.adopt_internal(tx.conn, pattern, outside))
    rejects = Rejects(lambda reason: metrics.spool_rejects.labels(reason).inc())
    scanner = Scanner(settings.spool.path, describe, SUFFIXES, rejects)
    return Ingest(store, scanner, outside, health=health, metrics=metrics)


async def _assemble(settings: Settings, store: Store, worker: AudioWorker) -> "Daemon":
    health, metrics, tokens = Health(), Metrics(), Tokens()
    seq, badges = await store.read(mailboxes.snapshot)
    feed = Feed(seq, badges)
    store.on_commit(feed.publish)
    await take_over(store, feed, tokens)
    ingest = await _ingest(settings, store, health, metrics)
    measurer = Measurer(store, ingest, worker, settings.spool.path)
    listener = Listener(ingest, health, metrics, write_back=settings.pbx.write_back)
    ami = None
    if settings.ami.enabled:
        ami = Ami(
            host=settings.ami.host,
            port=settings.ami.port,
            username=settings.ami.username,
            secret=settings.ami.secret.get_secret_value(),
            on_event=listener.on_event,
            on_state=listener.on_state,
        )
    else:
        health.ami = Part(AmiState.DISABLED, "switched off by [ami] enabled")
        metrics.ami_state.state(AmiState.DISABLED.value)
    feed.subscribe(measurer.notice)
    feed.subscribe(_counting(metrics, feed))
    return Daemon(settings, store, feed, tokens, health, metrics, ingest, measurer, listener, ami)


def _counting(metrics: Metrics, feed: Feed) -> Callable[[Sequence[Record]], None]:
    def count(records: Sequence[Record]) -> None:
        for record in records:
            metrics.changes.labels(record.type).inc()
        metrics.journal_seq.set(feed.seq)
        metrics.unread_messages.set(feed.total(None))

    count(())
    return count


@dataclass(frozen=True)
class Daemon:
    """All parts, put together and not running yet."""

    settings: Settings
    store: Store
    feed: Feed
    tokens: Tokens
    health: Health
    metrics: Metrics
    ingest: Ingest
    measurer: Measurer
    listener: Listener
    ami: Ami | None

    async def run(
        self,
        signals: "_Signals",
        notifier: Notifier,
        watchdog_s: float | None,
        started: Callable[[str], None],
    ) -> None:
        """Start everything, serve until told to stop, stop everything."""
        settings = self.settings
        hub = Hub(self.feed, settings.pbx.name, self.metrics, self.tokens)
        app = build(
            settings,
            store=self.store,
            feed=self.feed,
            hub=hub,
            pbx=Pbx(self.store, self.ingest, self.ami if settings.pbx.write_back else None),
            look_again=self.ingest.reconcile,
            health=self.health,
            metrics=self.metrics,
            tokens=self.tokens,
            link_key=link_key(settings.store.path),
        )
        async with contextlib.AsyncExitStack() as serving:
            url = await serving.enter_async_context(self._serving(app))
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(job, name=name) for name, job in self._jobs(hub).items()]
                if watchdog_s is not None:
                    tasks.append(group.create_task(feed_watchdog(notifier, watchdog_s, self.store), name="watchdog"))
                log.info("listening url=%s pbx=%s", url, settings.pbx.name)
                started(url)
                notifier.ready(f"listening on {url}")
                await signals.wait()
                if signals.stop:
                    log.info("stopping")
                    notifier.stopping()
                else:
                    log.info("reloading")
                    notifier.reloading()
                self.store.hurry()
                await serving.aclose()  # what is being answered still has all parts at work
                for task in tasks:
                    task.cancel()

    def _jobs(self, hub: Hub) -> dict[str, Coroutine[None, None, None]]:
        """What runs as long as the daemon does, by name."""
        settings = self.settings
        watcher = Watcher(settings.spool.path, self._on_hint, self.ingest.look_everywhere, self._on_watch)
        jobs = {
            "ingest": self.ingest.run(),
            "watcher": watcher.run(),
            "measurer": self.measurer.run(),
            "hub": hub.run(),
            "follow": follow(self.store, self.feed, self.tokens),
            "watch-store": watch_store(self.store, self.health),
            "prune": prune_journal(self.store, settings.retention.journal_days),
        }
        if self.ami is not None:
            jobs |= {"ami": self.ami.run(), "ami-rights": self.listener.run(self.ami)}
        return jobs

    @contextlib.asynccontextmanager
    async def _serving(self, app: web.Application) -> AsyncIterator[str]:
        http = self.settings.http
        async with contextlib.AsyncExitStack() as stack:
            try:
                port = await stack.enter_async_context(listening(app, http.host, http.port))
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
                raise UnavailableError(
                    f"cannot listen on {http.host} port {http.port}: {reason}; see [http] host and port"
                ) from error
            host = f"[{http.host}]" if ":" in http.host else http.host
            yield f"http://{host}:{port}"

    def _on_hint(self, mailbox: Mailbox, is_directory: bool) -> None:  # noqa: FBT001 -- the watcher's callback
        self.ingest.hint(mailbox)
        if is_directory:  # files made in it before it was watched told nothing
            for delay_s in (0.1, 1.0):
                self.ingest.hint_later(mailbox, delay_s)

    def _on_watch(self, works: bool, detail: str) -> None:  # noqa: FBT001 -- the watcher's callback
        if not works:
            log.warning("spool is polled reason=%r", detail)
        self.ingest.polling_reason = "" if works else detail
        self.ingest.look_everywhere()


class _Signals:
    """What the signals so far ask for: to `stop`, or to go on with the settings `reloaded`."""

    def __init__(self, reload: Callable[[], Settings] | None) -> None:
        self.stop = False
        self.reloaded: Settings | None = None
        self._reload = reload
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Return when there is something to do."""
        while not self.stop and self.reloaded is None:
            self._event.clear()
            await self._event.wait()

    def on_stop(self) -> None:
        """SIGTERM, SIGINT."""
        self.stop = True
        self._event.set()

    def on_reload(self) -> None:
        """SIGHUP: a configuration with mistakes is told, and changes nothing."""
        if self._reload is None:
            return
        try:
            self.reloaded = self._reload()
        except ConfigError as error:
            for problem in error.problems:
                log.error("configuration not reloaded problem=%r", problem)
        self._event.set()


@contextlib.contextmanager
def _signals(reload: Callable[[], Settings] | None) -> Iterator[_Signals]:
    """Listen to the signals while the block runs."""
    loop, signals = asyncio.get_running_loop(), _Signals(reload)
    handlers = {
        signal.SIGTERM: signals.on_stop,
        signal.SIGINT: signals.on_stop,
        signal.SIGHUP: signals.on_reload,
    }
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield signals
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _alone(database: Path) -> Iterator[None]:
    """Hold the lock that only one daemon can have on a database."""
    lock = database.with_name(database.name + ".lock")
    try:
        database.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConflictError(f"cannot write {lock}: {error.strerror}; see [store] path and its owner") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConflictError(f"another voicemaild is running on {database}") from error
    finally:
        os.close(fd)


def link_key(database: Path) -> bytes:
    """The key that signs links, from `link.key` beside the database; made when it is not there."""
    path = database.with_name("link.key")
    try:
        if not path.exists():
            _write_whole(path, secrets.token_bytes(LINK_KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise ConflictError(f"{path} cannot be used: {error.strerror}; it belongs to the daemon's user") from error
    if len(key) != LINK_KEY_BYTES:
        raise ConflictError(f"{path} is damaged: remove it; links made so far then stop working")
    return key


def _write_whole(path: Path, content: bytes) -> None:
    """Make a file for our eyes only that has this content or, where the machine stops or the disk is full, is not."""
    draft = path.with_name(f"{path.name}.new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    draft.rename(path)
