//! Which archives may leave the spool, and which spool files nobody needs any more.
//!
//! A million archives may have become old at once, and all else that is to be written waits while one transaction is at it.
//! So pruning goes in steps, oldest first, and each looks at a few hundred.

use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

use super::people::held_by_people;
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

/// Archives looked at in one step: some ten milliseconds where all of them go.
pub(super) const STEP: usize = 500;

/// How far pruning has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// What was imported before this is old enough.
    old_before: i64,
    /// What was imported before this is held by no destination.
    held_since: i64,
    /// What was closed before this number lies too many bytes behind to be held.
    held_from: i64,
    now: i64,
    /// Age and number of the last archive looked at.
    after: (i64, i64),
}

/// What a step of pruning came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// Spool files to remove: no import refers to them any more.
    pub files: Vec<String>,
    /// What is left to do; `None`: all is done.
    pub rest: Option<Pruning>,
}

impl Ledger {
    /// Begins to look for archives that are old enough and that no destination holds: [`Ledger::prune`] does so, step by step.
    pub async fn pruning(&self, retention: Retention, now: i64) -> Result<Pruning, LedgerError> {
        self.read("looking for what the spool holds", move |connection| {
            let before = |age: Duration| now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
            Ok(Pruning {
                old_before: before(retention.keep),
                held_since: before(retention.lag_max),
                held_from: match retention.lag_bytes_max {
                    Some(most) => newest_within(&*connection.unchecked_transaction()?, most)?,
                    None => i64::MIN,
                },
                now,
                after: (i64::MIN, i64::MIN),
            })
        })
        .await
    }

    /// Lets go of the next archives. What the ledger says of the imports stays.
    pub async fn prune(&self, pruning: Pruning) -> Result<Pruned, LedgerError> {
        self.write("pruning the spool", move |transaction| {
            let looked_at = next(transaction, &pruning)?;
            let held_by_cursor = held_by_cursor(transaction)?;
            let mut select = transaction.prepare_cached("SELECT spool_file FROM imports WHERE id = ?1")?;
            let mut update = transaction.prepare_cached(
                "UPDATE imports SET spool_file = NULL, spool_offset = NULL, spool_len = NULL, pruned_at = ?2 WHERE id = ?1",
            )?;
            let mut files = Vec::new();
            for (id, closed_at, seq) in &looked_at {
                if *seq >= held_by_cursor && *seq >= pruning.held_from && *closed_at >= pruning.held_since {
                    continue; // a destination still holds it
                }
                files.push(select.query_row([id], |row| row.get(0))?);
                update.execute(params![id, pruning.now])?;
            }
            let last = looked_at.last().filter(|_| looked_at.len() == STEP);
            Ok(Pruned {
                files: unused(transaction, files)?,
                rest: last.map(|(_, closed_at, seq)| Pruning {
                    after: (*closed_at, *seq),
                    ..pruning
                }),
            })
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

    /// The number of the last import that was closed; 0 where none was.
    pub async fn last_seq(&self) -> Result<i64, LedgerError> {
        self.read("looking for the last import", |connection| {
            connection.query_row("SELECT coalesce(max(seq), 0) FROM imports", [], |row| row.get(0))
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

/// Id, age and number of the next archives that are old enough: from an index alone.
fn next(transaction: &Transaction<'_>, pruning: &Pruning) -> rusqlite::Result<Vec<(i64, i64, i64)>> {
    let mut select = transaction.prepare_cached(
        "SELECT id, closed_at, seq FROM imports INDEXED BY imports_by_age
         WHERE spool_file IS NOT NULL AND (closed_at, seq) > (?1, ?2) AND closed_at < ?3
         ORDER BY closed_at, seq LIMIT ?4",
    )?;
    let (closed_at, seq) = pruning.after;
    select
        .query_map(params![closed_at, seq, pruning.old_before, STEP as i64], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect()
}

/// Each destination holds what is not past its cursor, the last batch of an import included: from this number on. So does the
/// reading of people, where they are kept.
fn held_by_cursor(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    let least: Option<i64> = transaction
        .prepare_cached("SELECT min(seq) FROM destinations WHERE state <> 'removed'")?
        .query_row([], |row| row.get(0))?;
    let of_people = held_by_people(transaction)?;
    Ok(least.unwrap_or(i64::MAX).min(of_people.unwrap_or(i64::MAX)))
}

/// The number from which on the newest archives in the spool are no more than so many bytes.
fn newest_within(connection: &Connection, bytes_max: u64) -> rusqlite::Result<i64> {
    let (bytes, first): (Option<u64>, Option<i64>) = connection
        .prepare_cached(
            "SELECT sum(spool_len), min(seq) FROM imports INDEXED BY imports_by_age WHERE spool_file IS NOT NULL",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut bytes = bytes.unwrap_or(0);
    // Mostly all of it is, and nothing more is asked; else what is too much lies at the old end.
    let mut select = connection.prepare_cached(
        "SELECT seq, spool_len FROM imports WHERE seq >= ?1 AND +spool_file IS NOT NULL ORDER BY seq",
    )?;
    let mut rows = select.query([first])?;
    while bytes > bytes_max {
        let Some(row) = rows.next()? else { break };
        bytes = bytes.saturating_sub(row.get(1)?);
        if bytes <= bytes_max {
            return Ok(row.get::<_, i64>(0)? + 1);
        }
    }
    Ok(i64::MIN)
}
