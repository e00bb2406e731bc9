-- From schema 1 to 2: receivers. See schema.sql for what each column means.

ALTER TABLE destinations ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE destinations ADD COLUMN resent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE destinations ADD COLUMN rate REAL;
ALTER TABLE destinations ADD COLUMN site TEXT;
ALTER TABLE destinations ADD COLUMN refused_parcels INTEGER NOT NULL DEFAULT 0;

CREATE TABLE in_flight (
    destination     TEXT    PRIMARY KEY,
    letters         TEXT,
    seq             INTEGER NOT NULL,
    "index"         INTEGER NOT NULL,
    end_seq         INTEGER NOT NULL,
    end_index       INTEGER NOT NULL,
    events          INTEGER NOT NULL,
    calls_before    INTEGER NOT NULL DEFAULT 0,
    narrowed        INTEGER NOT NULL DEFAULT 0,
    suspects        INTEGER,
    sent_at         INTEGER,
    unanswered      INTEGER NOT NULL DEFAULT 0,
    not_before      INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE calls (
    site            TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    at              INTEGER NOT NULL
) STRICT;

CREATE INDEX calls_by_time ON calls (site, kind, at);

CREATE TABLE budgets (
    site            TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    per_hour        INTEGER NOT NULL,
    burst           INTEGER NOT NULL,
    blocked_until   INTEGER,
    PRIMARY KEY (site, kind)
) STRICT, WITHOUT ROWID;

-- Version 1 had the table, and nothing that wrote to it.
DROP TABLE dead_letters;
CREATE TABLE dead_letters (
    id              INTEGER PRIMARY KEY,
    destination     TEXT    NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN ('refused', 'held', 'deferred', 'unidentified')),
    import          INTEGER NOT NULL REFERENCES imports (id),
    "index"         INTEGER NOT NULL,
    event_id        TEXT    NOT NULL,
    event           TEXT    NOT NULL,
    last_import     INTEGER REFERENCES imports (id),
    last_index      INTEGER,
    events          INTEGER NOT NULL DEFAULT 1,
    failed          INTEGER NOT NULL DEFAULT 1,
    body            TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 1,
    history         TEXT    NOT NULL DEFAULT '[]',
    refused_at      INTEGER NOT NULL,
    retry_at        INTEGER
) STRICT;

CREATE INDEX dead_letters_of ON dead_letters (destination, id, kind);
CREATE INDEX dead_letters_due ON dead_letters (destination, retry_at) WHERE retry_at IS NOT NULL;

-- With the events, so that what lies ahead of a destination is summed up without reading the imports.
DROP INDEX imports_with_events;
CREATE INDEX imports_with_events ON imports (seq, accepted) WHERE imported = 1;
