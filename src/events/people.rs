//! The people of a user feed: its data file in the spool, read again, less its rejects.
//!
//! A user feed says all there is to say of each of its people: what it leaves out, or leaves empty, is empty from then on. The
//! order is that of the file, and of two rows with the same id the later one counts.

use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::EventsError;
use super::read::{of_io, of_stop, stored};
use crate::feed::{self, Walk};
use crate::ledger::Import;
use crate::spool::Slice;

/// A person of a user feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person<'a> {
    /// Index of the row, from 0.
    pub index: u64,
    /// The person's id: never blank, an integer as its text.
    pub id: Cow<'a, str>,
    /// The e-mail address; `None` overwrites the one that was known.
    pub email: Option<Cow<'a, str>>,
    /// The business unit, the source's default one included; `None` overwrites the one that was known.
    pub business_unit: Option<Cow<'a, str>>,
    /// The row as given, byte for byte.
    pub raw: &'a str,
}

/// The people of one import of kind `users`, read once from the front.
pub struct People {
    import: Arc<Import>,
    path: PathBuf,
    walk: Walk<Box<dyn Read + Send>>,
    /// Index of the row that is read next.
    next: u64,
    /// Rows before this one are passed over.
    from: u64,
}

impl People {
    /// Opens an import of kind `users` for reading, from the row number `from` on.
    pub fn open(import: Arc<Import>, spool_dir: &Path, from: u64) -> Result<People, EventsError> {
        let stored = stored(&import)?;
        let path = spool_dir.join(&stored.file);
        // The data file lies there as it came: it is no archive, and nothing is to be unpacked.
        let data = Slice::open(spool_dir, stored).map_err(|error| of_io(&import, &path, error))?;
        let walk = Walk::expecting(
            stored.len,
            Box::new(data) as Box<dyn Read + Send>,
            &import.reading.options,
        );
        Ok(People {
            walk,
            path,
            import,
            next: 0,
            from,
        })
    }

    /// Index of the row that is read next.
    pub fn at(&self) -> u64 {
        self.next.max(self.from)
    }

    /// The next person; `None` after the last.
    #[expect(clippy::should_implement_trait, reason = "it lends: a person borrows from the file")]
    pub fn next(&mut self) -> Result<Option<Person<'_>>, EventsError> {
        // Passed over first, so that what is lent below is lent once.
        while self.next < self.import.entries && self.is_left_out(self.next) {
            self.pass()?;
        }
        let index = self.next;
        if index == self.import.entries {
            return Ok(None);
        }
        self.next += 1;
        let entry = self
            .walk
            .next()
            .map_err(|stop| of_stop(&self.import, &self.path, stop))?
            .ok_or_else(|| shorter(&self.import, &self.path, index))?;
        let keys = feed::extract(&entry, &self.import.reading.options);
        Ok(Some(Person {
            index,
            id: keys.id.unwrap_or_default(),
            email: keys.email,
            business_unit: keys.business_unit,
            raw: entry.raw,
        }))
    }

    fn is_left_out(&self, index: u64) -> bool {
        index < self.from || self.import.left_out.contains(index)
    }

    fn pass(&mut self) -> Result<(), EventsError> {
        let passed = self
            .walk
            .next()
            .map_err(|stop| of_stop(&self.import, &self.path, stop))?;
        if passed.is_none() {
            return Err(shorter(&self.import, &self.path, self.next));
        }
        self.next += 1;
        Ok(())
    }
}

fn shorter(import: &Import, path: &Path, rows: u64) -> EventsError {
    EventsError::Damaged {
        import: import.id,
        archive: import.archive.clone(),
        path: path.to_owned(),
        detail: format!("it holds {rows} rows, and {} were imported", import.entries),
    }
}
