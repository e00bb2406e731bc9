//! Which archives may leave the spool, and which spool files nobody needs any more.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

use super::{Ledger, LedgerError};

/// How long archives stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// At least this long after import.
    pub keep: Duration,
    /// A destination no longer holds what was imported longer ago than this.
    pub lag_max: Duration,
    /// Nor what lies further behind than so many bytes of archives.
    pub lag_bytes_max: Option<u64>,
}

impl Ledger {
    /// Lets go of the archives that are old enough and that no destination holds; answers with the spool files to remove,
    /// those that no import refers to any more. What the ledger says of the imports stays.
    pub async fn prune(&self, retention: Retention, now: i64) -> Result<Vec<String>, LedgerError> {
        self.write("pruning the spool", move |transaction| {
            let before = |age: Duration| now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
            let held_from = held_from(transaction, before(retention.lag_max), retention.lag_bytes_max)?;
            let mut update = transaction.prepare(
                "UPDATE imports SET spool_file = NULL, spool_offset = NULL, spool_len = NULL, pruned_at = ?1
                 WHERE spool_file IS NOT NULL AND closed_at < ?2 AND seq < ?3 RETURNING id",
            )?;
            // RETURNING would give the new, empty value: which files they were is asked first.
            let mut select = transaction.prepare(
                "SELECT DISTINCT spool_file FROM imports WHERE spool_file IS NOT NULL AND closed_at < ?1 AND seq < ?2",
            )?;
            let old = before(retention.keep);
            let files: Vec<String> = select
                .query_map(params![old, held_from], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            update
                .query_map(params![now, old, held_from], |row| row.get::<_, i64>(0))?
                .for_each(drop);
            unused(transaction, files)
        })
        .await
    }

    /// Of these spool files, those that no import refers to.
    pub async fn unused(&self, files: Vec<String>) -> Result<Vec<String>, LedgerError> {
        self.read("looking for what the spool need not keep", move |connection| {
            unused(connection, files)
        })
        .await
    }

    /// What tells this ledger from any other.
    pub async fn identity(&self) -> Result<String, LedgerError> {
        self.read("reading the ledger's identity", |connection| {
            connection.query_row("SELECT ledger FROM identity", [], |row| row.get(0))
        })
        .await
    }

    /// Every spool file that an import refers to.
    pub async fn spool_files(&self) -> Result<HashSet<String>, LedgerError> {
        self.read("reading what the spool must keep", |connection| {
            let mut select =
                connection.prepare("SELECT DISTINCT spool_file FROM imports WHERE spool_file IS NOT NULL")?;
            select.query_map([], |row| row.get(0))?.collect()
        })
        .await
    }
}

fn unused(connection: &Connection, mut files: Vec<String>) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM imports WHERE spool_file = ?1)")?;
    files.sort();
    files.dedup();
    let mut unused = Vec::new();
    for file in files {
        let used: bool = select.query_row([&file], |row| row.get(0))?;
        if !used {
            unused.push(file);
        }
    }
    Ok(unused)
}

/// The first `seq` that a destination still holds.
fn held_from(transaction: &Transaction<'_>, lag_before: i64, lag_bytes_max: Option<u64>) -> rusqlite::Result<i64> {
    // Each destination holds what is not past its cursor, the last batch of an import included.
    let by_cursor: Option<i64> = transaction.query_row(
        "SELECT min(seq) FROM destinations WHERE state <> 'removed'",
        [],
        |row| row.get(0),
    )?;
    let by_age: Option<i64> = transaction.query_row(
        "SELECT min(seq) FROM imports WHERE spool_file IS NOT NULL AND closed_at >= ?1",
        [lag_before],
        |row| row.get(0),
    )?;
    let by_size: Option<i64> = match lag_bytes_max {
        None => None,
        Some(most) => transaction.query_row(
            "SELECT min(seq) FROM (SELECT seq, sum(spool_len) OVER (ORDER BY seq DESC) AS bytes
                                   FROM imports WHERE spool_file IS NOT NULL) WHERE bytes <= ?1",
            [most],
            |row| Ok(Some(row.get::<_, Option<i64>>(0)?.unwrap_or(i64::MAX))),
        )?,
    };
    let Some(by_cursor) = by_cursor else {
        return Ok(i64::MAX);
    };
    Ok(by_cursor.max(by_age.unwrap_or(i64::MAX)).max(by_size.unwrap_or(0)))
}
