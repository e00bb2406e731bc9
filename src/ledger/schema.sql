-- The ledger: what is true of every archive that was ever taken up.
--
-- There is no row per event. The accepted events *are* the archive in the spool, less the exceptions written down here.
-- Times are UTC milliseconds, named *_at. Paths are relative to the source's root. The file may be read with sqlite3 while
-- the daemon runs; it is written by the daemon alone (and by `feedgate retry`).

-- What tells this ledger from any other. The spool belongs to one ledger alone: see `spool.ledger` beside it.
CREATE TABLE identity (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    ledger          TEXT    NOT NULL
) STRICT;
INSERT INTO identity VALUES (1, lower(hex(randomblob(16))));

-- A row per archive taken up: given when it is claimed, complete when it is closed, and never deleted.
CREATE TABLE imports (
    id              INTEGER PRIMARY KEY AUTOINCREMENT, -- a name for people; says nothing of the order of commits
    seq             INTEGER UNIQUE,                    -- order of commits: given by the closing transaction, NULL before; cursors are on it
    source          TEXT    NOT NULL,                  -- the source's configured name
    archive         TEXT    NOT NULL,                  -- file name in the source's root
    named_at        INTEGER,                           -- the UTC time in the name; NULL where it has none
    history         BLOB    CHECK (length(history) = 32),     -- SHA-256 over that of the one closed before and what this one is: ledgers with
                                                       -- the same one here closed the same archives, in the same order; NULL: before schema 4
    size            INTEGER NOT NULL,                  -- bytes, as listed when it was claimed
    mtime           INTEGER NOT NULL,                  -- likewise
    sha256          BLOB    CHECK (length(sha256) = 32),      -- of the archive; NULL where it was never downloaded (its name or its size was enough)
    data_sha256     BLOB    CHECK (length(data_sha256) = 32), -- of the data file; NULL where it could not be read whole. Users, header: of both files
    data_bytes      INTEGER,                           -- size of the data file

    kind            TEXT    NOT NULL DEFAULT 'events' CHECK (kind IN (
                        'events', 'orders',            -- an archive of the event feed, of the order feed
                        'users', 'header',             -- the two files of a user feed: the people, and what their columns are
                        'replay', 'undo', 'erase')),   -- no file at all: what somebody asked of all who read on in this log
    of_import       INTEGER REFERENCES imports (id),   -- replay, undo: of this import
    only_to         TEXT,                              -- replay: JSON, the destinations it is for; NULL: all
    onward          INTEGER NOT NULL DEFAULT 0 CHECK (onward IN (0, 1)), -- whether destinations have to do with it
    undone_by       INTEGER REFERENCES imports (id),   -- the undo that took its events back: it is as if they had never come in

    status          TEXT    NOT NULL CHECK (status IN ('importing', 'processed', 'failed', 'duplicate')),
    imported        INTEGER NOT NULL DEFAULT 0 CHECK (imported IN (0, 1)), -- whether this import took the events in
    entries         INTEGER NOT NULL DEFAULT 0,        -- elements of the array
    accepted        INTEGER NOT NULL DEFAULT 0,        -- of these, valid ones
    rejected        INTEGER NOT NULL DEFAULT 0,        -- of these, the others
    duplicates      INTEGER NOT NULL DEFAULT 0,        -- of the accepted, those that are not delivered: seen before, by a unique key

    late            INTEGER NOT NULL DEFAULT 0 CHECK (late IN (0, 1)), -- a newer one of its source and kind had been imported before it
    superseded      INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1)), -- users, header: not read, for a newer user feed is there
    user_feed_pending INTEGER NOT NULL DEFAULT 0 CHECK (user_feed_pending IN (0, 1)), -- it had waited for a user feed for as long as it may
    duplicate_of    INTEGER REFERENCES imports (id),   -- same name, same bytes as this earlier import
    repacked_of     INTEGER REFERENCES imports (id),   -- same name, same data in other packaging
    name_reused     INTEGER REFERENCES imports (id),   -- same name, other data
    same_content    INTEGER REFERENCES imports (id),   -- other name, same data
    same_failure    INTEGER REFERENCES imports (id),   -- same name, same bytes, and the same verdict as this one that failed
    retry_of        INTEGER REFERENCES imports (id),   -- somebody ran `retry` on this one

    reading         TEXT,                              -- JSON: all that reading it depended on, frozen (member, options, version)
    rejected_set    BLOB,                              -- roaring bitmap of the rejected entries' indices; NULL: none
    duplicate_set   BLOB,                              -- likewise of those that were seen before
    erased_set      BLOB,                              -- likewise of those that were erased since: blank in the spool
    spool_file      TEXT,                              -- where its bytes lie in the spool; NULL: not there, or pruned
    spool_offset    INTEGER,
    spool_len       INTEGER,
    pruned_at       INTEGER,                           -- when its bytes left the spool

    first_seen_at   INTEGER NOT NULL,                  -- first listed
    claimed_at      INTEGER NOT NULL,
    imported_at     INTEGER,                           -- the one clock reading that stands for absent timestamps
    closed_at       INTEGER,
    elapsed_ms      INTEGER NOT NULL DEFAULT 0,        -- from claim to close

    disposition     TEXT    NOT NULL DEFAULT 'pending' CHECK (disposition IN ('pending', 'moved', 'left', 'deleted')),
    action          TEXT    CHECK (action IN ('move', 'delete')),  -- what put_away is to do, or did; NULL: leave it
    path            TEXT    NOT NULL,                  -- where the archive is, as far as is known
    target          TEXT,                              -- journal: where it is about to be renamed to
    recheck         INTEGER NOT NULL DEFAULT 0 CHECK (recheck IN (0, 1)), -- moved, and to be looked at once more
    receipt         TEXT    CHECK (receipt IN ('due', 'written', 'refused')), -- NULL: no receipts wanted
    attempts        INTEGER NOT NULL DEFAULT 0,        -- of putting away, that failed
    retry_at        INTEGER,                           -- not before
    error           TEXT,                              -- why putting away (or writing the receipt) failed last

    unique_keys     INTEGER NOT NULL DEFAULT 0         -- keys that this import brought to unique.db
) STRICT;

