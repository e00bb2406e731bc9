//! Event definitions as they were when something was imported by them.
//!
//! The same ones are kept once, however many imports name them.

use rusqlite::{OptionalExtension, Transaction};

use super::{Ledger, LedgerError};
use crate::definition::Definitions;

impl Ledger {
    /// The text of definitions that something was imported by, by its hash.
    pub async fn definitions(&self, hash: &str) -> Result<Option<String>, LedgerError> {
        let hash = hash.to_owned();
        self.read("looking for definitions", move |ledger| {
            ledger
                .prepare_cached("SELECT text FROM definitions WHERE hash = ?1")?
                .query_row([hash], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// The hash of the definitions that an import was read by; `None` if there were none, or there is no such import.
    pub async fn definitions_of(&self, import: i64) -> Result<Option<String>, LedgerError> {
        self.read("looking for an import's definitions", move |ledger| {
            let hash = ledger
                .prepare_cached("SELECT reading ->> 'definitions' FROM imports WHERE id = ?1")?
                .query_row([import], |row| row.get(0))
                .optional()?;
            Ok(hash.flatten())
        })
        .await
    }
}

/// Keeps definitions, in the transaction that records what was read by them.
pub(super) fn freeze(transaction: &Transaction<'_>, definitions: &Definitions) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO definitions (hash, text) VALUES (?1, ?2)")?
        .execute([definitions.hash(), definitions.canonical()])?;
    Ok(())
}
