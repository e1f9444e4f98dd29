"""The tables, as an append-only list of migrations; `PRAGMA user_version` is how many of them a database has had."""

import sqlite3
from pathlib import Path

from service.errors import ConflictError

MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

    CREATE TABLE mailbox (
        id INTEGER PRIMARY KEY,
        uuid TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE,                    -- extension@context
        context TEXT NOT NULL,
        extension TEXT NOT NULL,
        phone TEXT NOT NULL DEFAULT '',               -- E.164
        customer TEXT NOT NULL DEFAULT '',
        generation INTEGER NOT NULL DEFAULT 0,        -- one more with every change reconcile made
        looked TEXT NOT NULL DEFAULT '',              -- the spool's directories when they last agreed with us
        new INTEGER NOT NULL DEFAULT 0,               -- the badge, kept: INBOX and Urgent together
        old INTEGER NOT NULL DEFAULT 0,
        saved INTEGER NOT NULL DEFAULT 0,
        urgent INTEGER NOT NULL DEFAULT 0             -- the part of new in Urgent
    ) STRICT;
    CREATE UNIQUE INDEX mailbox_phone ON mailbox (phone) WHERE phone <> '';

    CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uuid TEXT NOT NULL UNIQUE,
        mailbox_id INTEGER NOT NULL REFERENCES mailbox (id),
        msg_id TEXT NOT NULL,
        given INTEGER NOT NULL,                       -- 0: the PBX gave no msg_id, ours is a fingerprint
        folder TEXT NOT NULL,
        msgnum INTEGER NOT NULL,
        txt_inode INTEGER NOT NULL,                   -- which .txt this was read from, so that it is read once
        txt_mtime_ns INTEGER NOT NULL,
        txt_size INTEGER NOT NULL,
        origtime INTEGER NOT NULL,
        txt_duration INTEGER NOT NULL,
        src TEXT NOT NULL,
        caller_id_name TEXT NOT NULL,
        dst TEXT NOT NULL,
        external_number TEXT,
        callerchan TEXT NOT NULL,
        urgent INTEGER NOT NULL,
        category TEXT NOT NULL,
        uniqueid TEXT NOT NULL DEFAULT '',
        local_status INTEGER,
        status INTEGER NOT NULL,                      -- 1 unread, 2 read: local_status, else what the folder says
        duration INTEGER NOT NULL,                    -- whole seconds, of the audio if there is any
        suffix TEXT,                                  -- the audio; NULL: there is none
        audio_size INTEGER,
        audio_mtime_ns INTEGER,
        audio_inode INTEGER,
        audio_head TEXT,
        content_type TEXT,
        duration_ms INTEGER,
        sample_rate INTEGER,
        channels INTEGER,
        truncated INTEGER,
        measured INTEGER NOT NULL DEFAULT 0,          -- 1: levels were measured, or cannot be
        peak_dbfs REAL,
        rms_dbfs REAL,
        silence REAL,
        deleted_ms INTEGER,                           -- when it left the spool; NULL: it is there
        UNIQUE (mailbox_id, msg_id)
    ) STRICT;
    CREATE INDEX message_live ON message (mailbox_id, status, folder) WHERE deleted_ms IS NULL;
    CREATE INDEX message_origtime ON message (origtime, id) WHERE deleted_ms IS NULL;
    CREATE INDEX message_src ON message (src) WHERE deleted_ms IS NULL;
    CREATE INDEX message_unmeasured ON message (id) WHERE measured = 0 AND deleted_ms IS NULL;

    CREATE TABLE journal (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        time_ms INTEGER NOT NULL,
        type TEXT NOT NULL,
        pbx TEXT NOT NULL,
        mailbox TEXT NOT NULL,                        -- extension@context
        delta INTEGER NOT NULL,                       -- how an unread record changed new
        state BLOB NOT NULL                           -- JSON: the whole new state of what changed
    ) STRICT;

    CREATE TABLE token (
        name TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,                    -- SHA-256
        scope TEXT NOT NULL,
        mailboxes TEXT,                               -- JSON array of extension@context; NULL: all
        created INTEGER NOT NULL,
        expires INTEGER
    ) STRICT;
    """,
)

BUSY_TIMEOUT_S = 5


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """Open the database as every part of voicemaild does: WAL, durable commits, transactions begun by hand.

    A connection that may write is migrated first. Raises ConflictError where the file is of a newer version or is no
    database, and leaves it untouched.
    """
    if not readonly:
        _prepare(path)
    try:
        conn = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise ConflictError(f"cannot open the database {path}: {error}; see [store] path and its owner") from error
    try:
        conn.execute("PRAGMA synchronous = FULL")  # what was answered survives a power cut
        conn.execute("PRAGMA cache_size = -32000")
        conn.execute("PRAGMA foreign_keys = ON")
        if readonly:
            conn.execute("PRAGMA query_only = ON")
    except sqlite3.DatabaseError as error:  # the first that reads more than the file's head
        conn.close()
        raise ConflictError(f"{path} cannot be used as the database: {error}") from error
    return conn


def _prepare(path: Path) -> None:
    """Create the file for our eyes only, or bring an older one up to date."""
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
        if version(path) > len(MIGRATIONS):
            raise ConflictError(
                f"the database {path} was written by a newer voicemaild (schema {version(path)}, this one knows "
                f"{len(MIGRATIONS)}): install that version again, or restore a backup"
            )
        if version(path) < len(MIGRATIONS):
            _migrate(path)
    except OSError as error:
        raise ConflictError(f"cannot make the database {path}: {error.strerror}; see [store] path") from error
    except sqlite3.DatabaseError as error:
        raise ConflictError(f"{path} cannot be used as the database: {error}") from error


def version(path: Path) -> int:
    """How many migrations the database has had; reads only."""
    conn = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
    try:
        return int(conn.execute("PRAGMA user_version").fetchone()[0])
    finally:
        conn.close()


def damage(path: Path) -> str:
    """What is wrong within the database's file, "" where nothing is; reads all of it, and nothing else.

    Raises sqlite3.OperationalError where it cannot be opened now.
    """
    conn = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
    try:
        found = str(conn.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        conn.close()
    return "" if found == "ok" else " ".join(found.split())


def _migrate(path: Path) -> None:
    conn = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("BEGIN IMMEDIATE")
        done = int(conn.execute("PRAGMA user_version").fetchone()[0])
        for migration in MIGRATIONS[done:]:
            for statement in statements(migration):
                conn.execute(statement)
        conn.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        conn.execute("COMMIT")
    finally:
        conn.close()


def statements(script: str) -> list[str]:
    """Split a migration into its statements, so that all of them can stand in one transaction."""
    found, waiting = [], ""
    for line in script.splitlines():
        waiting += line + "\n"
        if waiting.strip() and sqlite3.complete_statement(waiting):
            found.append(waiting.strip())
            waiting = ""
    return found
