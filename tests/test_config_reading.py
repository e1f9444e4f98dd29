"""The configuration, read by another process: as it would be read by this one, or told that it is not."""

import os
import pickle
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.config import answer, load
from service.config_file import given
from service.config_reading import Reading, reading
from service.errors import ConfigError, UnavailableError
from service.settings import Settings
from tests.config_files import WHSEC, webhook

CANARY = "hunter2-canary"


def beside(text: str, tmp_path: Path, environ: Mapping[str, str]) -> Settings:
    file = tmp_path / "voicemaild.toml"
    file.write_text(text)
    with reading(given(file, environ)) as settings:
        return settings()


def test_another_process_reads_the_same(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(CANARY)
    text = f"""
        [pbx]
        timezone = "Asia/Tashkent"
        internal = '^[1-5]\\d\\d$'
        [ami]
        secret_file = "{tmp_path / "secret"}"
        [http]
        trusted_proxies = ["127.0.0.1", "fd00::/8"]
    """
    environ = {"VOICEMAILD_AMI__PORT": "5039"}
    found = beside(text + webhook(), tmp_path, environ)
    assert found == load(tmp_path / "voicemaild.toml", environ)
    assert (found.ami.secret.get_secret_value(), found.ami.port) == (CANARY, 5039)
    assert found.webhook[0].secret.get_secret_value() == WHSEC


def test_all_mistakes_are_told_as_if_there_were_no_other_process(tmp_path: Path) -> None:
    text = '[pbx]\ntimezone = "Asia/Taskent"\n[ami]\nport = 0\nhots = "\u044f"\n'
    with pytest.raises(ConfigError) as told:
        beside(text, tmp_path, {})
    with pytest.raises(ConfigError) as known:
        load(tmp_path / "voicemaild.toml", {})
    assert told.value.problems == known.value.problems
    assert str(told.value) == str(known.value)
    assert len(told.value.problems) == 3


def test_the_longest_configuration_that_may_be_is_read(tmp_path: Path) -> None:
    text = '[ami]\nsecret = "x"\n'
    assert beside(text + "#" * ((1 << 20) - len(text)), tmp_path, {}).ami.secret.get_secret_value() == "x"


def test_secrets_are_neither_in_its_arguments_nor_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    program(tmp_path, monkeypatch, f'{{ echo "$@"; env; }} > {seen}; exec {sys.executable} "$@"')
    monkeypatch.setenv("VOICEMAILD_AMI__SECRET", CANARY)
    assert beside(webhook(), tmp_path, os.environ).ami.secret.get_secret_value() == CANARY
    assert "service.config" in seen.read_text()
    assert CANARY not in seen.read_text()
    assert WHSEC not in seen.read_text()


def test_its_secret_file_may_be_one_that_this_process_was_started_with(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.set_inheritable(ours, True)
    os.write(theirs, CANARY.encode())
    os.close(theirs)
    try:
        found = beside(f'[ami]\nsecret_file = "/dev/fd/{ours}"\n', tmp_path, {})
    finally:
        os.close(ours)
    assert found.ami.secret.get_secret_value() == CANARY


def test_it_is_gone_after_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    program(tmp_path, monkeypatch, "exec sleep 600")
    with begun(tmp_path):
        os.close(theirs)
    assert os.read(ours, 1) == b""  # nobody has the other end any more
    os.close(ours)


def test_its_death_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "exit 1")
    with begun(tmp_path) as settings, pytest.raises(UnavailableError, match="died"):
        settings()


def test_a_program_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nope"))
    with pytest.raises(UnavailableError, match="cannot be started: No such file"), begun(tmp_path):
        pass


def test_one_that_tells_nothing_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.config_reading.LONGEST_WAIT_S", 0.01)
    program(tmp_path, monkeypatch, "exec sleep 600")
    with begun(tmp_path) as settings, pytest.raises(UnavailableError, match="told nothing within"):
        settings()


def test_who_waits_in_a_thread_is_told_that_the_block_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, "exec sleep 600")
    told: list[str] = []

    def wait() -> None:
        try:
            settings()
        except UnavailableError as error:
            told.append(str(error))

    with begun(tmp_path) as settings:
        waiting = threading.Thread(target=wait)
        waiting.start()
    waiting.join(20)
    assert len(told) == 1


def test_who_asked_may_be_gone_by_the_time_of_the_answer(tmp_path: Path) -> None:
    """As it is where the daemon is killed while it starts: no traceback is left in the journal."""
    file = tmp_path / "voicemaild.toml"
    file.write_text("")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(pickle.dumps(given(file, {})))
        ours.close()
        answer(theirs.detach())


@contextmanager
def begun(tmp_path: Path) -> Iterator[Reading]:
    file = tmp_path / "voicemaild.toml"
    file.write_text("")
    with reading(given(file, {})) as settings:
        yield settings


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have this in Python's place."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
