//! Files of events: NDJSON, a file per import and day, compressed with zstd or plain.
//!
//! `<dir>/<day>/<key>.ndjson.zst`: the day is that of the import, or on request the event's own; the key is what the ids of
//! the import's events begin with. So the same import comes to the same names whenever it is delivered, and a file is either
//! whole or not there: it is written beside under a name with a dot, synced, and renamed when all files of the import are
//! written. The cursor moves after that. A crash before leaves temporaries, which the next start sweeps; a crash between
//! renaming and the cursor writes the same files again. Nobody's file is there twice.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::config::resolve::{DestinationKind, DestinationSettings};
use crate::events::{Batch, push_date, push_line};
use crate::ledger::Cursor;

use super::{Position, Reply, Store, of_io};
use parts::Parts;

mod parts;

/// Most days that the events of one import are filed under. Without a limit a feed of made-up times would make as many
/// files as it has events.
const DAYS_MAX: usize = 4_000;

/// Where events go whose day is one too many.
const OTHER_DAYS: &str = "other-days";

/// The file that says whose directory it is.
const OWNER_MARK: &str = ".feedgate";

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
    pub(super) fn open(settings: &DestinationSettings, dir: &Path) -> Result<Files, Reply> {
        let DestinationKind::File {
            by_event_date,
            zstd_level,
            ..
        } = settings.kind
        else {
            return Err(Reply::Barred {
                reason: "this is no `file` destination".to_owned(),
            });
        };
        parts::make_dir(dir).map_err(|error| of_io(&format!("making the directory `{}`", dir.display()), &error))?;
        own(dir, settings)?;
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

impl Store for Files {
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

/// Whose files lie in a directory, as the mark in it says.
fn owner(dir: &Path) -> Result<Option<String>, Reply> {
    let mark = dir.join(OWNER_MARK);
    match std::fs::read_to_string(&mark) {
        Ok(name) => Ok(Some(name.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(of_io(&format!("reading `{}`", mark.display()), &error)),
    }
}

/// Two destinations in one directory, by whatever path, would write over each other's files: the first one stays.
fn refuse_strangers(dir: &Path, settings: &DestinationSettings, owner: Option<&str>) -> Result<(), Reply> {
    match owner {
        Some(owner) if owner != settings.name && Some(owner) != settings.was.as_deref() => Err(Reply::Barred {
            reason: format!(
                "the directory `{}` belongs to the destination `{owner}`, as `{OWNER_MARK}` in it says: name another `path`, or write \
                 `was = \"{owner}\"` if that is what this one was called",
                dir.display()
            ),
        }),
        _ => Ok(()),
    }
}

/// Makes the directory this destination's own.
fn own(dir: &Path, settings: &DestinationSettings) -> Result<(), Reply> {
    let owner = owner(dir)?;
    refuse_strangers(dir, settings, owner.as_deref())?;
    if owner.as_deref() == Some(settings.name.as_str()) {
        return Ok(());
    }
    let mark = dir.join(OWNER_MARK);
    let failed = |error: std::io::Error| of_io(&format!("writing `{}`", mark.display()), &error);
    match owner {
        Some(_) => std::fs::write(&mark, format!("{}\n", settings.name)).map_err(failed),
        // Of two that come at once, one makes it, and the other finds it made.
        None => match std::fs::File::create_new(&mark) {
            Ok(mut file) => file
                .write_all(format!("{}\n", settings.name).as_bytes())
                .map_err(failed),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(Reply::Unavailable {
                reason: format!("another destination has just begun to use `{}`", dir.display()),
            }),
            Err(error) => Err(failed(error)),
        },
    }
}

/// Says whether [`Files::open`] would succeed, and changes nothing.
pub(super) fn check(dir: &Path, settings: &DestinationSettings) -> Result<(), Reply> {
    if !dir.exists() {
        return super::check_place(dir);
    }
    if !dir.is_dir() {
        return Err(Reply::Barred {
            reason: format!("`{}` is not a directory; name another `path`", dir.display()),
        });
    }
    refuse_strangers(dir, settings, owner(dir)?.as_deref())?;
    super::check_writable(dir)
}
