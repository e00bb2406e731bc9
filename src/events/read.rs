//! Reading an import again.
//!
//! One [`Events`] is one pass over one archive, from the front: deflate cannot be entered in the middle, so whoever wants
//! the next batch keeps it. What it holds is what the feed's reader holds, a few blocks that are unpacked ahead, and one
//! batch.

use std::borrow::Cow;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive;
use crate::feed::{self, ORDERED_ITEM, Stop, Walk};
use crate::ledger::{Cursor, Import, Stored};
use crate::spool::Slice;
use crate::verdict::Violation;

use super::beside::unpacked;
use super::{Batch, Route};

/// Buffer for the zip's small records, in bytes; the data itself is read past it, in larger pieces.
const RECORDS_BYTES: usize = 8 * 1024;

/// How much of the data file is walked for one batch, in bytes. Without it a destination that wants one event in a million
/// would hear of nothing, a shutdown included, until the end of the import.
const WALKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How large a batch may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most events.
    pub events: usize,
    /// Memory in bytes beyond which no event is added. One entry may be larger; it then comes in a batch by itself or last.
    pub bytes: usize,
}

/// The accepted events of one import, read once from the front.
pub struct Events {
    import: Arc<Import>,
    key: Arc<str>,
    path: PathBuf,
    walk: Walk<Box<dyn Read + Send>>,
    /// Index of the entry that is read next.
    next: u64,
    /// Entries before this one are passed over.
    from: u64,
    /// Events that are not on it are passed over too.
    route: Option<Route>,
    /// What the batch before took of room: the next one is about as large, and need not grow its way there.
    room: (usize, usize),
}

/// Why an import cannot be read again.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// Its bytes left the spool: a gap.
    #[error(
        "reading import {import} (`{archive}`) again: its archive left the spool, as `retention` says; its events can be had no more"
    )]
    Pruned {
        /// Its id.
        import: i64,
        /// The archive's name.
        archive: String,
    },
    /// The spool file is not there, or not what it was.
    #[error(
        "reading import {import} (`{archive}`) again from the spool file `{}`: {detail}; put the file back from a backup",
        path.display()
    )]
    Damaged {
        /// Its id.
        import: i64,
        /// The archive's name.
        archive: String,
        /// The spool file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// It was imported by a program that read feeds otherwise.
    #[error(
        "reading import {import} (`{archive}`) again: it was read by version {found} of the reader, and this program has \
         version {known}; use the feedgate that imported it, or a newer one"
    )]
    Reader {
        /// Its id.
        import: i64,
        /// The archive's name.
        archive: String,
        /// The version it was read by.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The local disk's fault, to be tried again.
    #[error("reading import {import} (`{archive}`) again from the spool file `{}`: {source}", path.display())]
    Io {
        /// Its id.
        import: i64,
        /// The archive's name.
        archive: String,
        /// The spool file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl EventsError {
    /// Whether the next try may well succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, EventsError::Io { .. })
    }
}

/// One event of an import, of which somebody kept a copy, as a batch: the entry of this index, or number `item` of what was
/// made of it. `None` if the copy is no entry any more.
pub fn one(import: &Arc<Import>, index: u64, item: u32, body: &str) -> Option<Batch> {
    let key = super::key(&import.source, &import.archive, &import.sha256).into();
    let at = Cursor { seq: import.seq, index };
    let mut batch = Batch::empty(Arc::clone(import), key, at);
    let array = b"[".chain(body.as_bytes()).chain(&b"]"[..]);
    let mut walk = Walk::new(array, &import.reading.options);
    let entry = walk.next().ok()??;
    let keys = feed::extract(&entry, &import.reading.options);
    batch.push(index, item, entry.raw, &keys);
    Some(batch)
}

impl Events {
    /// Opens an import for reading, from the entry number `from` on.
    pub fn open(import: Arc<Import>, spool_dir: &Path, from: u64) -> Result<Events, EventsError> {
        let stored = stored(&import)?;
        let path = spool_dir.join(&stored.file);
        let data = Slice::open(spool_dir, stored)
            .map_err(archive::Error::Io)
            .and_then(|slice| {
                let buffered = BufReader::with_capacity(RECORDS_BYTES, slice);
                archive::open(buffered, &import.reading.member, &import.reading.limits)
            })
            .map_err(|error| match error {
                archive::Error::Fault(fault) => damaged(&import, &path, &fault),
                archive::Error::Io(error) => of_io(&import, &path, error),
            })?;
        Ok(Events {
            key: super::key(&import.source, &import.archive, &import.sha256).into(),
            walk: Walk::expecting(
                import.reading.member.size,
                unpacked(data, import.reading.member.size),
                &import.reading.options,
            ),
            import,
            path,
            next: 0,
            from,
            route: None,
            room: (0, 0),
        })
    }

    /// Passes over events that are not on a route.
    pub fn on(mut self, route: Route) -> Events {
        self.route = Some(route);
        self
    }

