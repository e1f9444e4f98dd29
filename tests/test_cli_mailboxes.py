import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.model import Mailbox
from service.pins import verified
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


def test_a_box_that_is_not_known_yet_is_set_too_and_its_spelling_is_doubted(voicemaild: Run, config: Path) -> None:
    for expected in (1, 0):
        done = voicemaild("mailbox", "set", "102", "--phone", "+998901234567", "--config", config)
        assert (done.code, done.err.count("102@default holds no message")) == (0, expected)
    assert voicemaild("mailbox", "list", "--config", config).lines[-1] == "102@default\t0\t0\t0\t0\t+998901234567\t"


@pytest.mark.parametrize("box", ["101", "102"])
def test_a_number_that_is_taken_fails(voicemaild: Run, config: Path, box: str) -> None:
    voicemaild("mailbox", "set", "100", "--phone", "+998901234567", "--config", config)
    done = voicemaild("mailbox", "set", box, "--phone", "+998901234567", "--config", config)
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "102@default" not in voicemaild("mailbox", "list", "--config", config).out


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


def pin_hash(tmp_path: Path, name: str) -> str | None:
    with changing(tmp_path / "voicemaild.db", "pbx1") as tx:
        found = tx.conn.execute("SELECT pin_hash FROM mailbox WHERE name = ?", (name,)).fetchone()
    return None if found is None else found[0]


def test_a_pin_is_kept_as_a_hash_also_of_a_box_that_is_only_ours(voicemaild: Run, config: Path, tmp_path: Path) -> None:
    for box in ("100@default", "800@default"):
        assert voicemaild("mailbox", "set", box, "--pin", "4321", "--config", config).code == 0
        kept = pin_hash(tmp_path, box)
        assert kept is not None
        assert verified(kept, "4321")


def test_a_pin_is_read_from_standard_input(
    voicemaild: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("87654321\nmore"))
    done = voicemaild("mailbox", "set", "100", "--pin", "-", "--config", config)
    assert (done.code, done.err) == (0, "")
    assert verified(pin_hash(tmp_path, "100@default") or "", "87654321")


@pytest.mark.parametrize("stdin", [None, io.StringIO("")])
def test_a_standard_input_that_holds_none_or_is_closed_is_no_pin(
    voicemaild: Run, config: Path, monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO | None
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    done = voicemaild("mailbox", "set", "100", "--pin", "-", "--config", config)
    assert (done.code, done.err.splitlines()[-1]) == (2, "Error: Invalid value: a PIN has 4 to 10 digits")


@pytest.mark.parametrize("pin", ["123", "12345678901", "12a4", "", "\N{ARABIC-INDIC DIGIT ONE}234"])
def test_what_is_no_pin_is_refused_and_not_repeated(voicemaild: Run, config: Path, pin: str) -> None:
    done = voicemaild("mailbox", "set", "100", "--pin", pin, "--config", config)
    assert done.code == 2
    assert "4 to 10 digits" in done.err
    assert not pin or pin not in done.err


def test_a_box_of_the_pbx_keeps_the_pin_it_has_there(voicemaild: Run, config: Path, tmp_path: Path) -> None:
    with changing(tmp_path / "voicemaild.db", "pbx1") as tx:
        tx.conn.execute("UPDATE mailbox SET configured = 1 WHERE name = '100@default'")
    done = voicemaild("mailbox", "set", "100", "--pin", "4321", "--config", config)
    assert done.code == 1
    assert "the PBX has its own PIN" in done.err
    assert pin_hash(tmp_path, "100@default") is None
