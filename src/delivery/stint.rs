//! What is done on a blocking thread between two looks at the ledger: read, hand over, make good.
//!
//! A stint takes in several small imports, or a piece of a large one, and ends with a flush, so that a transactional
//! destination commits once for all of it and holds no transaction while the loop waits for anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::destination::{Destination, Reply};
use crate::events::{Batch, Bounds, Events, EventsError};
use crate::ledger::{Cursor, Import};

/// Memory of one batch, in bytes: it bounds what a delivery holds, whatever the size of entries.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// After this long a stint is ended, so that the ledger's cursor, the log and a reader of the destination do not wait long.
const STINT_MAX: Duration = Duration::from_millis(500);

/// A destination at work: the destination, the import it is in, and how far it is.
pub(super) struct Worker {
    destination: Box<dyn Destination>,
    spool_dir: PathBuf,
    /// Names of the events that are wanted; none: all.
    only: Vec<String>,
    reading: Option<Events>,
    /// Everything before this is at the destination for good.
    confirmed: Cursor,
    /// Everything before this was handed over.
    handed: Cursor,
    /// Events handed over and not confirmed.
    unconfirmed: u64,
}

/// What a stint came to.
pub(super) struct Stint {
    /// Events confirmed in it.
    pub(super) delivered: u64,
    /// The import it was in last, if it handed anything over.
    pub(super) last: Option<Arc<Import>>,
    /// How it ended.
    pub(super) ending: Ending,
}

/// How a stint ended.
pub(super) enum Ending {
    /// Every import given was handed over.
    Done,
    /// It was long enough, or it was told to stop.
    Paused,
    /// The destination stands elsewhere than was thought.
    Moved,
    /// The destination answered with [`Reply::Unavailable`].
    Unavailable(String),
    /// The destination answered with [`Reply::Barred`].
    Barred(String),
    /// An import cannot be read again.
    Unreadable(Arc<Import>, EventsError),
}

impl Worker {
    /// Sets a destination to work at a cursor.
    pub(super) fn new(destination: Box<dyn Destination>, spool_dir: &Path, only: Vec<String>, at: Cursor) -> Worker {
        Worker {
            destination,
            spool_dir: spool_dir.to_owned(),
            only,
            reading: None,
            confirmed: at,
            handed: at,
            unconfirmed: 0,
        }
    }

    /// Everything before this is at the destination for good.
    pub(super) fn confirmed(&self) -> Cursor {
        self.confirmed
    }

    /// What is to be handed over next.
    pub(super) fn handed(&self) -> Cursor {
        self.handed
    }

    /// Passes over imports that nothing is wanted of.
    pub(super) fn pass_over(&mut self, to: Cursor) {
        self.confirmed = self.confirmed.max(to);
        self.handed = self.handed.max(to);
    }

    /// Hands imports over, in order, each from where it was left.
    pub(super) fn stint(&mut self, imports: &[Arc<Import>], stop: &CancellationToken) -> Stint {
        let mut stint = Stint {
            delivered: 0,
            last: None,
            ending: Ending::Done,
        };
        let began = Instant::now();
        let mut room = self.destination.events_max();
        'imports: for import in imports {
            while self.handed < import.end() {
                if room == 0 || began.elapsed() >= STINT_MAX || stop.is_cancelled() {
                    stint.ending = Ending::Paused;
                    break 'imports;
                }
                let batch = match self.next_batch(import, room) {
                    Ok(batch) => batch,
                    Err(error) => {
                        // What was read before is still worth confirming.
                        stint.ending = Ending::Unreadable(Arc::clone(import), error);
                        break 'imports;
                    }
                };
                room -= batch.len();
                stint.last = Some(Arc::clone(import));
                if let Some(ending) = self.hand_over(&batch, &mut stint.delivered) {
                    stint.ending = ending;
                    return stint;
                }
            }
        }
        if let Some(ending) = self.flush(&mut stint.delivered) {
            stint.ending = ending;
        }
        stint
    }

    /// Hands over that nothing comes of an import, so that a destination with a cursor of its own moves it as well.
    pub(super) fn skip(&mut self, import: &Arc<Import>) -> Stint {
        let mut delivered = 0;
        self.reading = None;
        let batch = Batch::nothing_of(Arc::clone(import), self.handed);
        let ending = self
            .hand_over(&batch, &mut delivered)
            .or_else(|| self.flush(&mut delivered))
            .unwrap_or(Ending::Done);
        Stint {
            delivered,
            last: None,
            ending,
        }
    }

    fn next_batch(&mut self, import: &Arc<Import>, room: usize) -> Result<Batch, EventsError> {
        let from = if self.handed.seq == import.seq {
            self.handed.index
        } else {
            0
        };
        let at = Cursor {
            seq: import.seq,
            index: from,
        };
        let mut reading = match self.reading.take() {
            Some(reading) if reading.at() == at => reading,
            _ => Events::open(Arc::clone(import), &self.spool_dir, from)?,
        };
        let bounds = Bounds {
            events: room,
            bytes: BATCH_BYTES,
        };
        let batch = reading.next_batch(bounds, &self.only)?;
        if !batch.last {
            self.reading = Some(reading);
        }
        Ok(batch)
    }

    /// `Some` if the stint is over.
    fn hand_over(&mut self, batch: &Batch, delivered: &mut u64) -> Option<Ending> {
        let reply = self.destination.deliver(batch);
        if matches!(reply, Reply::Held | Reply::Durable(_)) {
            self.unconfirmed += batch.len() as u64;
        }
        match reply {
            Reply::Held => {
                self.handed = batch.end;
                None
            }
            Reply::Durable(cursor) if cursor == batch.end => {
                self.handed = batch.end;
                self.confirm(delivered);
                None
            }
            other => Some(self.fall_back(other)),
        }
    }

    /// `Some` if the stint ends otherwise than it would.
    fn flush(&mut self, delivered: &mut u64) -> Option<Ending> {
        match self.destination.flush() {
            Reply::Held => None,
            Reply::Durable(cursor) if cursor == self.handed => {
                self.confirm(delivered);
                None
            }
            other => Some(self.fall_back(other)),
        }
    }

    fn confirm(&mut self, delivered: &mut u64) {
        self.confirmed = self.handed;
        *delivered += std::mem::take(&mut self.unconfirmed);
    }

    /// Nothing since the last confirmation counts.
    fn fall_back(&mut self, reply: Reply) -> Ending {
        self.reading = None;
        self.unconfirmed = 0;
        let ending = match reply {
            Reply::Durable(cursor) => {
                self.confirmed = cursor;
                Ending::Moved
            }
            Reply::Held => Ending::Paused,
            Reply::Unavailable { reason } => Ending::Unavailable(reason),
            Reply::Barred { reason } => Ending::Barred(reason),
        };
        self.handed = self.confirmed;
        ending
    }
}
