import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from service.errors import ConflictError
from service.store import schema
from service.store.schema import connect, statements, version


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "voicemaild.db"


def made(path: Path) -> None:
    connect(path).close()


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as conn:
        return {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def add_meta(path: Path, key: str) -> None:
    with closing(connect(path)) as conn:
        conn.execute("INSERT INTO meta VALUES (?, '')", (key,))


def meta(path: Path) -> list[str]:
    with closing(connect(path, readonly=True)) as conn:
        return [key for (key,) in conn.execute("SELECT key FROM meta")]


def test_a_new_database_has_all_tables_and_directories_above_it(tmp_path: Path) -> None:
    path = tmp_path / "var" / "lib" / "voicemaild.db"
    made(path)
    assert {"meta", "mailbox", "message", "journal", "token", "call", "leg"} <= tables(path)
    assert version(path) == len(schema.MIGRATIONS)


def test_only_its_owner_can_read_any_of_its_files(path: Path) -> None:
    with closing(connect(path)) as conn:
        conn.execute("INSERT INTO meta VALUES ('a', 'b')")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"voicemaild.db": 0o600, "voicemaild.db-wal": 0o600, "voicemaild.db-shm": 0o600}


def test_commits_are_durable_and_readers_do_not_wait_for_the_writer(path: Path) -> None:
    with closing(connect(path)) as conn:
        pragmas = [
            conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


@pytest.mark.parametrize("readonly", [False, True])
def test_a_database_that_is_damaged_behind_its_head_is_told_in_words(path: Path, readonly: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    made(path)
    content = bytearray(path.read_bytes())
    content[100:] = b"x" * (len(content) - 100)
    path.write_bytes(content)
    assert version(path) == len(schema.MIGRATIONS)
    with pytest.raises(ConflictError, match="cannot be used as the database"):
        connect(path, readonly=readonly)


def test_damage_is_seen_wherever_it_is(path: Path) -> None:
    made(path)
    assert schema.damage(path) == ""
    content = bytearray(path.read_bytes())
    content[4096:] = b"x" * (len(content) - 4096)
    path.write_bytes(content)
    assert schema.damage(path)


def test_a_connection_for_reading_cannot_write(path: Path) -> None:
    made(path)
    with closing(connect(path, readonly=True)) as conn, pytest.raises(sqlite3.OperationalError, match="readonly"):
        conn.execute("INSERT INTO meta VALUES ('a', 'b')")


def test_opening_it_again_changes_nothing(path: Path) -> None:
    add_meta(path, "kept")
    made(path)
    assert meta(path) == ["kept"]


def test_an_older_database_is_brought_up_to_date_and_keeps_what_it_holds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_meta(path, "kept")
    later = "CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT;\nINSERT INTO meta VALUES ('added', '');"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
    made(path)
    assert "later" in tables(path)
    assert meta(path) == ["added", "kept"]
    assert version(path) == len(schema.MIGRATIONS)


def test_a_database_of_the_first_release_keeps_its_messages_and_gets_room_for_calls(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", every[:1])
    with closing(connect(path)) as conn:
        conn.execute(
            "INSERT INTO mailbox (uuid, name, context, extension) VALUES ('u', '100@default', 'default', '100')"
        )
        conn.execute(
            "INSERT INTO message (uuid, mailbox_id, msg_id, given, folder, msgnum, txt_inode, txt_mtime_ns, txt_size,"
            " origtime, txt_duration, src, caller_id_name, dst, callerchan, urgent, category, status, duration)"
            " VALUES ('m', 1, '1-2', 1, 'INBOX', 0, 1, 1, 1, 5, 1, '', '', '100', 'PJSIP/a-1', 0, '', 1, 1)"
        )
    monkeypatch.setattr(schema, "MIGRATIONS", every)
    with closing(connect(path)) as conn:
        assert conn.execute("SELECT uuid, uniqueid, call_id FROM message").fetchall() == [("m", "", None)]
        assert conn.execute("SELECT count(*) FROM call").fetchone() == (0,)
    assert version(path) == len(every)


def test_a_migration_that_fails_leaves_nothing_of_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_meta(path, "kept")
    before = version(path)
    broken = "CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT;\nINSERT INTO nowhere VALUES (1);"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
    with pytest.raises(ConflictError, match="nowhere"):
        connect(path)
    assert "later" not in tables(path)
    assert version(path) == before


def test_a_newer_database_is_refused_and_left_untouched(path: Path) -> None:
    newer = len(schema.MIGRATIONS) + 1
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE future (x)")
        conn.execute(f"PRAGMA user_version = {newer}")
        conn.commit()
    before = path.read_bytes()
    with pytest.raises(ConflictError, match=rf"newer voicemaild \(schema {newer}"):
        connect(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["voicemaild.db"]


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused_and_left_untouched(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConflictError, match="cannot be used as the database"):
        connect(path)
    assert path.read_bytes() == content


def test_a_directory_in_its_place_is_told(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConflictError, match=r"voicemaild\.db"):
        connect(path)


@pytest.mark.parametrize("place", ["/proc/voicemaild.db", "/proc/voicemaild/voicemaild.db", "/dev/null/voicemaild.db"])
def test_where_nothing_can_be_written_that_is_told(place: str) -> None:
    """Nobody can make a file there, root neither."""
    with pytest.raises(ConflictError, match=r"cannot make the database .* see \[store\] path"):
        connect(Path(place))


def test_a_script_is_split_where_a_statement_ends_and_not_within_its_words() -> None:
    script = """
    CREATE TABLE a (x TEXT DEFAULT 'a;b'); -- words; more words
    CREATE TRIGGER t AFTER INSERT ON a BEGIN
        DELETE FROM a;
        DELETE FROM a;
    END;
    """
    assert [statement.split()[1] for statement in statements(script)] == ["TABLE", "TRIGGER"]
