"""A whole HTTP side for tests: real spool, real store, real server on a free port; nobody but Asterisk is missing."""

import asyncio
import contextlib
import shutil
import struct
import wave
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from service.api.app import build
from service.api.auth import Tokens
from service.api.hub import Hub
from service.api.links import Signer
from service.api.server import DEADLINES, Deadlines, listening
from service.api.voicemail_changes import Messages
from service.audio import SUFFIXES, AudioCache, AudioWorker, Converter, GsmLibrary, describe
from service.boxes import Boxes
from service.feed import Feed
from service.health import Health
from service.ingest import Ingest, outside_number
from service.media import Media
from service.metrics import Metrics
from service.model import Folder, Mailbox, Message, Principal, Scope
from service.pbx import Pbx
from service.recordings import Recordings
from service.scanning import scans
from service.settings import Http, Limits, Settings, Spool
from service.settings import Pbx as PbxSettings
from service.spool import Rejects, Scanner
from service.store import Store, journal, mailboxes
from service.store.tokens import digest
from tests.store.shelf import live

TASHKENT = ZoneInfo("Asia/Tashkent")
BOX = Mailbox.parse("100@default")
OTHER_BOX = Mailbox.parse("200@default")
KEY = b"a key that signs links in tests "
TOKENS = {
    "reader": Principal("reader", Scope.READ, None),
    "writer": Principal("writer", Scope.WRITE, None),
    "admin": Principal("admin", Scope.ADMIN, None),
    "box100": Principal("box100", Scope.WRITE, frozenset({BOX})),
}
"""The tokens that every site takes; the secret is the name."""


def at(text: str, zone: ZoneInfo = TASHKENT) -> int:
    """Epoch seconds of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Site:
    """A running HTTP side, its parts, and a client. `leave` has a caller leave a message."""

    app: web.Application
    url: str
    port: int
    spool: Path
    store: Store
    media: Media
    ingest: Ingest
    health: Health
    metrics: Metrics
    tokens: Tokens
    client: aiohttp.ClientSession
    _numbers: dict[str, int] = field(default_factory=dict)

    async def leave(
        self,
        src: str = "998901234567",
        *,
        box: Mailbox = BOX,
        time: int = 1_768_000_000,
        folder: Folder = Folder.INBOX,
        samples: Sequence[int] = range(8000),
        name: str = "",
        sound: Path | None = None,
    ) -> Message:
        """Put a message into the spool as Asterisk leaves it, with this `sound` if any, and have it reconciled."""
        directory = self.spool / box.context / box.extension / folder
        directory.mkdir(parents=True, exist_ok=True)
        number = self._numbers.get(str(directory), 0)
        self._numbers[str(directory)] = number + 1
        stem = directory / f"msg{number:04d}"
        if sound is None:
            write_wav(stem.with_suffix(".wav"), samples)
        else:
            shutil.copyfile(sound, stem.with_suffix(sound.suffix))
        msg_id = f"{time}-{box.extension}{folder}{number:08d}"
        stem.with_suffix(".txt").write_text(
            f'[message]\norigmailbox={box.extension}\ncallerid="{name}" <{src}>\norigtime={time}\n'
            f"duration={len(samples) // 8000}\nmsg_id={msg_id}\nflag=\n"
        )
        await self.ingest.reconcile(box)
        found = await self.store.read(live)
        return next(row for row in found if (row.mailbox, row.msg_id) == (box, msg_id))

    async def ask(
        self,
        path: str,
        token: str | None = "reader",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        data: Any = None,
    ) -> Answer:
        """Send a request, the path exactly as it is written here or, from a link, whole."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        url = URL(path if path.startswith("http") else self.url + path, encoded=True)
        async with self.client.request(method, url, headers=sent, data=data) as response:
            return Answer(response.status, response.headers, await response.read())


@contextlib.asynccontextmanager
async def running(
    directory: Path,
    *,
    pbx: Messages | None = None,
    http: Http | None = None,
    limits: Limits | None = None,
    deadlines: Deadlines = DEADLINES,
    ffmpeg: str = "ffmpeg",
) -> AsyncIterator[Site]:
    """A site on an empty spool below `directory`, until the block ends. Without a `pbx`, changes stay in the store."""
    spool = directory / "voicemail"
    spool.mkdir()
    settings = Settings(
        pbx=PbxSettings(timezone=TASHKENT, provision=True),
        spool=Spool(path=spool),
        http=http or Http(),
        limits=limits or Limits(),
    )
    health, metrics = Health(), Metrics()
    tokens = Tokens({digest(secret): principal for secret, principal in TOKENS.items()})
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store.open(directory / "store.db", pbx="pbx1"))
        seq = (await store.read(journal.bounds))[1]
        feed = Feed(seq, await store.read(mailboxes.counts))
        store.on_commit(feed.publish)
        scanner = Scanner(spool, describe, SUFFIXES, Rejects())
        converter = await stack.enter_async_context(
            Converter(
                AudioCache(directory / "audio-cache"),
                GsmLibrary.load(),
                ffmpeg_program=ffmpeg,
                patience=60.0,
                time_limit=60.0,
            )
        )
        ingest = Ingest(
            store, scanner, outside_number(settings.pbx.internal), health=health, metrics=metrics, scans=scans
        )
        media = Media(directory / "media")
        worker = await stack.enter_async_context(AudioWorker(GsmLibrary.load(), ffmpeg_program=ffmpeg, time_limit=60.0))
        app = build(
            settings,
            store=store,
            feed=feed,
            hub=Hub(feed, "pbx1", metrics, tokens),
            pbx=pbx or Pbx(store, ingest, None, spool=spool, media=media),
            look_again=ingest.look_again,
            health=health,
            metrics=metrics,
            tokens=tokens,
            signer=Signer(KEY),
            converter=converter,
            worker=worker,
            media=media,
            recordings=Recordings(directory / "monitor", TASHKENT),
            boxes=Boxes(store, None, etc=directory, spool=spool, state=directory, again=asyncio.Event()),
        )
        port = await stack.enter_async_context(listening(app, "127.0.0.1", 0, deadlines))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"http://127.0.0.1:{port}"
        yield Site(app, url, port, spool, store, media, ingest, health, metrics, tokens, client)


def write_wav(path: Path, samples: Sequence[int]) -> None:
    """16-bit PCM, mono, 8 kHz: what Asterisk calls `wav`."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
