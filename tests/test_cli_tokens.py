import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.call import Call
from service.model import Mailbox, Principal, Scope
from service.store import tokens
from service.store.commands import changing, reading
from tests.commands import Run, configuration, runner
from tests.store import ledger


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return configuration(tmp_path)


@pytest.fixture
def voicemaild(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def principal(config: Path, secret: str) -> Principal | None:
    with reading(config.parent / "voicemaild.db") as conn:
        return tokens.find(conn, secret, now=int(time.time()))


def test_a_token_is_the_last_line_and_good_for_what_was_said(voicemaild: Run, config: Path) -> None:
    done = voicemaild(
        *("token", "create", "crm", "--scope", "write", "--mailbox", "100", "--mailbox", "7@other", "--config", config)
    )
    assert (done.code, done.err) == (0, "")
    boxes = frozenset({Mailbox("default", "100"), Mailbox("other", "7")})
    assert principal(config, done.lines[-1]) == Principal("crm", Scope.WRITE, boxes)


def test_a_call_is_no_other_tenants_also_where_tokens_alone_tell_of_their_boxes(voicemaild: Run, config: Path) -> None:
    """At a first start calls may come before the PBX has told of its boxes, and their records are kept as they are."""
    for box in ("100@mine", "100@theirs"):
        done = voicemaild("token", "create", box, "--scope", "read", "--mailbox", box, "--config", config)
        assert done.code == 0
    with changing(config.parent / "voicemaild.db", "pbx1") as tx:
        ledger.record(tx, ledger.leg(dst="100", dcontext="mine", dstchannel="PJSIP/100-00000001"))
        [told] = [record.state for record in tx.records if isinstance(record.state, Call)]
    assert told.takes_part("mine", "100")
    assert not told.takes_part("theirs", "100")


def test_a_link_comes_before_the_token(voicemaild: Run, config: Path) -> None:
    done = voicemaild("token", "create", "crm", "--scope", "read", "--link", "--config", config)
    link, secret = done.lines
    assert link == f"http://127.0.0.1:8089/#token={secret}"


def test_a_link_begins_with_the_public_address(voicemaild: Run, config: Path) -> None:
    config.write_text(config.read_text() + '[http]\npublic_url = "https://voicemail.example/vm/"\n')
    done = voicemaild("token", "create", "crm", "--scope", "read", "--link", "--config", config)
    assert done.lines[0] == f"https://voicemail.example/vm/#token={done.lines[1]}"


def test_a_token_can_be_short_lived(voicemaild: Run, config: Path) -> None:
    before = int(time.time())
    assert voicemaild("token", "create", "crm", "--scope", "read", "--expires", "30m", "--config", config).code == 0
    with reading(config.parent / "voicemaild.db") as conn:
        (token,) = tokens.list_all(conn)
    assert token.expires is not None
    assert before + 1800 <= token.expires <= time.time() + 1800


def test_the_list_tells_all_but_secrets(voicemaild: Run, config: Path) -> None:
    with changing(config.parent / "voicemaild.db", "pbx1") as tx:
        secret = tokens.create(tx.conn, "a", Scope.ADMIN, None, now=1_795_210_952)
        boxes = frozenset({Mailbox("default", "101"), Mailbox("default", "100")})
        tokens.create(tx.conn, "b", Scope.READ, boxes, now=1_795_210_952, expires=1_000_000_000)
    done = voicemaild("token", "list", "--config", config)
    assert done.lines == [
        "a\tadmin\tall\t2026-11-20T21:42:32Z\tnever",
        "b\tread\t100@default,101@default\t2026-11-20T21:42:32Z\t2001-09-09T01:46:40Z (expired)",
    ]
    assert secret not in done.out


def test_a_rotated_token_prints_its_new_secret(voicemaild: Run, config: Path) -> None:
    old = voicemaild("token", "create", "crm", "--scope", "read", "--config", config).lines[-1]
    new = voicemaild("token", "rotate", "crm", "--config", config).lines[-1]
    assert principal(config, old) is None
    assert principal(config, new) == Principal("crm", Scope.READ, None)


def test_a_revoked_token_opens_nothing(voicemaild: Run, config: Path) -> None:
    secret = voicemaild("token", "create", "crm", "--scope", "read", "--config", config).lines[-1]
    assert voicemaild("token", "revoke", "crm", "--config", config).code == 0
    assert principal(config, secret) is None


@pytest.mark.parametrize("arguments", [("revoke", "nope"), ("rotate", "nope")])
def test_an_unknown_token_fails_with_one_line(voicemaild: Run, config: Path, arguments: Sequence[str]) -> None:
    done = voicemaild("token", *arguments, "--config", config)
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert "nope" in line


def test_a_name_that_is_taken_fails(voicemaild: Run, config: Path) -> None:
    assert voicemaild("token", "create", "crm", "--scope", "read", "--config", config).code == 0
    assert voicemaild("token", "create", "crm", "--scope", "read", "--config", config).code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("create",),
        ("create", "crm"),
        ("create", "crm", "--scope", "root"),
        ("create", "crm", "--scope", "read", "--expires", "5w"),
        ("create", "crm", "--scope", "read", "--expires", "0m"),
        ("create", "crm", "--scope", "read", "--mailbox", "../etc"),
        ("create", "a b", "--scope", "read"),
    ],
)
def test_wrong_usage_exits_with_2_and_makes_nothing(voicemaild: Run, config: Path, arguments: Sequence[str]) -> None:
    done = voicemaild("token", *arguments, "--config", config)
    assert (done.code, done.out) == (2, "")
    assert "Value error" not in done.err  # typer's own words for a wrong choice
    assert voicemaild("token", "list", "--config", config).out == ""
