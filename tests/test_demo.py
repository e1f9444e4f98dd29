import contextlib
import json
import re
import select
import signal
import socket
import urllib.request
from typing import Any

from service.demo import CALLS
from tests.commands import process


def asked(link: re.Match[str], path: str) -> Any:
    request = urllib.request.Request(f"{link[1]}{path}", headers={"Authorization": f"Bearer {link[3]}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_the_demo_prints_a_link_that_signs_in_shows_calls_and_stops_cleanly() -> None:
    """On a free port, because 8089 is taken: by this test, if by nobody else."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 8089)))
        demo = stack.enter_context(process("demo"))
        assert demo.stdout is not None
        ready, _, _ = select.select([demo.stdout], [], [], 240)
        assert ready, "no link came"
        link = re.fullmatch(r"(http://127\.0\.0\.1:(\d+))/#token=(vmd_[\w-]{43})\n", demo.stdout.readline())
        assert link is not None
        assert link[2] != "8089"
        assert asked(link, "/message-voice")["meta"]["total"] > 0
        assert asked(link, "/call-history")["meta"]["total"] >= CALLS
        calls = asked(link, "/call-history?per_page=300")["data"]
        assert {call["type"]["name"] for call in calls} >= {"Incoming", "Outgoing"}
        assert {call["status"]["name"] for call in calls} >= {"Answered", "Not answered"}
        [url, *_] = [call["recorded_file_url"] for call in calls if call["recorded_file_url"]]
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert answer.read(4) == b"RIFF"
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 0