-- Each answers one question with a few steps, however many imports there are: with `seq` where the first or the last is asked
-- for, and with what is summed up or filtered by, so that the rows themselves are not read.
CREATE INDEX imports_by_name    ON imports (source, archive, seq);
CREATE INDEX imports_by_source  ON imports (source, id);
CREATE INDEX imports_by_data    ON imports (source, data_sha256, seq) WHERE imported = 1;
CREATE INDEX imports_by_time    ON imports (source, kind, named_at) WHERE imported = 1;
CREATE INDEX imports_onward     ON imports (seq, accepted, duplicates, source, only_to) WHERE onward = 1; -- what lies ahead of a destination
CREATE INDEX imports_unmoved    ON imports (source) WHERE disposition = 'pending' OR recheck = 1;
CREATE INDEX imports_claimed    ON imports (id) WHERE status = 'importing';
CREATE INDEX imports_failed     ON imports (id) WHERE status = 'failed';
CREATE INDEX imports_keyed      ON imports (seq) WHERE unique_keys > 0; -- in which order unique keys came
CREATE INDEX imports_undone     ON imports (id) WHERE undone_by IS NOT NULL;
CREATE INDEX imports_spooled    ON imports (spool_file) WHERE spool_file IS NOT NULL;
CREATE INDEX imports_by_age     ON imports (closed_at, seq, spool_len) WHERE spool_file IS NOT NULL; -- what may leave the spool
CREATE INDEX imports_pruned     ON imports (seq, accepted, duplicates, source, only_to)
    WHERE onward = 1 AND spool_file IS NULL AND kind NOT IN ('undo', 'erase');

