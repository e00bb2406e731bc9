//! What lies ahead of a cursor: how many imports, how many events, and since when.
//!
//! Summed up from an index alone: a destination may be a million imports behind.

use roaring::RoaringTreemap;
use rusqlite::{Connection, OptionalExtension, params};

use crate::ledger::deliveries::{IS_FOR, OF_SOURCES};
use crate::ledger::import::left_out;
use crate::ledger::{Cursor, Ledger, LedgerError};

/// What lies ahead of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToCome {
    /// Imports that took events in.
    pub imports: u64,
    /// Events in these that are ahead.
    pub events: u64,
}

impl Ledger {
    /// What lies ahead of a destination's cursor, of the sources given (none given: of all).
    pub async fn to_come(&self, of: Cursor, name: &str, sources: Vec<String>) -> Result<ToCome, LedgerError> {
        let name = name.to_owned();
        self.read("counting what is to be delivered", move |connection| {
            to_come(&*connection.unchecked_transaction()?, of, &name, &sources)
        })
        .await
    }
}

pub(super) fn to_come(ledger: &Connection, of: Cursor, name: &str, sources: &[String]) -> rusqlite::Result<ToCome> {
    let sources_json = serde_json::Value::from(sources).to_string();
    // Named, since for a few sources SQLite would rather read all that they ever sent.
    let filter = match sources.is_empty() {
        true => "?2 = '[]'",
        false => OF_SOURCES,
    };
    let (imports, events): (u64, u64) = ledger
        .prepare_cached(&format!(
            "SELECT count(*), coalesce(sum(accepted - duplicates), 0) FROM imports INDEXED BY imports_onward
             WHERE onward = 1 AND seq >= ?1 AND {filter} AND {IS_FOR}"
        ))?
        .query_row(params![of.seq, sources_json, name], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let behind: Option<u64> = match of.index {
        0 => None,
        _ => ledger
            .prepare_cached(&format!(
                "SELECT accepted - duplicates, rejected_set, duplicate_set, erased_set FROM imports
                 WHERE onward = 1 AND seq = ?1 AND {filter} AND {IS_FOR}"
            ))?
            .query_row(params![of.seq, sources_json, name], |row| {
                let accepted: u64 = row.get(0)?;
                Ok(events_before(of.index, &left_out(row, 1..=3)?).min(accepted))
            })
            .optional()?,
    };
    Ok(ToCome {
        imports,
        events: events.saturating_sub(behind.unwrap_or(0)),
    })
}

/// The events among the first entries of an import: those that were not left out.
fn events_before(index: u64, left_out: &RoaringTreemap) -> u64 {
    index - index.checked_sub(1).map_or(0, |last| left_out.rank(last))
}

/// When the oldest import that is ahead was closed.
pub(super) fn oldest_at(ledger: &Connection, seq: i64) -> rusqlite::Result<Option<i64>> {
    let at: Option<Option<i64>> = ledger
        .prepare_cached("SELECT closed_at FROM imports WHERE onward = 1 AND seq >= ?1 ORDER BY seq LIMIT 1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    Ok(at.flatten())
}
