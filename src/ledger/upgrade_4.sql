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

ALTER TABLE imports ADD COLUMN unique_keys INTEGER NOT NULL DEFAULT 0;
CREATE INDEX imports_keyed ON imports (seq) WHERE unique_keys > 0;
CREATE INDEX imports_undone ON imports (id) WHERE undone_by IS NOT NULL;

-- Other feeds.
ALTER TABLE imports ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1));
ALTER TABLE imports ADD COLUMN user_feed_pending INTEGER NOT NULL DEFAULT 0 CHECK (user_feed_pending IN (0, 1));
ALTER TABLE listed ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1));

DROP INDEX imports_by_time;
CREATE INDEX imports_by_time ON imports (source, kind, named_at) WHERE imported = 1;