-- Archive rules that were not observed.
CREATE TABLE violations (
    import          INTEGER NOT NULL REFERENCES imports (id),
    n               INTEGER NOT NULL,                  -- order found
    code            TEXT    NOT NULL,
    detail          TEXT    NOT NULL,                  -- a sentence for the partner
    line            INTEGER, "column" INTEGER, byte INTEGER, -- place in the data file, where it has one
    entry           INTEGER,                           -- index of the entry it lies in, where it lies in one
    excerpt         TEXT,
    PRIMARY KEY (import, n)
) STRICT, WITHOUT ROWID;

-- Entries that were not accepted: details of the first 10,000 of an import. Which were rejected is in imports.rejected_set.
CREATE TABLE rejects (
    import          INTEGER NOT NULL REFERENCES imports (id),
    "index"         INTEGER NOT NULL,                  -- of the entry, from 0
    line            INTEGER NOT NULL, "column" INTEGER NOT NULL, byte INTEGER NOT NULL, -- where the entry begins
    code            TEXT    NOT NULL,                  -- the first reason's
    pointer         TEXT    NOT NULL,                  -- likewise: JSON Pointer
    message         TEXT    NOT NULL,                  -- likewise
    reasons         TEXT    NOT NULL,                  -- JSON: all of them
    excerpt         TEXT    NOT NULL,                  -- masked
    PRIMARY KEY (import, "index")
) STRICT, WITHOUT ROWID;

-- Something odd about accepted entries: the first 100 of an import, and the first 100 events that came before.
CREATE TABLE warnings (
    import          INTEGER NOT NULL REFERENCES imports (id),
    n               INTEGER NOT NULL,
    "index"         INTEGER NOT NULL,
    line            INTEGER NOT NULL, "column" INTEGER NOT NULL, byte INTEGER NOT NULL,
    code            TEXT    NOT NULL,
    pointer         TEXT    NOT NULL,
    message         TEXT    NOT NULL,
    PRIMARY KEY (import, n)
) STRICT, WITHOUT ROWID;

-- How many rejects and warnings of each code: exact, where the details are capped.
CREATE TABLE counts (
    import          INTEGER NOT NULL REFERENCES imports (id),
    kind            TEXT    NOT NULL CHECK (kind IN ('reject', 'warning')),
    code            TEXT    NOT NULL,
    count           INTEGER NOT NULL,
    PRIMARY KEY (import, kind, code)
) STRICT, WITHOUT ROWID;

-- What lies in each source's root, as last listed: how `settle` and the grace survive a restart.
CREATE TABLE listed (
    source          TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    size            INTEGER NOT NULL,
    mtime           INTEGER NOT NULL,
    first_seen_at   INTEGER NOT NULL,
    changed_at      INTEGER NOT NULL,                  -- since when size and mtime are what they are
    import          INTEGER REFERENCES imports (id),   -- what became of it; NULL: nothing yet
    retry           INTEGER NOT NULL DEFAULT 0 CHECK (retry IN (0, 1)), -- somebody ran `retry`
    attempts        INTEGER NOT NULL DEFAULT 0,        -- looks or reads in vain
    look_at         INTEGER,                           -- not before
    waiting         TEXT,                              -- what it waits for, in words; NULL: for nothing any more
    held            INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)), -- it was read, and needs what a user feed that waits will say
    PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;

-- How each source does.
CREATE TABLE sources (
    name            TEXT    PRIMARY KEY,
    listed_at       INTEGER,                           -- last listing that succeeded
    files           INTEGER NOT NULL DEFAULT 0,        -- in it
    ignored         INTEGER NOT NULL DEFAULT 0,        -- of these, no feeds
    in_progress     INTEGER NOT NULL DEFAULT 0,        -- of these, uploads by their name
    trouble         TEXT,                              -- NULL: all well
    trouble_at      INTEGER,                           -- since when
    attempts        INTEGER NOT NULL DEFAULT 0,
    retry_at        INTEGER                            -- next try
) STRICT, WITHOUT ROWID;

