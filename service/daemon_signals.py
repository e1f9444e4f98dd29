"""The daemon's signals: stop, and begin anew with another configuration."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator

from service.config_reading import Reading
from service.errors import ConfigError, UnavailableError
from service.sdnotify import Notifier
from service.settings import Settings

log = logging.getLogger(__name__)


Reload = Callable[[], contextlib.AbstractContextManager[Reading]]
"""Begins to read the configuration anew. Raises ConfigError and UnavailableError."""


class Signals:
    """What the signals so far ask for: to stop, or to go on with the settings `reloaded`.

    `notifier` is told that a reload begins as soon as it is asked for, lest systemd takes it for done, and that it is
    over where nothing comes of it.
    """

    def __init__(self, reload: Reload | None, notifier: Notifier) -> None:
        self.reloaded: Settings | None = None
        self._notifier = notifier
        self._reload = reload
        self._to_stop = asyncio.Event()
        self._to_reload = asyncio.Event()

    @property
    def stop(self) -> bool:
        """Whether to stop."""
        return self._to_stop.is_set()

    async def wait(self) -> None:
        """Return when there is something to do."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._to_stop.wait()), group.create_task(self._reloads())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    async def _reloads(self) -> None:
        """Return when there are settings to go on with: a configuration with mistakes is told, and changes nothing."""
        while self.reloaded is None:
            await self._to_reload.wait()
            self._to_reload.clear()
            try:
                self.reloaded = await self._read()
            except ConfigError as error:
                for problem in error.problems:
                    log.error("configuration not reloaded problem=%r", problem)
                self._notifier.ready()
            except UnavailableError as error:
                log.error("configuration not reloaded reason=%r", str(error))
                self._notifier.ready()

    async def _read(self) -> Settings | None:
        if self._reload is None:
            return None
        with self._reload() as settings:
            return await asyncio.to_thread(settings)

    def on_stop(self) -> None:
        """SIGTERM, SIGINT."""
        self._to_stop.set()

    def on_reload(self) -> None:
        """SIGHUP."""
        if self._reload is not None:
            self._notifier.reloading()
        self._to_reload.set()


@contextlib.contextmanager
def listening_to_signals(reload: Reload | None, notifier: Notifier) -> Iterator[Signals]:
    """Listen to the signals while the block runs."""
    loop, asked = asyncio.get_running_loop(), Signals(reload, notifier)
    handlers = {
        signal.SIGTERM: asked.on_stop,
        signal.SIGINT: asked.on_stop,
        signal.SIGHUP: asked.on_reload,
    }
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield asked
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
