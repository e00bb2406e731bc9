//! Imports read again, for whom they speak of: events as they were accepted, and the records of user feeds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::circle::Said;
use crate::events::{Bounds, Events, EventsError, People};
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
    reading: Option<Reading>,
}

/// An import that is being read.
enum Reading {
    Events(Box<Events>),
    Records(Arc<Import>, Box<People>),
}

impl Reading {
    fn open(import: &Arc<Import>, is_users: bool, spool_dir: &Path, from: u64) -> Result<Reading, EventsError> {
        Ok(match is_users {
            true => {
                let people = People::open(Arc::clone(import), spool_dir, from)?;
                Reading::Records(Arc::clone(import), Box::new(people))
            }
            false => Reading::Events(Box::new(Events::open(Arc::clone(import), spool_dir, from)?)),
        })
    }

    fn at(&self) -> Cursor {
        match self {
            Reading::Events(events) => events.at(),
            Reading::Records(import, people) => Cursor {
                seq: import.seq,
                index: people.at(),
            },
        }
    }
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
            if said.len() >= ENTRIES {
                break;
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
            _ => Reading::open(import, is_users, &self.spool_dir, at.index)?,
        };
        let (end, is_last) = match &mut reading {
            Reading::Events(events) => hear_events(events, said)?,
            Reading::Records(import, people) => hear_records(import, people, said)?,
        };
        if !is_last {
            self.reading = Some(reading);
        }
        Ok(end)
    }
}

/// Hears the next events, and tells where they end, and whether the import does.
fn hear_events(events: &mut Events, said: &mut Vec<Said>) -> Result<(Cursor, bool), EventsError> {
    let bounds = Bounds {
        events: ENTRIES - said.len(),
        bytes: BYTES,
    };
    let batch = events.next_batch(bounds, &[])?;
    said.extend(batch.events().map(|event| Said {
        place: place(&batch.import, event.index),
        user_id: event.user_id.map(str::to_owned),
        email: event.email.map(str::to_owned),
        unit: event.business_unit.unwrap_or_default().to_owned(),
        is_record: false,
    }));
    Ok((batch.end, batch.last))
}

/// Likewise, of the records of a user feed.
fn hear_records(import: &Import, people: &mut People, said: &mut Vec<Said>) -> Result<(Cursor, bool), EventsError> {
    while said.len() < ENTRIES {
        let Some(person) = people.next()? else {
            return Ok((import.end(), true));
        };
        said.push(Said {
            place: place(import, person.index),
            user_id: Some(person.id.into_owned()),
            email: person.email.map(|email| email.into_owned()),
            unit: person.business_unit.map(|unit| unit.into_owned()).unwrap_or_default(),
            is_record: true,
        });
    }
    let at = Cursor {
        seq: import.seq,
        index: people.at(),
    };
    Ok((at, false))
}

fn place(import: &Import, index: u64) -> Mention {
    Mention {
        at: import.imported_at,
        import: import.id,
        index,
    }
}
