from dataclasses import replace

import orjson
import pytest
import time_machine
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from service import __version__
from service.model import Counts, Record
from service.webhook import event
from tests.webhook.world import BOX, SECRET

RECORD = Record(7, 1_795_210_952_345, "message.new", "pbx1", BOX, Counts())


def test_an_identifier_is_the_same_at_every_try_and_never_that_of_another_record() -> None:
    others = [
        replace(RECORD, seq=8),
        replace(RECORD, pbx="pbx2"),
        replace(RECORD, time_ms=RECORD.time_ms + 1),  # the same position in a store that was made anew
    ]
    identifiers = {event.identifier(record) for record in [RECORD, replace(RECORD), *others]}
    assert len(identifiers) == 4
    assert all(one.startswith("msg_") and one.isascii() and len(one) == 36 for one in identifiers)


def test_the_body_tells_type_time_and_record() -> None:
    assert orjson.loads(event.body("call.new", RECORD.time_ms, {"id": 1})) == {
        "type": "call.new",
        "timestamp": "2026-11-20T21:42:32.345Z",
        "data": {"id": 1},
    }


def test_the_specifications_own_library_believes_the_signature() -> None:
    content = event.body("call.new", RECORD.time_ms, {"name": "Žofie 😀"})
    headers = event.headers(SECRET, "msg_1", content, 1_795_210_999.9)
    with time_machine.travel(1_795_211_000, tick=False):
        assert Verifier(SECRET).verify(content, headers)["data"] == {"name": "Žofie 😀"}
        with pytest.raises(WebhookVerificationError):
            Verifier(SECRET).verify(content + b" ", headers)
    assert headers["webhook-timestamp"] == "1795210999"


def test_the_headers_say_who_sends_what() -> None:
    headers = event.headers(SECRET, "msg_1", b"{}", 1)
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == f"voicemaild/{__version__}"
    assert headers["webhook-id"] == "msg_1"
    assert SECRET not in str(headers)
