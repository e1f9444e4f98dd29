"""The probes, asked as a supervisor asks."""

import pytest

from service.health import AmiState, Part, SpoolState, StoreState
from tests.api.site import Site


async def test_the_process_lives(site: Site) -> None:
    answer = await site.ask("/healthz", None)
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_it_is_not_ready_before_the_first_scan_is_done(site: Site) -> None:
    answer = await site.ask("/readyz", None)
    assert (answer.status, answer.json["status"]) == (503, "starting")
    site.health.ami = Part(AmiState.CONNECTED, "logged in")
    await site.ingest.everything()
    answer = await site.ask("/readyz", None)
    assert (answer.status, answer.json["status"]) == (200, "ready")
    for part in ("store", "spool", "ami"):
        assert set(answer.json[part]) == {"state", "detail"}


@pytest.mark.parametrize(
    ("store", "ami", "status", "word"),
    [
        (StoreState.OK, AmiState.REFUSED, 200, "degraded"),
        (StoreState.FAILING, AmiState.CONNECTED, 503, "failing"),
    ],
)
async def test_trouble_shows(site: Site, store: StoreState, ami: AmiState, status: int, word: str) -> None:
    site.health.first_scan_done = True
    site.health.store = Part(store, "")
    site.health.spool = Part(SpoolState.OK, "")
    site.health.ami = Part(ami, "")
    answer = await site.ask("/readyz", None)
    assert (answer.status, answer.json["status"], answer.json["ami"]["state"]) == (status, word, ami.value)


async def test_a_part_in_trouble_shows_in_the_metrics_until_it_is_over(site: Site) -> None:
    for state in (StoreState.FAILING, StoreState.OK):
        site.health.store, site.health.spool = Part(state, ""), Part(SpoolState.POLLING, "")
        lines = (await site.ask("/metrics", None)).body.decode().splitlines()
        failing = float(state is StoreState.FAILING)
        assert f'voicemaild_store_state{{voicemaild_store_state="failing"}} {failing}' in lines
        assert 'voicemaild_spool_state{voicemaild_spool_state="polling"} 1.0' in lines


async def test_metrics_are_prometheus_text(site: Site) -> None:
    answer = await site.ask("/metrics", None)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE voicemaild_http_requests_total counter" in answer.body