-- How far each destination has got. (seq, "index") is the next event to deliver.
CREATE TABLE destinations (
    name            TEXT    PRIMARY KEY,
    type            TEXT    NOT NULL,
    seq             INTEGER NOT NULL,                  -- for looking only, where the destination keeps its own cursor
    "index"         INTEGER NOT NULL,
    delivered       INTEGER NOT NULL DEFAULT 0,        -- events, ever
    dropped         INTEGER NOT NULL DEFAULT 0,        -- events that nothing was sent for, as configured, ever
    resent          INTEGER NOT NULL DEFAULT 0,        -- events sent again since no answer had come, ever: these may be there twice
    state           TEXT    NOT NULL CHECK (state IN ('idle', 'delivering', 'waiting', 'barred', 'behind', 'removed')),
    reason          TEXT,                              -- why it waits, is barred or behind, or keeps to its budget
    since_at        INTEGER NOT NULL,                  -- of the state
    attempts        INTEGER NOT NULL DEFAULT 0,        -- in vain, in a row
    retry_at        INTEGER,                           -- next try, or next call that the budget allows
    delivered_at    INTEGER,                           -- last success
    created_at      INTEGER NOT NULL,
    rate            REAL,                              -- events delivered a second, lately; NULL: nothing was
    site            TEXT,                              -- whose budgets its calls count against; NULL: nobody's
    refused_parcels INTEGER NOT NULL DEFAULT 0         -- parcels in a row that it refused whole
) STRICT, WITHOUT ROWID;

-- The parcel that each destination is at, if it is sent any: composed, perhaps sent, and what came of it not written down
-- yet. After a crash the same events are sent again, with the same ids, rather than others. At most one for each.
CREATE TABLE in_flight (
    destination     TEXT    PRIMARY KEY,
    letters         TEXT,                              -- JSON: the ids of the dead letters in it; NULL: it is of events ahead
    seq             INTEGER NOT NULL,                  -- it begins here: all before has its verdict
    "index"         INTEGER NOT NULL,
    end_seq         INTEGER NOT NULL,                  -- and ends before this
    end_index       INTEGER NOT NULL,
    events          INTEGER NOT NULL,                  -- in the call in hand
    calls_before    INTEGER NOT NULL DEFAULT 0,        -- of the calls that go before it, those that were answered
    narrowed        INTEGER NOT NULL DEFAULT 0,        -- calls made to find the events at fault
    suspects        INTEGER,                           -- so many of its first events hold one at fault; NULL: none is known to
    sent_at         INTEGER,                           -- a call was sent then, and no answer is written down; NULL: none is in hand
    unanswered      INTEGER NOT NULL DEFAULT 0,        -- times that no answer came
    not_before      INTEGER,                           -- the destination asked not to be called before this
    looked_up       TEXT                               -- JSON: what its entries lack, as it was known of people when it was composed
) STRICT, WITHOUT ROWID;

-- Calls of the last hour, by what they count against, so that a restart does not forget them.
CREATE TABLE calls (
    site            TEXT    NOT NULL,
    kind            TEXT    NOT NULL,                  -- 'batch' or 'fetch'
    at              INTEGER NOT NULL
) STRICT;

CREATE INDEX calls_by_time      ON calls (site, kind, at);

-- What each site allows, as configured, and what it said itself.
CREATE TABLE budgets (
    site            TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    per_hour        INTEGER NOT NULL,                  -- calls in any hour
    burst           INTEGER NOT NULL,                  -- calls that may follow each other at once
    blocked_until   INTEGER,                           -- the site asked not to be called before this
    PRIMARY KEY (site, kind)
) STRICT, WITHOUT ROWID;

