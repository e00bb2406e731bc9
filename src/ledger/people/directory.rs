//! Looking somebody up, for deliveries: on a connection of its own, from whatever thread composes a parcel.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::super::{Ledger, LedgerError, open};
use super::{Who, find};

/// What is known of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The id that the partner gives.
    pub user_id: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The business unit; empty: none.
    pub unit: String,
}

/// What was looked up and found, by [`Who::key`].
pub type LookedUp = BTreeMap<String, Known>;

/// A reader of the people.
pub struct Directory {
    connection: Connection,
}

impl Ledger {
    /// Opens a reader of the people. It blocks, and so do its questions: they take microseconds.
    pub fn directory(&self) -> Result<Directory, LedgerError> {
        let connection = open::reader(self.path())?;
        Ok(Directory { connection })
    }
}

impl Directory {
    /// What is known of somebody; `None` if nobody has heard of them.
    pub fn find(&self, who: &Who) -> Result<Option<Known>, LedgerError> {
        let found = find(&self.connection, who).map_err(|why| LedgerError::Sql {
            doing: "looking somebody up".to_owned(),
            why,
        })?;
        Ok(found.map(|person| Known {
            user_id: person.user_id,
            email: person.email,
            unit: person.unit,
        }))
    }
}

/// Whether it is known what a letter waits for: the address of an id, the id of an address.
pub(in crate::ledger) fn is_known(ledger: &Connection, who: &Who) -> rusqlite::Result<bool> {
    let found = find(ledger, who)?;
    Ok(found.is_some_and(|person| match who {
        Who::Id(_) => person.email.is_some(),
        Who::Pair(..) => person.user_id.is_some(),
    }))
}
