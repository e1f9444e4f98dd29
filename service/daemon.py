"""The daemon: the only module that knows all parts. It reads from top to bottom: store, ingest, PBX, API, run, stop."""

import asyncio
import contextlib
import logging
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from service.ami import Ami, State
from service.api import frames
from service.api.app import build
from service.api.auth import Tokens
from service.api.edge import Edge
from service.api.hub import Hub
from service.api.links import Signer
from service.api.server import listening
from service.audio import SUFFIXES, AudioCache, AudioWorker, Converter, GsmLibrary, describe
from service.boxes import Boxes
from service.cdr.times import LocalTimes
from service.daemon_signals import Reload, Signals, listening_to_signals
from service.daemon_state import alone, follow_link_key, link_key
from service.errors import UnavailableError
from service.feed import Feed
from service.follow import follow, take_over
from service.health import AmiState, Health, Part
from service.housekeeping import count_lines, feed_watchdog, prune_journal, rejudge_calls, watch_store
from service.ingest import Ingest, Progress, outside_number
from service.intake import Intake
from service.listener import Listener
from service.master import MasterCsv
from service.measure import Measurer
from service.media import Media
from service.metrics import Metrics
from service.model import Mailbox, Record
from service.pbx import Pbx
from service.recordings import Recordings
from service.retention import Retention
from service.scanning import scans
from service.sdnotify import Notifier, watchdog_interval
from service.settings import Settings
from service.spool import Rejects, Scanner, Watcher
from service.store import Store, mailboxes
from service.webhook.deliverer import Deliverer, prepare

log = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 1e-4
"""So long a thread that reads the store or the spool may keep the others waiting: by default it is 5 ms."""


async def run(
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    reload: Reload | None = None,
    started: Callable[[str], None] = lambda _url: None,
) -> None:
    """Run until SIGTERM or SIGINT; on SIGHUP begin anew, within the process, with the settings that `reload` reads.

    `started` is told the address it listens on. Raises VoicemaildError where it cannot start.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    notifier, watchdog_s = Notifier(environ), watchdog_interval(environ)
    with listening_to_signals(reload, notifier) as signals:
        while True:
            async with contextlib.AsyncExitStack() as stack:
                stack.enter_context(alone(settings.store.path))
                store = await stack.enter_async_context(Store.open(settings.store.path, pbx=settings.pbx.name))
                gsm = GsmLibrary.load()
                worker = await stack.enter_async_context(AudioWorker(gsm))
                cache = AudioCache(settings.store.path.with_name("audio-cache"))
                converter = await stack.enter_async_context(Converter(cache, gsm))
                daemon = await _assemble(settings, store, worker, converter)
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
    return Ingest(store, scanner, outside, health=health, metrics=metrics, scans=scans)


async def _assemble(settings: Settings, store: Store, worker: AudioWorker, converter: Converter) -> "Daemon":
    health, metrics, tokens = Health(), Metrics(), Tokens()
    seq, badges = await store.read(mailboxes.snapshot)
    feed = Feed(seq, badges)
    store.on_commit(feed.publish)
    store.on_transaction(metrics.store_commit_seconds.observe)
    await take_over(store, feed, tokens)
    ingest = await _ingest(settings, store, health, metrics)
    media = Media(settings.store.path.with_name("media"))
    await asyncio.to_thread(media.discard_drafts)
    measurer = Measurer(store, ingest, worker, settings.spool.path, media)
    times, internal = LocalTimes(settings.pbx.timezone), settings.pbx.internal
    intake = Intake(store, times, internal, metrics)
    master = None if settings.cdr.csv is None else MasterCsv(store, settings.cdr.csv, times, internal, metrics)
    await prepare(store, settings.webhook)
    recordings = Recordings(settings.cdr.recordings, settings.pbx.timezone)
    signer = Signer(link_key(settings.store.path))
    render = _rendering(settings, signer, recordings)
    deliverer = Deliverer(store, feed, settings.webhook, render, metrics)
    listener = Listener(ingest, intake, health, metrics, write_back=settings.pbx.write_back)
    ami, logged_in = None, asyncio.Event()
    if settings.ami.enabled:
        ami = Ami(
            host=settings.ami.host,
            port=settings.ami.port,
            username=settings.ami.username,
            secret=settings.ami.secret.get_secret_value(),
            on_event=listener.on_event,
            on_state=_told_of_logins(listener.on_state, logged_in),
        )
    else:
        health.ami = Part(AmiState.DISABLED, "switched off by [ami] enabled")
        metrics.ami_state.state(AmiState.DISABLED.value)
    boxes = Boxes(
        store,
        ami,
        etc=settings.pbx.config,
        spool=settings.spool.path,
        state=settings.store.path.parent,
        again=logged_in,
    )
    feed.subscribe(measurer.notice)
    feed.subscribe(converter.notice)
    feed.subscribe(_counting(metrics, feed))
    return Daemon(
        settings=settings,
        store=store,
        feed=feed,
        tokens=tokens,
        health=health,
        metrics=metrics,
        ingest=ingest,
        measurer=measurer,
        worker=worker,
        converter=converter,
        media=media,
        intake=intake,
        master=master,
        recordings=recordings,
        signer=signer,
        deliverer=deliverer,
        listener=listener,
        ami=ami,
        boxes=boxes,
    )


def _told_of_logins(on_state: Callable[[State, str], None], logged_in: asyncio.Event) -> Callable[[State, str], None]:
    """The same callback, which sets `logged_in` with every login."""

    def told(state: State, detail: str) -> None:
        on_state(state, detail)
        if state is State.CONNECTED:
            logged_in.set()

    return told


def _rendering(settings: Settings, signer: Signer, recordings: Recordings) -> Callable[[Record], dict[str, Any]]:
    """What gives a record's message or call as the websocket has it; links begin with our own address."""
    edge = Edge(settings.pbx.timezone, settings.http.address, signer, recordings.quick)

    def render(record: Record) -> dict[str, Any]:
        content: dict[str, Any] = frames.event(record, 0, edge, None)[frames.kind(record)]
        return content

    return render


