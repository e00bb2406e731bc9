//! What the unique keys ask of the ledger: which imports brought some, and which of a batch will take events in.
//!
//! The keys live in a file of their own, written before the ledger is. So what the closing transaction is going to decide has to
//! be known before it: it is foretold, and the closing holds itself to that.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::close::{Closed, close_all, will_take_in};
use super::import::{SELECT_IMPORT, imports};
use super::outcome::Outcome;
use super::{Import, Ledger, LedgerError};

/// An import that was closed and brought unique keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyed {
    /// Its id.
    pub id: i64,
    /// Its place in the order of commits.
    pub seq: i64,
    /// When it was closed, UTC milliseconds.
    pub closed_at: i64,
}

/// The same, with all that reading it again takes.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyedImport {
    /// Which.
    pub keyed: Keyed,
    /// Whether it was undone since: its keys do not count.
    pub undone: bool,
    /// How it is read.
    pub import: Import,
}

/// What closing as foretold came to.
#[derive(Debug)]
pub enum AsForetold {
    /// It came to pass.
    Closed(Closed),
    /// It would have come to something else, since the ledger has changed: nothing was closed.
    Otherwise(Vec<Outcome>),
}

const KEYED: &str = "SELECT id, seq, closed_at FROM imports";

impl Ledger {
    /// Says of each outcome whether its events will be taken in if it is closed now, and gives them back.
    pub async fn foretell(
        &self,
        source: &str,
        outcomes: Vec<Outcome>,
    ) -> Result<(Vec<Outcome>, Vec<bool>), LedgerError> {
        let source = source.to_owned();
        self.read("looking ahead to the end of imports", move |connection| {
            let foretold = foretell(connection, &source, &outcomes)?;
            Ok((outcomes, foretold))
        })
        .await
    }

    /// Records what a batch came to, as [`Ledger::close`] does, if that is what was foretold.
    pub async fn close_as_foretold(
        &self,
        source: &str,
        outcomes: Vec<Outcome>,
        foretold: Vec<bool>,
        now: i64,
    ) -> Result<AsForetold, LedgerError> {
        let source = source.to_owned();
        self.write("closing imports", move |transaction| {
            if foretell(transaction, &source, &outcomes)? != foretold {
                return Ok(AsForetold::Otherwise(outcomes));
            }
            close_all(transaction, &source, &outcomes, now).map(AsForetold::Closed)
        })
        .await
    }

    /// Those of these imports that were closed and brought unique keys, in the order of commits.
    pub async fn keyed_among(&self, ids: Vec<i64>) -> Result<Vec<Keyed>, LedgerError> {
        self.read("looking for imports with unique keys", move |connection| {
            let mut select = connection.prepare_cached(&format!(
                "{KEYED} WHERE id = ?1 AND seq IS NOT NULL AND unique_keys > 0"
            ))?;
            let mut found = Vec::new();
            for id in ids {
                found.extend(select.query_row([id], keyed).optional()?);
            }
            found.sort_by_key(|keyed| keyed.seq);
            Ok(found)
        })
        .await
    }

    /// The last import that brought unique keys.
    pub async fn last_keyed(&self) -> Result<Option<Keyed>, LedgerError> {
        self.read("looking for the last import with unique keys", |connection| {
            connection
                .prepare_cached(&format!(
                    "{KEYED} INDEXED BY imports_keyed WHERE unique_keys > 0 ORDER BY seq DESC LIMIT 1"
                ))?
                .query_row([], keyed)
                .optional()
        })
        .await
    }

    /// The next imports behind this place that brought unique keys, at most so many.
    pub async fn keyed_behind(&self, seq: i64, most: usize) -> Result<Vec<KeyedImport>, LedgerError> {
        self.read("looking for imports with unique keys", move |connection| {
            let which = "INDEXED BY imports_keyed WHERE unique_keys > 0 AND seq > ?1 ORDER BY seq LIMIT ?2";
            let mut select = connection.prepare_cached(&format!("{SELECT_IMPORT} {which}"))?;
            let imports = imports(&mut select.query(params![seq, most as i64])?)?;
            let mut select =
                connection.prepare_cached("SELECT closed_at, undone_by IS NOT NULL FROM imports WHERE id = ?1")?;
            let keyed = imports.into_iter().map(|import| {
                let (closed_at, undone) = select.query_row([import.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
                let (id, seq) = (import.id, import.seq);
                Ok(KeyedImport {
                    keyed: Keyed { id, seq, closed_at },
                    undone,
                    import,
                })
            });
            keyed.collect()
        })
        .await
    }

    /// Imports that brought unique keys and were undone since.
    pub async fn undone_keyed(&self) -> Result<Vec<i64>, LedgerError> {
        self.read("looking for imports that were undone", |connection| {
            let sql =
                "SELECT id FROM imports INDEXED BY imports_undone WHERE undone_by IS NOT NULL AND unique_keys > 0";
            let mut select = connection.prepare_cached(sql)?;
            select.query_map([], |row| row.get(0))?.collect()
        })
        .await
    }

    /// The text of event definitions that were in force once.
    pub async fn frozen_definitions(&self, hash: &str) -> Result<Option<String>, LedgerError> {
        let hash = hash.to_owned();
        self.read("reading event definitions", move |connection| {
            connection
                .prepare_cached("SELECT text FROM definitions WHERE hash = ?1")?
                .query_row([hash], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// The archives of imports, by their ids.
    pub async fn archives(&self, ids: Vec<i64>) -> Result<HashMap<i64, String>, LedgerError> {
        self.read("reading the names of archives", move |connection| {
            let mut select = connection.prepare_cached("SELECT archive FROM imports WHERE id = ?1")?;
            let mut archives = HashMap::new();
            for id in ids {
                let archive: Option<String> = select.query_row([id], |row| row.get(0)).optional()?;
                archives.extend(archive.map(|archive| (id, archive)));
            }
            Ok(archives)
        })
        .await
    }
}

/// Whether each will take its events in. No outcome of a batch hangs on another: what is looked at are earlier imports of the
/// same name, and in a batch each name is there once.
fn foretell(connection: &Connection, source: &str, outcomes: &[Outcome]) -> rusqlite::Result<Vec<bool>> {
    let outcomes = outcomes.iter();
    outcomes
        .map(|outcome| will_take_in(connection, source, outcome))
        .collect()
}

fn keyed(row: &Row<'_>) -> rusqlite::Result<Keyed> {
    Ok(Keyed {
        id: row.get(0)?,
        seq: row.get(1)?,
        closed_at: row.get(2)?,
    })
}
