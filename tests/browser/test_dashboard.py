"""The dashboard, as a person sees it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.simulator.pbx import Simulator
from tests.browser.chromium import Page
from tests.house import House, box

STATUS = '[role="status"]'


def total(number: int) -> str:
    """The condition that the page says so many unread messages, in both places."""
    words = "1 unread message" if number == 1 else f"{number} unread messages"
    title = f"({number}) Voicemail" if number else "Voicemail"
    return (
        f"document.title === {title!r} && document.querySelectorAll({STATUS!r}).length === 1 && "
        f"document.querySelector({STATUS!r}).innerText === {words!r}"
    )


@pytest.fixture
async def dashboard(page: Page, house: House, token: str) -> AsyncIterator[Page]:
    """The page, signed in by a link. In the end it must have been clean, and have asked nobody else."""
    await page.go(f"{house.url}/#token={token}")
    await page.until("document.getElementById('link').innerText === 'live'")
    yield page
    await page.evaluate("0")  # whatever is still to be told comes before this
    assert page.noise == []
    ours = (house.url, house.url.replace("http", "ws"), "data:")  # as data: the browser has the icons of its controls
    assert [url for url in page.requests if not url.startswith(ours)] == []


async def test_a_link_signs_in_and_its_token_leaves_the_address_bar(page: Page, house: House, token: str) -> None:
    await page.go(f"{house.url}/#token={token}")
    await page.until(total(0))
    assert await page.evaluate("location.href") == f"{house.url}/"
    history = await page.call("Page.getNavigationHistory")
    assert [entry["url"] for entry in history["entries"]] == ["about:blank", f"{house.url}/"]
    assert token not in await page.evaluate("document.documentElement.outerHTML")
    await page.call("Page.reload")
    await page.until(total(0))
    assert await page.evaluate("document.getElementById('sign-in').hidden")
    assert [url for url in page.requests if token in url] == []
    assert page.noise == []


async def test_the_total_in_title_and_status_goes_up_and_down(dashboard: Page, house: House, pbx: Simulator) -> None:
    await dashboard.until(total(0))
    await pbx.leave("100@default", '"Jane Doe" <+12025550143>')
    await dashboard.until(total(1))
    await pbx.leave("101@default", '"Joe" <+12025550144>', urgent=True)
    await dashboard.until(total(2))
    await pbx.listen("100@default")
    await dashboard.until(total(1))
    assert [await house.unread(), await dashboard.texts("#mailboxes .badge")] == [1, ["0", "1"]]


async def test_mark_as_read_puts_the_total_down_here_and_the_lamp_out_there(
    dashboard: Page, house: House, pbx: Simulator
) -> None:
    await pbx.leave("100@default", '"First" <1001>', origtime=1_768_000_000)
    await pbx.leave("100@default", '"Second" <1002>', origtime=1_768_000_060)
    await dashboard.until(total(2))
    await dashboard.until("document.querySelectorAll('#messages li.unread').length === 2")
    assert await dashboard.texts("#messages .who") == ["Second (1002)", "First (1001)"]
    await dashboard.press("#messages li:last-child button")
    await dashboard.until(total(1))
    await dashboard.until("document.querySelectorAll('#messages li.unread').length === 1")
    assert await dashboard.texts("#messages li.unread .who") == ["Second (1002)"]
    assert (pbx.spool.counts(box("100@default")).new, await house.unread()) == (1, 1)


async def test_a_caller_named_like_markup_is_shown_as_text_and_runs_nothing(dashboard: Page, pbx: Simulator) -> None:
    await pbx.leave("100@default", '"<img src=x onerror=document.title=1>" <1001>', origtime=1_768_000_000)
    await pbx.leave("100@default", '"<script>document.title=2</script>" <1002>', origtime=1_768_000_060)
    await pbx.leave("100@default", '"&lt;b&gt;" <1003>', origtime=1_768_000_120)
    await dashboard.until("document.querySelectorAll('#messages li').length === 3")
    await dashboard.until(total(3))
    assert await dashboard.texts("#messages .who") == [
        "&lt;b&gt; (1003)",
        "<script>document.title=2</script> (1002)",
        "<img src=x onerror=document.title=1> (1001)",
    ]
    assert await dashboard.evaluate("document.querySelectorAll('#messages :is(img, script, b)').length") == 0


async def named(page: Page, beginning: str) -> None:
    """Until a control is so named, for those who hear the page; a player is none while it changes what it plays."""
    async with asyncio.timeout(60):
        while True:
            tree = await page.call("Accessibility.getFullAXTree")
            controls = [node for node in tree["nodes"] if node.get("role", {}).get("value") in ("button", "Audio")]
            if any(node.get("name", {}).get("value", "").startswith(beginning) for node in controls):
                return
            await asyncio.sleep(0.02)


async def test_each_message_has_named_controls_and_playing_marks_nothing(
    dashboard: Page, house: House, pbx: Simulator
) -> None:
    await pbx.leave("100@default", '"Jane Doe" <+12025550143>')
    await dashboard.until("document.querySelectorAll('#messages audio').length === 1")
    for control in ("Mark as read: message", "Play message"):
        await named(dashboard, f"{control} from Jane Doe (+12025550143) to 100")
    await dashboard.evaluate("document.querySelector('#messages audio').play()")
    await dashboard.until("document.querySelector('#messages audio').currentTime > 0.1")
    assert await house.unread() == 1
    await dashboard.until(total(1))
