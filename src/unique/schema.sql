-- Unique keys: by which an event that comes a second time is known. All of it can be had again from the ledger and the spool,
-- so this file may be removed while feedgate is stopped: it is built anew as far as archives are still in the spool.
--
-- Keys lie in sorted runs. A run is written once and never changed (but for keys that somebody had erased), and merged with
-- others of its size now and then. Which imports were undone, so that their keys do not count, the ledger says.

-- Up to which import everything is here. Imports follow each other here in the order of imports.seq, as everywhere.
CREATE TABLE cursor (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    import          INTEGER NOT NULL,                  -- imports.id in the ledger
    seq             INTEGER NOT NULL,
    closed_at       INTEGER NOT NULL                   -- tells it from another import of this id and seq, in a ledger put back from a backup
) STRICT;

CREATE TABLE runs (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    state           TEXT    NOT NULL CHECK (state IN (
                        'staged',                      -- written before its import is closed; counts if the ledger says that it was
                        'settled',                     -- counts
                        'merging',                     -- is being written from others, which count
                        'dropped')),                   -- does not count, and is being removed
    import          INTEGER,                           -- staged: the last import of the batch that brought keys
    into_run        INTEGER,                           -- settled: the run that it is being merged into
    keys            INTEGER NOT NULL DEFAULT 0,
    blocks          INTEGER NOT NULL DEFAULT 0         -- ever written
) STRICT;

-- A block takes one page.
CREATE TABLE blocks (
    id              INTEGER PRIMARY KEY,               -- run * 4294967296 + number in the run, in the order of keys
    run             INTEGER NOT NULL,
    first           BLOB    NOT NULL,                  -- its first key
    keys            BLOB    NOT NULL                   -- records of key (16 bytes), import (4), index of the entry (4); then a CRC-32 (4)
) STRICT;

CREATE INDEX blocks_by_key      ON blocks (run, first);
