import contextlib
import json
import re
import select
import signal
import socket
import urllib.request

from tests.commands import process


def test_the_demo_prints_a_link_that_signs_in_and_stops_cleanly() -> None:
    """On a free port, because 8089 is taken: by this test, if by nobody else."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 8089)))
        demo = stack.enter_context(process("demo"))
        assert demo.stdout is not None
        ready, _, _ = select.select([demo.stdout], [], [], 60)
        assert ready, "no link within a minute"
        link = re.fullmatch(r"(http://127\.0\.0\.1:(\d+))/#token=(vmd_[\w-]{43})\n", demo.stdout.readline())
        assert link is not None
        assert link[2] != "8089"
        request = urllib.request.Request(f"{link[1]}/message-voice", headers={"Authorization": f"Bearer {link[3]}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.load(answer)["meta"]["total"] > 0
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(10) == 0
