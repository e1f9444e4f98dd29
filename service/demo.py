"""`voicemaild demo`: the daemon beside a simulated PBX, on a state directory that is gone afterwards."""

import asyncio
import contextlib
import random
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from service import daemon
from service.cdr.times import LocalTimes
from service.master import MasterCsv as Follower
from service.metrics import Metrics
from service.model import Scope
from service.settings import Ami, Cdr, Http, Pbx, Secret, Settings, Spool
from service.settings import Store as StoreSettings
from service.simulator.life import COMPANY, furnish, live
from service.simulator.master_csv import MasterCsv
from service.simulator.pbx import Simulator
from service.store import Store, tokens
from service.store.commands import changing

HOST = "127.0.0.1"
PORT = 8089
CALLS = 40
"""So many calls were made before the page opens; they stand in Master.csv alone."""


async def demo(announce: Callable[[str], None], port: int = PORT) -> None:
    """Run until SIGTERM or SIGINT. `announce` is told the link that signs in, once it can be opened.

    Listens on `port`, or where that is taken on a free one.
    """
    dice = random.Random()  # noqa: S311 -- who calls when; guards nothing
    with tempfile.TemporaryDirectory(prefix="voicemaild-demo-") as directory:
        state = Path(directory)
        async with _pbx(state) as pbx:
            settings = _settings(state, pbx, port)
            await furnish(pbx, dice, calls=CALLS)
            await daemon.scan(settings, lambda _done, _total: None)  # the page has something to show when it opens
            await _read_calls(settings)
            secret = await asyncio.to_thread(_token, settings)
            async with asyncio.TaskGroup() as group:
                afternoon = group.create_task(live(pbx, dice), name="afternoon")
                try:
                    await daemon.run(settings, started=lambda url: announce(f"{url}/#token={secret}"))
                finally:
                    afternoon.cancel()


def _pbx(state: Path) -> Simulator:
    (state / "monitor").mkdir()
    return Simulator(
        state / "spool",
        boxes=COMPANY,
        read="call,cdr",
        write="reporting,user",
        csv=MasterCsv(state / "Master.csv"),
        recordings=state / "monitor",
    )


def _settings(state: Path, pbx: Simulator, port: int) -> Settings:
    return Settings(
        pbx=Pbx(name="demo"),
        ami=Ami(host=pbx.host, port=pbx.port, username=pbx.user, secret=Secret(pbx.secret)),
        spool=Spool(path=state / "spool"),
        cdr=Cdr(csv=state / "Master.csv", recordings=state / "monitor"),
        store=StoreSettings(path=state / "voicemaild.db"),
        http=Http(host=HOST, port=_free(port)),
    )


async def _read_calls(settings: Settings) -> None:
    """Read the calls that are in Master.csv, from where the daemon goes on."""
    assert settings.cdr.csv is not None
    pbx = settings.pbx
    async with Store.open(settings.store.path, pbx=pbx.name) as store:
        await Follower(store, settings.cdr.csv, LocalTimes(pbx.timezone), pbx.internal, Metrics()).look()


def _free(port: int) -> int:
    """The port, if nobody listens there; else the next one that is free.

    Not any that the system would give: such a one may be an outgoing connection's a moment later.
    """
    for candidate in range(port, port + 1000):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that has just been left counts as free
            with contextlib.suppress(OSError):
                tried.bind((HOST, candidate))
                return candidate
    return port


def _token(settings: Settings) -> str:
    with changing(settings.store.path, settings.pbx.name) as tx:
        return tokens.create(tx.conn, "demo", Scope.ADMIN, None, now=int(time.time()))
