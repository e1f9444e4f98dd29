"""What the signals ask of the daemon, and what it goes on with; the configuration is read as somebody says here."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from service.config_reading import Reading
from service.daemon_signals import listening_to_signals
from service.errors import ConfigError, UnavailableError
from service.sdnotify import Notifier
from service.settings import Http, Settings
from tests.manager import Manager

UNHEARD = Notifier({})


class Shelf:
    """Settings, one after the other, as they are read; a function among them is asked for its own."""

    def __init__(self, *found: Callable[[], Settings]) -> None:
        self.begun = asyncio.Event()
        self._found = iter(found)

    @contextmanager
    def read(self) -> Iterator[Reading]:
        self.begun.set()
        yield next(self._found)


def on_port(port: int) -> Callable[[], Settings]:
    return lambda: Settings(http=Http(port=port))


def failing(error: Exception) -> Callable[[], Settings]:
    def fail() -> Settings:
        raise error

    return fail


async def test_a_configuration_that_is_right_is_gone_on_with() -> None:
    with listening_to_signals(Shelf(on_port(1)).read, UNHEARD) as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        await signals.wait()
        assert signals.reloaded == Settings(http=Http(port=1))
        assert not signals.stop


async def test_one_with_mistakes_or_that_nobody_could_read_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(failing(ConfigError(["one", "two"])), failing(UnavailableError("it died")), on_port(1))
    with listening_to_signals(shelf.read, UNHEARD) as signals:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(signals.wait())
            for _ in range(3):
                shelf.begun.clear()
                os.kill(os.getpid(), signal.SIGHUP)
                await shelf.begun.wait()
            await waiting
        assert signals.reloaded == Settings(http=Http(port=1))
    assert [record.getMessage() for record in caplog.records if record.name == "service.daemon_signals"] == [
        "configuration not reloaded problem='one'",
        "configuration not reloaded problem='two'",
        "configuration not reloaded reason='it died'",
    ]


async def test_it_stops_also_while_a_configuration_is_being_read() -> None:
    released = threading.Event()

    def slow() -> Settings:
        released.wait()
        raise UnavailableError("ended")

    shelf = Shelf(slow)
    try:
        with listening_to_signals(shelf.read, UNHEARD) as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(signals.wait())
                await shelf.begun.wait()
                os.kill(os.getpid(), signal.SIGTERM)
                await waiting
            assert signals.stop
            assert signals.reloaded is None
    finally:
        released.set()


async def test_a_signal_that_comes_before_anybody_waits_is_not_lost() -> None:
    shelf = Shelf(on_port(1), on_port(2))
    with listening_to_signals(shelf.read, UNHEARD) as signals:
        for port in (1, 2):
            signals.on_reload()
            signals.reloaded = None
            await signals.wait()
            assert signals.reloaded == Settings(http=Http(port=port))


async def test_without_a_configuration_to_read_anew_a_hangup_changes_nothing() -> None:
    with listening_to_signals(None, UNHEARD) as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGINT)
        await signals.wait()
        assert signals.stop
        assert signals.reloaded is None


async def test_systemd_hears_of_a_reload_before_the_configuration_is_read_and_when_it_is_refused(
    tmp_path: Path,
) -> None:
    heard: list[str] = []
    with closing(Manager(str(tmp_path / "notify"))) as manager:

        def mistaken() -> Settings:
            heard.extend(manager.heard())
            raise ConfigError(["one"])

        notifier = Notifier(manager.environ)
        with listening_to_signals(Shelf(mistaken, on_port(1)).read, notifier) as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(signals.wait())
                while not heard:
                    await asyncio.sleep(0)
                heard.extend(await asyncio.to_thread(manager.heard))
                signals.on_reload()
                await waiting
        heard += manager.heard()
    assert [line for line in heard if "MONOTONIC" not in line] == ["RELOADING=1", "READY=1", "RELOADING=1"]
