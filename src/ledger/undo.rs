//! `feedgate undo`: an import's events are taken back, as if they had never come in.
//!
//! In one transaction the import stops to count as one that took events in, and the log gets a row that asks for them back.
//! Who has not come to the import yet passes over it; who is past it, or in the middle of it, takes its events back on coming
//! to that row, if it can. The archive may be uploaded again: it is imported anew then, and its events have the same ids.

use rusqlite::{Connection, Transaction, params};
use serde::Serialize;

use super::again::{append, log_asked, target};
use super::dropping::{drop_letters, letters_of};
use super::{Asked, Ledger, LedgerError, Refused};

/// What undoing an import would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UndoPlan {
    /// The import.
    pub import: i64,
    /// The source.
    pub source: String,
    /// The archive.
    pub archive: String,
    /// Its events.
    pub events: u64,
    /// Every destination that the ledger knows.
    pub destinations: Vec<UndoAt>,
    /// Dead letters that hold events of it; they are dropped.
    pub dead_letters: u64,
    /// Imports that took nothing in, since this one had: they stay so.
    pub duplicates: Vec<i64>,
    /// Later imports with events that were seen before, by a unique key, where this one brought any: such events of theirs as this
    /// one had first stay undelivered.
    pub seen_before: Vec<i64>,
}

/// What undoing an import would come to at a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UndoAt {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: String,
    /// `has all`, `has some`, `has none`: by its cursor, whatever it filters out.
    pub has: &'static str,
    /// Whether it takes back what it has.
    pub takes_back: bool,
    /// If not, why.
    pub why: Option<&'static str>,
}

/// Imports named in a plan, at most.
const DUPLICATES_NAMED_MAX: usize = 20;

impl Ledger {
    /// What undoing an import would come to; nothing is changed.
    pub async fn undo_plan(&self, id: i64) -> Result<Result<UndoPlan, Refused>, LedgerError> {
        self.read("looking at what an undo comes to", move |connection| {
            plan(&*connection.unchecked_transaction()?, id)
        })
        .await
    }

    /// Undoes an import.
    pub async fn undo(&self, id: i64, now: i64) -> Result<Result<Asked, Refused>, LedgerError> {
        self.write("undoing an import", move |transaction| {
            let target = match target(transaction, id)? {
                Ok(target) => target,
                Err(refused) => return Ok(Err(refused)),
            };
            let request = append(transaction, &target, "undo", None, now)?;
            not_taken_in(transaction, id, request)?;
            drop_letters(transaction, None, id)?;
            let asked = target.asked(request);
            log_asked(transaction, "undo", &asked, now)?;
            Ok(Ok(asked))
        })
        .await
    }
}

/// It is as if the import had never taken events in, and nobody had asked for them again.
fn not_taken_in(transaction: &Transaction<'_>, id: i64, undo: i64) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE imports SET undone_by = ?2, imported = 0, onward = 0 WHERE id = ?1",
        [id, undo],
    )?;
    transaction.execute(
        "UPDATE imports SET undone_by = ?2, onward = 0
         WHERE kind IN ('replay', 'undo', 'erase') AND kind = 'replay' AND of_import = ?1",
        [id, undo],
    )?;
    Ok(())
}

fn plan(ledger: &Connection, id: i64) -> rusqlite::Result<Result<UndoPlan, Refused>> {
    let target = match target(ledger, id)? {
        Ok(target) => target,
        Err(refused) => return Ok(Err(refused)),
    };
    let seq: i64 = ledger.query_row("SELECT seq FROM imports WHERE id = ?1", [id], |row| row.get(0))?;
    let destinations = ledger
        .prepare("SELECT name, type, state, seq, \"index\" FROM destinations ORDER BY name")?
        .query_map([], |row| {
            let (kind, state): (String, String) = (row.get(1)?, row.get(2)?);
            let (at, index): (i64, u64) = (row.get(3)?, row.get(4)?);
            let why = why_not(&kind, &state);
            Ok(UndoAt {
                name: row.get(0)?,
                r#type: kind,
                has: match (at.cmp(&seq), index) {
                    (std::cmp::Ordering::Less, _) | (std::cmp::Ordering::Equal, 0) => "has none",
                    (std::cmp::Ordering::Equal, _) => "has some",
                    (std::cmp::Ordering::Greater, _) => "has all",
                },
                takes_back: why.is_none(),
                why,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let duplicates = ledger
        .prepare(
            "SELECT id FROM imports INDEXED BY imports_by_name WHERE source = ?1 AND archive = ?2
                AND (duplicate_of = ?3 OR repacked_of = ?3) ORDER BY seq LIMIT ?4",
        )?
        .query_map(
            params![target.source, target.archive, id, DUPLICATES_NAMED_MAX as i64],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<_>>()?;
    let seen_before = ledger
        .prepare(
            "SELECT id FROM imports INDEXED BY imports_onward WHERE onward = 1 AND seq > ?1 AND duplicates > 0 AND of_import IS NULL
                AND (SELECT unique_keys > 0 FROM imports WHERE id = ?2) ORDER BY seq LIMIT ?3",
        )?
        .query_map(params![seq, id, DUPLICATES_NAMED_MAX as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Ok(UndoPlan {
        import: id,
        seen_before,
        events: target.events,
        destinations,
        dead_letters: letters_of(ledger, id)?,
        duplicates,
        source: target.source,
        archive: target.archive,
    }))
}

/// Why a destination does not take events back; `None` if it does.
fn why_not(kind: &str, state: &str) -> Option<&'static str> {
    match (kind, state) {
        (_, "removed") => Some("it is no longer configured"),
        ("sqlite" | "file", _) => None,
        ("console", _) => Some("what was printed stays printed"),
        ("bento", _) => Some("the vendor has no call that takes an event back"),
        ("capillary", _) => Some("the vendor has no call that takes an event back"),
        ("http", _) => Some("what was sent is the receiver's"),
        _ => Some("what it was given is not ours to take back"),
    }
}
