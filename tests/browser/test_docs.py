"""The page that shows the OpenAPI document, read and tried."""

from service.api.openapi import document
from service.simulator.pbx import Simulator
from tests.browser.chromium import Page
from tests.house import House


def answer(operation: str) -> str:
    """The selector of where an operation's answer is shown."""
    return f"#{operation} pre.answer"


async def test_every_operation_and_every_schema_can_be_read(page: Page, house: House) -> None:
    await page.go(f"{house.url}/docs")
    await page.until("document.querySelectorAll('#schemas details').length > 0")
    told = document()
    shown = await page.texts(".operation summary .name")
    assert sorted(shown) == sorted(
        path for path, item in told["paths"].items() for method in item if method != "servers"
    )
    assert await page.texts("#schemas summary .name") == list(told["components"]["schemas"])
    assert await page.evaluate("document.querySelectorAll('#listMessages select option').length") > 10
    assert page.noise == []
    asked = {url.removeprefix(house.url) for url in page.requests} - {"/icon.svg"}  # for which not every Chromium asks
    assert asked == {"/docs", "/docs.js", "/style.css", "/openapi.json"}


async def test_it_can_be_tried_with_a_token(page: Page, house: House, pbx: Simulator, token: str) -> None:
    await pbx.leave("100@default")
    async with house.ws() as (socket, hello):
        if hello["unread"]["total"] != 1:
            await socket.badge(1)
    await page.go(f"{house.url}/docs#countUnread")
    await page.until("document.getElementById('countUnread')?.open")
    await page.evaluate(f"document.getElementById('token').value = {token!r}")
    await page.press("#countUnread form button")
    await page.until(f"document.querySelector('{answer('countUnread')}').innerText.includes('\"unread_count\": 1')")
    await page.evaluate("document.getElementById('openWebsocket').open = true")
    await page.press("#openWebsocket form button")
    await page.until(f"document.querySelector('{answer('openWebsocket')}').innerText.includes('\"type\":\"hello\"')")
    await page.press("#openWebsocket form button")
    await page.until(f"document.querySelector('{answer('openWebsocket')}').innerText.includes('closed 1000')")
    assert page.noise == []
