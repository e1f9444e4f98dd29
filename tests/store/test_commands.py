import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from service.errors import ConflictError, NotFoundError, UnavailableError
from service.model import Scope
from service.store import schema, tokens
from service.store.commands import changing, reading, turns
from service.store.transaction import Transaction


def names(path: Path) -> list[str]:
    with reading(path) as conn:
        return [token.name for token in tokens.list_all(conn)]


def create_then_fail(path: Path) -> None:
    with changing(path, "pbx1") as tx:
        tokens.create(tx.conn, "crm", Scope.READ, None, now=1)
        tokens.revoke(tx.conn, "nope")


def test_a_change_is_there_for_the_next_command(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "voicemaild.db"
    with changing(path, "pbx1") as tx:
        tokens.create(tx.conn, "crm", Scope.READ, None, now=tx.now_ms // 1000)
    assert names(path) == ["crm"]


def test_nothing_stays_of_a_change_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "voicemaild.db"
    with pytest.raises(NotFoundError):
        create_then_fail(path)
    assert names(path) == []


def test_a_database_that_stays_locked_is_told_as_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "voicemaild.db"
    names(path)
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="locked"), changing(path, "pbx1"):
        pass
    other.close()


def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "voicemaild.db"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(ConflictError, match=r"voicemaild\.db"), reading(path):
        pass
    assert path.read_bytes() == b"x" * 5000


def test_what_root_makes_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    owner = (12345, 12346) if os.geteuid() == 0 else (os.geteuid(), os.getegid())  # others can give nothing away
    os.chown(tmp_path, *owner)
    with changing(tmp_path / "voicemaild.db", "pbx1"):
        assert {(file.stat().st_uid, file.stat().st_gid) for file in tmp_path.iterdir()} == {owner}


def test_each_of_several_changes_is_a_transaction_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "voicemaild.db"

    def create(tx: Transaction, name: str) -> None:
        tokens.create(tx.conn, name, Scope.READ, None, now=1)
        if name == "bad":
            tokens.revoke(tx.conn, "nope")

    with turns(path, "pbx1") as turn:
        turn(lambda tx: create(tx, "first"))
        assert names(path) == ["first"]
        with pytest.raises(NotFoundError):
            turn(lambda tx: create(tx, "bad"))
        turn(lambda tx: create(tx, "last"))
    assert names(path) == ["first", "last"]


@pytest.mark.parametrize(("shared", "pauses"), [(False, 0), (True, 2)])
def test_between_its_turns_it_steps_aside_where_another_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, shared: bool, pauses: int
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    path = tmp_path / "voicemaild.db"
    names(path)
    with closing(sqlite3.connect(path)) as other, turns(path, "pbx1") as turn:
        turn(lambda tx: tx.conn.execute("SELECT 1"))
        if shared:
            other.execute("INSERT INTO meta VALUES ('other', '')")
            other.commit()
        for _ in range(2):
            turn(lambda tx: tx.conn.execute("SELECT 1"))
    assert len(slept) == pauses
