import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest
import typer

from service.cli_output import Output, OutputError, standard_output
from tests.commands import Run, configuration, runner

Nowhere = Callable[[], TextIO | None]


def full() -> TextIO:
    return Path("/dev/full").open("w", encoding="utf-8")


def unread() -> TextIO:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def closed() -> None:
    return None


FULL = "voicemaild: standard output cannot be written: No space left on device\n"
CLOSED = "voicemaild: standard output cannot be written: Bad file descriptor\n"
WAYS = [(full, FULL), (closed, CLOSED), (unread, "")]


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Nowhere], None]]:
    """Makes something else standard output."""
    opened: list[TextIO] = []

    def put(nowhere: Nowhere) -> None:
        stream = nowhere()
        opened.extend([stream] if stream else [])
        monkeypatch.setattr(sys, "stdout", stream)

    yield put
    for stream in opened:
        stream.close()


@pytest.fixture
def voicemaild(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", [("--version",), ("--help",), ("openapi",), ("check",), ("token", "list")])
def test_a_command_whose_output_cannot_be_written_fails_with_a_line_or_none_where_nobody_reads_on(
    voicemaild: Run,
    tmp_path: Path,
    stdout: Callable[[Nowhere], None],
    command: tuple[str, ...],
    way: tuple[Nowhere, str],
) -> None:
    file, (nowhere, said) = configuration(tmp_path), way
    assert voicemaild("token", "create", "crm", "--scope", "read", "--config", file).code == 0
    stdout(nowhere)
    done = voicemaild("--config", file, *command)
    assert (done.code, done.err) == (1, said)


@pytest.mark.parametrize(("nowhere", "said"), WAYS)
def test_a_token_that_nobody_could_read_is_not_made_and_the_old_one_stays(
    voicemaild: Run, tmp_path: Path, stdout: Callable[[Nowhere], None], nowhere: Nowhere, said: str
) -> None:
    file, shown = configuration(tmp_path), sys.stdout
    voicemaild("token", "create", "old", "--scope", "read", "--config", file)
    before = (tmp_path / "voicemaild.db").read_bytes()
    for command in (("create", "new", "--scope", "read"), ("rotate", "old")):
        stdout(nowhere)
        done = voicemaild("token", *command, "--config", file)
        assert (done.code, done.err) == (1, said)
    sys.stdout = shown
    assert [line.split("\t")[0] for line in voicemaild("token", "list", "--config", file).lines] == ["old"]
    assert (tmp_path / "voicemaild.db").read_bytes() == before


def test_what_prints_nothing_needs_no_output(
    voicemaild: Run, tmp_path: Path, stdout: Callable[[Nowhere], None]
) -> None:
    stdout(closed)
    assert voicemaild("rotate-links", "--config", configuration(tmp_path)).code == 0


def test_what_is_left_to_be_written_at_the_end_fails_as_well(stdout: Callable[[Nowhere], None]) -> None:
    """A short text stays in Python's buffer until then."""
    stdout(full)
    with pytest.raises(OutputError, match="No space left"), standard_output():
        sys.stdout.write("x")


def test_a_failure_that_somebody_swallowed_is_not_forgotten(stdout: Callable[[Nowhere], None]) -> None:
    """Typer tries a stream out before it prints."""
    stdout(full)
    output = Output(sys.stdout)
    output.write("x")
    for again in (output.flush, output.flush, lambda: output.write("y")):
        with pytest.raises(OutputError, match="No space left"):
            again()


def test_what_can_be_written_comes_out_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with standard_output():
        sys.stdout.write("x")
        typer.echo("ü")
    assert capsys.readouterr().out == "xü\n"
