//! Parquet: typed columns, for whoever asks questions of events.
//!
//! A Parquet file is written in row groups, column by column, and cannot be opened again to append to it. So rows are
//! gathered in memory, for all days together, until they are too many; then those of the day that has most become a row group
//! of its file. Where days are so many and so mixed that even those are few, they are set aside on disk until the end.
//!
//! A file takes no memory but for its footer, and few are open at a time: one that was closed to make room, and whose day
//! goes on, is followed by a further one, `<key>-2.parquet`. All of that follows from the events and their order alone, so
//! that an import comes to the same files, byte for byte, whenever it is delivered.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::temporaries::{Error, Temporaries};
use super::{Writer, names};
use crate::events::{Batch, Event};
use aside::Aside;
use rows::{Row, Rows};
use schema::Shape;

mod aside;
mod rows;
mod schema;
mod without;

pub(super) use without::without;

/// Most files of one import that are open at a time.
const OPEN_MAX: usize = 32;

/// Rows are held in memory up to this many bytes in all, and one row more if that one is larger.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Fewer bytes make no row group, unless they are a file's last: the share of one day, if as many as may have open files are
/// evenly mixed.
const ROW_GROUP_BYTES_MIN: usize = HELD_BYTES_MAX / OPEN_MAX;

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
    /// Rows that are only in memory.
    rows: Rows,
    /// Rows that were set aside. They come after those that are in a file, and before those in memory.
    aside: Option<Aside>,
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
        batch: &Batch,
    ) -> Result<Parquet, Error> {
        let shape = Shape::new(level, destination, &batch.key, &batch.import)
            .map_err(|error| (temporaries.dir().to_owned(), of_parquet(error)))?;
        Ok(Parquet {
            temporaries,
            shape,
            days: BTreeMap::new(),
            held: 0,
            clock: 0,
        })
    }

    /// Brings to disk what the day with the most rows holds.
    fn relieve(&mut self) -> Result<(), Error> {
        let fullest = self.days.iter().max_by_key(|(_, day)| day.rows.bytes());
        let Some((name, day)) = fullest else { return Ok(()) };
        let name = name.clone();
        match day.aside.is_some() || day.rows.bytes() < ROW_GROUP_BYTES_MIN {
            true => self.set_aside(&name),
            false => self.write_rows(&name),
        }
    }

    /// Sets aside what a day holds.
    fn set_aside(&mut self, name: &str) -> Result<(), Error> {
        let Some(day) = self.days.get_mut(name) else {
            return Ok(());
        };
        let aside = match &mut day.aside {
            Some(aside) => aside,
            None => day.aside.insert(Aside {
                path: self.temporaries.set_aside(name)?,
            }),
        };
        let rows = std::mem::take(&mut day.rows);
        self.held -= rows.bytes();
        aside.append(rows).map_err(|error| (aside.path.clone(), error))
    }

    /// Makes row groups of what was set aside of a day.
    fn bring_back(&mut self, name: &str) -> Result<(), Error> {
        let Some(aside) = self.days.get_mut(name).and_then(|day| day.aside.take()) else {
            return Ok(());
        };
        let failed = |error| (aside.path.clone(), error);
        let mut again = aside.again().map_err(failed)?;
        while let Some(row) = again.next().map_err(failed)? {
            if self.held > 0 && self.held + row.bytes() > HELD_BYTES_MAX {
                self.write_rows(name)?;
            }
            self.hold(name, &row);
        }
        self.write_rows(name)?;
        std::fs::remove_file(&aside.path).map_err(failed)
    }

    fn hold(&mut self, name: &str, row: &Row<'_>) {
        if !self.days.contains_key(name) {
            self.days.insert(name.to_owned(), Day::default());
        }
        if let Some(day) = self.days.get_mut(name) {
            day.rows.push(row);
            self.held += row.bytes();
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
        on_a_thread_of_its_own(|| rows.write(&mut open.out, &self.shape))
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

    /// Closes the file not written to for longest, if as many are open as may be. What is held of its day goes into it first.
    fn make_room(&mut self) -> Result<(), Error> {
        if self.opened().count() < OPEN_MAX {
            return Ok(());
        }
        let oldest = self.opened().min_by_key(|(_, open)| open.used);
        let Some((name, _)) = oldest else { return Ok(()) };
        let name = name.clone();
        if self.days[&name].is_only_held() {
            self.write_rows(&name)?;
        }
        self.close(&name)
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
        let row = Row::of(event);
        while self.held > 0 && self.held + row.bytes() > HELD_BYTES_MAX {
            self.relieve()?;
        }
        self.hold(day, &row);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Temporaries, Error> {
        let names: Vec<String> = self.days.keys().cloned().collect();
        // Nothing is held any more when what was set aside comes back, one day after the other.
        for name in &names {
            match &self.days[name] {
                day if day.rows.bytes() == 0 => {}
                day if day.aside.is_some() => self.set_aside(name)?,
                _ => {
                    self.write_rows(name)?;
                    self.close(name)?;
                }
            }
        }
        for name in &names {
            self.bring_back(name)?;
            self.close(name)?;
        }
        Ok(self.temporaries)
    }
}

impl Day {
    /// Whether there are rows in memory that nothing set aside must come before.
    fn is_only_held(&self) -> bool {
        self.rows.bytes() > 0 && self.aside.is_none()
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

/// Encoding takes some megabytes for a moment, and an allocator with an arena for each thread keeps them for the thread that
/// asked. Deliveries go from one thread of a pool to the next; short-lived threads inherit the arena of the one before.
fn on_a_thread_of_its_own(work: impl FnOnce() -> Result<(), ParquetError> + Send) -> Result<(), ParquetError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("writing Parquet".to_owned());
        let working = thread.spawn_scoped(scope, work)?;
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
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
