"""What the daemon counts about itself, for Prometheus. No label holds a number, a name or a mailbox of a person."""

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from service import __version__

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_STORE_STATES = ("ok", "failing")  # contract 10; `service.health` has all these states too
_SPOOL_STATES = ("ok", "scanning", "polling", "missing")
_AMI_STATES = ("connecting", "connected", "refused", "disabled")
_BLINK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """All metrics, in a registry of their own, each an attribute that the part it belongs to counts on."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        ProcessCollector(registry=registry)
        build = Gauge("voicemaild_build_info", "1, beside the version that runs", ["version"], registry=registry)
        build.labels(__version__).set(1)

        self.http_requests = Counter(
            "voicemaild_http_requests", "answered requests", ["route", "code"], registry=registry
        )
        self.http_refused = Counter(
            "voicemaild_http_connections_refused", "connections over a limit of [limits]", registry=registry
        )
        self.http_cut = Counter(
            "voicemaild_http_connections_cut", "connections cut off for being too slow", ["reason"], registry=registry
        )
        self.ws_connections = Gauge("voicemaild_ws_connections", "open websockets", registry=registry)
        self.ws_cut = Counter("voicemaild_ws_cut", "websockets cut off because nobody read them", registry=registry)
        self.reconcile_seconds = Histogram(
            "voicemaild_reconcile_seconds", "time to reconcile one mailbox", buckets=_BLINK, registry=registry
        )
        self.changes = Counter(
            "voicemaild_message_changes", "journal records of messages, badges and calls", ["type"], registry=registry
        )
        self.spool_rejects = Counter(
            "voicemaild_spool_rejects", "files in the spool that were not believed", ["reason"], registry=registry
        )
        self.ami_events = Counter("voicemaild_ami_events", "events from AMI that were wanted", registry=registry)
        self.ami_state = Enum("voicemaild_ami_state", "the AMI connection", states=list(_AMI_STATES), registry=registry)
        self.ami_reconnects = Counter("voicemaild_ami_reconnects", "AMI connections that were lost", registry=registry)
        self.cdr_rejects = Counter(
            "voicemaild_cdr_rejects", "CDRs that were not understood", ["reason"], registry=registry
        )
        self.cdr_lost = Counter("voicemaild_cdr_lost", "CDRs from AMI for which there was no room", registry=registry)
        self.webhook_deliveries = Counter(
            "voicemaild_webhook_deliveries", "outcomes of telling a webhook", ["name", "outcome"], registry=registry
        )
        self.webhook_pending = Gauge(
            "voicemaild_webhook_pending", "what a webhook has still to be told", ["name"], registry=registry
        )
        self.journal_seq = Gauge("voicemaild_journal_seq", "last position in the journal", registry=registry)
        self.unread_messages = Gauge("voicemaild_unread_messages", "unread messages, all boxes", registry=registry)
        self.store_state = Enum(
            "voicemaild_store_state", "whether the store can be written", states=list(_STORE_STATES), registry=registry
        )
        self.spool_state = Enum(
            "voicemaild_spool_state", "how the spool is followed", states=list(_SPOOL_STATES), registry=registry
        )
        self.store_commit_seconds = Histogram(
            "voicemaild_store_commit_seconds", "time of one transaction", buckets=_BLINK, registry=registry
        )

    def render(self) -> bytes:
        """The text format of Prometheus, to be sent as `CONTENT_TYPE`."""
        return generate_latest(self.registry)
