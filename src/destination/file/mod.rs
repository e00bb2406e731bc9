//! Files of events: NDJSON, a file per import and day, compressed with zstd or plain.
//!
//! `<dir>/<day>/<key>.ndjson.zst`: the day is that of the import, or on request the event's own; the key is what the ids of
//! the import's events begin with. So the same import comes to the same names whenever it is delivered, and a file is either
//! whole or not there: it is written beside under a name with a dot, synced, and renamed when all files of the import are
//! written. The cursor moves after that. A crash before leaves temporaries, which the next start sweeps; a crash between
//! renaming and the cursor writes the same files again. Nobody's file is there twice.

use std::path::{Path, PathBuf};

use crate::events::{Batch, push_date, push_line};
use crate::ledger::Cursor;

use super::{Destination, Position, Reply, of_io};
use parts::Parts;

mod parts;

/// Most days that the events of one import are filed under. Without a limit a feed of made-up times would make as many
/// files as it has events.
const DAYS_MAX: usize = 4_000;

/// Where events go whose day is one too many.
const OTHER_DAYS: &str = "other-days";

/// Files of events.
pub(super) struct Files {
    dir: PathBuf,
    by_event_date: bool,
    zstd_level: i32,
    /// The import that is being written.
    writing: Option<Writing>,
}

/// An import half written.
struct Writing {
    seq: i64,
    /// Where the next batch must begin.
    next: Cursor,
    parts: Parts,
}

impl Files {
    /// Opens a directory, makes it if it is not there, and sweeps what a crash left.
    pub(super) fn open(dir: &Path, by_event_date: bool, zstd_level: i32) -> Result<Files, Reply> {
        parts::make_dir(dir).map_err(|error| of_io(&format!("making the directory `{}`", dir.display()), &error))?;
        parts::sweep(dir)
            .map_err(|error| of_io(&format!("sweeping temporary files from `{}`", dir.display()), &error))?;
        Ok(Files {
            dir: dir.to_owned(),
            by_event_date,
            zstd_level,
            writing: None,
        })
    }

    fn try_deliver(&mut self, batch: &Batch) -> Result<Reply, Reply> {
        // What was begun and is not gone on with comes to nothing: its temporaries go when it is dropped.
        let mut writing = match self.writing.take() {
            Some(writing) if writing.seq == batch.import.seq && writing.next == batch.begin => writing,
            _ => Writing {
                seq: batch.import.seq,
                next: batch.begin,
                parts: Parts::new(&self.dir, &batch.key, self.zstd_level, self.by_event_date),
            },
        };
        self.write(&mut writing.parts, batch)
            .map_err(|(path, error)| of_io(&format!("writing `{}`", path.display()), &error))?;
        writing.next = batch.end;
        if !batch.last {
            self.writing = Some(writing);
            return Ok(Reply::Held);
        }
        writing
            .parts
            .keep()
            .map_err(|(path, error)| of_io(&format!("keeping `{}`", path.display()), &error))?;
        Ok(Reply::Durable(batch.end))
    }

    fn write(&self, parts: &mut Parts, batch: &Batch) -> Result<(), parts::Error> {
        let mut line = Vec::new();
        let mut day = String::new();
        push_date(&mut day, batch.import.imported_at);
        for event in batch.events() {
            if self.by_event_date {
                day.clear();
                push_date(&mut day, event.at);
                if parts.days() >= DAYS_MAX && !parts.has(&day) {
                    OTHER_DAYS.clone_into(&mut day);
                }
            }
            line.clear();
            push_line(&mut line, &event);
            parts.write(&day, &line)?;
        }
        Ok(())
    }
}

impl Destination for Files {
    fn position(&mut self) -> Result<Position, Reply> {
        Ok(Position::Ledger)
    }

    fn deliver(&mut self, batch: &Batch) -> Reply {
        self.try_deliver(batch).unwrap_or_else(|reply| reply)
    }

    fn flush(&mut self) -> Reply {
        Reply::Held
    }
}

/// Says whether [`Files::open`] would succeed, and changes nothing.
pub(super) fn check(dir: &Path) -> Result<(), Reply> {
    if !dir.exists() {
        return super::check_place(dir);
    }
    if !dir.is_dir() {
        return Err(Reply::Barred {
            reason: format!("`{}` is not a directory; name another `path`", dir.display()),
        });
    }
    super::check_writable(dir)
}
