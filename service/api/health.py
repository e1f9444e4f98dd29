"""How the daemon is, for probes and Prometheus (contract 10). Needs no token and tells no personal data.

GET /healthz    200 while the process lives
GET /readyz     the state of the parts; 503 until the first scan is done and while the store cannot write
GET /metrics    Prometheus
"""

from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import hdrs, web

from service.api.wire import json_response
from service.health import Health
from service.metrics import CONTENT_TYPE, Metrics


@dataclass(frozen=True)
class Probes:
    """The handlers of health and metrics."""

    health: Health
    metrics: Metrics

    def routes(self) -> list[web.RouteDef]:
        """All routes of this module."""
        return [
            web.get("/healthz", self.alive),
            web.get("/readyz", self.ready),
            web.get("/metrics", self.counts),
        ]

    async def alive(self, _request: web.Request) -> web.Response:
        """`GET /healthz`."""
        return json_response({"status": "ok"})

    async def ready(self, _request: web.Request) -> web.Response:
        """`GET /readyz`."""
        status = HTTPStatus.OK if self.health.serving else HTTPStatus.SERVICE_UNAVAILABLE
        return json_response(self.health.snapshot(), status)

    async def counts(self, _request: web.Request) -> web.Response:
        """`GET /metrics`."""
        self.metrics.store_state.state(self.health.store.state.value)
        self.metrics.spool_state.state(self.health.spool.state.value)
        return web.Response(body=self.metrics.render(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})
