import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from standardwebhooks import Webhook as Verifier

from service.store import deliveries, webhooks
from service.store.commands import changing, reading
from service.store.transaction import Transaction
from service.store.webhooks import Wanted
from tests.commands import Run, configuration, runner
from tests.webhook.world import SECRET, leave

CRM = Wanted("crm", calls=True, messages=True)


class Receiver:
    """An endpoint in a thread of its own, for a command has an event loop of its own."""

    def __init__(self, status: int, said: bytes) -> None:
        self.told: list[Any] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                told.append(Verifier(SECRET).verify(content, dict(self.headers.items())))
                self.send_response(status)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_words: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?key=geheim"


@contextmanager
def receiving(status: int = 204, said: bytes = b"") -> Iterator[Receiver]:
    receiver = Receiver(status, said)
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return configuration(tmp_path)


@pytest.fixture
def voicemaild(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def add(config: Path, name: str, url: str) -> None:
    hook = f'[[webhook]]\nname = "{name}"\nurl = "{url}"\nsecret = "{SECRET}"\nallow_private = true\n'
    config.write_text(config.read_text() + hook)


def store(config: Path) -> Path:
    return config.parent / "voicemaild.db"


def given_up(tx: Transaction, *numbers: int) -> None:
    """Have the daemon give up these messages."""
    for number in numbers:
        leave(tx, number)
    deliveries.take(tx, "crm", tx.now_ms)
    for one in deliveries.outlook(tx.conn, "crm", 0, tx.now_ms, 100, tried=False).due:
        deliveries.given_up(tx, "crm", one.seq, tx.now_ms, "404 nothing here")


def test_the_list_tells_how_each_one_is_and_no_secret(voicemaild: Run, config: Path) -> None:
    add(config, "crm", "https://crm.example/hook?key=geheim")
    add(config, "new", "http://10.0.0.5:8080/hook")
    with changing(store(config), "pbx1") as tx:
        webhooks.configure(tx, [CRM, Wanted("old", calls=True, messages=False)], tx.now_ms)
        given_up(tx, 1, 2)
        leave(tx, 3)
        webhooks.went_down(tx, "old", 1_795_210_952_345)
    done = voicemaild("webhook", "list", "--config", config)
    assert (done.code, done.err) == (0, "")
    assert done.lines == [
        "crm\tcrm.example\tok\t0\t2\t1\t404 nothing here",
        "new\t10.0.0.5:8080\tnot started\t0\t0\t0\t",
        "old\t\tto be removed\t0\t0\t0\t",
    ]
    assert "geheim" not in done.out


def test_the_list_tells_since_when_one_is_down(voicemaild: Run, config: Path) -> None:
    add(config, "crm", "https://crm.example/hook")
    with changing(store(config), "pbx1") as tx:
        webhooks.configure(tx, [CRM], tx.now_ms)
        webhooks.went_down(tx, "crm", 1_795_210_952_345)
    done = voicemaild("webhook", "list", "--config", config)
    assert done.lines == ["crm\tcrm.example\tdown since 2026-11-20T21:42:32Z\t0\t0\t0\t"]


def test_without_webhooks_the_list_is_empty(voicemaild: Run, config: Path) -> None:
    done = voicemaild("webhook", "list", "--config", config)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_what_failed_is_queued_again(voicemaild: Run, config: Path) -> None:
    with changing(store(config), "pbx1") as tx:
        webhooks.configure(tx, [CRM], tx.now_ms)
        given_up(tx, 1, 2)
    done = voicemaild("webhook", "retry", "crm", "--config", config)
    assert (done.code, done.out) == (0, "2 queued again\n")
    with reading(store(config)) as conn:
        now_ms = int(time.time() * 1000)
        due = deliveries.outlook(conn, "crm", 0, now_ms, 100, tried=False).due
    assert [one.seq for one in due] == [1, 2]
    assert voicemaild("webhook", "retry", "crm", "--config", config).out == "0 queued again\n"


@pytest.mark.parametrize("command", ["retry", "test"])
def test_an_unknown_webhook_fails_with_one_line(voicemaild: Run, config: Path, command: str) -> None:
    done = voicemaild("webhook", command, "nope", "--config", config)
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert "nope" in line


def test_a_test_event_is_signed_and_arrives(voicemaild: Run, config: Path) -> None:
    with receiving(201) as crm:
        add(config, "crm", crm.url)
        done = voicemaild("webhook", "test", "crm", "--config", config)
    assert (done.code, done.out, done.err) == (0, "crm answered 201\n", "")
    (body,) = crm.told
    assert body["type"] == "test"
    assert body["data"] == {"pbx": "pbx1", "webhook": "crm"}
    assert orjson.dumps(body["timestamp"]).endswith(b'Z"')


def test_a_test_event_that_was_not_taken_fails_with_what_was_said(voicemaild: Run, config: Path) -> None:
    with receiving(403, b"who\nare you") as crm:
        add(config, "crm", crm.url)
        done = voicemaild("webhook", "test", "crm", "--config", config)
    assert (done.code, done.out) == (1, "")
    assert done.err == "voicemaild: webhook crm did not take it: 403 who are you\n"


def test_nobody_there_is_told_without_the_rest_of_the_url(voicemaild: Run, config: Path) -> None:
    with receiving() as crm:
        url = crm.url
    add(config, "crm", url)
    done = voicemaild("webhook", "test", "crm", "--config", config)
    assert done.code == 1
    assert "Connection refused" in done.err
    assert "geheim" not in done.err
