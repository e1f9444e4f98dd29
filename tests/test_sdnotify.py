"""The service manager's side is a real unix datagram socket, by path and by abstract name."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.sdnotify import Notifier, watchdog_interval
from tests.manager import Manager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@voicemaild-test-{uuid.uuid4()}")
    yield made
    made.close()


def test_ready_carries_the_status_in_the_same_datagram(manager: Manager) -> None:
    Notifier(manager.environ).ready("12 mailboxes, 3 unread")
    assert manager.heard() == ["READY=1", "STATUS=12 mailboxes, 3 unread"]


def test_a_sign_of_life_is_that_and_nothing_else(manager: Manager) -> None:
    Notifier(manager.environ).alive()
    assert manager.heard() == ["WATCHDOG=1"]


def test_stopping_is_told(manager: Manager) -> None:
    Notifier(manager.environ).stopping()
    assert manager.heard() == ["STOPPING=1"]


def test_reloading_says_when_it_began_as_notify_reload_units_need(manager: Manager) -> None:
    Notifier(manager.environ).reloading()
    state, began = manager.heard()
    assert state == "RELOADING=1"
    assert began.removeprefix("MONOTONIC_USEC=").isdigit()


def test_a_status_cannot_smuggle_in_a_second_assignment(manager: Manager) -> None:
    Notifier(manager.environ).status("listening\nWATCHDOG=trigger\r\nMAINPID=1")
    assert manager.heard() == ["STATUS=listening WATCHDOG=trigger MAINPID=1"]


def test_without_a_notify_socket_nothing_is_sent(manager: Manager) -> None:
    Notifier({}).ready()
    assert manager.heard_nothing()


def test_a_socket_that_is_gone_does_not_stop_the_daemon(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).alive()
    assert "systemd not told" in caplog.text


@pytest.mark.parametrize("name", ["/" + "x" * 200, "@" + "x" * 200])
def test_a_name_too_long_for_a_socket_does_not_stop_the_daemon(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    Notifier({"NOTIFY_SOCKET": name}).ready()
    assert "systemd not told" in caplog.text


def test_the_watchdog_gets_three_signs_of_life_in_its_time() -> None:
    assert watchdog_interval({"WATCHDOG_USEC": "30000000"}) == 10
    assert watchdog_interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}) == 10


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "²"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog_is_fed_that_is_off_or_meant_for_another_process(environ: dict[str, str]) -> None:
    assert watchdog_interval(environ) is None
