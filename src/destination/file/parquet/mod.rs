//! Parquet: typed columns, for whoever asks questions of events.
//!
//! A Parquet file is written in row groups, column by column, and cannot be opened again to append to it. So rows are
//! gathered in memory, for all days together, until they are too many; then those of the day that has most become a row group
//! of its file. A day's file takes no memory but its share of the footer, and few are open at a time: one that was closed to
//! make room, and whose day goes on, is followed by a further one, `<key>-2.parquet`. All of that follows from the events
//! and their order alone, so that an import comes to the same files, byte for byte, whenever it is delivered.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::temporaries::{Error, Temporaries};
use super::{Writer, names};
use crate::events::Event;
use crate::ledger::Import;
use rows::Rows;
use schema::Shape;

mod rows;
mod schema;

/// Most files of one import that are open at a time.
const OPEN_MAX: usize = 32;

/// Rows are held in memory up to this many bytes in all, and one row more if that one is larger.
const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most row groups in the files that are open. Each has about 5 KiB in its file's footer, which is in memory until the file is
/// closed: without a limit memory would grow with the archive.
const ROW_GROUPS_MAX: usize = 512;

/// The Parquet files of one import, by day.
pub(super) struct Parquet {
    temporaries: Temporaries,
    shape: Shape,
    /// In the order of days, so that of two that are alike the same is taken always.
    days: BTreeMap<String, Day>,
    /// Bytes of all rows that are held.
    held: usize,
    /// Counts row groups, so that the file not written to for longest can be found.
    clock: u64,
}

/// What there is of a day.
#[derive(Default)]
struct Day {
    /// Rows that are in no file yet.
    rows: Rows,
    /// The file that is open.
    open: Option<Open>,
    /// Files begun, that one included.
    files: usize,
}

/// A file that is written to.
struct Open {
    path: PathBuf,
    out: SerializedFileWriter<File>,
    row_groups: usize,
    used: u64,
}

impl Parquet {
    /// No file yet. Level 0 does not compress.
    pub(super) fn new(
        temporaries: Temporaries,
        level: i32,
        destination: &str,
        import: &Import,
    ) -> Result<Parquet, Error> {
        let shape = Shape::new(level, destination, import)
            .map_err(|error| (temporaries.dir().to_owned(), of_parquet(error)))?;
        Ok(Parquet {
            temporaries,
            shape,
            days: BTreeMap::new(),
            held: 0,
            clock: 0,
        })
    }

    /// Makes a row group of what the day with the most rows holds.
    fn relieve(&mut self) -> Result<(), Error> {
        let fullest = self.days.iter().max_by_key(|(_, day)| day.rows.bytes());
        match fullest.map(|(name, _)| name.clone()) {
            Some(name) => self.write_rows(&name),
            None => Ok(()),
        }
    }

    /// Makes a row group of what a day holds.
    fn write_rows(&mut self, name: &str) -> Result<(), Error> {
        self.open(name)?;
        let Some(day) = self.days.get_mut(name) else {
            return Ok(());
        };
        let rows = std::mem::take(&mut day.rows);
        let Some(open) = &mut day.open else { return Ok(()) };
        self.held -= rows.bytes();
        self.clock += 1;
        open.used = self.clock;
        open.row_groups += 1;
        rows.write(&mut open.out, &self.shape)
            .map_err(|error| (open.path.clone(), of_parquet(error)))?;
        self.keep_footers_small()
    }

    /// Opens a file for a day, if none is.
    fn open(&mut self, name: &str) -> Result<(), Error> {
        if self.days.get(name).is_none_or(|day| day.open.is_some()) {
            return Ok(());
        }
        self.make_room()?;
        let Some(day) = self.days.get_mut(name) else {
            return Ok(());
        };
        day.files += 1;
        let (path, file) = self.temporaries.begin(name, day.files, names::PARQUET)?;
        let out = SerializedFileWriter::new(file, self.shape.schema.clone(), self.shape.properties.clone())
            .map_err(|error| (path.clone(), of_parquet(error)))?;
        day.open = Some(Open {
            path,
            out,
            row_groups: 0,
            used: self.clock,
        });
        Ok(())
    }

    /// Closes the file not written to for longest, if as many are open as may be.
    fn make_room(&mut self) -> Result<(), Error> {
        if self.opened().count() < OPEN_MAX {
            return Ok(());
        }
        let oldest = self.opened().min_by_key(|(_, open)| open.used);
        match oldest.map(|(name, _)| name.clone()) {
            Some(name) => self.close(&name),
            None => Ok(()),
        }
    }

    /// Closes the file with the most row groups, if there are as many as may be.
    fn keep_footers_small(&mut self) -> Result<(), Error> {
        if self.opened().map(|(_, open)| open.row_groups).sum::<usize>() < ROW_GROUPS_MAX {
            return Ok(());
        }
        let largest = self.opened().max_by_key(|(_, open)| open.row_groups);
        match largest.map(|(name, _)| name.clone()) {
            Some(name) => self.close(&name),
            None => Ok(()),
        }
    }

    fn opened(&self) -> impl Iterator<Item = (&String, &Open)> {
        self.days
            .iter()
            .filter_map(|(name, day)| day.open.as_ref().map(|open| (name, open)))
    }

    fn close(&mut self, name: &str) -> Result<(), Error> {
        match self.days.get_mut(name).and_then(|day| day.open.take()) {
            Some(open) => open.close(),
            None => Ok(()),
        }
    }
}

impl Writer for Parquet {
    fn write(&mut self, day: &str, event: &Event<'_>) -> Result<(), Error> {
        let bytes = rows::bytes_of(event);
        while self.held > 0 && self.held + bytes > HELD_BYTES_MAX {
            self.relieve()?;
        }
        if !self.days.contains_key(day) {
            self.days.insert(day.to_owned(), Day::default());
        }
        if let Some(day) = self.days.get_mut(day) {
            day.rows.push(event);
            self.held += bytes;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Temporaries, Error> {
        let names: Vec<String> = self.days.keys().cloned().collect();
        for name in names {
            if self.days.get(&name).is_some_and(|day| day.rows.bytes() > 0) {
                self.write_rows(&name)?;
            }
            self.close(&name)?;
        }
        Ok(self.temporaries)
    }
}

impl Open {
    fn close(self) -> Result<(), Error> {
        match self.out.close() {
            Ok(_) => Ok(()),
            Err(error) => Err((self.path, of_parquet(error))),
        }
    }
}

/// The system's own error, where it is one: what an operator can mend is told by its kind.
fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}
