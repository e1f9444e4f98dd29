"""The third migration: boxes, uploads, PINs, and what is kept of deleted messages. See `service.store.schema`."""

BOXES = """
    ALTER TABLE message ADD COLUMN held TEXT;         -- its audio in the media directory; NULL: it lies in the spool
    ALTER TABLE message ADD COLUMN trash TEXT;        -- what can be restored after a deletion, in the media directory
    ALTER TABLE message ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;  -- 1: deleted here alone, the spool still has it
    ALTER TABLE message ADD COLUMN sip_from TEXT NOT NULL DEFAULT '';  -- who uploaded it
    ALTER TABLE message ADD COLUMN uploaded INTEGER;  -- when, in epoch seconds; NULL: the PBX recorded it
    CREATE INDEX message_newest ON message (mailbox_id, origtime) WHERE deleted_ms IS NULL;
    CREATE INDEX message_hidden ON message (mailbox_id) WHERE hidden = 1;
    CREATE INDEX message_trash ON message (deleted_ms) WHERE trash IS NOT NULL;
    CREATE INDEX message_trash_name ON message (trash) WHERE trash IS NOT NULL;
    CREATE INDEX message_held ON message (held) WHERE held IS NOT NULL;

    ALTER TABLE mailbox ADD COLUMN pin_hash TEXT;     -- argon2id, only of a box the PBX does not know
    ALTER TABLE mailbox ADD COLUMN configured INTEGER NOT NULL DEFAULT 0;  -- 1: the PBX has this box
    ALTER TABLE mailbox ADD COLUMN disabled TEXT;     -- JSON: the line it had, without PIN; NULL: it was not taken out
    ALTER TABLE mailbox ADD COLUMN fullname TEXT NOT NULL DEFAULT '';
    ALTER TABLE mailbox ADD COLUMN email TEXT NOT NULL DEFAULT '';
    ALTER TABLE mailbox ADD COLUMN keeps INTEGER NOT NULL DEFAULT 1;       -- 0: delete=yes, mailed and gone

    CREATE TABLE upload_slot (                        -- asked for by POST /accounts/{id}/voicemails
        uuid TEXT PRIMARY KEY,                        -- that of the message it becomes
        mailbox_id INTEGER NOT NULL REFERENCES mailbox (id),
        secret BLOB NOT NULL UNIQUE,                  -- SHA-256 of what its upload_url ends with
        sip_from TEXT NOT NULL,
        content_type TEXT NOT NULL,
        created INTEGER NOT NULL,                     -- epoch seconds
        expires INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE pin_failure (                        -- wrong PINs, by number and by the address they came from
        phone TEXT NOT NULL,
        address TEXT NOT NULL,                        -- an IPv4 address, or an IPv6 network of 64 bits
        failures INTEGER NOT NULL,
        locked_until INTEGER NOT NULL,                -- epoch seconds
        last INTEGER NOT NULL,
        PRIMARY KEY (phone, address)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pin_day (                            -- wrong PINs of a number in a day, from wherever
        phone TEXT NOT NULL,
        day INTEGER NOT NULL,                         -- epoch days
        failures INTEGER NOT NULL,
        PRIMARY KEY (phone, day)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pin_known (                          -- addresses that have shown the right PIN
        phone TEXT NOT NULL,
        address TEXT NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (phone, address)
    ) STRICT, WITHOUT ROWID;
    """
