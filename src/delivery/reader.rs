//! Reading ahead: the next batch is unpacked while the destination is busy with the one before.
//!
//! Unpacking and writing take about as long as each other, so two cores halve the time. One batch is read ahead and no more.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SendError, SyncSender};

use crate::config::resolve::DestinationSettings;
use crate::events::{Batch, Bounds, Events, EventsError, Names};
use crate::ledger::{Cursor, Import};

/// Bounds on one batch. The bytes bound what a delivery holds, whatever the size of entries: one batch with the
/// destination, and one that is being read.
pub(super) const BATCH: Bounds = Bounds {
    events: 10_000,
    bytes: 4 * 1024 * 1024,
};

/// A batch, or the import that cannot be read again, and why.
pub(super) type Read = Result<Batch, (Arc<Import>, EventsError)>;

/// The import that is being read, for one destination.
pub(super) struct Reader {
    spool_dir: PathBuf,
    /// Names of the events that are wanted; none: all.
    only: Vec<String>,
    names: Arc<Names>,
    reading: Option<Events>,
    /// A batch that was read and that nobody took.
    left_over: Option<Batch>,
}

impl Reader {
    /// Nothing is open yet.
    pub(super) fn new(spool_dir: &Path, settings: &DestinationSettings) -> Reader {
        Reader {
            spool_dir: spool_dir.to_owned(),
            only: settings.events.clone(),
            names: Arc::new(settings.rename.iter().cloned().collect()),
            reading: None,
            left_over: None,
        }
    }

    /// Reads imports in order, beginning at a cursor, until the last of them is read, one cannot be, or nobody takes any
    /// more. What is left then is kept for the next time.
    pub(super) fn read(&mut self, imports: &[Arc<Import>], mut at: Cursor, ready: &SyncSender<Read>) {
        for import in imports {
            while at < import.end() {
                at = at.max(import.start());
                let read = self.next(import, at).map_err(|error| (Arc::clone(import), error));
                let failed = read.is_err();
                at = read.as_ref().map_or(at, |batch| batch.end);
                if let Err(SendError(unwanted)) = ready.send(read) {
                    self.left_over = unwanted.ok();
                    return;
                }
                if failed {
                    return;
                }
            }
        }
    }

    /// Forgets where it was: the next batch may begin anywhere.
    pub(super) fn forget(&mut self) {
        self.reading = None;
        self.left_over = None;
    }

    /// What events are called at the destination.
    pub(super) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }

    /// The batch that begins at a cursor.
    pub(super) fn next(&mut self, import: &Arc<Import>, at: Cursor) -> Result<Batch, EventsError> {
        if let Some(batch) = self.left_over.take()
            && batch.begin == at
        {
            return Ok(batch);
        }
        let mut reading = match self.reading.take() {
            Some(reading) if reading.at() == at => reading,
            _ => Events::open(Arc::clone(import), &self.spool_dir, at.index)?,
        };
        let mut batch = reading.next_batch(BATCH, &self.only)?;
        batch.rename(self.names());
        if !batch.last {
            self.reading = Some(reading);
        }
        Ok(batch)
    }
}
