import io
import sys

import pytest
import typer

from service.cli_common import lifetime, mailbox, print_table, tell_progress
from service.cli_told import complain
from service.model import Mailbox


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("12h", 43_200), ("30d", 2_592_000), (" 1d ", 86_400)])
def test_a_lifetime_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert lifetime(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "0m", "-1d", "1w", "1.5h", "999999d", "1d1h"])
def test_what_is_no_lifetime_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="30m, 12h or 30d"):
        lifetime(text)


def test_a_mailbox_may_leave_out_the_default_context() -> None:
    assert mailbox("100") == mailbox("100@default") == Mailbox("default", "100")
    with pytest.raises(typer.BadParameter):
        mailbox("a/b")


def test_a_table_has_headings_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(("name", "scope"), [("[red]a", "read")])
    assert capsys.readouterr().out == "[red]a\tread\n"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    print_table(("name", "scope"), [("[red]a", "read")])
    shown = terminal.getvalue()
    assert "name" in shown
    assert "[red]a" in shown


def test_progress_is_a_line_a_tenth_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with tell_progress("mailboxes") as progress:
        for done in range(1001):
            progress(done, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "1000 of 1000 mailboxes"


def test_progress_is_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with tell_progress("mailboxes") as progress:
        progress(3, 3)
    assert "3/3" in terminal.getvalue()


def test_a_mistake_is_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("one\ntwo")
    assert capsys.readouterr().err == "voicemaild: one\nvoicemaild: two\n"
