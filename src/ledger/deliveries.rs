//! How far each destination has got, and the imports that are ahead of it.
//!
//! The verbs of the delivery loop and of `feedgate events`. Imports come with all that is needed to read them again.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::dropping::come_past;
use super::import::{SELECT_IMPORT, damaged, import, imports};
use super::{Cursor, Import, Ledger, LedgerError};
use crate::config::resolve::Start;

/// What a destination is doing, in the ledger's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationState {
    /// It has everything.
    Idle,
    /// There is more, and it is being delivered.
    Delivering,
    /// It could not take the last batch, and is tried again at a time told.
    Waiting,
    /// Its settings are wrong: somebody has to look.
    Barred,
    /// The next import cannot be read any more: somebody has to look.
    Behind,
    /// It is no longer configured.
    Removed,
}

impl DestinationState {
    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            DestinationState::Idle => "idle",
            DestinationState::Delivering => "delivering",
            DestinationState::Waiting => "waiting",
            DestinationState::Barred => "barred",
            DestinationState::Behind => "behind",
            DestinationState::Removed => "removed",
        }
    }

    fn parse(text: &str) -> Option<DestinationState> {
        use DestinationState::*;
        [Idle, Delivering, Waiting, Barred, Behind, Removed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What is to be noted of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it is doing.
    pub state: DestinationState,
    /// Why it waits, is barred or behind.
    pub reason: Option<String>,
    /// Attempts in vain, in a row.
    pub attempts: u32,
    /// When it is tried again, UTC milliseconds.
    pub retry_at: Option<i64>,
}

impl Standing {
    /// All is well.
    pub fn well(state: DestinationState) -> Standing {
        Standing {
            state,
            reason: None,
            attempts: 0,
            retry_at: None,
        }
    }
}

/// A destination as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationRow {
    /// Its configured name.
    pub name: String,
    /// The word in the configuration's `type`.
    pub kind: String,
    /// The next event to deliver.
    pub cursor: Cursor,
    /// Events, ever.
    pub delivered: u64,
    /// What it is doing, and why.
    pub standing: Standing,
    /// Since when it is in its state, UTC milliseconds.
    pub since_at: i64,
    /// Last success, UTC milliseconds.
    pub delivered_at: Option<i64>,
    /// Parcels in a row that it refused whole.
    pub refused_parcels: u32,
}

/// A destination that is to be known to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its configured name.
    pub name: String,
    /// The word in the configuration's `type`.
    pub kind: &'static str,
    /// Where it begins, if it is new.
    pub start: Start,
    /// The name it had before.
    pub was: Option<String>,
}

/// The imports ahead of a cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Ahead {
    /// The first ones that are wanted, in the order of commit. Empty only if there are none.
    pub imports: Vec<Import>,
    /// After the last import there is, wanted or not.
    pub end: Cursor,
    /// Whether more is there, which is not to be looked at yet.
    pub is_cut: bool,
}

impl Ahead {
    /// As much of it as lies wholly before a cursor.
    pub fn before(mut self, until: Cursor) -> Ahead {
        let end = Cursor {
            seq: until.seq,
            index: 0,
        };
        if self.end <= end {
            return self;
        }
        let all = self.imports.len();
        self.imports.retain(|import| import.end() <= end);
        Ahead {
            is_cut: self.imports.len() < all,
            imports: self.imports,
            end,
        }
    }
}

/// Imports that a destination needs and that are no longer in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// How many.
    pub imports: u64,
    /// Their events.
    pub events: u64,
    /// Id and archive of the first.
    pub first: (i64, String),
    /// Id and archive of the last.
    pub last: (i64, String),
}

/// Which imports somebody wants to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The one with this id.
    pub import: Option<i64>,
    /// Those of this source.
    pub source: Option<String>,
    /// Those imported at this time or later, UTC milliseconds.
    pub since: Option<i64>,
}

impl Import {
    /// The cursor of its first entry.
    pub fn start(&self) -> Cursor {
        Cursor {
            seq: self.seq,
            index: 0,
        }
    }

    /// The cursor of one that has all of it.
    pub fn end(&self) -> Cursor {
        Cursor {
            seq: self.seq + 1,
            index: 0,
        }
    }
}

