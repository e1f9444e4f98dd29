"""The dialect of the same vendor's dashboards: statistics of calls (contract 4).

    GET /statistic/calls-count?from&to[&external_number]      by type, and how many were answered
    GET /statistic/calls-by-hour?from&to[&external_number]    by type, for each hour of the day

`from` and `to` are dates or date-times in the PBX's timezone, both required, both inclusive. Answers and failures have
the envelope of message-voice. Served under `/` and under `/api/v1`; it needs scope `read`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import orjson
from aiohttp import web

from service.api.cache import Bodies
from service.api.edge import Edges
from service.api.gate import Gate
from service.api.laravel import success
from service.api.params import read_period
from service.api.wire import rendered
from service.call import CallStatus, CallType
from service.model import Principal, Scope
from service.store import Store, statistics

NAMES = {CallType.INCOMING: "incoming", CallType.OUTGOING: "outgoing", CallType.INTERNAL: "internal"}


@dataclass(frozen=True)
class Statistic:
    """The handlers of statistics. `bodies` keeps what was answered."""

    store: Store
    gate: Gate
    edges: Edges
    bodies: Bodies

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """All routes of this dialect under a prefix."""
        read = partial(self.gate.needs, Scope.READ)
        return [
            web.get(f"{prefix}/statistic/calls-count", read(self.calls_count)),
            web.get(f"{prefix}/statistic/calls-by-hour", read(self.calls_by_hour)),
        ]

    async def calls_count(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /statistic/calls-count`."""

        async def render() -> bytes:
            asked = read_period(request.query.items(), self.edges.timezone)
            found = await self.store.read(
                lambda conn: statistics.calls_count(
                    conn, principal.view, asked.since, asked.until, external_number=asked.external_number
                )
            )
            return orjson.dumps(success(counted(found)))

        return rendered(await self.bodies.get((principal.view, request.raw_path), render))

    async def calls_by_hour(self, request: web.Request, principal: Principal) -> web.Response:
        """`GET /statistic/calls-by-hour`."""
        zone = self.edges.timezone

        async def render() -> bytes:
            asked = read_period(request.query.items(), zone)
            found = await self.store.read(
                lambda conn: statistics.calls_by_hour(
                    conn, principal.view, asked.since, asked.until, zone=zone, external_number=asked.external_number
                )
            )
            return orjson.dumps(success(by_hour(found)))

        return rendered(await self.bodies.get((principal.view, request.raw_path), render))


def counted(numbers: Mapping[tuple[CallType, CallStatus], int]) -> dict[str, dict[str, int]]:
    """The `result` of calls-count; busy and failed calls count as not answered."""
    totals = {kind: sum(number for (its_kind, _), number in numbers.items() if its_kind is kind) for kind in CallType}
    found = {"all": {NAMES[kind]: totals[kind] for kind in CallType}}
    for kind in CallType:
        answered = numbers.get((kind, CallStatus.ANSWERED), 0)
        found[NAMES[kind]] = {"answered": answered, "not_answered": totals[kind] - answered, "total": totals[kind]}
    return found


def by_hour(hours: Sequence[Mapping[CallType, int]]) -> list[dict[str, int]]:
    """The `result` of calls-by-hour."""
    return [
        {"hour": hour, **{NAMES[kind]: numbers.get(kind, 0) for kind in CallType}, "total": sum(numbers.values())}
        for hour, numbers in enumerate(hours)
    ]
