"""Puts the HTTP side together: every dialect, under its prefixes, behind one guard."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from service.api import accounts, dashboard, mvno, voicemail_messages
from service.api.accounts import Accounts
from service.api.audio import AudioFiles
from service.api.auth import Rates, Tokens
from service.api.cache import Bodies
from service.api.call_history import CallHistory
from service.api.edge import API_PREFIX, Edges
from service.api.events import Events
from service.api.gate import Gate
from service.api.guard import guarding, heading, security_headers
from service.api.health import Probes
from service.api.hub import Hub
from service.api.laravel import envelope
from service.api.links import Signer
from service.api.message_voice import MessageVoice, Rows
from service.api.mvno import Mvno
from service.api.playing import Player
from service.api.recordings import RecordingFiles
from service.api.replay import Replay
from service.api.server import SITE, ConnectionLimits, Site
from service.api.sounds import Sounds
from service.api.statistic import Statistic
from service.api.voicemail_boxes import Provisioning, VoicemailBoxes
from service.api.voicemail_changes import Messages
from service.api.voicemail_messages import VoicemailMessages
from service.api.wire import Envelopes
from service.audio import AudioWorker, Converter
from service.errors import UnavailableError
from service.feed import Feed
from service.health import Health
from service.ingest import outside_number
from service.media import Media
from service.metrics import Metrics
from service.model import Mailbox, Message
from service.pins import Pins
from service.recordings import NOWHERE, Recordings
from service.settings import Settings
from service.store import Store
from service.uploads import Uploads

LARGEST_BODY = 64 * 1024
ENVELOPES = {
    voicemail_messages.PREFIX: voicemail_messages.envelope,
    accounts.PREFIX: accounts.envelope,
    f"{accounts.API}{accounts.PREFIX}": accounts.envelope,
    mvno.PREFIX: mvno.envelope,
}
"""How failures are written below these paths; elsewhere as documents 000 and 001 do."""


class Boxes(Provisioning, Protocol):
    """The PBX's own boxes: their changes, and their PINs."""

    async def pin_of(self, mailbox: Mailbox) -> str | None:
        """The PIN the PBX has for a box, None where it has none. Raises UnavailableError."""

    async def set_pin(self, mailbox: Mailbox, pin: str, *, old: str) -> None:
        """Give a box another PIN on the PBX, if it still has the old one. Raises VoicemaildError."""


def build(
    settings: Settings,
    *,
    store: Store,
    feed: Feed,
    hub: Hub,
    pbx: Messages,
    look_again: Callable[[Message], Awaitable[object]],
    health: Health,
    metrics: Metrics,
    tokens: Tokens,
    signer: Signer,
    converter: Converter | None = None,
    worker: AudioWorker | None = None,
    recordings: Recordings = NOWHERE,
    media: Media | None = None,
    boxes: Boxes | None = None,
) -> web.Application:
    """The application, for `service.api.server.listening`.

    `hub` is where websockets meet, whose `run` is the caller's. `look_again` finds a message whose audio has
    moved. `signer` signs links to audio. Without a `converter` audio is sent as recorded;
    `recordings` are those of calls, `media` what we hold ourselves (by default beside the database), and without a
    `worker` there are no peaks. Without `boxes` no PIN is known and none can be changed.
    """
    http, provision = settings.http, boxes if settings.pbx.provision else None
    media = media or Media(settings.store.path.with_name("media"))
    headers = security_headers(http.public_url)
    edges = Edges(settings.pbx.timezone, http.public_url, http.trusted_proxies, signer, recordings)
    player = Player(converter)
    gate = Gate(tokens, Rates(settings.limits.requests_per_second))
    of_messages, of_calls = (Bodies(lambda: (feed.seq, store.commits)) for _ in range(2))
    message_voice = MessageVoice(store, pbx, gate, edges, of_messages, Rows(edges))
    call_history = CallHistory(store, gate, edges, of_calls)
    statistic = Statistic(store, gate, edges, of_calls)
    sounds = Sounds(store, settings.spool.path, media, look_again, gate, edges, player, worker)
    of_boxes = VoicemailMessages(store, pbx, sounds, gate, edges)
    own_boxes = VoicemailBoxes(store, provision, gate)
    pins = Pins(store, boxes.pin_of if boxes else _unknown_pin, settings.pbx.timezone)
    set_pin = provision.set_pin if provision else None
    of_numbers = Mvno(store, pins, set_pin, settings.pbx.country, http.trusted_proxies)
    recording_files = RecordingFiles(store, recordings, gate, edges, player)
    quota = settings.limits.uploads_mib_per_mailbox << 20
    uploads = Uploads(store, media, outside_number(settings.pbx.internal), quota=quota)
    of_accounts = Accounts(store, uploads, pbx, gate, edges, settings.pbx.name)
    events = Events(hub, Replay(feed, store), gate, edges, http.allowed_origins)

    app = web.Application(client_max_size=LARGEST_BODY)
    app[SITE] = Site(
        metrics,
        ConnectionLimits(settings.limits.connections, settings.limits.connections_per_address, http.trusted_proxies),
        headers,
        guarding(metrics, Envelopes(envelope, ENVELOPES), headers),
    )
    app.on_response_prepare.append(heading(headers))
    app.add_routes(dashboard.routes())
    app.add_routes(Probes(health, metrics).routes())
    app.add_routes(events.routes())
    app.add_routes(of_boxes.routes())
    app.add_routes(own_boxes.routes())
    app.add_routes(of_numbers.routes())
    app.on_shutdown.append(events.stop)
    for prefix in ("", accounts.API):
        app.add_routes(of_accounts.routes(prefix))
    for prefix in ("", API_PREFIX):
        app.add_routes(message_voice.routes(prefix))
        app.add_routes(AudioFiles(sounds).routes(prefix))
        app.add_routes(call_history.routes(prefix))
        app.add_routes(recording_files.routes(prefix))
        app.add_routes(statistic.routes(prefix))
    return app


async def _unknown_pin(mailbox: Mailbox) -> str | None:
    raise UnavailableError(f"the PBX cannot be asked for the PIN of {mailbox}")
