"""Puts the HTTP side together: every dialect, under its prefixes, behind one guard."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from service.api import dashboard
from service.api.audio import AudioFiles
from service.api.auth import Rates, Tokens
from service.api.cache import Bodies
from service.api.edge import API_PREFIX, Edges
from service.api.events import Events
from service.api.gate import Gate
from service.api.guard import guarding, heading, security_headers
from service.api.health import Probes
from service.api.hub import Hub
from service.api.links import Signer
from service.api.message_voice import Marks, MessageVoice, envelope
from service.api.replay import Replay
from service.api.server import SITE, ConnectionLimits, Site
from service.config_schema import Settings
from service.feed import Feed
from service.health import Health
from service.metrics import Metrics
from service.model import Mailbox
from service.store import Store

LARGEST_BODY = 64 * 1024


def build(
    settings: Settings,
    *,
    store: Store,
    feed: Feed,
    hub: Hub,
    pbx: Marks,
    look_again: Callable[[Mailbox], Awaitable[object]],
    health: Health,
    metrics: Metrics,
    tokens: Tokens,
    link_key: bytes,
) -> web.Application:
    """The application, for `service.api.server.listening`.

    `hub` is where websockets meet, whose `run` is the caller's. `look_again` reconciles a mailbox. `link_key` signs
    links to audio: at least 16 secret bytes, the same after a restart.
    """
    http = settings.http
    headers = security_headers(http.public_url)
    edges = Edges(settings.pbx.timezone, http.public_url, http.trusted_proxies, Signer(link_key))
    gate = Gate(tokens, Rates(settings.limits.requests_per_second))
    message_voice = MessageVoice(store, pbx, gate, edges, Bodies(lambda: (feed.seq, store.commits)))
    audio = AudioFiles(store, settings.spool.path, look_again, gate, edges)
    events = Events(hub, Replay(feed, store), gate, edges, http.allowed_origins)

    app = web.Application(client_max_size=LARGEST_BODY)
    app[SITE] = Site(
        metrics,
        ConnectionLimits(settings.limits.connections, settings.limits.connections_per_address, http.trusted_proxies),
        headers,
        guarding(metrics, envelope, headers),
    )
    app.on_response_prepare.append(heading(headers))
    app.add_routes(dashboard.routes())
    app.add_routes(Probes(health, metrics).routes())
    app.add_routes(events.routes())
    app.on_shutdown.append(events.stop)
    for prefix in ("", API_PREFIX):
        app.add_routes(message_voice.routes(prefix))
        app.add_routes(audio.routes(prefix))
    return app