    /// The import that is read.
    pub fn import(&self) -> &Arc<Import> {
        &self.import
    }

    /// Where the next batch begins.
    pub fn at(&self) -> Cursor {
        Cursor {
            seq: self.import.seq,
            index: self.next.max(self.from),
        }
    }

    /// The next events, of the names in `only` if there are any, and on the route if there is one. The batch may be empty, and is not to be asked for again
    /// once it was the last one.
    pub fn next_batch(&mut self, bounds: Bounds, only: &[String]) -> Result<Batch, EventsError> {
        let empty = Batch::empty(Arc::clone(&self.import), Arc::clone(&self.key), self.at());
        let mut batch = empty.with_room_of(self.room);
        let walked_max = self.walk.bytes().saturating_add(WALKED_BYTES_MAX);
        while batch.len() < bounds.events && batch.bytes() < bounds.bytes && self.walk.bytes() < walked_max {
            // The end is told by the ledger's count rather than by looking ahead, so that a batch is never held back.
            if self.next == self.import.entries {
                self.expect_the_end()?;
                batch.end = self.import.end();
                batch.last = true;
                return Ok(batch);
            }
            let Some(entry) = self
                .walk
                .next()
                .map_err(|stop| of_stop(&self.import, &self.path, stop))?
            else {
                return Err(self.not_what_it_was(format!("it holds {} entries", self.next)));
            };
            let index = self.next;
            self.next += 1;
            if index < self.from || self.import.left_out.contains(index) {
                continue;
            }
            let options = &self.import.reading.options;
            let mut keys = feed::extract(&entry, options);
            let route = &mut self.route;
            let mut is_wanted = |event: &str| {
                (only.is_empty() || only.iter().any(|name| name == event))
                    && route.as_mut().is_none_or(|route| route.has(event))
            };
            let with_items = options.ordered_items && is_wanted(ORDERED_ITEM);
            if is_wanted(&keys.event) {
                batch.push(index, 0, entry.raw, &keys);
            }
            if with_items {
                let event = std::mem::replace(&mut keys.event, Cow::Borrowed(ORDERED_ITEM));
                feed::items(&event, entry.raw, |item, body| batch.push(index, item, body, &keys));
            }
        }
        batch.end = self.at();
        self.walk.rest();
        let (bytes, events) = batch.room();
        self.room = (bytes.min(bounds.bytes), events);
        Ok(batch)
    }

    /// Reads on to the end of the data, where sizes and checksum are looked at.
    fn expect_the_end(&mut self) -> Result<(), EventsError> {
        let more = self
            .walk
            .next()
            .map_err(|stop| of_stop(&self.import, &self.path, stop))?;
        if more.is_some() {
            return Err(self.not_what_it_was("it holds more entries".to_owned()));
        }
        Ok(())
    }

    fn not_what_it_was(&self, found: String) -> EventsError {
        EventsError::Damaged {
            import: self.import.id,
            archive: self.import.archive.clone(),
            path: self.path.clone(),
            detail: format!("{found}, and {} were imported", self.import.entries),
        }
    }
}

/// Where an import's bytes lie, if they still do and this program reads them as they were read.
pub(super) fn stored(import: &Import) -> Result<&Stored, EventsError> {
    let Some(stored) = &import.stored else {
        return Err(EventsError::Pruned {
            import: import.id,
            archive: import.archive.clone(),
        });
    };
    if import.reading.reader != feed::READER_VERSION {
        return Err(EventsError::Reader {
            import: import.id,
            archive: import.archive.clone(),
            found: import.reading.reader,
            known: feed::READER_VERSION,
        });
    }
    Ok(stored)
}

pub(super) fn of_stop(import: &Import, path: &Path, stop: Stop) -> EventsError {
    match stop {
        Stop::Fault(fault) => damaged(import, path, &fault),
        Stop::Read(error) => match archive::fault_in(&error) {
            Some(fault) => damaged(import, path, fault),
            None => of_io(import, path, error),
        },
    }
}

pub(super) fn of_io(import: &Import, path: &Path, error: io::Error) -> EventsError {
    let detail = match error.kind() {
        io::ErrorKind::NotFound => "it is not there",
        io::ErrorKind::UnexpectedEof => "it is shorter than it was",
        _ => {
            return EventsError::Io {
                import: import.id,
                archive: import.archive.clone(),
                path: path.to_owned(),
                source: error,
            };
        }
    };
    EventsError::Damaged {
        import: import.id,
        archive: import.archive.clone(),
        path: path.to_owned(),
        detail: detail.to_owned(),
    }
}

/// The archive was vetted when it was imported, so a fault in it now means that the disk did not keep it.
fn damaged(import: &Import, path: &Path, fault: &Violation) -> EventsError {
    EventsError::Damaged {
        import: import.id,
        archive: import.archive.clone(),
        path: path.to_owned(),
        detail: format!("it is damaged ({}: {})", fault.code, fault.detail),
    }
}
