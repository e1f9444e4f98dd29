"""The daemon's signals: stop, and begin anew with another configuration."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator

from service.config_schema import Settings
from service.errors import ConfigError

log = logging.getLogger(__name__)


class Signals:
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
def listening_to_signals(reload: Callable[[], Settings] | None) -> Iterator[Signals]:
    """Listen to the signals while the block runs."""
    loop, asked = asyncio.get_running_loop(), Signals(reload)
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
