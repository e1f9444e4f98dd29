import logging
import re
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from service import __version__, cli
from service.api.openapi import rendered
from service.cli_told import leaves, log_to_stderr
from service.settings import Settings
from tests.commands import Run, configuration, process, runner
from tests.ports import free_port


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return configuration(tmp_path)


@pytest.fixture
def voicemaild(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.mark.parametrize(
    "command",
    [
        *((), ("token",), ("mailbox",), ("webhook",), ("run",), ("demo",), ("check",), ("scan",), ("import-cdr",)),
        *(("openapi",), ("rotate-links",), ("version",)),
    ],
)
def test_every_command_explains_itself(voicemaild: Run, command: Sequence[str]) -> None:
    done = voicemaild(*command, "--help")
    assert done.code == 0
    assert "--config FILE" in done.out


@pytest.mark.parametrize(
    "arguments", [(), ("nope",), ("run", "--nope"), ("run", "extra"), ("token",), ("token", "nope")]
)
def test_wrong_usage_exits_with_2(voicemaild: Run, arguments: Sequence[str]) -> None:
    done = voicemaild(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err


@pytest.mark.parametrize("command", [("run",), ("scan",), ("token", "list"), ("mailbox", "list")])
def test_a_missing_configuration_fails_with_one_line(voicemaild: Run, tmp_path: Path, command: Sequence[str]) -> None:
    done = voicemaild(*command, "--config", tmp_path / "nope.toml")
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith("voicemaild: there is no")


def test_links_are_signed_with_another_key_from_now_on(voicemaild: Run, tmp_path: Path) -> None:
    file = configuration(tmp_path)
    keys = []
    for _ in range(2):
        done = voicemaild("rotate-links", "--config", file)
        assert (done.code, done.out, done.err) == (0, "", "")
        keys.append((tmp_path / "link.key").read_bytes())
    assert keys[0] != keys[1]


def test_a_configuration_that_cannot_be_read_fails_with_one_line(voicemaild: Run, tmp_path: Path) -> None:
    done = voicemaild("token", "list", "--config", tmp_path)
    assert (done.code, done.err) == (1, f"voicemaild: {tmp_path} cannot be read: Is a directory\n")


@pytest.mark.parametrize(
    "place",
    [
        ("--config", "FILE", "token", "list"),
        ("token", "--config", "FILE", "list"),
        ("token", "list", "--config", "FILE"),
    ],
)
def test_a_configuration_may_be_named_before_the_command_and_behind_it(
    voicemaild: Run, config: Path, place: Sequence[str]
) -> None:
    assert voicemaild(*(str(config) if word == "FILE" else word for word in place)).code == 0
    assert (config.parent / "voicemaild.db").exists()


def test_the_variable_names_a_configuration(voicemaild: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMAILD_CONFIG", str(config))
    assert voicemaild("token", "list").code == 0
    assert (config.parent / "voicemaild.db").exists()


def test_each_mistake_in_the_configuration_has_its_line(voicemaild: Run, config: Path) -> None:
    config.write_text('[ami]\nport = 0\nhots = "x"\n[pbx]\ntimezone = "nowhere"\n')
    done = voicemaild("run", "--config", config)
    assert done.code == 1
    assert [line.split(" ")[1] for line in done.err.splitlines()] == ["pbx.timezone", "ami.port", "ami.hots"]


def test_check_tells_mistakes_in_the_configuration_as_bad(voicemaild: Run, config: Path) -> None:
    config.write_text("[ami]\nport = 0\n")
    done = voicemaild("check", "--config", config)
    assert done.code == 1
    assert done.out.startswith("bad   configuration: ami.port = 0")


def test_check_exits_with_1_only_if_something_is_bad(voicemaild: Run, config: Path) -> None:
    good = voicemaild("check", "--config", config)
    assert (good.code, good.err) == (0, "")
    assert [line for line in good.lines if not re.match(r"(ok  |warn)  \S", line)] == []
    (config.parent / "spool").rmdir()
    done = voicemaild("check", "--config", config)
    assert done.code == 1
    assert [line for line in done.lines if line.startswith("bad   spool: ")]


def test_what_is_logged_during_a_check_is_not_printed_beside_its_findings(
    voicemaild: Run, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    assert voicemaild("check", "--config", config).code == 0
    logging.getLogger("service.ami").warning("the login is refused")
    assert capsys.readouterr().err == ""


def test_a_database_that_cannot_be_made_fails_with_one_line(
    voicemaild: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEMAILD_STORE__PATH", str(config / "below-a-file.db"))
    done = voicemaild("token", "list", "--config", config)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert "below-a-file.db" in line


def test_scan_reads_the_whole_spool(voicemaild: Run, config: Path) -> None:
    for extension in ("100", "101"):
        inbox = config.parent / "spool" / "default" / extension / "INBOX"
        inbox.mkdir(parents=True)
        (inbox / "msg0000.txt").write_text("[message]\norigtime=1795210952\nmsg_id=1795210952-00000000\nduration=3\n")
    done = voicemaild("scan", "--config", config)
    assert (done.code, done.lines[-1]) == (0, "2 mailboxes read")
    assert "2 of 2 mailboxes" in done.err
    listed = voicemaild("mailbox", "list", "--config", config)
    assert [line.split("\t")[:2] for line in listed.lines] == [["100@default", "1"], ["101@default", "1"]]


def test_the_version_can_be_asked_for_in_both_ways(voicemaild: Run) -> None:
    for word in ("version", "--version"):
        done = voicemaild(word)
        assert (done.code, done.out, done.err) == (0, f"voicemaild {__version__}\n", "")


def test_openapi_prints_the_document(voicemaild: Run) -> None:
    done = voicemaild("openapi")
    assert (done.code, done.err) == (0, "")
    assert done.out.encode() == rendered()


def test_the_log_of_a_library_that_tells_of_every_change_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "basicConfig", lambda **_settings: None)  # the tests' own handlers stay
    log_to_stderr(logging.INFO)
    assert not logging.getLogger("watchfiles.main").isEnabledFor(logging.INFO)
    assert logging.getLogger("watchfiles.main").isEnabledFor(logging.WARNING)


def test_failures_are_found_in_groups_of_groups() -> None:
    one, two = ValueError("one"), OSError("two")
    assert leaves(ExceptionGroup("", [one, ExceptionGroup("", [two])])) == [one, two]


# As processes


def test_python_minus_m_service_is_the_same() -> None:
    with process("version") as done:
        out, err = done.communicate(timeout=60)
    assert (done.returncode, out, err) == (0, f"voicemaild {__version__}\n", "")


@pytest.mark.parametrize("words", ["run", "--config=FILE run"])
def test_run_stops_cleanly_when_it_is_told_to_and_has_kept_nothing_that_reads_command_lines_or_configurations(
    config: Path, words: str
) -> None:
    """However `run` is written; pydantic, and typer with it, would be a sixth of the daemon's memory."""
    arguments = [word.replace("FILE", str(config)) for word in words.split()]
    port, named = str(free_port()), {} if "FILE" in words else {"VOICEMAILD_CONFIG": str(config)}
    with process(*arguments, VOICEMAILD_HTTP__PORT=port, **named) as daemon:
        assert daemon.stderr is not None
        told = list(until(daemon.stderr, "listening"))
        assert f"127.0.0.1:{port} " in told[-1]
        assert "pydantic" not in Path(f"/proc/{daemon.pid}/maps").read_text()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0


def until(lines: Iterable[str], words: str) -> Iterator[str]:
    for line in lines:
        yield line
        if words in line:
            return


def test_where_no_other_process_reads_the_configuration_the_daemon_does_and_says_so(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nope"))
    config.write_text(config.read_text() + '[pbx]\nname = "here"\n')
    asked: list[Settings] = []

    async def run(settings: Settings, **_other: object) -> None:
        asked.append(settings)

    monkeypatch.setattr("service.daemon.run", run)
    cli.run(config)
    assert [settings.pbx.name for settings in asked] == ["here"]
    assert "cannot be started" in caplog.text


def test_a_port_that_is_taken_fails_with_a_line_and_no_traceback(config: Path) -> None:
    """The failure comes out of the daemon's tasks."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with process("run", "--config", config, VOICEMAILD_HTTP__PORT=port) as daemon:
            _, err = daemon.communicate(timeout=60)
    assert daemon.returncode == 1
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith(f"voicemaild: cannot listen on 127.0.0.1 port {port}")


def test_the_journal_gets_lines_with_their_priority(config: Path) -> None:
    port = str(free_port())
    with process("run", "--config", config, VOICEMAILD_HTTP__PORT=port, JOURNAL_STREAM="1:2") as daemon:
        assert daemon.stderr is not None
        assert daemon.stderr.readline().startswith("<")
