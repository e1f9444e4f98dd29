from collections.abc import Sequence
from pathlib import Path

import pytest

from service.model import Mailbox
from service.store import mailboxes
from service.store.commands import changing
from tests.commands import Run, configuration, runner


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose database knows two mailboxes."""
    file = configuration(tmp_path)
    with changing(tmp_path / "voicemaild.db", "pbx1") as tx:
        mailboxes.ensure(tx, Mailbox("default", "100"))
        mailboxes.ensure(tx, Mailbox("default", "101"))
    return file


@pytest.fixture
def voicemaild(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def test_what_is_set_is_listed(voicemaild: Run, config: Path) -> None:
    done = voicemaild("mailbox", "set", "100", "--phone", "+998 90 123-45-67", "--customer", "C 7", "--config", config)
    assert (done.code, done.err) == (0, "")
    assert voicemaild("mailbox", "list", "--config", config).lines == [
        "100@default\t0\t0\t0\t0\t+998901234567\tC 7",
        "101@default\t0\t0\t0\t0\t\t",
    ]


def test_what_is_not_named_stays_and_an_empty_text_takes_away(voicemaild: Run, config: Path) -> None:
    voicemaild("mailbox", "set", "100", "--phone", "+998901234567", "--customer", "C7", "--config", config)
    voicemaild("mailbox", "set", "100", "--phone", "", "--config", config)
    assert voicemaild("mailbox", "list", "--config", config).lines[0].split("\t")[-2:] == ["", "C7"]


@pytest.mark.parametrize("arguments", [("102", "--customer", "x"), ("101", "--phone", "+998901234567")])
def test_a_box_that_is_not_known_and_a_number_that_is_taken_fail(
    voicemaild: Run, config: Path, arguments: Sequence[str]
) -> None:
    voicemaild("mailbox", "set", "100", "--phone", "+998901234567", "--config", config)
    done = voicemaild("mailbox", "set", *arguments, "--config", config)
    assert done.code == 1
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("100",),
        ("100", "--phone", "12"),
        ("100", "--phone", "901234567"),
        ("a/b", "--phone", ""),
        ("100", "--customer", "\n"),
    ],
)
def test_wrong_usage_exits_with_2(voicemaild: Run, config: Path, arguments: Sequence[str]) -> None:
    assert voicemaild("mailbox", "set", *arguments, "--config", config).code == 2
