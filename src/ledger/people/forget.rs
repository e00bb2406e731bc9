//! As if somebody had never been heard of: for `feedgate erase`.
//!
//! Only what is here of them goes: what they did is in the spool, and would be read again by whoever begins from the front.

use rusqlite::{Transaction, params};

use super::super::{Ledger, LedgerError};
use super::{Person, Who, find, keys};

impl Ledger {
    /// Forgets whoever is known by one of these, and what clashed with them. Returns whom that was.
    pub async fn forget_person(&self, by: Vec<Who>) -> Result<Vec<Person>, LedgerError> {
        self.write("forgetting somebody", move |ledger| forget(ledger, &by, i64::MAX))
            .await
    }
}

/// Likewise, as a part of a transaction that does more. Whoever was heard of first in an import that lies not before a place in
/// the log stays, and so does what clashed there.
pub(in crate::ledger) fn forget(ledger: &Transaction<'_>, by: &[Who], before: i64) -> rusqlite::Result<Vec<Person>> {
    let mut forgotten = Vec::new();
    for who in by {
        if let Some(person) = find(ledger, who)?
            && !is_later(ledger, person.first.import, before)?
        {
            keys::remove(ledger, &person)?;
            ledger.execute("DELETE FROM people WHERE person = ?1", [person.number])?;
            ledger.execute("DELETE FROM clashes WHERE person = ?1 OR other = ?1", [person.number])?;
            let (users, leads) = if person.user_id.is_some() { (1, 0) } else { (0, 1) };
            ledger.execute(
                "UPDATE people_reading SET changes = changes + 1, users = users - ?1, leads = leads - ?2",
                params![users, leads],
            )?;
            forgotten.push(person);
        }
        // An id that was refused for another's address is nobody's, and is spoken of in the clash alone.
        match who {
            Who::Id(id) => ledger.execute(
                "DELETE FROM clashes WHERE user_id = ?1
                    AND NOT EXISTS (SELECT 1 FROM imports WHERE id = clashes.import AND seq >= ?2)",
                params![id, before],
            )?,
            Who::Pair(..) => 0,
        };
    }
    Ok(forgotten)
}

fn is_later(ledger: &Transaction<'_>, import: i64, before: i64) -> rusqlite::Result<bool> {
    ledger.query_row(
        "SELECT EXISTS (SELECT 1 FROM imports WHERE id = ?1 AND seq >= ?2)",
        [import, before],
        |row| row.get(0),
    )
}
