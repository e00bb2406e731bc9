//! Imports read again, for whom they speak of: events as they were accepted, and the records of user feeds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::circle::Said;
use crate::events::{Bounds, Events, EventsError};
use crate::ledger::people::Mention;
use crate::ledger::{Cursor, Import};

/// Entries that are heard at a time. More of them cost less each, since whoever is looked up in the order of ids and addresses is
/// found on the same pages of the ledger; and whoever else wants to write there waits that long: some 50 ms.
const ENTRIES: usize = 4_000;

/// Memory for the entries that are read at a time, in bytes.
const BYTES: usize = 4 * 1024 * 1024;

/// What some entries say, and where they end.
pub(super) struct Page {
    pub(super) said: Vec<Said>,
    pub(super) end: Cursor,
}

/// An import that cannot be read again, and why.
pub(super) type Unreadable = (Arc<Import>, EventsError);

/// A reader of imports, one after the other.
pub(super) struct Pages {
    spool_dir: PathBuf,
    reading: Option<Events>,
}

impl Pages {
    pub(super) fn new(spool_dir: &Path) -> Pages {
        Pages {
            spool_dir: spool_dir.to_owned(),
            reading: None,
        }
    }

    /// What is said from a cursor on, in these imports: as much as is heard at a time. Each comes with whether it is a user
    /// feed.
    pub(super) fn next(&mut self, imports: &[(Arc<Import>, bool)], mut at: Cursor) -> Result<Page, Unreadable> {
        let mut said = Vec::new();
        for (import, is_users) in imports {
            if import.end() <= at {
                continue;
            }
            at = at.max(import.start());
            while at < import.end() && said.len() < ENTRIES {
                match self.read(import, *is_users, at, &mut said) {
                    Ok(end) => at = end,
                    // What was read before it is heard first.
                    Err(_) if !said.is_empty() => return Ok(Page { said, end: at }),
                    Err(error) => return Err((Arc::clone(import), error)),
                }
            }
        }
        Ok(Page { said, end: at })
    }

    /// Reads on in one import, and returns where it is then.
    fn read(
        &mut self,
        import: &Arc<Import>,
        is_users: bool,
        at: Cursor,
        said: &mut Vec<Said>,
    ) -> Result<Cursor, EventsError> {
        let mut reading = match self.reading.take() {
            Some(reading) if reading.at() == at => reading,
            _ => Events::open(Arc::clone(import), &self.spool_dir, at.index)?,
        };
        let bounds = Bounds {
            events: ENTRIES - said.len(),
            bytes: BYTES,
        };
        let batch = reading.next_batch(bounds, &[])?;
        said.extend(batch.events().map(|event| Said {
            place: Mention {
                at: import.imported_at,
                import: import.id,
                index: event.index,
            },
            user_id: event.user_id.map(str::to_owned),
            email: event.email.map(str::to_owned),
            unit: event.business_unit.unwrap_or_default().to_owned(),
            is_record: is_users,
        }));
        if !batch.last {
            self.reading = Some(reading);
        }
        Ok(batch.end)
    }
}