impl Ledger {
    /// Makes a configured destination known, and says where it stands. One that is new begins as it was told; one that was
    /// renamed keeps its cursor, and so does one that was removed for a while. One of another type is new.
    pub async fn register(&self, registration: Registration, now: i64) -> Result<DestinationRow, LedgerError> {
        self.write("making a destination known", move |ledger| {
            let Registration { name, kind, start, was } = &registration;
            if let Some(was) = was {
                adopt(ledger, was, name, kind)?;
            }
            let is_another = ledger
                .query_row("SELECT type <> ?2 FROM destinations WHERE name = ?1", params![name, kind], |row| row.get(0))
                .optional()?;
            if is_another == Some(true) {
                ledger.execute("DELETE FROM in_flight WHERE destination = ?1", [name])?;
            }
            if is_another != Some(false) {
                let cursor = start_of(ledger, *start)?;
                ledger.execute(
                    "INSERT INTO destinations (name, type, seq, \"index\", state, since_at, created_at)
                     VALUES (?1, ?2, ?3, ?4, 'idle', ?5, ?5)
                     ON CONFLICT (name) DO UPDATE
                        SET type = ?2, seq = ?3, \"index\" = ?4, delivered = 0, dropped = 0, resent = 0, rate = NULL, site = NULL,
                            refused_parcels = 0, state = 'idle', reason = NULL, since_at = ?5,
                            attempts = 0, retry_at = NULL, delivered_at = NULL, created_at = ?5
                        WHERE type <> ?2",
                    params![name, kind, cursor.seq, cursor.index as i64, now],
                )?;
            }
            ledger.execute(
                "UPDATE destinations SET state = 'idle', reason = NULL, since_at = ?2 WHERE name = ?1 AND state = 'removed'",
                params![name, now],
            )?;
            destination(ledger, name)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
        })
        .await
    }

    /// Where a destination that has nothing begins.
    pub async fn start_of(&self, start: Start) -> Result<Cursor, LedgerError> {
        self.read("looking for where a destination begins", move |ledger| {
            start_of(ledger, start)
        })
        .await
    }

    /// Notes that every destination but these is no longer configured, and returns the names of those that are newly so.
    pub async fn remove_destinations_but(&self, configured: Vec<String>, now: i64) -> Result<Vec<String>, LedgerError> {
        self.write("noting destinations that are no longer configured", move |ledger| {
            let mut gone: Vec<String> = ledger
                .prepare_cached("SELECT name FROM destinations WHERE state <> 'removed' ORDER BY name")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            gone.retain(|name| !configured.contains(name));
            for name in &gone {
                ledger.execute(
                    "UPDATE destinations SET state = 'removed', reason = NULL, since_at = ?2, attempts = 0, retry_at = NULL
                     WHERE name = ?1",
                    params![name, now],
                )?;
                // Nobody will ever hear what became of these letters, and an operator may want to give them up.
                ledger.execute("DELETE FROM in_flight WHERE destination = ?1 AND letters IS NOT NULL", [name])?;
            }
            Ok(gone)
        })
        .await
    }

    /// One destination; `None` if the ledger has not heard of it.
    pub async fn destination(&self, name: &str) -> Result<Option<DestinationRow>, LedgerError> {
        let name = name.to_owned();
        self.read("looking at a destination", move |ledger| destination(ledger, &name))
            .await
    }

    /// The first imports at or after a cursor that go onward to a destination, of the sources given (none given: of all); and
    /// what was asked meanwhile of all who read on.
    pub async fn ahead(
        &self,
        of: Cursor,
        name: &str,
        sources: Vec<String>,
        limit: usize,
    ) -> Result<Ahead, LedgerError> {
        let name = name.to_owned();
        self.read("looking for imports to deliver", move |ledger| {
            // The end first: what commits between the two questions is then beyond it, and not passed over.
            let end: i64 = ledger
                .prepare_cached("SELECT coalesce(max(seq), 0) + 1 FROM imports")?
                .query_row([], |row| row.get(0))?;
            let sources = serde_json::Value::from(sources).to_string();
            let mut select = ledger.prepare_cached(&format!(
                "{SELECT_IMPORT} WHERE onward = 1 AND seq >= ?1 AND seq < ?4
                    AND {OF_SOURCES} AND {IS_FOR}
                 ORDER BY seq LIMIT ?5"
            ))?;
            let mut rows = select.query(params![of.seq, sources, name, end, limit as i64])?;
            Ok(Ahead {
                imports: imports(&mut rows)?,
                end: Cursor { seq: end, index: 0 },
                is_cut: false,
            })
        })
        .await
    }

