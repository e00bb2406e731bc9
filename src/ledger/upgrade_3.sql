-- From schema 2 to 3: a million imports. Indexes alone; see schema.sql for what each is for. Making them reads every import
-- once: some seconds for a million.

DROP INDEX imports_by_name;
CREATE INDEX imports_by_name ON imports (source, archive, seq);
CREATE INDEX imports_by_source ON imports (source, id);

DROP INDEX imports_by_data;
CREATE INDEX imports_by_data ON imports (source, data_sha256, seq) WHERE imported = 1;

DROP INDEX imports_with_events;
CREATE INDEX imports_with_events ON imports (seq, accepted, source) WHERE imported = 1;

DROP INDEX imports_failed;
CREATE INDEX imports_failed ON imports (id) WHERE status = 'failed';

CREATE INDEX imports_by_age ON imports (closed_at, seq, spool_len) WHERE spool_file IS NOT NULL;
CREATE INDEX imports_pruned ON imports (seq, accepted, source) WHERE imported = 1 AND spool_file IS NULL;

CREATE INDEX dead_letters_again ON dead_letters (destination, id, retry_at) WHERE retry_at IS NOT NULL;
