//! Reading ahead: the next batches are read while the destination is busy with the one before.
//!
//! Reading and writing take about as long as each other, so two cores halve the time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use crate::config::resolve::DestinationSettings;
use crate::events::{Batch, Bounds, Events, EventsError, Names, Route};
use crate::ledger::{Asks, Cursor, Import};

/// Bounds on one batch for a receiver, which cuts its parcels from it. The bytes bound what a delivery holds, whatever the
/// size of entries: one batch that is sent, and one that is being read.
pub(super) const RECEIVER_BATCH: Bounds = Bounds {
    events: 10_000,
    bytes: 4 * 1024 * 1024,
};

/// Bounds on one batch for a store: small, so that a batch is still in the processor's cache when it is written.
pub(super) const STORE_BATCH: Bounds = Bounds {
    events: 5_000,
    bytes: 1024 * 1024,
};

/// Memory in bytes of the batches that a store was given or is to be given next, but for the first: what is read ahead bridges
/// the time in which the store commits and takes none. One more batch is being read.
const AHEAD_BYTES: usize = 4 * 1024 * 1024;

/// A batch, or the import that cannot be read again, and why.
pub(super) type Read = Result<Batch, (Arc<Import>, EventsError)>;

/// The import that is being read, for one destination.
pub(super) struct Reader {
    spool_dir: PathBuf,
    /// Names of the events that are wanted; none: all.
    only: Vec<String>,
    /// Actions of which an event's definition must name one; none: it need not.
    actions: Vec<String>,
    names: Arc<Names>,
    bounds: Bounds,
    reading: Option<Events>,
    /// Batches that were read and that nobody took, in order.
    left_over: VecDeque<Batch>,
}

impl Reader {
    /// Nothing is open yet.
    pub(super) fn new(spool_dir: &Path, settings: &DestinationSettings, bounds: Bounds) -> Reader {
        Reader {
            spool_dir: spool_dir.to_owned(),
            only: settings.events.clone(),
            actions: settings.actions.clone(),
            names: Arc::new(settings.rename.iter().cloned().collect()),
            bounds,
            reading: None,
            left_over: VecDeque::new(),
        }
    }

    /// Reads imports in order, beginning at a cursor, until the last of them is read or one cannot be. Stays a few batches ahead
    /// of `taken`, where the bytes of each come back that is done with, and ends with it; what it made ready and nobody took is
    /// then to be [kept](Reader::keep).
    pub(super) fn read(
        &mut self,
        imports: &[Arc<Import>],
        mut at: Cursor,
        ready: &Sender<Read>,
        taken: &Receiver<usize>,
    ) {
        let mut ahead = 0;
        for import in imports {
            while at < import.end() {
                at = at.max(import.start());
                // Room first: one entry may be as large as all that may be ahead.
                if !has_room(0, &mut ahead, taken) {
                    return;
                }
                let batch = match self.next(import, at) {
                    Ok(batch) => batch,
                    Err(error) => {
                        // Nobody may be there to hear it.
                        ready.send(Err((Arc::clone(import), error))).ok();
                        return;
                    }
                };
                at = batch.end;
                if !has_room(batch.bytes(), &mut ahead, taken) {
                    self.left_over.push_front(batch);
                    return;
                }
                if ready.send(Ok(batch)).is_err() {
                    return;
                }
            }
        }
    }

    /// Keeps batches that were made ready last and that nobody took, for the next time.
    pub(super) fn keep(&mut self, untaken: Vec<Batch>) {
        for batch in untaken.into_iter().rev() {
            self.left_over.push_front(batch);
        }
    }

    /// Forgets where it was: the next batch may begin anywhere.
    pub(super) fn forget(&mut self) {
        self.reading = None;
        self.left_over.clear();
    }

    /// What events are called at the destination.
    pub(super) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }

    /// The route of an import's events, where they are chosen by actions.
    fn route_of(&self, import: &Import) -> Option<Route> {
        (!self.actions.is_empty()).then(|| Route::new(&self.actions, import.definitions.clone()))
    }

    /// The batch that begins at a cursor.
    pub(super) fn next(&mut self, import: &Arc<Import>, at: Cursor) -> Result<Batch, EventsError> {
        if matches!(import.asks, Asks::TakeBack | Asks::Forget(_)) {
            // There is nothing to read: the batch stands for what is asked, and is empty.
            self.forget();
            return Ok(Batch::nothing_of(Arc::clone(import), at));
        }
        if let Some(batch) = self.left_over.pop_front() {
            if batch.begin == at {
                return Ok(batch);
            }
            self.forget();
        }
        let mut reading = match self.reading.take() {
            Some(reading) if reading.at() == at => reading,
            _ => match self.route_of(import) {
                // Not a byte of it need be read.
                Some(route) if route.is_empty() => return Ok(Batch::nothing_of(Arc::clone(import), at)),
                Some(route) => Events::open(Arc::clone(import), &self.spool_dir, at.index)?.on(route),
                None => Events::open(Arc::clone(import), &self.spool_dir, at.index)?,
            },
        };
        let mut batch = reading.next_batch(self.bounds, &self.only)?;
        batch.rename(self.names());
        if !batch.last {
            self.reading = Some(reading);
        }
        Ok(batch)
    }
}

/// Waits until so many bytes more may be ahead. `false` if nobody takes any more. The first batch always may.
fn has_room(bytes: usize, ahead: &mut usize, taken: &Receiver<usize>) -> bool {
    loop {
        let is_far_ahead = *ahead > 0 && *ahead + bytes > AHEAD_BYTES;
        let done = match is_far_ahead {
            true => taken.recv().ok(),
            false => match taken.try_recv() {
                Err(TryRecvError::Empty) => {
                    *ahead += bytes;
                    return true;
                }
                done => done.ok(),
            },
        };
        match done {
            Some(done) => *ahead -= done,
            None => return false,
        }
    }
}
