"""The dashboard's files."""

import re

import pytest

from service.api.dashboard import FILES
from tests.api.site import Site


@pytest.mark.parametrize(("path", "name", "content_type"), FILES)
async def test_every_file_is_served_without_a_token(site: Site, path: str, name: str, content_type: str) -> None:
    answer = await site.ask(path, None)
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.headers["Cache-Control"] == "no-cache"
    again = await site.ask(path, None, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


async def test_the_page_loads_nothing_but_these_files(site: Site) -> None:
    page = (await site.ask("/", None)).body.decode()
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page)) == {"app.js", "style.css", "icon.svg"}
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?! type=\"module\" src=)", page)


async def test_the_script_never_writes_markup(site: Site) -> None:
    script = (await site.ask("/app.js", None)).body.decode()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script)


@pytest.mark.parametrize("path", ["/index.html", "/../app.js", "/web/app.js", "/app.js/", "/%2e%2e/model.py"])
async def test_no_other_name_is_served(site: Site, path: str) -> None:
    assert (await site.ask(path, None)).status == 404
