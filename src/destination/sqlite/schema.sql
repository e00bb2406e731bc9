CREATE TABLE events (
    -- The accepted events, each exactly once, in the order they were imported. Rows are appended and never changed;
    -- they go when their import is undone, or when somebody is erased.
    -- There is a view event_<name> for each event name (the first 200).
    n             INTEGER PRIMARY KEY, -- counts rows; later imports have higher numbers
    id            TEXT    NOT NULL,    -- names the event for ever, here and everywhere else it is delivered to
    import        INTEGER NOT NULL,    -- `feedgate status <import>` tells of it
    "index"       INTEGER NOT NULL,    -- of the entry in the feed, from 0
    source        TEXT    NOT NULL,    -- the source it came from
    archive       TEXT    NOT NULL,    -- file name of the archive
    event         TEXT    NOT NULL,    -- name of the event
    user_id       TEXT,                -- the customer: this, or e-mail and unit, or both
    email         TEXT,
    business_unit TEXT,
    time          TEXT    NOT NULL,    -- when it happened, UTC: 2019-11-18T17:05:00.000Z; that of the import, where the entry does not say
    body          TEXT    NOT NULL     -- the entry as the partner sent it, byte for byte: body ->> '$.total'
) STRICT;

CREATE TABLE feedgate (
    -- How far Feedgate has got, in the same transaction as the rows: hands off, or events are missed or come twice.
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    destination   TEXT    NOT NULL,    -- the destination's configured name
    seq           INTEGER,             -- the next event is number "index" of the import that was committed as number seq; NULL: nothing yet
    "index"       INTEGER,
    last_seq      INTEGER,             -- the import that events were taken from last, and its link in the ledger's history:
    last_key      TEXT                 -- tells whether this file and the state directory belong together
) STRICT;

CREATE TABLE feedgate_views (
    -- Which event names have a view, and what it is called.
    event         TEXT    PRIMARY KEY,
    view          TEXT    NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
