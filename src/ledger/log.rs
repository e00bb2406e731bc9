//! What the import status log is still to say: written with what it tells of, forgotten when it is in the file.

use rusqlite::{Transaction, params};

use super::report::{self, ImportReport};
use super::{Ledger, LedgerError};

/// One line of the import status log, as it waits in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Its number.
    pub n: i64,
    /// The JSON object.
    pub line: String,
}

/// A retry of a source, for the log.
#[derive(Debug, serde::Serialize)]
struct SourceLine<'a> {
    at: String,
    kind: &'static str,
    source: &'a str,
    trouble: Option<&'a str>,
    attempts: u32,
    retry_at: Option<String>,
}

/// An import's outcome, for the log.
#[derive(serde::Serialize)]
struct ImportLine<'a> {
    at: String,
    kind: &'static str,
    #[serde(flatten)]
    import: &'a ImportReport,
}

impl Ledger {
    /// The oldest lines that are not in the log yet.
    pub async fn log_lines(&self, most: usize) -> Result<Vec<LogLine>, LedgerError> {
        self.read("reading what the log is to say", move |connection| {
            let mut select = connection.prepare_cached("SELECT n, line FROM log_lines ORDER BY n LIMIT ?1")?;
            select
                .query_map([most as i64], |row| {
                    Ok(LogLine {
                        n: row.get(0)?,
                        line: row.get(1)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// Forgets the lines up to number `n`: they are in the log, on disk.
    pub async fn logged(&self, n: i64) -> Result<(), LedgerError> {
        self.write("noting what the log has said", move |transaction| {
            transaction
                .execute("DELETE FROM log_lines WHERE n <= ?1", [n])
                .map(drop)
        })
        .await
    }

    /// Forgets the trouble of every source but these, and what waits in them: they are no longer configured, and nobody
    /// tries again. What became of their archives stays.
    pub async fn remove_sources_but(&self, configured: Vec<String>) -> Result<(), LedgerError> {
        self.write("noting sources that are no longer configured", move |transaction| {
            let mut gone: Vec<String> = transaction
                .prepare_cached("SELECT name FROM sources")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            gone.retain(|name| !configured.contains(name));
            for name in &gone {
                transaction.execute(
                    "UPDATE sources SET trouble = NULL, trouble_at = NULL, attempts = 0, retry_at = NULL WHERE name = ?1",
                    [name],
                )?;
                transaction.execute("DELETE FROM listed WHERE source = ?1 AND import IS NULL", [name])?;
            }
            Ok(())
        })
        .await
    }

    /// Notes that a source is in trouble, and when it is tried again; `None`: that it is well again.
    pub async fn source_trouble(
        &self,
        source: &str,
        trouble: Option<(String, u32, i64)>,
        now: i64,
    ) -> Result<(), LedgerError> {
        let source = source.to_owned();
        self.write("noting how a source does", move |transaction| {
            let (text, attempts, retry_at) = match &trouble {
                Some((text, attempts, retry_at)) => (Some(text.as_str()), *attempts, Some(*retry_at)),
                None => (None, 0, None),
            };
            let before: Option<String> = transaction
                .query_row("SELECT trouble FROM sources WHERE name = ?1", [&source], |row| {
                    row.get(0)
                })
                .unwrap_or_default();
            if before.is_none() && text.is_none() {
                return Ok(());
            }
            transaction.execute(
                "INSERT INTO sources (name, trouble, trouble_at, attempts, retry_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO UPDATE SET trouble = ?2, attempts = ?4, retry_at = ?5,
                    trouble_at = CASE WHEN ?2 IS NULL THEN NULL ELSE coalesce(trouble_at, ?3) END",
                params![source, text, now, attempts, retry_at],
            )?;
            let line = SourceLine {
                at: report::time(now),
                kind: if text.is_some() {
                    "source_retry"
                } else {
                    "source_recovered"
                },
                source: &source,
                trouble: text,
                attempts,
                retry_at: retry_at.map(report::time),
            };
            note(transaction, None, &line, now)
        })
        .await
    }
}

/// Has the log say what an import has come to, as the ledger has it at this moment.
pub(super) fn note_import(transaction: &Transaction<'_>, id: i64, now: i64) -> rusqlite::Result<()> {
    let Some(import) = report::import(transaction, id)? else {
        return Ok(());
    };
    note(
        transaction,
        Some(id),
        &ImportLine {
            at: report::time(now),
            kind: "import",
            import: &import,
        },
        now,
    )
}

/// Has the log say a line: of an import, or of something else.
pub(super) fn note(
    transaction: &Transaction<'_>,
    import: Option<i64>,
    line: &impl serde::Serialize,
    now: i64,
) -> rusqlite::Result<()> {
    let text = serde_json::to_string(line).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    transaction
        .prepare_cached("INSERT INTO log_lines (at, import, line) VALUES (?1, ?2, ?3)")?
        .execute(params![now, import, crate::telemetry::json_escaped(&text)])
        .map(drop)
}