-- Events that a destination refused for good, or that could not be sent yet, kept for `retry`; with a copy of the body, since
-- the spool is pruned.
CREATE TABLE dead_letters (
    id              INTEGER PRIMARY KEY,
    destination     TEXT    NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN (
                        'refused',                     -- for good, by the destination, or since it can never be sent as it is
                        'held',                        -- something it needs is not known yet
                        'deferred',                    -- the destination wants it later
                        'unidentified')),              -- some events of a range, and nobody says which
    import          INTEGER NOT NULL REFERENCES imports (id),
    "index"         INTEGER NOT NULL,
    event_id        TEXT    NOT NULL,
    event           TEXT    NOT NULL,                  -- its name as given
    last_import     INTEGER REFERENCES imports (id),   -- unidentified: the range's last event, where the columns above have its first
    last_index      INTEGER,
    events          INTEGER NOT NULL DEFAULT 1,        -- in the range
    failed          INTEGER NOT NULL DEFAULT 1,        -- of these, not taken
    body            TEXT    NOT NULL,                  -- the entry as given; of a range: a line for each, as `feedgate events` prints them
    reason          TEXT    NOT NULL,                  -- the last one
    attempts        INTEGER NOT NULL DEFAULT 1,
    history         TEXT    NOT NULL DEFAULT '[]',     -- JSON: the last attempts, [{"at", "reason"}], times as text (RFC 3339)
    refused_at      INTEGER NOT NULL,                  -- first
    retry_at        INTEGER,                           -- to be delivered again from then on; NULL: when somebody asks
    waits_for       TEXT                               -- held: the person it cannot go without, by id or by address and unit
) STRICT;

CREATE INDEX dead_letters_of    ON dead_letters (destination, id, kind); -- with the kind, to be counted without reading the letters
CREATE INDEX dead_letters_due   ON dead_letters (destination, retry_at) WHERE retry_at IS NOT NULL; -- whether any is
CREATE INDEX dead_letters_again ON dead_letters (destination, id, retry_at) WHERE retry_at IS NOT NULL; -- and the first that are

-- What is still to be said in imports.jsonl: written here with what it tells of, deleted when it is in the file and synced.
-- A crash between the two repeats a line, and loses none.
CREATE TABLE log_lines (
    n               INTEGER PRIMARY KEY AUTOINCREMENT,
    at              INTEGER NOT NULL,
    import          INTEGER REFERENCES imports (id),   -- NULL: of a source
    line            TEXT    NOT NULL                   -- the JSON line
) STRICT;

-- Event definitions as they were when something was imported by them; imports.reading names them by their hash.
CREATE TABLE definitions (
    hash            TEXT    PRIMARY KEY,               -- SHA-256 of the text, in hex
    text            TEXT    NOT NULL                   -- JSON: an array of them, as the files have them, in the order of their names
) STRICT, WITHOUT ROWID;

-- What destinations that only queue events call each that they took, to be asked for there: the newest 100,000.
CREATE TABLE tickets (
    n               INTEGER PRIMARY KEY,               -- in the order of their answers
    destination     TEXT    NOT NULL,
    import          INTEGER NOT NULL REFERENCES imports (id),
    "index"         INTEGER NOT NULL,
    event_id        TEXT    NOT NULL,
    ticket          TEXT    NOT NULL,                  -- as the destination calls it
    at              INTEGER NOT NULL
) STRICT;

CREATE INDEX tickets_of         ON tickets (destination, n);

