//! Looking at the ledger: what `status`, receipts, the log and the pages say.

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use super::{Ledger, LedgerError};
use crate::verdict::{Position, Reason, Violation, Warning};
pub use ahead::ToCome;
pub use destinations::{BudgetReport, DestinationReport, InFlightReport, LettersByKind};
pub use letters::{Attempt, LetterReport, LettersWanted, RangeReport};
pub use requests::RequestReport;
use rows::{IMPORT, LATEST_OF_NAME, NO_REQUEST, counts, rejects, report, violations, warnings};

mod ahead; // what lies ahead of a cursor
mod destinations; // how far each has got, and what it waits for
mod letters; // dead letters, one by one
mod requests; // what was asked for, and how far each is with it
mod rows; // rows of the ledger as reports

pub(super) use rows::import;

/// One import, as `status --json` has it. Times are RFC 3339, UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportReport {
    /// Its name for people.
    pub id: i64,
    /// The source.
    pub source: String,
    /// The archive's file name.
    pub archive: String,
    /// `events` or `orders`; `users` and `header` for the two files of a user feed.
    pub feed: String,
    /// `processed`, `failed`, `duplicate`; before that `importing`.
    pub status: String,
    /// Whether this import took the events in.
    pub imported: bool,
    /// Elements of the array, as far as it was read.
    pub entries: u64,
    /// Events taken in.
    pub accepted: u64,
    /// Of these, events that came before, by their unique keys: kept, and not delivered again.
    pub duplicates: u64,
    /// Entries that were not accepted.
    pub rejected: u64,
    /// Warnings about accepted entries.
    pub warnings: u64,
    /// Whether somebody has to look: it cannot be put away; or it failed, nothing newer of this name has come since, and it
    /// still lies where it was (or was moved aside).
    pub needs_attention: bool,
    /// Archive rules that were not observed.
    pub violations: Vec<Violation>,
    /// What else there is to say: `late`, `duplicate`, `repacked`, `name_reused`, `same_content`, `same_failure`, `retry`,
    /// `undone`, `superseded`, `user_feed_pending`.
    pub flags: Vec<&'static str>,
    /// The earlier imports that flags speak of.
    #[serde(skip_serializing_if = "Related::is_empty")]
    pub related: Related,
    /// SHA-256 of the archive in hex.
    pub sha256: Option<String>,
    /// SHA-256 of the data file in hex.
    pub data_sha256: Option<String>,
    /// Size of the archive in bytes.
    pub size: u64,
    /// Size of the data file in bytes.
    pub data_bytes: Option<u64>,
    /// `moved`, `left`, `deleted`, or `pending`.
    pub disposition: String,
    /// Where the archive is, relative to the source's root.
    pub path: String,
    /// Why it is not where it should be (or why the receipt was not written).
    pub error: Option<String>,
    /// When putting it away is tried again.
    pub retry_at: Option<String>,
    /// `due`, `written`, `refused`; none where receipts are off.
    pub receipt: Option<String>,
    /// The time in the name.
    pub named_at: Option<String>,
    /// First listed.
    pub first_seen_at: String,
    /// Stands for absent timestamps.
    pub imported_at: Option<String>,
    /// Recorded.
    pub closed_at: Option<String>,
    /// From claim to record, in milliseconds.
    pub elapsed_ms: u64,
    /// When its bytes left the spool.
    pub pruned_at: Option<String>,
}

/// Earlier imports that this one has to do with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Related {
    /// Same name, same bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<i64>,
    /// Same name, same data, packed anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repacked_of: Option<i64>,
    /// Same name, other data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_reused: Option<i64>,
    /// Other name, same data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_content: Option<i64>,
    /// Same name, same bytes, failed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_failure: Option<i64>,
    /// Somebody ran `retry` on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<i64>,
    /// The request by which it was undone: its events were taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<i64>,
}

impl Related {
    fn is_empty(&self) -> bool {
        *self == Related::default()
    }
}

/// A reject, as `status` and receipts have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RejectReport {
    /// Index of the entry, from 0.
    pub index: u64,
    /// Where it begins.
    #[serde(flatten)]
    pub at: Position,
    /// The first reason's code.
    pub code: String,
    /// The first reason's JSON Pointer.
    pub pointer: String,
    /// The first reason in a sentence.
    pub message: String,
    /// All reasons, each with the place of the offending value.
    pub reasons: Vec<Reason>,
    /// The entry's text, shortened and masked.
    pub excerpt: String,
}

/// How many of a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The code.
    pub code: String,
    /// How many.
    pub count: u64,
}

/// One import in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportInFull {
    /// What the list says of it.
    #[serde(flatten)]
    pub import: ImportReport,
    /// How many rejects of each code.
    pub rejects_by_code: Vec<Count>,
    /// How many warnings of each code.
    pub warnings_by_code: Vec<Count>,
    /// The first rejects, by index.
    pub rejects: Vec<RejectReport>,
    /// The first warnings.
    pub warning_list: Vec<Warning>,
    /// Events taken in by the import that this one is a duplicate of, or a mended or retried version of.
    pub taken_in_before: Option<u64>,
}

/// How a source does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// Last listing that succeeded.
    pub listed_at: Option<String>,
    /// Files in it.
    pub files: u64,
    /// Of these, no feeds.
    pub ignored: u64,
    /// Of these, uploads in progress by their names.
    pub in_progress: u64,
    /// What is wrong; none if all is well.
    pub trouble: Option<String>,
    /// Since when.
    pub trouble_at: Option<String>,
    /// The next try.
    pub retry_at: Option<String>,
}