def _counting(metrics: Metrics, feed: Feed) -> Callable[[Sequence[Record]], None]:
    def count(records: Sequence[Record]) -> None:
        for kind, times in Counter(record.type for record in records).items():
            metrics.changes.labels(kind).inc(times)
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
    worker: AudioWorker
    converter: Converter
    media: Media
    intake: Intake
    master: MasterCsv | None
    recordings: Recordings
    signer: Signer
    deliverer: Deliverer
    listener: Listener
    ami: Ami | None
    boxes: Boxes

    async def run(
        self,
        signals: Signals,
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
            pbx=self._pbx(settings.retention.trash_days),
            look_again=self.ingest.look_again,
            health=self.health,
            metrics=self.metrics,
            tokens=self.tokens,
            signer=self.signer,
            converter=self.converter,
            worker=self.worker,
            recordings=self.recordings,
            media=self.media,
            boxes=self.boxes,
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
                self.store.hurry()
                await serving.aclose()  # what is being answered still has all parts at work
                await self.intake.settle()
                for task in tasks:
                    task.cancel()

    def _pbx(self, trash_days: int) -> Pbx:
        settings = self.settings
        return Pbx(
            self.store,
            self.ingest,
            self.ami if settings.pbx.write_back else None,
            spool=settings.spool.path,
            media=self.media,
            trash_days=trash_days,
        )

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
            "retention": Retention(self.store, self._pbx(trash_days=0), self.media, settings.retention).run(),
            "prune": prune_journal(self.store, settings.retention.journal_days),
            "intake": self.intake.run(),
            "rejudge": rejudge_calls(self.store, settings.pbx.internal),
            "lines": count_lines(self.store),
            "webhooks": self.deliverer.run(),
            "link-key": follow_link_key(settings.store.path, self.signer.rekey),
        }
        if self.master is not None:
            jobs["master-csv"] = self.master.run()
        if self.ami is not None:
            jobs |= {"ami": self.ami.run(), "ami-rights": self.listener.run(self.ami), "boxes": self.boxes.run()}
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
