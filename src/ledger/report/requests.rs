//! What somebody asked of all who read on in the log, as `status` has it: a replay, an undo, an erasure; and how far each
//! destination is with it.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::time;
use crate::ledger::erase::Cleared;
use crate::ledger::{Ledger, LedgerError};

/// A request, as `status --json` has it. Times are RFC 3339, UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RequestReport {
    /// Its name for people: a number of the same row as those of imports.
    pub id: i64,
    /// `replay`, `undo`, `erase`.
    pub kind: String,
    /// The import that it is of; none of an erasure.
    pub import: Option<i64>,
    /// The source of that.
    pub source: Option<String>,
    /// The archive of that.
    pub archive: Option<String>,
    /// When it was asked for.
    pub asked_at: String,
    /// Whether nothing is left to be done.
    pub done: bool,
    /// Whether it was taken back itself: the import was undone after a replay was asked for.
    pub undone: bool,
    /// Destinations that are past it.
    pub done_by: Vec<String>,
    /// Destinations that have not come to it yet, or are at it.
    pub waits_for: Vec<String>,
    /// Of an erasure: since when spool and ledger hold nothing of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<String>,
    /// Of an erasure: what was found there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared: Option<Cleared>,
    /// Of an erasure: whether it is known still whom it is about. It is forgotten when everybody is past it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whom_is_known: Option<bool>,
}

const SELECT: &str =
    "SELECT id, seq, kind, of_import, source, archive, closed_at, only_to, undone_by, who IS NOT NULL AS knows, cleared_at, report
    FROM imports INDEXED BY imports_requests JOIN requests ON requests.import = imports.id
    WHERE kind IN ('replay', 'undo', 'erase')";

impl Ledger {
    /// What was asked for last, oldest first; `None`: all of it.
    pub async fn requests(&self, limit: Option<u64>) -> Result<Vec<RequestReport>, LedgerError> {
        self.read("reading what was asked for", move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let limit = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
            let mut select = transaction.prepare(&format!("{SELECT} ORDER BY seq DESC LIMIT ?1"))?;
            let rows = select.query_map([limit], |row| report(&transaction, row))?;
            let mut requests = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            requests.reverse();
            Ok(requests)
        })
        .await
    }

    /// One request.
    pub async fn request(&self, id: i64) -> Result<Option<RequestReport>, LedgerError> {
        self.read("reading what was asked for", move |connection| {
            let transaction = connection.unchecked_transaction()?;
            transaction
                .prepare_cached(
                    &SELECT
                        .replace(" INDEXED BY imports_requests", "")
                        .replace("WHERE", "WHERE id = ?1 AND"),
                )?
                .query_row([id], |row| report(&transaction, row))
                .optional()
        })
        .await
    }
}

fn report(ledger: &Connection, row: &Row<'_>) -> rusqlite::Result<RequestReport> {
    let kind: String = row.get("kind")?;
    let only_to: Option<String> = row.get("only_to")?;
    let undone = row.get::<_, Option<i64>>("undone_by")?.is_some();
    let (done_by, waits_for) = match undone {
        true => (Vec::new(), Vec::new()),
        false => followers(ledger, row.get("seq")?, only_to.as_deref())?,
    };
    let cleared_at: Option<i64> = row.get("cleared_at")?;
    let is_erasure = kind == "erase";
    let text: String = row.get("report")?;
    let unless_erasure =
        |column: &str| -> rusqlite::Result<Option<String>> { Ok(Some(row.get(column)?).filter(|_| !is_erasure)) };
    Ok(RequestReport {
        id: row.get("id")?,
        import: row.get("of_import")?,
        source: unless_erasure("source")?,
        archive: unless_erasure("archive")?,
        asked_at: time(row.get("closed_at")?),
        done: waits_for.is_empty() && (!is_erasure || cleared_at.is_some()),
        undone,
        done_by,
        waits_for,
        cleared_at: cleared_at.map(time),
        cleared: is_erasure.then(|| serde_json::from_str(&text).unwrap_or_default()),
        whom_is_known: is_erasure.then(|| row.get("knows")).transpose()?,
        kind,
    })
}

/// The destinations that a row of the log is for: those that are past it, and the others.
fn followers(ledger: &Connection, seq: i64, only_to: Option<&str>) -> rusqlite::Result<(Vec<String>, Vec<String>)> {
    let mut select = ledger.prepare_cached(
        "SELECT name, seq > ?1 FROM destinations WHERE state <> 'removed'
            AND (?2 IS NULL OR name IN (SELECT value FROM json_each(?2))) ORDER BY name",
    )?;
    let rows = select.query_map(params![seq, only_to], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (mut past, mut before) = (Vec::new(), Vec::new());
    for row in rows {
        let (name, is_past): (String, bool) = row?;
        match is_past {
            true => past.push(name),
            false => before.push(name),
        }
    }
    Ok((past, before))
}
