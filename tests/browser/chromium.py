"""A headless Chromium for tests, driven over the DevTools protocol: no library between, and none but it is trusted.

    async with Page.opened(chromium) as page:
        await page.go("http://127.0.0.1:8089/")
        await page.until("document.title === 'Voicemail'")
        assert page.noise == []

https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
"""Names it is looked for by; the first, Debian's without windows, starts fastest."""
START_S = 60.0
PATIENCE_S = 60.0
FLAGS = (
    "--headless",
    "--no-sandbox",  # which root cannot have; it sees nothing but our own pages
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)

Json = dict[str, Any]


class ChromiumError(Exception):
    """It did not start, or the page failed at what it was told."""


def program() -> str | None:
    """Where a Chromium is; None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextlib.contextmanager
def running(profile: Path) -> Iterator[str]:
    """A Chromium with a fresh profile, until the block ends; gives the address of its DevTools websocket."""
    found = program()
    if found is None:
        raise ChromiumError(f"none of {', '.join(PROGRAMS)} is there")
    command = [found, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    environ = {"PATH": os.environ.get("PATH", ""), "HOME": str(profile), "TZ": "UTC", "LANG": "C.UTF-8"}
    log = profile / "stderr.log"
    with log.open("wb") as stderr:
        # Debian's command is a script that starts the browser, which starts processes of its own: one group for all.
        process = subprocess.Popen(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, start_new_session=True
        )
        try:
            yield _address(process, profile / "DevToolsActivePort", log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE_S)


def _address(process: "subprocess.Popen[bytes]", file: Path, log: Path) -> str:
    """Wait for the file in which it tells its port and path."""
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            port, path = file.read_text().split()
            return f"ws://127.0.0.1:{port}{path}"
        time.sleep(0.02)  # there is nothing to wait on but that file
    raise ChromiumError(f"Chromium does not start: {log.read_text(errors='replace')[-2000:]}")


@dataclass
class Page:
    """A page in a browser context of its own: no storage, no cache is shared with another.

    `noise` is what a person would see in the console, and whatever else a clean page has none of: exceptions, dialogs,
    violations of the content security policy. `requests` are the addresses it has asked for.
    """

    devtools: aiohttp.ClientWebSocketResponse
    session: str = ""
    noise: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _sent: int = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, devtools: str) -> AsyncIterator[Self]:
        """A new page of the Chromium at this address."""
        async with aiohttp.ClientSession() as http, http.ws_connect(devtools, max_msg_size=0) as ws:
            page = cls(ws)
            context = (await page.call("Target.createBrowserContext"))["browserContextId"]
            target = await page.call("Target.createTarget", url="about:blank", browserContextId=context)
            attached = await page.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            page.session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
                await page.call(f"{domain}.enable")
            yield page
            page.session = ""
            await page.call("Target.disposeBrowserContext", browserContextId=context)

    async def call(self, method: str, **params: Any) -> Json:
        """Send a command; gives its result. What the page tells meanwhile is taken note of."""
        self._sent += 1
        command: Json = {"id": self._sent, "method": method, "params": params}
        await self.devtools.send_json(command | {"sessionId": self.session} if self.session else command)
        async with asyncio.timeout(PATIENCE_S + 1):
            while True:
                told: Json = await self.devtools.receive_json()
                if told.get("id") != self._sent:
                    self._note(told.get("method", ""), told.get("params", {}))
                    continue
                if "error" in told:
                    raise ChromiumError(f"{method}: {told['error']['message']}")
                result: Json = told["result"]
                return result

    async def go(self, url: str) -> None:
        """Open an address, and wait until it and what it names are loaded."""
        result = await self.call("Page.navigate", url=url)
        if result.get("errorText"):
            raise ChromiumError(f"{url}: {result['errorText']}")
        await self.until("document.readyState === 'complete' && location.protocol === 'http:'")

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression; of a promise, what it comes to."""
        result = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in result:
            raise ChromiumError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until an expression is true, looked at whenever the page has time."""
        late = int(PATIENCE_S * 1000)
        came = await self.evaluate(
            f"new Promise((resolve) => {{ const end = performance.now() + {late}; "
            f"const look = () => ({condition}) ? resolve(true) : "
            "performance.now() > end ? resolve(false) : setTimeout(look, 5); look(); })"
        )
        if not came:
            shown = await self.evaluate("document.body.innerText")
            raise ChromiumError(f"it never came that {condition}; the console says {self.noise}, the page {shown!r}")

    async def texts(self, selector: str) -> list[str]:
        """What the elements that a selector finds show, in order."""
        found: list[str] = await self.evaluate(f"[...document.querySelectorAll({selector!r})].map((e) => e.innerText)")
        return found

    async def press(self, selector: str) -> None:
        """Click in the middle of the first element that a selector finds, as a mouse does."""
        place = await self.evaluate(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}}); "
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def _note(self, event: str, params: Json) -> None:
        match event:
            case "Runtime.consoleAPICalled":
                words = " ".join(str(part.get("value", part.get("description"))) for part in params["args"])
                self.noise.append(f"console.{params['type']}: {words}")
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.noise.append(f"exception: {details.get('exception', {}).get('description', details['text'])}")
            case "Log.entryAdded":
                entry = params["entry"]
                self.noise.append(f"{entry['source']} {entry['level']}: {entry['text']} {entry.get('url', '')}")
            case "Audits.issueAdded":
                self.noise.append(f"issue: {params['issue']}")
            case "Page.javascriptDialogOpening":
                self.noise.append(f"dialog: {params['message']}")
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
