"""The tables, as an append-only list of migrations; `PRAGMA user_version` is how many of them a database has had."""

import sqlite3
from pathlib import Path

from service.errors import ConflictError
from service.store.migration_boxes import BOXES

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
    """
    CREATE TABLE call (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uuid TEXT NOT NULL,
        key TEXT NOT NULL,                            -- the smallest linkedid told, else the uniqueid
        start INTEGER NOT NULL,                       -- epoch seconds
        end INTEGER NOT NULL,
        src TEXT NOT NULL,
        dst TEXT NOT NULL,
        external_number TEXT,
        duration INTEGER NOT NULL,
        conversation INTEGER NOT NULL,
        type INTEGER NOT NULL,                        -- 1 incoming, 2 outgoing, 3 internal
        status INTEGER NOT NULL,                      -- 1 answered, 2 not answered, 3 busy, 4 failed
        recording TEXT NOT NULL,
        names TEXT NOT NULL,                          -- JSON: every name and span it has in call_channel
        parties TEXT NOT NULL,                        -- JSON: [[extension, [context, ...]], ...], each is in party
        voicemails TEXT NOT NULL DEFAULT '[]'         -- JSON: [[extension@context, message uuid, id], ...]
    ) STRICT;
    -- Each of these alone answers which calls have a value and in which order (see call_pages): what is filtered by
    -- besides stands in them, so that no row has to be looked up that is not shown. They are what writing costs.
    CREATE INDEX call_start ON call (start);
    CREATE INDEX call_src ON call (src, id, type, status, duration, conversation);
    CREATE INDEX call_dst ON call (dst, id, type, status, duration, conversation);
    CREATE INDEX call_external_number ON call (external_number, id, type, status, start, duration, conversation);
    CREATE INDEX call_duration ON call (duration, id, type, status, conversation);
    CREATE INDEX call_conversation ON call (conversation, id, type, status, duration);
    CREATE INDEX call_unanswered ON call (duration, id, type, status) WHERE conversation = 0;

    CREATE TABLE leg (                                -- one CDR; the columns of service.call.Leg
        id INTEGER PRIMARY KEY,
        call_id INTEGER NOT NULL REFERENCES call (id) ON DELETE CASCADE,
        uniqueid TEXT NOT NULL,
        linkedid TEXT NOT NULL,
        sequence INTEGER,
        channel TEXT NOT NULL,
        dstchannel TEXT NOT NULL,
        src TEXT NOT NULL,
        dst TEXT NOT NULL,
        dcontext TEXT NOT NULL,
        clid TEXT NOT NULL,
        lastapp TEXT NOT NULL,
        lastdata TEXT NOT NULL,
        accountcode TEXT NOT NULL,
        userfield TEXT NOT NULL,
        did TEXT NOT NULL,
        outbound_cnum TEXT NOT NULL,
        recordingfile TEXT NOT NULL,
        start INTEGER NOT NULL,
        answer INTEGER,
        end INTEGER NOT NULL,
        duration INTEGER NOT NULL,
        billsec INTEGER NOT NULL,
        disposition TEXT NOT NULL,
        wall TEXT NOT NULL                            -- start|answer|end as the PBX wrote them
    ) STRICT;
    CREATE INDEX leg_call ON leg (call_id);
    CREATE INDEX leg_start ON leg (start);
    CREATE INDEX leg_voicemail ON leg (channel, start) WHERE lastapp = 'VoiceMail';
    CREATE INDEX leg_nameless ON leg (start) WHERE uniqueid = '';

    -- What leads to a call stands in these two, and in its row what is in them of it: so they need no second index.
    CREATE TABLE call_channel (                       -- which call a uniqueid or linkedid belongs to; see call_joins
        uniqueid TEXT PRIMARY KEY,
        call_id INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE party (                              -- which extensions take part in a call
        extension TEXT NOT NULL,
        call_id INTEGER NOT NULL,
        PRIMARY KEY (extension, call_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE call_count (                         -- calls kept counted, so that nobody has to count a million
        line TEXT NOT NULL,                           -- the external_number of a call_line; '': of all calls
        unit INTEGER NOT NULL,                        -- what a bucket is: see call_counts
        bucket INTEGER NOT NULL,
        type INTEGER NOT NULL,
        status INTEGER NOT NULL,                      -- 0: any
        zero INTEGER NOT NULL,                        -- 1: its duration is 0, 2: its conversation is, 3: both
        calls INTEGER NOT NULL,
        PRIMARY KEY (line, unit, bucket, type, status, zero)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE call_line (                          -- outside lines of very many calls, counted by themselves too
        number TEXT PRIMARY KEY,
        upto INTEGER NOT NULL                         -- the calls up to this id are
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE call_zone (                          -- when the calls of neighbouring ids started
        zone INTEGER PRIMARY KEY,                     -- id / 1024, rounded down
        first INTEGER NOT NULL,                       -- none of them started before this epoch second
        last INTEGER NOT NULL                         -- nor after this one
    ) STRICT;

    CREATE TABLE cdr_file (                           -- how far Master.csv was read
        path TEXT PRIMARY KEY,
        state TEXT NOT NULL                           -- JSON
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE webhook (
        name TEXT PRIMARY KEY,
        cursor INTEGER NOT NULL,                      -- the journal was handed over up to here
        calls INTEGER NOT NULL,                       -- 1: it wants calls
        messages INTEGER NOT NULL,
        active INTEGER NOT NULL DEFAULT 1,            -- 0: no longer in the configuration
        down_ms INTEGER,                              -- since when it does not answer; NULL: it does
        pending INTEGER NOT NULL DEFAULT 0            -- deliveries that are not given up, kept
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE delivery (                           -- what a webhook has still to be told, or could not be told
        webhook TEXT NOT NULL REFERENCES webhook (name),
        seq INTEGER NOT NULL,                         -- of the journal's record
        uuid TEXT NOT NULL,                           -- of the call or message, of which it is told in order
        call_id INTEGER,                              -- NULL: it is a message
        next_ms INTEGER NOT NULL,                     -- not to be tried before
        first_ms INTEGER,                             -- when it was tried first; NULL: it was not
        tries INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0,            -- 1: given up
        error_message TEXT,                           -- of the last try
        PRIMARY KEY (webhook, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX delivery_due ON delivery (webhook, next_ms, seq) WHERE failed = 0;
    CREATE INDEX delivery_tried ON delivery (webhook, next_ms, seq) WHERE failed = 0 AND tries > 0;
    CREATE INDEX delivery_uuid ON delivery (webhook, uuid, seq);
    CREATE INDEX delivery_call ON delivery (webhook, call_id, seq) WHERE call_id IS NOT NULL;

    CREATE TABLE integration (                        -- what became of telling a webhook of a call
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        call_id INTEGER NOT NULL REFERENCES call (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        status TEXT NOT NULL,
        error_message TEXT,
        created_us INTEGER NOT NULL,                  -- epoch microseconds
        updated_us INTEGER NOT NULL,
        UNIQUE (call_id, name)
    ) STRICT;
    CREATE INDEX integration_pending ON integration (name) WHERE status = 'pending';

    ALTER TABLE message ADD COLUMN call_id INTEGER;   -- the call it was concluded to be left in; NULL: none, or told
    CREATE INDEX message_call ON message (call_id) WHERE call_id IS NOT NULL;
    CREATE INDEX message_uniqueid ON message (uniqueid) WHERE uniqueid <> '';
    CREATE INDEX message_callerchan ON message (callerchan, origtime) WHERE callerchan <> '';
    CREATE INDEX mailbox_extension ON mailbox (extension);
    """,
    BOXES,
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
