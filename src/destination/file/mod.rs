//! Files of events, for people and programs that take files: NDJSON or Parquet, a file per import and day.
//!
//! `<dir>/<day>/<key>.ndjson.zst` or `….parquet`: the day is that of the import, or on request the event's own; the key is
//! what the ids of the import's events begin with. So the same import comes to the same names whenever it is delivered, and a
//! file is either whole or not there: it is written beside under a name with a dot, synced, and renamed when all files of the
//! import are written. The cursor moves after that. A crash before leaves temporaries, which the next start sweeps; a crash
//! between renaming and the cursor writes the same files again. Nobody's file is there twice.
//!
//! Forms are [`Writer`]s, and do not know any of that but the temporaries they write to. Files of one form stay when the
//! configuration changes to the other.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::config::resolve::{DestinationKind, DestinationSettings, FileFormat};
use crate::events::{Batch, Event, push_date};
use crate::ledger::{Asks, Cursor};
use crate::on_disk;

use super::{Position, Reply, Store, of_io};
use taking_out::Erasing;
use temporaries::{Error, Temporaries};

mod names;
mod ndjson;
mod owner;
#[cfg(feature = "parquet")]
mod parquet;
mod taking_out;
mod temporaries;

/// Most days that the events of one import are filed under. Without a limit a feed of made-up times would make as many
/// files as it has events.
const DAYS_MAX: usize = 4_000;

/// So many imports after a start may have been delivered before, without the ledger having heard of it: as many as are
/// taken into one stint. For these, an earlier attempt's files are looked for in every day.
const REDELIVERED_MAX: usize = 256;

/// Files of events.
pub(super) struct Files {
    dir: PathBuf,
    /// Its name, for what files say of themselves.
    #[cfg(feature = "parquet")]
    destination: String,
    by_event_date: bool,
    format: FileFormat,
    zstd_level: i32,
    /// Imports kept since the start, as far as that matters.
    kept: usize,
    /// The import that is being written.
    writing: Option<Writing>,
    /// The person who is being erased.
    erasing: Option<Erasing>,
}

/// An import half written.
struct Writing {
    seq: i64,
    /// Where the next batch must begin.
    next: Cursor,
    /// The days that events were filed under so far, if those are the events' own.
    days: HashSet<String>,
    writer: Box<dyn Writer>,
}

/// The files of one import in one form, while they are written.
trait Writer: Send {
    /// Files an event under a day. It may be in memory afterwards, or in a temporary.
    fn write(&mut self, day: &str, event: &Event<'_>) -> Result<(), Error>;

    /// Writes what is in hand still, and closes every file.
    fn finish(self: Box<Self>) -> Result<Temporaries, Error>;
}

impl Files {
    /// Opens a directory, makes it if it is not there, and sweeps what a crash left.
    pub(super) fn open(settings: &DestinationSettings, dir: &Path) -> Result<Files, Reply> {
        let DestinationKind::File {
            by_event_date,
            format,
            zstd_level,
            ..
        } = settings.kind
        else {
            return Err(Reply::Barred {
                reason: "this is no `file` destination".to_owned(),
            });
        };
        refuse_unbuilt(format)?;
        on_disk::make_dir(dir).map_err(|error| of_io(&format!("making the directory `{}`", dir.display()), &error))?;
        owner::own(dir, settings)?;
        names::sweep(dir)
            .map_err(|error| of_io(&format!("sweeping temporary files from `{}`", dir.display()), &error))?;
        on_disk::sync_dir(dir).map_err(|error| of_io(&format!("syncing the directory `{}`", dir.display()), &error))?;
        Ok(Files {
            dir: dir.to_owned(),
            #[cfg(feature = "parquet")]
            destination: settings.name.clone(),
            by_event_date,
            format,
            zstd_level,
            kept: 0,
            writing: None,
            erasing: None,
        })
    }

    fn try_deliver(&mut self, batch: &Batch) -> Result<Reply, Reply> {
        match &batch.import.asks {
            Asks::Deliver | Asks::DeliverAgain | Asks::Forget(None) => {}
            Asks::TakeBack => return self.take_back(batch),
            Asks::Forget(Some(whom)) => return self.forget(batch, whom),
        }
        // What was begun and is not gone on with comes to nothing: its temporaries go when it is dropped.
        let writing_failed = |(path, error): Error| of_io(&format!("writing `{}`", path.display()), &error);
        let mut writing = match self.writing.take() {
            Some(writing) if writing.seq == batch.import.seq && writing.next == batch.begin => writing,
            _ => self.begin(batch).map_err(writing_failed)?,
        };
        self.write(&mut writing, batch).map_err(writing_failed)?;
        writing.next = batch.end;
        if !batch.last {
            self.writing = Some(writing);
            return Ok(Reply::Held);
        }
        let temporaries = writing.writer.finish().map_err(writing_failed)?;
        let may_have_been_here = self.kept < REDELIVERED_MAX || batch.import.asks == Asks::DeliverAgain;
        temporaries
            .keep(may_have_been_here)
            .map_err(|(path, error)| of_io(&format!("keeping `{}`", path.display()), &error))?;
        self.kept = self.kept.saturating_add(1);
        Ok(Reply::Durable(batch.end))
    }

    fn begin(&self, batch: &Batch) -> Result<Writing, Error> {
        let temporaries = Temporaries::new(&self.dir, &batch.key);
        let writer: Box<dyn Writer> = match self.format {
            #[cfg(feature = "parquet")]
            FileFormat::Parquet => Box::new(parquet::Parquet::new(
                temporaries,
                self.zstd_level,
                &self.destination,
                batch,
            )?),
            _ => ndjson::writer(temporaries, self.zstd_level, self.by_event_date),
        };
        Ok(Writing {
            seq: batch.import.seq,
            next: batch.begin,
            days: HashSet::new(),
            writer,
        })
    }

    fn write(&self, writing: &mut Writing, batch: &Batch) -> Result<(), Error> {
        let mut day = String::new();
        push_date(&mut day, batch.import.imported_at);
        for event in batch.events() {
            if self.by_event_date {
                day.clear();
                push_date(&mut day, event.at);
                writing.admit(&mut day);
            }
            writing.writer.write(&day, &event)?;
        }
        Ok(())
    }
}

impl Writing {
    /// A day that is one too many becomes that of all such.
    fn admit(&mut self, day: &mut String) {
        if self.days.contains(day.as_str()) {
            return;
        }
        if self.days.len() < DAYS_MAX {
            self.days.insert(day.clone());
        } else {
            names::OTHER_DAYS.clone_into(day);
        }
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

/// Says whether [`Files::open`] would succeed, and changes nothing.
pub(super) fn check(dir: &Path, settings: &DestinationSettings) -> Result<(), Reply> {
    if let DestinationKind::File { format, .. } = settings.kind {
        refuse_unbuilt(format)?;
    }
    if !dir.exists() {
        return super::check_place(dir);
    }
    if !dir.is_dir() {
        return Err(Reply::Barred {
            reason: format!("`{}` is not a directory; name another `path`", dir.display()),
        });
    }
    owner::check(dir, settings)?;
    super::check_writable(dir)
}

/// A program built without a form says so, rather than writing another.
fn refuse_unbuilt(format: FileFormat) -> Result<(), Reply> {
    if format == FileFormat::Parquet && !cfg!(feature = "parquet") {
        return Err(Reply::Barred {
            reason: "this program was built without the cargo feature `parquet`; build it with `--features parquet`, or write \
                     `format = \"ndjson\"`"
                .to_owned(),
        });
    }
    Ok(())
}
