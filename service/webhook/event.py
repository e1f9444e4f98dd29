"""A journal record as the body and the headers of a webhook (contract 4; the Standard Webhooks specification 1.0.0)."""

import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
from standardwebhooks import Webhook as Signer

from service import __version__
from service.model import Record

_IDS = uuid.UUID("691caead-e844-4f8b-a395-cd1f521338c9")
"""Sets our identifiers apart from all others that are made by hashing."""


def identifier(record: Record) -> str:
    """The `webhook-id`: the same at every try of a record, and never that of another, also of a store made anew."""
    return f"msg_{uuid.uuid5(_IDS, f'{record.pbx} {record.seq} {record.time_ms} {record.type}').hex}"


def body(event_type: str, time_ms: int, data: dict[str, Any]) -> bytes:
    """The body of a request; its `timestamp` is when that happened, in RFC 3339."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps({"type": event_type, "timestamp": moment, "data": data})


def headers(secret: str, event_id: str, content: bytes, now: float) -> dict[str, str]:
    """The headers of a request that is made now (epoch seconds)."""
    moment = datetime.fromtimestamp(int(now), UTC)
    return {
        "content-type": "application/json",
        "user-agent": f"voicemaild/{__version__}",
        "accept-encoding": "identity",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": Signer(secret).sign(event_id, moment, content.decode()),
    }