    /// The import that was closed as number `seq`, if its events were delivered under that number: those of one that was undone,
    /// or delivered once more, were.
    pub async fn closed_as(&self, seq: i64) -> Result<Option<Import>, LedgerError> {
        self.read("looking for the import that a destination had last", move |ledger| {
            ledger
                .prepare_cached(&format!(
                    "{SELECT_IMPORT} WHERE seq = ?1 AND (imported = 1 OR undone_by IS NOT NULL OR kind = 'replay')"
                ))?
                .query_row([seq], import)
                .optional()
        })
        .await
    }

    /// Whether an import lies where it did, and is to be delivered as before: it may have been written anew without somebody's
    /// entries since, or undone.
    pub async fn is_as_before(&self, import: &Import) -> Result<bool, LedgerError> {
        // What was looked up for it is not the ledger's.
        let before = Import {
            definitions: None,
            ..import.clone()
        };
        self.read("looking at an import again", move |ledger| {
            let now: Option<Import> = ledger
                .prepare_cached(&format!("{SELECT_IMPORT} WHERE onward = 1 AND seq = ?1"))?
                .query_row([before.seq], super::import::import)
                .optional()?;
            Ok(now.is_some_and(|now| now == before))
        })
        .await
    }

    /// Moves a destination's cursor, counts what was delivered, and notes how it stands.
    pub async fn advance(
        &self,
        name: &str,
        cursor: Cursor,
        delivered: u64,
        standing: Standing,
        rate: Option<f64>,
        now: i64,
    ) -> Result<(), LedgerError> {
        let name = name.to_owned();
        self.write("noting what was delivered", move |ledger| {
            come_past(ledger, &name, cursor.seq)?;
            ledger
                .prepare_cached(
                    "UPDATE destinations SET seq = ?2, \"index\" = ?3, delivered = delivered + ?4, rate = coalesce(?6, rate),
                        delivered_at = CASE WHEN ?4 > 0 THEN ?5 ELSE delivered_at END WHERE name = ?1",
                )?
                .execute(params![name, cursor.seq, cursor.index, delivered, now, rate])?;
            note(ledger, &name, &standing, now)
        })
        .await
    }

    /// Notes how a destination stands; since when is kept while the state is the same.
    pub async fn note(&self, name: &str, standing: Standing, now: i64) -> Result<(), LedgerError> {
        let name = name.to_owned();
        self.write("noting how a destination stands", move |ledger| {
            note(ledger, &name, &standing, now)
        })
        .await
    }