/// A file nothing has become of yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaitingReport {
    /// The source.
    pub source: String,
    /// File name.
    pub archive: String,
    /// Always `waiting`.
    pub status: &'static str,
    /// What it waits for.
    pub reason: String,
    /// Bytes.
    pub size: u64,
    /// First listed.
    pub first_seen_at: String,
    /// Since when size and mtime are what they are.
    pub changed_at: String,
    /// Not looked at before this.
    pub look_at: Option<String>,
}

/// Which imports are asked for.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// At most so many, the newest; `None`: all.
    pub limit: Option<u64>,
    /// Only failed ones that nothing newer of the same name has come after.
    pub failed: bool,
    /// Only of this source.
    pub source: Option<String>,
    /// Only of this archive.
    pub archive: Option<String>,
}

/// UTC milliseconds as RFC 3339.
pub fn time(at: i64) -> String {
    match chrono::DateTime::from_timestamp_millis(at) {
        Some(time) => time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        None => at.to_string(),
    }
}

impl Ledger {
    /// Imports, oldest first.
    pub async fn imports(&self, which: Which) -> Result<Vec<ImportReport>, LedgerError> {
        self.read("reading imports", move |connection| {
            // Only what was asked for is in the query: each has an index, and the ledger may hold a million imports.
            let mut filters = vec!["?1", NO_REQUEST];
            let mut values: Vec<&dyn rusqlite::ToSql> = vec![&true];
            if which.failed {
                filters.push("status = 'failed'");
                filters.push(LATEST_OF_NAME);
            }
            if let Some(source) = &which.source {
                filters.push("source = ?");
                values.push(source);
            }
            let mut index = "";
            if let Some(archive) = &which.archive {
                // Named, since SQLite would rather go through a source's imports in the order that is asked for.
                index = " INDEXED BY imports_by_name";
                filters.push("source IN (SELECT name FROM sources) AND archive = ?");
                values.push(archive);
            }
            let limit = which.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
            values.push(&limit);
            let sql = format!(
                "{IMPORT}{index} WHERE {} ORDER BY id DESC LIMIT ?",
                filters.join(" AND ")
            );
            let mut select = connection.prepare(&sql)?;
            let rows = select.query_map(values.as_slice(), report)?;
            let mut imports = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            imports.reverse();
            for import in &mut imports {
                import.violations = violations(connection, import.id)?;
            }
            Ok(imports)
        })
        .await
    }

    /// One import in full, with at most `rejects_max` rejects.
    pub async fn import_in_full(&self, id: i64, rejects_max: usize) -> Result<Option<ImportInFull>, LedgerError> {
        self.read("reading an import", move |connection| {
            in_full(connection, id, rejects_max)
        })
        .await
    }

    /// Some imports in full, in the order asked for; one that is not there is left out.
    pub async fn imports_in_full(&self, ids: Vec<i64>, rejects_max: usize) -> Result<Vec<ImportInFull>, LedgerError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.read("reading imports", move |connection| {
            let imports = ids.iter().map(|id| in_full(connection, *id, rejects_max));
            imports.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// How every source does that was ever listed.
    pub async fn sources(&self) -> Result<Vec<SourceReport>, LedgerError> {
        self.read("reading sources", |connection| {
            let mut select = connection.prepare(
                "SELECT name, listed_at, files, ignored, in_progress, trouble, trouble_at, retry_at FROM sources ORDER BY name",
            )?;
            let rows = select.query_map([], |row| {
                Ok(SourceReport {
                    name: row.get(0)?,
                    listed_at: row.get::<_, Option<i64>>(1)?.map(time),
                    files: row.get(2)?,
                    ignored: row.get(3)?,
                    in_progress: row.get(4)?,
                    trouble: row.get(5)?,
                    trouble_at: row.get::<_, Option<i64>>(6)?.map(time),
                    retry_at: row.get::<_, Option<i64>>(7)?.map(time),
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Files nothing has become of yet, and why.
    pub async fn waiting(&self) -> Result<Vec<WaitingReport>, LedgerError> {
        self.read("reading what waits", |connection| {
            let mut select = connection.prepare(
                "SELECT source, name, coalesce(waiting, 'to be looked at again'), size, first_seen_at, changed_at, look_at
                 FROM listed WHERE import IS NULL OR retry = 1 ORDER BY source, name",
            )?;
            let rows = select.query_map([], |row| {
                Ok(WaitingReport {
                    source: row.get(0)?,
                    archive: row.get(1)?,
                    status: "waiting",
                    reason: row.get(2)?,
                    size: row.get(3)?,
                    first_seen_at: time(row.get(4)?),
                    changed_at: time(row.get(5)?),
                    look_at: row.get::<_, Option<i64>>(6)?.map(time),
                })
            })?;
            rows.collect()
        })
        .await
    }
}

fn in_full(connection: &Connection, id: i64, rejects_max: usize) -> rusqlite::Result<Option<ImportInFull>> {
    let Some(import) = import(connection, id)? else {
        return Ok(None);
    };
    let taken_in_before = match import.related.duplicate_of.or(import.related.repacked_of) {
        Some(earlier) => connection
            .query_row("SELECT accepted FROM imports WHERE id = ?1", [earlier], |row| {
                row.get(0)
            })
            .optional()?,
        None => None,
    };
    Ok(Some(ImportInFull {
        rejects_by_code: counts(connection, id, "reject")?,
        warnings_by_code: counts(connection, id, "warning")?,
        rejects: rejects(connection, id, rejects_max)?,
        warning_list: warnings(connection, id)?,
        taken_in_before,
        import,
    }))
}
