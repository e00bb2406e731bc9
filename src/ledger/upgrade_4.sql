-- From schema 3 to 4: event definitions, unique keys, people, other feeds; and a log that says more than imports. See schema.sql
-- for what each column and table is for.

ALTER TABLE imports ADD COLUMN kind TEXT NOT NULL DEFAULT 'events' CHECK (kind IN (
    'events', 'orders',
    'users', 'header',
    'replay', 'undo', 'erase'));
ALTER TABLE imports ADD COLUMN of_import INTEGER REFERENCES imports (id);
ALTER TABLE imports ADD COLUMN only_to TEXT;
ALTER TABLE imports ADD COLUMN onward INTEGER NOT NULL DEFAULT 0 CHECK (onward IN (0, 1));
ALTER TABLE imports ADD COLUMN undone_by INTEGER REFERENCES imports (id);
ALTER TABLE imports ADD COLUMN duplicates INTEGER NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN duplicate_set BLOB;
ALTER TABLE imports ADD COLUMN erased_set BLOB;
ALTER TABLE imports ADD COLUMN history BLOB CHECK (length(history) = 32);
UPDATE imports SET onward = 1 WHERE imported = 1;

DROP INDEX imports_with_events;
CREATE INDEX imports_onward ON imports (seq, accepted, duplicates, source, only_to) WHERE onward = 1;

DROP INDEX imports_pruned;
CREATE INDEX imports_pruned ON imports (seq, accepted, duplicates, source, only_to)
    WHERE onward = 1 AND spool_file IS NULL AND kind NOT IN ('undo', 'erase');

CREATE TABLE definitions (
    hash            TEXT    PRIMARY KEY,
    text            TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tickets (
    n               INTEGER PRIMARY KEY,
    destination     TEXT    NOT NULL,
    import          INTEGER NOT NULL REFERENCES imports (id),
    "index"         INTEGER NOT NULL,
    event_id        TEXT    NOT NULL,
    ticket          TEXT    NOT NULL,
    at              INTEGER NOT NULL
) STRICT;

CREATE INDEX tickets_of         ON tickets (destination, n);

ALTER TABLE imports ADD COLUMN unique_keys INTEGER NOT NULL DEFAULT 0;
CREATE INDEX imports_keyed ON imports (seq) WHERE unique_keys > 0;
CREATE INDEX imports_undone ON imports (id) WHERE undone_by IS NOT NULL;
-- Other feeds.
ALTER TABLE imports ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1));
ALTER TABLE imports ADD COLUMN user_feed_pending INTEGER NOT NULL DEFAULT 0 CHECK (user_feed_pending IN (0, 1));
ALTER TABLE listed ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1));

DROP INDEX imports_by_time;
CREATE INDEX imports_by_time ON imports (source, kind, named_at) WHERE imported = 1;

-- People.
ALTER TABLE in_flight ADD COLUMN looked_up TEXT;
ALTER TABLE dead_letters ADD COLUMN waits_for TEXT;

CREATE TABLE people (
    person          INTEGER PRIMARY KEY,
    user_id         TEXT,
    email           TEXT,
    email_folded    TEXT,
    unit            TEXT    NOT NULL DEFAULT '',
    first_import    INTEGER NOT NULL, first_index INTEGER NOT NULL, first_at INTEGER NOT NULL,
    last_import     INTEGER NOT NULL, last_index  INTEGER NOT NULL, last_at  INTEGER NOT NULL,
    upgraded_import INTEGER, upgraded_index INTEGER, upgraded_at INTEGER,
    merged          INTEGER NOT NULL DEFAULT 0 CHECK (merged IN (0, 1))
) STRICT;

CREATE TABLE people_keys (
    hash            INTEGER NOT NULL,
    person          INTEGER NOT NULL,
    PRIMARY KEY (hash, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE people_young (
    hash            INTEGER NOT NULL,
    person          INTEGER NOT NULL,
    PRIMARY KEY (hash, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE clashes (
    import          INTEGER NOT NULL,
    "index"         INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    what            TEXT    NOT NULL CHECK (what IN (
                        'new_id_for_a_user',
                        'address_of_another_user',
                        'address_of_a_lead')),
    user_id         TEXT    NOT NULL,
    email           TEXT    NOT NULL,
    unit            TEXT    NOT NULL,
    person          INTEGER,
    other           INTEGER NOT NULL,
    PRIMARY KEY (import, "index")
) STRICT, WITHOUT ROWID;

CREATE INDEX clashes_of_person ON clashes (person) WHERE person IS NOT NULL;
CREATE INDEX clashes_of_other  ON clashes (other);

CREATE TABLE people_reading (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    keep            TEXT    NOT NULL CHECK (keep IN (
                        'always',
                        'auto',
                        'never')),
    seq             INTEGER NOT NULL DEFAULT 0,
    "index"         INTEGER NOT NULL DEFAULT 0,
    changes         INTEGER NOT NULL DEFAULT 0,
    users           INTEGER NOT NULL DEFAULT 0,
    leads           INTEGER NOT NULL DEFAULT 0,
    upgraded        INTEGER NOT NULL DEFAULT 0,
    clashes         INTEGER NOT NULL DEFAULT 0,
    gap_imports     INTEGER NOT NULL DEFAULT 0,
    gap_entries     INTEGER NOT NULL DEFAULT 0,
    gap_first       INTEGER,
    gap_last        INTEGER,
    stretch         INTEGER NOT NULL DEFAULT 0,
    trouble         TEXT
) STRICT;
INSERT INTO people_reading (one, keep) VALUES (1, 'never');

CREATE INDEX imports_of_users ON imports (seq) WHERE kind = 'users' AND imported = 1;

CREATE INDEX dead_letters_waiting ON dead_letters (waits_for) WHERE waits_for IS NOT NULL;

CREATE TABLE requests (
    import          INTEGER PRIMARY KEY REFERENCES imports (id),
    who             TEXT,
    cleared_at      INTEGER,
    report          TEXT    NOT NULL DEFAULT '{}'
) STRICT;

CREATE INDEX imports_requests ON imports (seq) WHERE kind IN ('replay', 'undo', 'erase');