    /// What left the spool before a destination had it: the imports from `seq` on that are of its sources (none given: of
    /// all). `None` if everything is there.
    pub async fn gap(&self, seq: i64, name: &str, sources: Vec<String>) -> Result<Option<Gap>, LedgerError> {
        let name = name.to_owned();
        self.read("looking for what left the spool", move |ledger| {
            let sources = serde_json::Value::from(sources).to_string();
            let end = |order: &str| {
                ledger
                    .prepare_cached(&format!(
                        "SELECT id, archive FROM imports WHERE {PRUNED} AND {OF_SOURCES} AND {IS_FOR} ORDER BY seq {order} LIMIT 1"
                    ))?
                    .query_row(params![seq, sources, name], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            };
            let (Some(first), Some(last)) = (end("ASC")?, end("DESC")?) else {
                return Ok(None);
            };
            let (imports, events) = ledger
                .prepare_cached(&format!(
                    "SELECT count(*), sum(accepted - duplicates) FROM imports WHERE {PRUNED} AND {OF_SOURCES} AND {IS_FOR}"
                ))?
                .query_row(params![seq, sources, name], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Some(Gap {
                imports,
                events,
                first,
                last,
            }))
        })
        .await
    }

    /// Imports that took events in, after number `after` in the order of commit.
    pub async fn wanted(&self, wanted: Wanted, after: i64, limit: usize) -> Result<Vec<Import>, LedgerError> {
        self.read("looking for imports", move |ledger| {
            // One is looked up by its id; the others are gone through.
            let (table, one) = match wanted.import {
                Some(_) => ("", "id = ?2"),
                None => (" INDEXED BY imports_onward", "?2 IS NULL"),
            };
            let mut select = ledger.prepare_cached(&format!(
                "{SELECT_IMPORT}{table} WHERE onward = 1 AND of_import IS NULL AND kind <> 'erase' AND seq > ?1 AND {one}
                    AND (?3 IS NULL OR source = ?3) AND (?4 IS NULL OR imported_at >= ?4)
                 ORDER BY seq LIMIT ?5"
            ))?;
            let mut rows = select.query(params![after, wanted.import, wanted.source, wanted.since, limit as i64])?;
            imports(&mut rows)
        })
        .await
    }

    /// The status of an import, whether or not it took events in.
    pub async fn status_of(&self, id: i64) -> Result<Option<String>, LedgerError> {
        self.read("looking for an import", move |ledger| {
            ledger
                .query_row("SELECT status FROM imports WHERE id = ?1", [id], |row| row.get(0))
                .optional()
        })
        .await
    }
}

/// A pruned import from ?1 on.
const PRUNED: &str = "onward = 1 AND seq >= ?1 AND spool_file IS NULL AND kind NOT IN ('undo', 'erase')";

/// Of the sources in ?2, or any if it is empty. Whom to forget is asked of everybody.
pub(super) const OF_SOURCES: &str =
    "(json_array_length(?2) = 0 OR source IN (SELECT value FROM json_each(?2)) OR source = '')";

/// For the destination ?3: what is asked for again may be for some alone.
pub(super) const IS_FOR: &str = "(only_to IS NULL OR ?3 IN (SELECT value FROM json_each(only_to)))";

const SELECT_DESTINATION: &str =
    "SELECT name, type, seq, \"index\", delivered, state, reason, attempts, retry_at, since_at,
    delivered_at, refused_parcels FROM destinations";

/// Gives a destination that was renamed its new name, unless that is taken.
fn adopt(ledger: &Connection, was: &str, name: &str, kind: &str) -> rusqlite::Result<()> {
    let adopted = ledger.execute(
        "UPDATE OR IGNORE destinations SET name = ?2 WHERE name = ?1 AND type = ?3",
        params![was, name, kind],
    )?;
    if adopted > 0 {
        for table in ["dead_letters", "in_flight"] {
            ledger.execute(
                &format!("UPDATE {table} SET destination = ?2 WHERE destination = ?1"),
                params![was, name],
            )?;
        }
    }
    Ok(())
}

fn start_of(ledger: &Connection, start: Start) -> rusqlite::Result<Cursor> {
    let end: i64 = ledger.query_row("SELECT coalesce(max(seq), 0) + 1 FROM imports", [], |row| row.get(0))?;
    let seq = match start {
        Start::Now => end,
        Start::Oldest => ledger
            .query_row(
                "SELECT min(seq) FROM imports INDEXED BY imports_by_age WHERE spool_file IS NOT NULL",
                [],
                |row| row.get::<_, Option<i64>>(0),
            )?
            .unwrap_or(end),
    };
    Ok(Cursor { seq, index: 0 })
}

pub(super) fn note(ledger: &Connection, name: &str, standing: &Standing, now: i64) -> rusqlite::Result<()> {
    ledger
        .prepare_cached(
            "UPDATE destinations SET since_at = CASE WHEN state = ?2 THEN since_at ELSE ?6 END,
                state = ?2, reason = ?3, attempts = ?4, retry_at = ?5 WHERE name = ?1",
        )?
        .execute(params![
            name,
            standing.state.as_str(),
            standing.reason,
            standing.attempts,
            standing.retry_at,
            now
        ])?;
    Ok(())
}

fn destination(ledger: &Connection, name: &str) -> rusqlite::Result<Option<DestinationRow>> {
    ledger
        .prepare_cached(&format!("{SELECT_DESTINATION} WHERE name = ?1"))?
        .query_row([name], destination_row)
        .optional()
}

fn destination_row(row: &Row<'_>) -> rusqlite::Result<DestinationRow> {
    let state: String = row.get(5)?;
    let state = DestinationState::parse(&state)
        .ok_or_else(|| damaged(5, Type::Text, format!("no such state of a destination: `{state}`")))?;
    Ok(DestinationRow {
        name: row.get(0)?,
        kind: row.get(1)?,
        cursor: Cursor {
            seq: row.get(2)?,
            index: row.get(3)?,
        },
        delivered: row.get(4)?,
        standing: Standing {
            state,
            reason: row.get(6)?,
            attempts: row.get(7)?,
            retry_at: row.get(8)?,
        },
        since_at: row.get(9)?,
        delivered_at: row.get(10)?,
        refused_parcels: row.get(11)?,
    })
}
