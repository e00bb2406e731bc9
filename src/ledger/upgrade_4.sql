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
UPDATE imports SET onward = 1 WHERE imported = 1;

DROP INDEX imports_with_events;
CREATE INDEX imports_onward ON imports (seq, accepted, duplicates, source) WHERE onward = 1;

DROP INDEX imports_pruned;
CREATE INDEX imports_pruned ON imports (seq, accepted, duplicates, source)
    WHERE onward = 1 AND spool_file IS NULL AND kind NOT IN ('undo', 'erase');

CREATE TABLE definitions (
    hash            TEXT    PRIMARY KEY,
    text            TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (
    n               INTEGER PRIMARY KEY,
    destination     TEXT    NOT NULL,
    import          INTEGER NOT NULL REFERENCES imports (id),
    "index"         INTEGER NOT NULL,
    event_id        TEXT    NOT NULL,
    request         TEXT    NOT NULL,
    at              INTEGER NOT NULL
) STRICT;

CREATE INDEX requests_of        ON requests (destination, n);