-- Who the events are about, as far as somebody needs to know: see people_reading. A user has an id; a lead is known by e-mail
-- address and business unit alone, until somebody says which id these belong to.
CREATE TABLE people (
    person          INTEGER PRIMARY KEY,               -- a number of ours
    user_id         TEXT,                              -- the id that the partner gives; NULL: a lead
    email           TEXT,                              -- as given first, or by the last record of a user feed; NULL: not known
    email_folded    TEXT,                              -- in lower case (Unicode's), as addresses are compared
    unit            TEXT    NOT NULL DEFAULT '',       -- business unit; '': none, whether it was absent, null or blank
    first_import    INTEGER NOT NULL, first_index INTEGER NOT NULL, first_at INTEGER NOT NULL, -- the entry that spoke of them first
    last_import     INTEGER NOT NULL, last_index  INTEGER NOT NULL, last_at  INTEGER NOT NULL, -- and last
    upgraded_import INTEGER, upgraded_index INTEGER, upgraded_at INTEGER, -- the entry that gave a lead an id; NULL: none did
    merged          INTEGER NOT NULL DEFAULT 0 CHECK (merged IN (0, 1))   -- and the id was known by then: two became one
) STRICT;

-- By what they are found: the first 64 bits of the SHA-256 of `id …` and of `email … unit`, the address in lower case. New keys
-- lie in people_young, which is small and so written to at little cost; a stretch of neighbours at a time moves on.
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

-- Entries that say of two people that they are one, or of one that he is another: nothing was changed by them. The first 10,000
-- of an import; people_reading counts them all.
CREATE TABLE clashes (
    import          INTEGER NOT NULL,
    "index"         INTEGER NOT NULL,
    at              INTEGER NOT NULL,                  -- when it was imported
    what            TEXT    NOT NULL CHECK (what IN (
                        'new_id_for_a_user',           -- an id that nobody has, with the address of a user who has another
                        'address_of_another_user',     -- the id of one user, with the address of another
                        'address_of_a_lead')),         -- the id of a user who has another address, with that of a lead
    user_id         TEXT    NOT NULL,                  -- as the entry gives it
    email           TEXT    NOT NULL,                  -- likewise
    unit            TEXT    NOT NULL,                  -- likewise
    person          INTEGER,                           -- whose id it is; NULL: nobody's
    other           INTEGER NOT NULL,                  -- whose address it is
    PRIMARY KEY (import, "index")
) STRICT, WITHOUT ROWID;

CREATE INDEX clashes_of_person ON clashes (person) WHERE person IS NOT NULL;
CREATE INDEX clashes_of_other  ON clashes (other);

-- How far the people have been read from what was imported, in the order of commit: one row.
CREATE TABLE people_reading (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    keep            TEXT    NOT NULL CHECK (keep IN (
                        'always',                      -- by the configuration, or since a destination needs them
                        'auto',                        -- once a user feed was imported
                        'never')),
    seq             INTEGER NOT NULL DEFAULT 0,        -- the next entry to read
    "index"         INTEGER NOT NULL DEFAULT 0,
    changes         INTEGER NOT NULL DEFAULT 0,        -- transactions that changed people: who read before one, reads again
    users           INTEGER NOT NULL DEFAULT 0,        -- people with an id
    leads           INTEGER NOT NULL DEFAULT 0,        -- people without
    upgraded        INTEGER NOT NULL DEFAULT 0,        -- leads that became users, ever
    clashes         INTEGER NOT NULL DEFAULT 0,        -- ever
    gap_imports     INTEGER NOT NULL DEFAULT 0,        -- imports that could not be read any more: nobody knows whom they spoke of
    gap_entries     INTEGER NOT NULL DEFAULT 0,        -- entries in these
    gap_first       INTEGER,                           -- the first and the last of these imports
    gap_last        INTEGER,
    stretch         INTEGER NOT NULL DEFAULT 0,        -- of people_young that moves on next, of 16
    trouble         TEXT                               -- why reading does not go on; NULL: it does
) STRICT;
INSERT INTO people_reading (one, keep) VALUES (1, 'never');

CREATE INDEX imports_of_users ON imports (seq) WHERE kind = 'users' AND imported = 1; -- whether there ever was a user feed

CREATE INDEX dead_letters_waiting ON dead_letters (waits_for) WHERE waits_for IS NOT NULL; -- letters that a person's address frees

-- What somebody asked of all who read on in the log (imports.kind: replay, undo, erase), apart from what its row there says.
CREATE TABLE requests (
    import          INTEGER PRIMARY KEY REFERENCES imports (id),
    who             TEXT,                              -- erase: JSON, whom; NULL once all are past it: nobody knows any more
    cleared_at      INTEGER,                           -- erase: since when spool and ledger hold nothing of them; NULL: that is still to be done
    report          TEXT    NOT NULL DEFAULT '{}'      -- erase: JSON, what was found where
) STRICT;

CREATE INDEX imports_requests   ON imports (seq) WHERE kind IN ('replay', 'undo', 'erase');
